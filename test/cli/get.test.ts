import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, type TestContext, test } from "node:test";
import { longshore } from "../../src/sdk/index.ts";
import { bundleBlob } from "../sdk/deposit.ts";
import { faultyProxy } from "../support/faulty-proxy.ts";
import { type ServerProcess, startServer } from "../support/server.ts";
import { runCli, startCli } from "./run-cli.ts";

const MIB = 1024 * 1024;

describe("longshore get", () => {
  const big = randomBytes(24 * MIB);
  let server: ServerProcess;
  let folder: string;
  /** By path. */
  const ids: Record<string, string> = {};
  before(async () => {
    server = await startServer();
    const client = longshore({ url: server.url });
    const tar = await bundleBlob({ "big.bin": big, "small.txt": "hello\n", empty: "" });
    const job = await client.jobs.wait((await client.bundles.deposit(tar)).id);
    for await (const { id, path } of client.transactions.files(job.id)) ids[path.slice("data/".length)] = String(id);
  });
  after(() => server.stop());

  /** Runs in a fresh folder. */
  const inFolder = (work: (get: typeof run, t: TestContext) => Promise<void>) => async (t: TestContext) => {
    folder = await mkdtemp(join(tmpdir(), "longshore-get-"));
    t.after(() => rm(folder, { recursive: true }));
    await work(run, t);
  };
  const run = (args: readonly string[], url = server.url) =>
    runCli(["get", ...args], { env: { LONGSHORE_URL: url }, cwd: folder });

  test(
    "a file is saved under its own name, and nothing else is left",
    inFolder(async (get) => {
      const { code, stdout, stderr } = await get([ids["small.txt"] ?? ""]);
      assert.deepEqual([code, stdout], [0, "small.txt\n"], stderr);
      assert.equal(await readFile(join(folder, "small.txt"), "utf8"), "hello\n");
      assert.deepEqual(await readdir(folder), ["small.txt"]);
    }),
  );

  test(
    "a file of no bytes is a file",
    inFolder(async (get) => {
      assert.equal((await get([ids.empty ?? "", "-o", "nothing"])).code, 0);
      assert.equal((await readFile(join(folder, "nothing"))).length, 0);
    }),
  );

  test(
    "a folder is given the file under its own name, and --json says where it is",
    inFolder(async (get) => {
      await mkdir(join(folder, "into"));
      const { stdout } = await get([ids["small.txt"] ?? "", "-o", "into", "--json"]);
      const { path, savedAs, digests } = JSON.parse(stdout);
      assert.deepEqual([path, savedAs], ["data/small.txt", "into/small.txt"]);
      assert.equal(digests.sha1, "f572d396fae9206628714fb2ce00f72e94f2258f"); // printf 'hello\n' | sha1sum
    }),
  );

  test(
    "-o - writes the bytes to standard output and nothing else",
    inFolder(async (get) => {
      const { code, stdout } = await get([ids["small.txt"] ?? "", "-o", "-"]);
      assert.deepEqual([code, stdout], [0, "hello\n"]);
      assert.equal((await get([ids["small.txt"] ?? "", "-o", "-", "--json"])).code, 2);
    }),
  );

  test(
    "killed in the middle, the next run continues the .part file",
    inFolder(async (get, t) => {
      const proxy = await faultyProxy(server.url);
      t.after(() => proxy.close());
      proxy.cutAfter(() => 10 * MIB);
      const first = startCli(["get", ids["big.bin"] ?? ""], { env: { LONGSHORE_URL: proxy.url }, cwd: folder });
      // Told that it tries again, it has saved some and waits.
      for await (const text of first.child.stderr ?? []) if (/Trying again/.test(String(text))) break;
      first.child.kill("SIGKILL");
      await first.result;
      const saved = (await readFile(join(folder, "big.bin.part"))).length;
      assert.ok(saved > 0 && saved < 24 * MIB, `${saved} bytes were saved`);
      proxy.cutAfter(() => 24 * MIB - saved + 100_000); // too little for the whole file
      assert.equal((await get([ids["big.bin"] ?? ""], proxy.url)).code, 0);
      assert.ok((await readFile(join(folder, "big.bin"))).equals(big));
      assert.deepEqual(await readdir(folder), ["big.bin"]);
    }),
  );

  test(
    "a connection that is cut again and again is continued within one run, into a file and into a pipe",
    inFolder(async (get, t) => {
      const proxy = await faultyProxy(server.url);
      t.after(() => proxy.close());
      proxy.cutAfter(() => 7 * MIB);
      const saved = await get([ids["big.bin"] ?? ""], proxy.url);
      assert.equal(saved.code, 0, saved.stderr);
      assert.ok((await readFile(join(folder, "big.bin"))).equals(big));
      assert.ok(proxy.cuts >= 3);
    }),
  );

  test(
    "a .part file of something else is noticed by the digest, and everything is fetched anew",
    inFolder(async (get) => {
      await writeFile(join(folder, "big.bin.part"), randomBytes(3 * MIB));
      const { code, stderr } = await get([ids["big.bin"] ?? ""]);
      assert.equal(code, 0, stderr);
      assert.match(stderr, /left by something else; fetching everything anew/);
      assert.ok((await readFile(join(folder, "big.bin"))).equals(big));
    }),
  );

  test(
    "a .part file longer than the file is begun anew",
    inFolder(async (get) => {
      await writeFile(join(folder, "small.txt.part"), "much longer than that");
      assert.equal((await get([ids["small.txt"] ?? ""])).code, 0);
      assert.equal(await readFile(join(folder, "small.txt"), "utf8"), "hello\n");
    }),
  );

  test(
    "a file that exists is replaced only by --force",
    inFolder(async (get) => {
      await writeFile(join(folder, "small.txt"), "mine");
      const refused = await get([ids["small.txt"] ?? ""]);
      assert.equal(refused.code, 2);
      assert.match(refused.stderr, /small\.txt exists already; --force replaces it/);
      assert.equal(await readFile(join(folder, "small.txt"), "utf8"), "mine");
      assert.equal((await get([ids["small.txt"] ?? "", "--force"])).code, 0);
      assert.equal(await readFile(join(folder, "small.txt"), "utf8"), "hello\n");
    }),
  );

  test(
    "an unknown file and a place that cannot be written are named",
    inFolder(async (get) => {
      const unknown = await get(["999999"]);
      assert.equal(unknown.code, 3);
      assert.match(unknown.stderr, /error\[file_unknown\]/);
      const nowhere = await get([ids["small.txt"] ?? "", "-o", "no/such/folder/x"]);
      assert.equal(nowhere.code, 2);
      assert.match(nowhere.stderr, /error\[local_file_unusable\]: no\/such\/folder\/x\.part cannot be written/);
    }),
  );
});
