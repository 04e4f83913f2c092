import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { appendFile, mkdir, mkdtemp, readdir, readFile, rm, symlink, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { after, before, describe, type TestContext, test } from "node:test";
import { type Job, type Longshore, longshore } from "../../src/sdk/index.ts";
import { type FaultyProxy, faultyProxy } from "../support/faulty-proxy.ts";
import { lastingPort, type ServerProcess, startServer } from "../support/server.ts";
import { type CliRun, runCli, startCli } from "./run-cli.ts";

const MIB = 1024 * 1024;

describe("longshore put", () => {
  let server: ServerProcess;
  let client: Longshore;
  let folder: string;
  before(async () => {
    server = await startServer();
    client = longshore({ url: server.url });
    folder = await mkdtemp(join(tmpdir(), "longshore-put-"));
  });
  after(async () => {
    await server.stop();
    await rm(folder, { recursive: true });
  });

  const env = (url = server.url) => ({ LONGSHORE_URL: url, XDG_STATE_HOME: join(folder, "state") });
  const put = (args: readonly string[], url?: string) => runCli(["put", ...args], { env: env(url), cwd: folder });
  const journals = () => readdir(join(folder, "state/longshore/uploads"));

  async function proxied(t: TestContext): Promise<FaultyProxy> {
    const proxy = await faultyProxy(server.url);
    t.after(() => proxy.close());
    return proxy;
  }

  /** Writes files below a new folder of this name. */
  async function tree(name: string, contents: Readonly<Record<string, string | Uint8Array>>): Promise<string> {
    for (const [path, content] of Object.entries(contents)) {
      await mkdir(join(folder, name, path, ".."), { recursive: true });
      await writeFile(join(folder, name, path), content);
    }
    return join(folder, name);
  }

  async function archivedBytes(transactionId: number): Promise<Record<string, Buffer>> {
    const found: Record<string, Buffer> = {};
    for await (const { id, path } of client.transactions.files(transactionId))
      found[path] = await buffer((await client.files.content(id)).bytes);
    return found;
  }

  test("files of awkward names and sizes arrive as they are, and the receipt says what was archived", async () => {
    const contents = {
      empty: "",
      "plain.txt": "hello\n",
      "with blank & 'quote'.csv": "a,b\n",
      "日本語/ünïcödé 🚢.bin": randomBytes(3000),
      [`${"deep/".repeat(30)}leaf`]: "deep",
      [`${"n".repeat(200)}.dat`]: randomBytes(511),
      "block.bin": randomBytes(1024),
      "big.bin": randomBytes(3 * MIB + 17),
    };
    await tree("awkward", contents);
    const { code, stdout, stderr } = await put([
      ...["awkward", "--submitter", "10", "--project", "1234a", "--instrument", "54"],
      ...["--kv", "site=north", "--kv", "formula=a=b"],
    ]);
    assert.equal(code, 0, stderr);
    const transactionId = Number(/^transaction +(\d+)$/m.exec(stdout)?.[1]);
    const transaction = await client.transactions.get(transactionId);
    assert.match(stdout, new RegExp(`^inventory +${transaction.inventoryDigest}$`, "m"));
    assert.match(stdout, /^files +8$/m);
    assert.match(stderr, /Sending 8 files/);
    assert.match(stderr, /done +catalogue/);
    const expected = Object.entries(contents).map(([path, content]) => [`data/awkward/${path}`, Buffer.from(content)]);
    assert.deepEqual(await archivedBytes(transactionId), Object.fromEntries(expected));
    assert.deepEqual([transaction.submitter, transaction.project, transaction.instrument], ["10", "1234a", "54"]);
    assert.deepEqual(
      transaction.keyValues.map(({ key, value }) => [key, value]),
      [
        ["site", "north"],
        ["formula", "a=b"],
      ],
    );
    assert.deepEqual(await journals(), [], "nothing is left to be continued");
  });

  test("size, time, media type and digest of each file are those of the file system and sha256sum", async () => {
    const path = join(await tree("facts", { "table.csv": "a,b\n1,2\n" }), "table.csv");
    await utimes(path, new Date("2001-02-03T04:05:06Z"), new Date("2001-02-03T04:05:06Z"));
    const { stdout } = await put(["facts/table.csv", "--hash", "sha256", "--json"]);
    const [file] = await Array.fromAsync(client.transactions.files(JSON.parse(stdout).id));
    const [sum] = execFileSync("sha256sum", [path], { encoding: "utf8" }).split(" ");
    assert.deepEqual(
      [file?.path, file?.sizeBytes, file?.mediaType, file?.declared],
      ["data/table.csv", 8, "text/csv", { algorithm: "sha256", value: sum }],
    );
    assert.equal(Date.parse(file?.modifiedAt ?? ""), Date.UTC(2001, 1, 3, 4, 5, 6));
  });

  test("--json prints one document, the job, and nothing else on standard output", async () => {
    await tree("json", { a: "1" });
    const { code, stdout } = await put(["json", "--json"]);
    const job: Job = JSON.parse(stdout);
    assert.deepEqual([code, job.state, job.kind, job.result?.files], [0, "succeeded", "ingest", 1]);
  });

  test("--no-wait ends as soon as everything is sent", async () => {
    await tree("nowait", { a: "1" });
    const { code, stdout } = await put(["nowait", "--no-wait", "--json"]);
    const { id } = JSON.parse(stdout);
    assert.equal(code, 0);
    assert.equal((await client.jobs.wait(id)).state, "succeeded");
  });

  test("symbolic links are left out with a warning, or followed when asked, and never in a circle", async () => {
    const path = await tree("links", { "real/a.txt": "a" });
    await symlink("real/a.txt", join(path, "alias.txt"));
    await symlink("..", join(path, "real/up"));
    const without = await put(["links", "--json"]);
    assert.equal(JSON.parse(without.stdout).result.files, 1);
    assert.match(without.stderr, /warning: links\/alias\.txt is left out/);
    const followed = await put(["links", "--follow", "--json"]);
    assert.equal(JSON.parse(followed.stdout).result.files, 2);
    assert.match(followed.stderr, /warning: links\/real\/up is left out: it leads back/);
  });

  test("the metadata of a file is sent along, and a digest it declares is checked by the server", async () => {
    await tree("declared", { "a.txt": "hello\n" });
    const metadata = [
      { destinationTable: "Transactions.project", value: "from the file" },
      { destinationTable: "Transactions.submitter", value: 11 },
      { destinationTable: "TransactionKeyValue", key: "k", value: "v" },
      { destinationTable: "Files", name: "a.txt", subdir: "data/declared", hashtype: "md5", hashsum: "0".repeat(32) },
    ];
    await writeFile(join(folder, "metadata.json"), JSON.stringify(metadata));
    const refused = await put(["declared", "--metadata", "metadata.json", "--project", "from the option"]);
    assert.equal(refused.code, 5, refused.stderr);
    assert.match(refused.stderr, /^error\[file_digest_mismatch\]/m);
    assert.match(refused.stderr, /data\/declared\/a\.txt/);
    assert.equal(refused.stdout, "");
    assert.deepEqual(await journals(), []);

    await writeFile(join(folder, "metadata.json"), JSON.stringify(metadata.slice(0, 3)));
    const accepted = await put(["declared", "--metadata", "metadata.json", "--project", "from the option", "--json"]);
    const transaction = await client.transactions.get(JSON.parse(accepted.stdout).id);
    assert.deepEqual([transaction.project, transaction.submitter], ["from the option", "11"]);
  });

  test("killed in the middle with SIGKILL, the same command continues and deposits once", async (t) => {
    const proxy = await proxied(t);
    const content = randomBytes(40 * MIB);
    await tree("killed", { "first.bin": content.subarray(0, 20 * MIB), "second.bin": content.subarray(20 * MIB) });
    const before = (await Array.fromAsync(client.transactions.list())).length;
    await interrupted(proxy, 28 * MIB, "SIGKILL");
    assert.equal((await journals()).length, 1);

    const sentBefore = proxy.sentBytes;
    const { code, stdout, stderr } = await put(["killed", "--json"], proxy.url);
    assert.equal(code, 0, stderr);
    assert.match(stderr, /Continuing an earlier upload/);
    const sent = proxy.sentBytes - sentBefore;
    assert.ok(sent < 30 * MIB, `${sent} bytes were sent again`);
    assert.deepEqual(await archivedBytes(JSON.parse(stdout).id), {
      "data/killed/first.bin": content.subarray(0, 20 * MIB),
      "data/killed/second.bin": content.subarray(20 * MIB),
    });
    assert.equal((await Array.fromAsync(client.transactions.list())).length, before + 1);
    assert.deepEqual(await journals(), []);
  });

  test("Ctrl-C says how to continue and ends with 130", async (t) => {
    const proxy = await proxied(t);
    await tree("killed", { "ctrl-c.bin": randomBytes(20 * MIB) });
    const { code, stderr } = await interrupted(proxy, 10 * MIB, "SIGINT");
    assert.equal(code, 130, stderr);
    assert.match(stderr, /Interrupted: .* are on the server; the same command continues from there/);
  });

  /** Runs `put killed` until so many bytes went through, then ends it. */
  async function interrupted(proxy: FaultyProxy, bytes: number, signal: NodeJS.Signals) {
    const stalled = proxy.stallAfter(bytes);
    const run = startCli(["put", "killed"], { env: env(proxy.url), cwd: folder });
    await stalled;
    run.child.kill(signal);
    const result = await run.result;
    proxy.heal();
    return result;
  }

  test("killed while it waits for the job, the same command finds that job instead of depositing again", async (t) => {
    const port = await lastingPort();
    const idle = await startServer({ port, env: { LONGSHORE_WORKERS: "fast:0,slow:0" } });
    t.after(() => idle.stop());
    await tree("waiting", { a: "1" });
    const run = startCli(["put", "waiting"], { env: env(idle.url), cwd: folder });
    await untilSays(run, /Sent .*; job 1$/m);
    run.child.kill("SIGKILL");
    await run.result;
    await idle.end("SIGTERM");

    const working = await startServer({ dataDir: idle.dataDir, port });
    t.after(() => working.stop());
    const { code, stdout, stderr } = await put(["waiting", "--json"], working.url);
    assert.deepEqual([code, JSON.parse(stdout).id], [0, 1]);
    assert.doesNotMatch(stderr, /Sent /);
    assert.equal((await Array.fromAsync(longshore({ url: working.url }).jobs.list())).length, 1);
  });

  test("a server that has lost everything since then gets the deposit anew", async (t) => {
    const port = await lastingPort();
    const idle = await startServer({ port, env: { LONGSHORE_WORKERS: "fast:0,slow:0" } });
    t.after(() => idle.stop());
    await tree("lost", { a: "1" });
    const run = startCli(["put", "lost"], { env: env(idle.url), cwd: folder });
    await untilSays(run, /Sent .*; job 1$/m);
    run.child.kill("SIGKILL");
    await run.result;
    await idle.end("SIGTERM");

    const fresh = await startServer({ port });
    t.after(() => fresh.stop());
    const { code, stderr } = await put(["lost"], fresh.url);
    assert.equal(code, 0, stderr);
    assert.equal((await Array.fromAsync(longshore({ url: fresh.url }).transactions.list())).length, 1);
  });

  /** Resolves when the program has said so on standard error. */
  async function untilSays(run: CliRun, pattern: RegExp): Promise<void> {
    let said = "";
    const { promise, resolve } = Promise.withResolvers<void>();
    run.child.stderr?.on("data", (text: string) => {
      said += text;
      if (pattern.test(said)) resolve();
    });
    const early = run.result.then(({ stderr }) => {
      throw new Error(`It ended before it said ${pattern}:\n${stderr}`);
    });
    early.catch(() => undefined); // only of interest while the race is on
    await Promise.race([promise, early]);
  }

  test("an upload that the server has dropped meanwhile is begun anew", async (t) => {
    const proxy = await proxied(t);
    await rm(join(folder, "state"), { recursive: true });
    await tree("killed", { "dropped.bin": randomBytes(20 * MIB) });
    await interrupted(proxy, 10 * MIB, "SIGKILL");
    const [journal = ""] = await journals();
    const [line = ""] = (await readFile(join(folder, "state/longshore/uploads", journal), "utf8")).split("\n");
    await client.uploads.abort(JSON.parse(line).url.replace(proxy.url, server.url));
    const { code, stderr } = await put(["killed"], proxy.url);
    assert.equal(code, 0, stderr);
    assert.match(stderr, /dropped the earlier upload; sending everything anew/);
  });

  test("a file that changes while the bundle is sent is an error that names it", async (t) => {
    const proxy = await proxied(t);
    await tree("changing", { "a.bin": randomBytes(24 * MIB), "b.log": "line\n" });
    const stalled = proxy.stallAfter(4 * MIB);
    const run = startCli(["put", "changing"], { env: env(proxy.url), cwd: folder });
    await stalled;
    await appendFile(join(folder, "changing/b.log"), "one more\n");
    proxy.heal();
    const { code, stderr } = await run.result;
    assert.equal(code, 4, stderr);
    assert.match(stderr, /^error\[local_file_changed\]: changing\/b\.log changed/m);
  });

  test("a server that is killed and comes back is waited for", async (t) => {
    const port = await lastingPort();
    const first = await startServer({ port });
    t.after(() => first.stop());
    const proxy = await faultyProxy(first.url);
    t.after(() => proxy.close());
    const content = randomBytes(24 * MIB);
    await tree("outage", { "a.bin": content });
    const stalled = proxy.stallAfter(12 * MIB);
    const run = startCli(["put", "outage", "--json"], { env: env(proxy.url), cwd: folder });
    await stalled;
    await first.end("SIGKILL");
    proxy.heal();
    await untilSays(run, /does not answer .* Trying again in/);
    const second = await startServer({ dataDir: first.dataDir, port });
    t.after(() => second.stop());
    const { code, stdout, stderr } = await run.result;
    assert.equal(code, 0, stderr);
    const { id } = JSON.parse(stdout);
    const [file] = await Array.fromAsync(longshore({ url: second.url }).transactions.files(id));
    assert.equal(file?.digests.sha512, createHash("sha512").update(content).digest("hex"));
  });

  for (const [what, args, code, message] of [
    [
      "a path that does not exist",
      ["no-such-file"],
      2,
      /error\[local_file_unusable\]: no-such-file cannot be sent: there is no such file/,
    ],
    [
      "a named pipe",
      ["pipe"],
      2,
      /error\[local_file_unusable\]: pipe cannot be sent: it is neither a file nor a folder/,
    ],
    ["a folder without files", ["hollow"], 2, /error\[bundle_empty\]: There is no file to send in hollow/],
    [
      "two files of one name",
      ["one/same", "two/same"],
      2,
      /error\[usage\]: one\/same and two\/same would both be same/,
    ],
    ["a name that is not UTF-8", ["latin"], 2, /error\[local_file_unusable\]: .*not valid UTF-8/],
    ["a key-value without =", ["one", "--kv", "nothing"], 2, /error\[usage\]: .*Expected key=value/],
    ["an unknown hash", ["one", "--hash", "crc32"], 2, /error\[usage\]: .*Allowed choices are md5, sha1/],
    [
      "metadata that is not JSON",
      ["one", "--metadata", "one/same"],
      2,
      /error\[metadata_not_json\]: one\/same is not JSON/,
    ],
    [
      "metadata that is no list",
      ["one", "--metadata", "object.json"],
      2,
      /error\[metadata_invalid\]: object\.json is not an array/,
    ],
    [
      "metadata of a file that is not sent",
      ["one", "--metadata", "stray.json"],
      2,
      /error\[usage\]: The metadata lists a file/,
    ],
  ] as const)
    test(`${what} is refused by name before anything is sent`, async () => {
      await tree("one", { same: "one" });
      await tree("two", { same: "two" });
      await mkdir(join(folder, "hollow/inner"), { recursive: true });
      await rm(join(folder, "pipe"), { force: true });
      execFileSync("mkfifo", [join(folder, "pipe")]);
      await mkdir(join(folder, "latin"), { recursive: true });
      await writeFile(Buffer.from(`${folder}/latin/caf\xe9`, "latin1"), "x");
      await writeFile(join(folder, "object.json"), "{}");
      await writeFile(join(folder, "stray.json"), '[{"destinationTable": "Files", "name": "x", "subdir": "data/y"}]');
      const result = await put(args);
      assert.match(result.stderr, message);
      assert.equal(result.code, code);
      assert.equal(result.stdout, "");
      assert.doesNotMatch(result.stderr, /Sent /);
    });
});
