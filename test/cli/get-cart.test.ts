import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { after, before, beforeEach, describe, type TestContext, test } from "node:test";
import { type Cart, type Longshore, longshore } from "../../src/sdk/index.ts";
import { bundleBlob } from "../sdk/deposit.ts";
import { type FaultyProxy, faultyProxy } from "../support/faulty-proxy.ts";
import { seededRandom } from "../support/random.ts";
import { type ServerProcess, startServer } from "../support/server.ts";
import { until } from "../support/until.ts";
import { runCli, startCli } from "./run-cli.ts";

const MIB = 1024 * 1024;

describe("longshore get of a cart", () => {
  const contents: Record<string, Buffer> = {
    "a.bin": randomBytes(4 * MIB),
    "big.bin": randomBytes(24 * MIB),
    "größe/名前.txt": Buffer.from("hi\n"),
  };
  for (let n = 0; n < 300; n++) contents[`many/${n}.bin`] = randomBytes(n * 31);
  const payloadBytes = Object.values(contents).reduce((sum, { length }) => sum + length, 0);

  let server: ServerProcess;
  let client: Longshore;
  let cart: Cart;
  let tarSha256: string;
  let proxy: FaultyProxy;
  let folder: string;
  before(async () => {
    server = await startServer();
    client = longshore({ url: server.url });
    const job = await client.jobs.wait((await client.bundles.deposit(await bundleBlob(contents))).id);
    cart = await client.carts.create({ transactions: [job.id], name: "run-17" });
    assert.deepEqual([cart.status, cart.files, cart.bytes], ["ready", 303, payloadBytes]);
    tarSha256 = sha256(await buffer((await client.carts.download(cart.id, { format: "tar" })).bytes));
  });
  after(() => server.stop());
  beforeEach(async (t) => {
    const context = t as TestContext;
    folder = await mkdtemp(join(tmpdir(), "longshore-get-cart-"));
    proxy = await faultyProxy(server.url);
    context.after(async () => {
      await proxy.close();
      await rm(folder, { recursive: true });
    });
  });

  const start = (...args: readonly string[]) =>
    startCli(["get", cart.id, ...args], { env: { LONGSHORE_URL: proxy.url }, cwd: folder });
  const get = (...args: readonly string[]) => start(...args).result;
  const savedSha256 = async (name: string) => sha256(await readFile(join(folder, name)));

  /** By the tool that a user without Longshore has. @returns how many files were right. */
  function checkedBySha512sum(unpacked: string): number {
    const options = { cwd: join(folder, unpacked), encoding: "utf8" } as const;
    const lines = execFileSync("sha512sum", ["-c", "manifest-sha512.txt"], options).trimEnd().split("\n");
    assert.ok(lines.every((line) => line.endsWith(": OK")));
    return lines.length;
  }

  test("one tar comes over several connections, as the server sends it in one, and nothing else is left", async () => {
    const { code, stdout, stderr } = await get();
    assert.deepEqual([code, stdout], [0, "run-17.tar\n"], stderr);
    assert.match(stderr, /run-17\.tar: 303 files, 2\d\.\d MiB, each file as archived/);
    assert.deepEqual(await readdir(folder), ["run-17.tar"]);
    assert.equal(await savedSha256("run-17.tar"), tarSha256);
    execFileSync("tar", ["-xf", "run-17.tar"], { cwd: folder });
    assert.equal(checkedBySha512sum("run-17"), 303);
    const refused = await get();
    assert.match(refused.stderr, /error\[usage\]: run-17\.tar exists already; --force replaces it/);
    assert.equal((await get("--force", "--json", "--connections", "1")).code, 0);
  });

  test("a ZIP and a bag are read by other programs", async () => {
    assert.equal((await get("--format", "zip", "-o", "some.zip")).code, 0);
    execFileSync("unzip", ["-q", "some.zip"], { cwd: folder });
    assert.equal(checkedBySha512sum("run-17"), 303);
    const { code, stderr } = await get("--format", "zip", "--bag", "-o", "bag.zip");
    assert.equal(code, 0, stderr);
    assert.match(execFileSync("unzip", ["-l", "bag.zip"], { cwd: folder, encoding: "utf8" }), /run-17\/bagit\.txt/);
  });

  test("the files themselves are unpacked; run again, what is right is kept and not received", async () => {
    const first = await get("-o", "into/");
    assert.deepEqual([first.code, first.stdout], [0, "into/run-17\n"], first.stderr);
    assert.equal(checkedBySha512sum("into/run-17"), 303);
    assert.deepEqual(await readdir(join(folder, "into")), ["run-17"]);
    for (const [path, content] of Object.entries(contents))
      assert.ok((await readFile(join(folder, "into/run-17/data", path))).equals(content), path);
    const kept = await stat(join(folder, "into/run-17/data/big.bin"));
    assert.equal(kept.mtimeMs, Date.UTC(2024, 1, 29)); // as bundleOf() has it
    await rm(join(folder, "into/run-17/data/many/299.bin"));

    const before = proxy.receivedBytes;
    const again = await get("--unpack", "-o", "into", "--json");
    assert.equal(again.code, 0, again.stderr);
    assert.match(again.stderr, /302 files, 2\d\.\d MiB, are here already and right/);
    assert.equal(JSON.parse(again.stdout).savedAs, "into/run-17");
    assert.equal(checkedBySha512sum("into/run-17"), 303);
    assert.equal((await stat(join(folder, "into/run-17/data/big.bin"))).ino, kept.ino);
    // What was on its way when the large files turned out to be here counts too.
    const received = proxy.receivedBytes - before;
    assert.ok(received < payloadBytes / 2, `${received} bytes were received again, of ${payloadBytes}`);
  });

  test("-o - prints the archive, and nothing else", async () => {
    const { code, stdout } = await get("--json", "-o", "-");
    assert.deepEqual([code, stdout], [2, ""]);
    const run = start("-o", "-", "--format", "tar");
    run.child.stdout?.setEncoding("latin1");
    const printed = await run.result;
    assert.equal(printed.code, 0, printed.stderr);
    assert.equal(sha256(Buffer.from(printed.stdout, "latin1")), tarSha256);
    assert.equal(printed.stderr, "");
  });

  test("connections that are cut again and again are continued within one run", async (t) => {
    const random = seededRandom(t);
    for (const [args, name] of [
      [[], "run-17.tar"],
      [["-o", "into/"], "into/run-17"],
    ] as const) {
      const [cuts, received] = [proxy.cuts, proxy.receivedBytes];
      proxy.cutAfter(() => 200_000 + random(2 * MIB));
      const { code, stderr } = await get(...args);
      assert.equal(code, 0, stderr);
      assert.ok(proxy.cuts - cuts >= 10, `${proxy.cuts - cuts} cuts`);
      t.diagnostic(`${name}: ${proxy.cuts - cuts} cuts, ${proxy.receivedBytes - received} bytes for ${payloadBytes}`);
    }
    assert.equal(await savedSha256("run-17.tar"), tarSha256);
    assert.equal(checkedBySha512sum("into/run-17"), 303);
  });

  test("killed in the middle, the next run receives what is missing, and checks what is there", async (t) => {
    proxy.cutAfter(() => 4 * MIB);
    const first = start();
    // Told that it tries again, it has saved some.
    for await (const text of first.child.stderr ?? []) if (/Trying again/.test(String(text))) break;
    first.child.kill("SIGKILL");
    await first.result;
    assert.deepEqual((await readdir(folder)).sort(), ["run-17.tar.part", "run-17.tar.part.journal"]);
    proxy.heal();
    const before = proxy.receivedBytes;
    const { code, stderr } = await get();
    assert.equal(code, 0, stderr);
    const here = Number(/Continuing: ([\d.]+) MiB of/.exec(stderr)?.[1]) * MIB;
    assert.ok(here > 2 * MIB, stderr);
    const received = proxy.receivedBytes - before;
    t.diagnostic(`${here} bytes were here, ${received} were received`);
    assert.ok(received < payloadBytes - here + 2 * MIB, `${received} bytes for the rest`);
    assert.equal(await savedSha256("run-17.tar"), tarSha256);
    assert.deepEqual(await readdir(folder), ["run-17.tar"]);
  });

  test("killed while unpacking, the next run keeps what is right and leaves nothing else behind", async () => {
    // So much in all: a.bin is whole by then, and big.bin never is.
    proxy.cutAfter(() => Math.max(300, 16 * MIB - proxy.receivedBytes));
    const first = start("-o", "into/");
    for await (const text of first.child.stderr ?? []) if (/Trying again/.test(String(text))) break;
    first.child.kill("SIGKILL");
    await first.result;
    assert.deepEqual((await readdir(join(folder, "into"))).sort(), [`.longshore-${cart.id}`, "run-17"]);
    proxy.heal();
    const before = proxy.receivedBytes;
    const { code, stderr } = await get("-o", "into/");
    assert.equal(code, 0, stderr);
    assert.match(stderr, /1 file, 4\.0 MiB, are here already and right/);
    const received = proxy.receivedBytes - before;
    assert.ok(received < payloadBytes, `${received} bytes were received again, of ${payloadBytes}`);
    assert.equal(checkedBySha512sum("into/run-17"), 303);
    assert.deepEqual(await readdir(join(folder, "into")), ["run-17"]);
  });

  test("Ctrl-C ends it at once and says how to go on", async () => {
    for (const args of [[], ["-o", "into/"], ["-o", "-"]]) {
      proxy.cutAfter(() => 4 * MIB);
      const run = start(...args);
      let told = "";
      run.child.stderr?.on("data", (text) => {
        told += text;
      });
      run.child.stdout?.resume();
      await until("it has received some and waits", () => /Trying again/.test(told));
      run.child.kill("SIGINT");
      const { code, stderr } = await run.result;
      assert.equal(code, 130, stderr);
      assert.match(stderr, /^Interrupted: .*(the same command continues\.|a pipe cannot be continued\.)$/m);
    }
  });

  test("a cart that cannot be read to its end is given up with what is wrong, not tried for ever", async () => {
    const damaged = await startServer();
    try {
      const other = longshore({ url: damaged.url });
      const tar = await bundleBlob({ "a.bin": randomBytes(100_000), "gone.bin": randomBytes(3 * MIB) });
      const job = await other.jobs.wait((await other.bundles.deposit(tar)).id);
      const { id } = await other.carts.create({ transactions: [job.id], name: "damaged" });
      const archive = join(damaged.dataDir, "archive");
      const lost = (await readdir(archive, { recursive: true })).find((path) => path.endsWith("gone.bin"));
      await rm(join(archive, lost ?? assert.fail("the archive has no gone.bin")));
      for (const args of [[], ["-o", "into/"]]) {
        const run = await runCli(["get", id, ...args], { env: { LONGSHORE_URL: damaged.url }, cwd: folder });
        assert.equal(run.code, 5, run.stderr);
        assert.match(run.stderr, /error\[cart_failed\]/);
        assert.match(run.stderr, /gone\.bin/);
      }
      assert.ok(!(await readdir(folder)).includes("damaged.tar"));
    } finally {
      await damaged.stop();
    }
  });

  test("carts that are not there, and options that do not fit, are named", async () => {
    const env = { LONGSHORE_URL: server.url };
    const unknown = await runCli(["get", "A".repeat(22)], { env });
    assert.equal(unknown.code, 3);
    assert.match(unknown.stderr, /error\[cart_unknown\]/);
    for (const [args, message] of [
      [["--unpack", "--format", "tar"], /--unpack and --format exclude each other/],
      [["--unpack", "--bag"], /--bag is for archives/],
      [["--unpack", "-o", "-"], /--unpack writes files/],
      [["--connections", "17"], /Expected at most 16/],
      [["--format", "rar"], /Allowed choices are tar, zip/],
    ] as const) {
      const { code, stderr } = await get(...args);
      assert.equal(code, 2);
      assert.match(stderr, message);
    }
    const file = await runCli(["get", "1", "--unpack"], { env });
    assert.match(file.stderr, /--unpack is for carts; 1 is a file/);
    assert.deepEqual(await readdir(folder), []);
  });
});

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
