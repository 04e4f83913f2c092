import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { longshore, type SearchHit } from "../../src/sdk/index.ts";
import { bundleBlob } from "../sdk/deposit.ts";
import { type ServerProcess, startServer } from "../support/server.ts";
import { until } from "../support/until.ts";
import { runCli } from "./run-cli.ts";

describe("longshore search", () => {
  let server: ServerProcess;
  let transaction: number;
  before(async () => {
    server = await startServer();
    const client = longshore({ url: server.url });
    const tar = await bundleBlob({ "spectra/raw.csv": "1,2\n", "spectra/notes.txt": "hello", "image.png": "x" }, [
      { destinationTable: "Transactions.project", value: "1234a" },
      { destinationTable: "TransactionKeyValue", key: "site", value: "north" },
    ]);
    transaction = (await client.jobs.wait((await client.bundles.deposit(tar)).id)).id;
    await until("it is indexed", async () => (await client.search.find("").page()).total === 4);
  });
  after(() => server.stop());

  const cli = (...args: string[]) => runCli(args, { env: { LONGSHORE_URL: server.url } });
  const lines = (text: string) => text.trimEnd().split("\n");

  test("prints hits with what was found in them, and how many there are", async () => {
    const { code, stdout, stderr } = await cli("search", "raw", "project:1234a");
    assert.equal(code, 0, stderr);
    const [hit = "", text = ""] = lines(stdout);
    assert.match(hit, /^file:\d+ {2}spectra\/raw\.csv {2}4 B$/);
    assert.match(text, /^ {4}spectra\/\[raw\]\.csv · 1234a/);
    assert.equal(stderr, "1 hit\n");
  });

  test("counts values, and stops at the limit", async () => {
    const { stdout, stderr } = await cli("search", "--type", "file", "--facet", "extension", "--limit", "1");
    const [first = "", , head = "", ...rows] = lines(stdout).filter((line) => !line.startsWith("    "));
    assert.match(first, /^file:/);
    assert.deepEqual([head, ...rows], ["EXTENSION  HITS", "csv           1", "png           1", "txt           1"]);
    assert.equal(stderr, "1 of 3 hits\n");
  });

  test("speaks JSON: a line for each hit, and one for the counts", async () => {
    const { stdout } = await cli("search", "site:north", "--facet", "type", "--json", "--limit", "9");
    const all = lines(stdout).map((line) => JSON.parse(line) as SearchHit & { readonly total?: number });
    assert.equal(all.length, 5);
    assert.deepEqual(
      all
        .slice(0, 4)
        .map(({ type }) => type)
        .sort(),
      ["file", "file", "file", "transaction"],
    );
    assert.equal(all[4]?.total, 4);
  });

  test("says where a query cannot be understood", async () => {
    const { code, stdout, stderr } = await cli("search", "raw", "width:>");
    assert.deepEqual([code, stdout], [2, ""]);
    assert.match(stderr, /^error\[query_invalid\]: .*column: 12; expected: a number, a size or a date/);
  });

  test("makes a cart of whatever it finds", async () => {
    const { code, stdout, stderr } = await cli("search", "spectra", "--type", "file", "--cart", "my spectra");
    assert.equal(code, 0, stderr);
    const [, id = ""] = /^(\S+) {2}ready {2}2 files, 9 B\n$/.exec(stdout) ?? assert.fail(stdout);
    const files = await cli("cart", "files", id, "--json");
    assert.deepEqual(
      lines(files.stdout)
        .map((line) => JSON.parse(line).path)
        .sort(),
      [`${transaction}/spectra/notes.txt`, `${transaction}/spectra/raw.csv`],
    );
    const nothing = await cli("search", "nowhere", "--cart", "none");
    assert.deepEqual([nothing.code, nothing.stdout], [5, ""]);
    assert.match(nothing.stderr, /Nothing was chosen/);
    const beside = await cli("cart", "create", "--search", "extension:png", "--json");
    assert.equal(JSON.parse(beside.stdout).files, 1);
  });

  test("keeps queries under names, asks them again and forgets them", async () => {
    const saved = await cli("search", "size:<5", "--type", "file", "--save", "small");
    assert.equal(saved.code, 0, saved.stderr);
    assert.match(saved.stderr, /^saved as small \(/);
    assert.equal((await cli("search", "x", "--save", "small")).code, 4); // saved_query_exists
    const again = await cli("search", "--saved", "small", "--json");
    assert.deepEqual(
      lines(again.stdout)
        .map((line) => JSON.parse(line).title)
        .sort(),
      ["image.png", "spectra/raw.csv"],
    );
    assert.match((await cli("queries", "list")).stdout, /^small +file +size:<5$/m);
    assert.equal((await cli("search", "--saved", "small", "word")).code, 2); // usage
    assert.equal((await cli("queries", "rm", "small")).stdout, "removed small\n");
    const gone = await cli("search", "--saved", "small");
    assert.equal(gone.code, 3);
    assert.match(gone.stderr, /^error\[saved_query_unknown\]/);
  });

  test("the index is made anew by the server that has it", async () => {
    const { code, stdout, stderr } = await cli("reindex");
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^indexed {2}4 documents, [\d.]+ KiB, in [\d.]+ s\n$/);
    const json = JSON.parse((await cli("reindex", "--json")).stdout);
    assert.deepEqual([json.documents, json.rebuild.done, json.rebuild.error], [4, 4, null]);
    const away = await runCli(["reindex"], { env: { LONGSHORE_URL: "http://127.0.0.1:1" } });
    assert.equal(away.code, 75);
  });
});
