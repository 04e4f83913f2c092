import assert from "node:assert/strict";
import { mkdir, mkdtemp, readdir, realpath, rm, unlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { type Longshore, longshore } from "../../src/sdk/index.ts";
import { type ServerProcess, startServer } from "../support/server.ts";
import { runCli } from "./run-cli.ts";

const FILES: Readonly<Record<string, string>> = {
  "store/frames/shot.0001.txt": "1",
  "store/frames/shot.0002.txt": "2",
  "store/table.csv": "a,b\n1,2\n",
  "store/.hidden": "x",
};

describe("longshore crawl, extract and offload", () => {
  let folder: string;
  let server: ServerProcess;
  let client: Longshore;
  before(async () => {
    folder = await realpath(await mkdtemp(join(tmpdir(), "longshore-cli-crawl-")));
    for (const [path, text] of Object.entries(FILES)) await write(path, text);
    server = await startServer({
      env: { LONGSHORE_CRAWL_ROOTS: join(folder, "store"), LONGSHORE_RECORD_ROOTS: join(folder, "records") },
    });
    client = longshore({ url: server.url });
  });
  after(async () => {
    await server.stop();
    await rm(folder, { recursive: true });
  });

  async function write(path: string, text: string): Promise<void> {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), text);
  }
  const cli = (...args: string[]) => runCli(args, { env: { LONGSHORE_URL: server.url }, cwd: folder });
  async function result(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await cli(...args);
    assert.equal(code, 0, stderr);
    return stdout;
  }
  const lines = (text: string) => text.trimEnd().split("\n");
  const parsed = (text: string) => lines(text).map((line) => JSON.parse(line));
  const crawled = async (...args: string[]) =>
    JSON.parse(await result("crawl", "start", "store", "--wait", "--json", ...args)) as { readonly id: string };

  test("a folder is crawled and described; its files, records and problems are listed", async () => {
    const text = await result("crawl", "start", "store", "--grouper", "sequence", "--no-hidden", "--extract", "--wait");
    const [, id = ""] = /^Crawl (\S+): complete$/m.exec(text) ?? [];
    assert.match(text, /endpoint +file:\/\/\S+store \(sequence; without hidden names\)/);
    assert.match(text, /files +3$/m);
    assert.match(text, /groups +2 in 2 families/);
    const [, extraction = ""] = /^ +Extraction (\S+): complete$/m.exec(text) ?? [];
    assert.match(text, /\d+ tasks: \d+ described, 0 failed, 0 pending, 0 not taken/);
    assert.equal(await result("crawl", "status", id), text);
    assert.equal(await result("crawl", "wait", id), text);

    const files = lines(await result("crawl", "files", id));
    assert.deepEqual(files.map((line) => line.trim().replace(/^.* {2}/, "")).sort(), [
      "frames/shot.0001.txt",
      "frames/shot.0002.txt",
      "table.csv",
    ]);
    assert.deepEqual(parsed(await result("crawl", "files", id, "--json", "--limit", "2")).length, 2);
    assert.equal(await result("crawl", "problems", id), "");
    assert.match(await result("crawl", "list", "--limit", "1"), new RegExp(`\\n${id} +complete +3 +0 `));

    assert.equal(JSON.parse(await result("extract", "status", extraction, "--json")).status, "complete");
    const records = parsed(await result("extract", "records", extraction, "--json"));
    assert.ok(records.some(({ files }) => files[0].path === "table.csv"));
    assert.equal(lines(await result("extract", "records", extraction)).length, records.length);
  });

  test("flushing gives each consumer each file once, and says when that was all", async () => {
    const { id } = await crawled();
    const first = await cli("crawl", "flush", id, "--limit", "3");
    assert.deepEqual([lines(first.stdout).length, first.stderr], [3, "There may be more.\n"]);
    const { items, queueEmpty } = JSON.parse(await result("crawl", "flush", id, "--json"));
    assert.deepEqual([items.length, queueEmpty], [1, true]);
    assert.equal(lines(await result("crawl", "flush", id, "--consumer", "other")).length, 4);
  });

  test("a crawl since another tells new, changed and gone files", async () => {
    await write("store/coming-and-going.txt", "1");
    const { id } = await crawled("--folder", "");
    await unlink(join(folder, "store/coming-and-going.txt"));
    await write("store/table.csv", "a,b\n1,2\n3,4\n");
    const text = await result("crawl", "start", "store", "--since", id, "--wait");
    await write("store/table.csv", FILES["store/table.csv"] ?? "");
    assert.match(text, /changes +0 new, 1 changed, 3 same, 1 gone/);
    const [, second = ""] = /^Crawl (\S+):/m.exec(text) ?? [];
    const files = await result("crawl", "files", second);
    assert.match(files, /^changed +12 B {2}table\.csv$/m);
    assert.match(files, /^gone +coming-and-going\.txt$/m);
  });

  test("a crawl is described afterwards, into a folder of records, and these are offloaded", async () => {
    const { id } = await crawled("--no-hidden");
    const text = await result("extract", id, "--extractor", "tabular-text", "--records", "run-1", "--wait");
    assert.match(text, /^Extraction \S+: complete$/m);
    assert.match(text, /by +tabular-text$/m);
    assert.match(text, new RegExp(`records +${join(folder, "records/run-1")}$`, "m"));
    const shelf = join(folder, "records/shelf");
    const offloaded = await result("offload", join(folder, "records/run-1"), "--to", shelf, "--timeout", "60");
    assert.match(offloaded, /shelf\/\d{4}-\d\d-\d\d-\d\d\.\d\d\.\d\d$/m);
    const names = await readdir(fileURLToPath(offloaded.trim()));
    assert.deepEqual(names.sort(), (await readdir(join(folder, "records/run-1"))).sort());
    const begun = JSON.parse(
      await result("offload", join(folder, "records/run-1"), "--to", shelf, "--no-wait", "--json"),
    );
    assert.equal((await client.jobs.wait(begun.job)).state, "succeeded");
  });

  test("extractors are listed, and registered where there is a folder for them", async () => {
    assert.match(await result("extract", "list"), /^tabular-text +\d+ +built in +.*\.csv/m);
    const { code, stderr } = await cli("extract", "register");
    assert.deepEqual([code, /LONGSHORE_EXTRACTORS is not set/.test(stderr)], [2, true]);
  });

  test("what could not be read makes the exit code say so, and is listed", async () => {
    await mkdir(join(folder, "store/odd"));
    // No UTF-8: as a name it can be listed, and as text it cannot be said.
    const odd = Buffer.concat([Buffer.from(join(folder, "store/odd/")), Buffer.from([0xff])]);
    await writeFile(odd, "x");
    const { code, stdout, stderr } = await cli("crawl", "start", "store", "--wait");
    await rm(join(folder, "store/odd"), { recursive: true });
    assert.equal(code, 2);
    assert.match(stderr, /error\[entry_unreadable\]: Crawl \S+ is partial: 1 thing could not/);
    const [, id = ""] = /^Crawl (\S+): partial$/m.exec(stdout) ?? [];
    assert.equal(lines(await result("crawl", "problems", id)).length, 1);
  });

  test("an extraction that describes nothing of all it should is a failure", async () => {
    await mkdir(join(folder, "store/passing"));
    await writeFile(join(folder, "store/passing/a.txt"), "a");
    const crawl = JSON.parse(await result("crawl", "start", "store/passing", "--wait", "--json")) as { id: string };
    await rm(join(folder, "store/passing"), { recursive: true });
    const { code, stderr } = await cli("extract", crawl.id, "--wait");
    assert.deepEqual([code, /error\[extraction_failed\]: Extraction \S+ described nothing/.test(stderr)], [5, true]);
  });

  test("crawls are refused, cancelled and forgotten with the exit codes that errors have", async () => {
    assert.equal((await cli("crawl", "start", "records")).code, 6);
    assert.equal((await cli("crawl", "start", "store", "--grouper", "mood")).code, 2);
    const { id } = await crawled();
    const late = await cli("crawl", "cancel", id);
    assert.deepEqual([late.code, /error\[crawl_state_conflict\]/.test(late.stderr)], [4, true]);
    assert.equal(await result("crawl", "rm", id), `removed ${id}\n`);
    assert.equal((await cli("crawl", "status", id)).code, 3);
  });
});
