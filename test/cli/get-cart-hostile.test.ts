import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdir, mkdtemp, readdir, readFile, readlink, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, type TestContext, test } from "node:test";
import { until } from "../support/until.ts";
import { CART_ID, type CartServer, cartServer, cartTar, manifestOf } from "./cart-server.ts";
import { runCli, startCli } from "./run-cli.ts";

/** What a server, something in between, or somebody on this machine could do. Hostile tars: `cart-unpack.test.ts`. */
describe("longshore get of a cart that is not as it should be", () => {
  let server: CartServer;
  /** The target is a folder in here: whatever gets out of it is found beside it. */
  let around: string;
  beforeEach(async (t) => {
    const context = t as TestContext;
    server = await cartServer(context);
    around = await mkdtemp(join(tmpdir(), "longshore-hostile-"));
    context.after(() => rm(around, { recursive: true }));
  });
  const get = (...args: readonly string[]) =>
    runCli(["get", CART_ID, "-o", "target/", ...args], { env: { LONGSHORE_URL: server.url }, cwd: around });
  /** Everything below the folder around the target, but for what a next run continues from. */
  const found = async () =>
    (await readdir(around, { recursive: true })).filter((path) => !path.includes(".longshore-")).sort();

  test("an archive that is shorter than the cart, with a manifest to match, is not taken for the whole", async () => {
    const { tar } = cartTar({ "data/a": "a" });
    server.serve(tar, { files: 2, bytes: 3 });
    const { code, stderr } = await get();
    assert.match(
      stderr,
      /error\[remote_refused\]: The cart has 2 files of 3 bytes, its download has 1 files of 1 bytes/,
    );
    assert.equal(code, 5);
    const archive = await runCli(["get", CART_ID], { env: { LONGSHORE_URL: server.url }, cwd: around });
    assert.match(archive.stderr, /error\[remote_refused\]: The cart has 2 files of 3 bytes/);
    assert.equal(archive.code, 5);
  });

  test("files whose bytes are wrong are not put in place; the others are, and the list ends it", async () => {
    const contents = { "data/a": "right", "data/b": "wrong", "data/c": "right too" };
    const { tar, ...facts } = cartTar(contents, { manifest: manifestOf({ ...contents, "data/b": "as archived" }) });
    server.serve(tar, facts);
    const { code, stdout, stderr } = await get();
    assert.match(stderr, /error\[digest_mismatch\]: 1 of 3 files of run are not what the archive names/);
    assert.match(stderr, /^ {2}data\/b: What was received is not what the archive names \(sha512: expected /m);
    assert.deepEqual([code, stdout], [5, ""]);
    assert.deepEqual(await readdir(join(around, "target/run/data")), ["a", "c"]);
    const json = await get("--json");
    const { error } = JSON.parse(json.stderr.split("\n").findLast((line) => line.startsWith("{")) ?? "");
    assert.deepEqual([error.exit, error.details.problems[0].path], [5, "data/b"]);

    const healed = cartTar({ ...contents, "data/b": "as archived" });
    server.serve(healed.tar, { files: 3, bytes: healed.bytes });
    const again = await get();
    assert.deepEqual([again.code, again.stdout], [0, "target/run\n"], again.stderr);
    assert.match(again.stderr, /changed since; beginning anew/);
    assert.match(again.stderr, /2 files, 14 B, are here already and right/);
    assert.deepEqual(await readdir(join(around, "target")), ["run"]);
    assert.equal(await readFile(join(around, "target/run/data/b"), "utf8"), "as archived");
  });

  test("a symbolic link on the way to a file is not followed, --force or not", async () => {
    const { tar, ...facts } = cartTar({ "data/sub/a": "a" });
    server.serve(tar, facts);
    await mkdir(join(around, "elsewhere"));
    for (const link of ["target/run/data/sub", "target/run/data", "target/run"]) {
      await rm(join(around, "target"), { recursive: true, force: true });
      await mkdir(join(around, link, ".."), { recursive: true });
      await symlink(join(around, "elsewhere"), join(around, link));
      for (const force of [[], ["--force"]]) {
        const { code, stderr } = await get(...force);
        assert.match(stderr, /error\[local_file_unusable\]: .* cannot be written: it is a symbolic link/);
        assert.equal(code, 2);
        assert.deepEqual(await readdir(join(around, "elsewhere")), []);
      }
    }
  });

  test("files that are there and are others are named, and replaced only by --force; a link itself, not what it leads to", async () => {
    const { tar, ...facts } = cartTar({ "data/mine": "theirs", "data/link": "theirs too" });
    server.serve(tar, facts);
    await mkdir(join(around, "target/run/data"), { recursive: true });
    await writeFile(join(around, "target/run/data/mine"), "mine");
    await writeFile(join(around, "precious"), "precious");
    await symlink(join(around, "precious"), join(around, "target/run/data/link"));
    const refused = await get();
    assert.match(refused.stderr, /error\[usage\]: 2 files would be replaced; --force does that/);
    assert.match(refused.stderr, /^ {2}run\/data\/mine: another file of this name is there$/m);
    assert.equal(refused.code, 2);
    assert.equal(await readFile(join(around, "target/run/data/mine"), "utf8"), "mine");
    assert.equal(await readlink(join(around, "target/run/data/link")), join(around, "precious"));

    assert.equal((await get("--force")).code, 0);
    assert.equal(await readFile(join(around, "target/run/data/mine"), "utf8"), "theirs");
    assert.equal(await readFile(join(around, "target/run/data/link"), "utf8"), "theirs too");
    assert.equal(await readFile(join(around, "precious"), "utf8"), "precious");
  });

  test("a folder in a file's place stays, whatever is forced", async () => {
    const { tar, ...facts } = cartTar({ "data/a": "a" });
    server.serve(tar, facts);
    await mkdir(join(around, "target/run/data/a/b"), { recursive: true });
    assert.equal((await get()).code, 2);
    const forced = await get("--force");
    assert.match(forced.stderr, /error\[local_file_unusable\]: target\/run\/data\/a cannot be written/);
    assert.deepEqual([forced.code, await readdir(join(around, "target/run/data/a"))], [2, ["b"]]);
  });

  test("a cart's name that is no file name is not used as one", async () => {
    const { tar, ...facts } = cartTar({ "data/a": "a" });
    server.serve(tar, { ...facts, name: "../outside" });
    const run = (...args: readonly string[]) =>
      runCli(["get", CART_ID, ...args], { env: { LONGSHORE_URL: server.url }, cwd: around });
    const refused = await run();
    assert.match(refused.stderr, /error\[usage\]: The cart's name, \.\.\/outside\.tar, cannot be a file's/);
    assert.equal(refused.code, 2);
    assert.equal((await run("-o", "named.tar")).code, 0);
    assert.deepEqual(await found(), ["named.tar"]);
  });

  test("an archive's wrong files are asked for once more, then named, and only they by the next run", async () => {
    const contents = { "data/large": randomBytes(3_000_000), "data/wrong": "wrong", "data/c": "right" };
    const expected = { ...contents, "data/wrong": "right" };
    const { tar, ...facts } = cartTar(contents, { manifest: manifestOf(expected) });
    server.serve(tar, { ...facts, etag: '"same"' });
    const run = () => runCli(["get", CART_ID], { env: { LONGSHORE_URL: server.url }, cwd: around });
    const { code, stderr } = await run();
    assert.match(stderr, /1 file came damaged, such as data\/wrong; receiving them once more/);
    assert.match(stderr, /error\[digest_mismatch\]: 1 of 3 files/);
    assert.equal(code, 5);
    assert.deepEqual(await found(), ["run.tar.part", "run.tar.part.journal"]);

    const healed = cartTar(expected);
    server.serve(healed.tar, { ...facts, etag: '"same"' });
    assert.equal((await run()).code, 0);
    // One header and one block: nothing else was wrong.
    assert.deepEqual(
      server.ranges.map((range) => range.replace(/\d+/g, (n) => String(Number(n) % 512))),
      ["bytes=0-511"],
    );
    assert.ok((await readFile(join(around, "run.tar"))).equals(healed.tar));
    assert.deepEqual(await found(), ["run.tar"]);
  });

  test("a download that is another one than the part file's is begun anew, and that is said", async () => {
    const first = cartTar({ "data/a": randomBytes(2_000_000) });
    const second = cartTar({ "data/a": randomBytes(2_000_000) });
    const run = () => runCli(["get", CART_ID], { env: { LONGSHORE_URL: server.url }, cwd: around });
    // Cut short where the server's word ends: the rest of the first is never had.
    server.serve(first.tar, { ...first, files: 7 });
    assert.equal((await run()).code, 5);
    server.serve(second.tar, second);
    const { code, stderr } = await run();
    assert.equal(code, 0, stderr);
    assert.match(stderr, /run\.tar\.part is part of another download; beginning anew/);
    assert.ok((await readFile(join(around, "run.tar"))).equals(second.tar));
  });

  test("a part file whose bytes a power cut has lost is noticed, and begun anew", async () => {
    const whole = cartTar({ "data/a": randomBytes(2_000_000), "data/b": randomBytes(2_000_000) });
    const run = () => runCli(["get", CART_ID], { env: { LONGSHORE_URL: server.url }, cwd: around });
    server.serve(whole.tar, { ...whole, files: 3 });
    assert.equal((await run()).code, 5);
    const part = await readFile(join(around, "run.tar.part"));
    await writeFile(join(around, "run.tar.part"), Buffer.alloc(part.length));
    server.serve(whole.tar, whole);
    const { code, stderr } = await run();
    assert.equal(code, 0, stderr);
    assert.match(stderr, /run\.tar\.part is not what it was; beginning anew/);
    assert.ok((await readFile(join(around, "run.tar"))).equals(whole.tar));
  });

  test("a cart that is being brought online is waited for", async () => {
    const { tar, ...facts } = cartTar({ "data/a": "a" });
    const staging = { status: "staging", staged: { files: 0, bytes: 0 }, readyAt: "2030-01-01T00:00:00Z" };
    server.serve(tar, { ...facts, more: staging });
    const { result } = startCli(["get", CART_ID], { env: { LONGSHORE_URL: server.url }, cwd: around });
    await until("it has looked twice", () => server.looks >= 2);
    server.serve(tar, facts);
    const { code, stdout, stderr } = await result;
    assert.deepEqual([code, stdout], [0, "run.tar\n"]);
    assert.match(stderr, new RegExp(`Cart ${CART_ID} is being brought online`));
  });

  test("Ctrl-C while waiting says that the cart goes on without us", async () => {
    server.serve(Buffer.alloc(0), { files: 1, bytes: 1, more: { status: "staging", readyAt: null } });
    const run = startCli(["get", CART_ID], { env: { LONGSHORE_URL: server.url }, cwd: around });
    await until("it has looked", () => server.looks >= 1);
    run.child.kill("SIGINT");
    const { code, stderr } = await run.result;
    assert.equal(code, 130);
    assert.match(stderr, /Interrupted: cart .* is brought online without us/);
  });

  test("a cart in error is answered with its problems, an expired one with what to do", async () => {
    const problems = [{ code: "object_missing", path: "b.txt", message: "The archive has no such object or file." }];
    server.serve(Buffer.alloc(0), { files: 2, bytes: 2, more: { status: "error", problems, problemCount: 1 } });
    const failed = await get();
    assert.equal(failed.code, 5);
    assert.match(failed.stderr, /error\[cart_failed\]: Cart .* cannot be downloaded: 1 file of it cannot be had/);
    assert.match(failed.stderr, /^ {2}b\.txt: The archive has no such object or file\.$/m);
    server.serve(Buffer.alloc(0), { files: 2, bytes: 2, more: { status: "expired" } });
    const expired = await get();
    assert.equal(expired.code, 3);
    assert.match(expired.stderr, /error\[cart_expired\]: Cart .* has expired; make another one/);
    assert.deepEqual(await found(), []);
  });

  test("a disk that cannot hold it is told before, one that fills up meanwhile when it does", async (t) => {
    const disk = join(around, "disk");
    await mkdir(disk);
    const mount = spawnSync("mount", ["-t", "tmpfs", "-o", "size=4m", "longshore-test", disk], { encoding: "utf8" });
    if (mount.status !== 0) return t.skip(`cannot mount a small disk here: ${mount.stderr ?? mount.error}`.trim());
    try {
      const { tar, ...facts } = cartTar({ "data/large": randomBytes(6_000_000) });
      const run = (...args: readonly string[]) =>
        runCli(["get", CART_ID, ...args], { env: { LONGSHORE_URL: server.url }, cwd: disk });
      server.serve(tar, facts);
      for (const args of [[], ["--unpack"]]) {
        const { code, stderr } = await run(...args);
        assert.match(
          stderr,
          /error\[local_file_unusable\]: .* takes 5\.7 MiB more, and the disk has [34]\.\d MiB left/,
        );
        assert.equal(code, 2);
      }
      server.serve(tar, { ...facts, bytes: 1 }); // so that it is begun
      const { code, stderr } = await run("--unpack");
      assert.match(stderr, /error\[local_file_unusable\]: .* cannot be written: ENOSPC/);
      assert.equal(code, 2);
      assert.deepEqual(await readdir(disk), [`.longshore-${CART_ID}`, "run.tar.part", "run.tar.part.journal"]);
    } finally {
      assert.equal(spawnSync("umount", [disk]).status, 0);
    }
  });
});
