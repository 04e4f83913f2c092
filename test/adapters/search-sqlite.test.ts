import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { sqliteFtsIndex } from "../../src/adapters/search/sqlite-fts.ts";
import type { SearchDocument } from "../../src/core/catalogue/search-index.ts";
import { searchIndexConformance } from "../conformance/search-index.ts";

const root = await mkdtemp(join(tmpdir(), "search-"));
const opened: { close(): Promise<void> }[] = [];
let folders = 0;
after(async () => {
  for (const index of opened) await index.close();
  await rm(root, { recursive: true });
});

function open(folder: string) {
  const index = sqliteFtsIndex({ folder });
  opened.push(index);
  return index;
}

function freshFolder(): string {
  return join(root, String(folders++));
}

searchIndexConformance("sqlite-fts", () => open(freshFolder()));

test("what was put is there when the index is opened again, as one file", async () => {
  const folder = freshFolder();
  const first = sqliteFtsIndex({ folder });
  await first.put([document(1, "a")]);
  await first.close();
  assert.deepEqual(readdirSync(folder), ["index-1.sqlite", "lock"]);
  assert.equal((await open(folder).counts()).documents, 1);
});

test("a rebuild leaves one file, and nothing of one that was not finished is used", async () => {
  const folder = freshFolder();
  const index = sqliteFtsIndex({ folder });
  await index.put([document(1, "a")]);
  const builder = await index.rebuild();
  await builder.put([document(2, "a"), document(3, "a")]);
  await builder.finish();
  assert.deepEqual(filesWithoutEnds(folder), ["index-2.sqlite"]);
  const unfinished = await index.rebuild();
  await unfinished.put([document(4, "a")]);
  // As if the process had died here: a third file lies beside the one in use.
  const left = readFileSync(join(folder, "index-3.sqlite-wal"));
  await index.close();
  writeFileSync(join(folder, "index-3.sqlite"), "");
  writeFileSync(join(folder, "index-3.sqlite-wal"), left);
  assert.equal((await open(folder).counts()).documents, 2);
  assert.deepEqual(filesWithoutEnds(folder), ["index-2.sqlite"]);
});

test("a file that is no index, or one of another format, makes place for an empty one", async () => {
  const folder = freshFolder();
  mkdirSync(folder);
  writeFileSync(join(folder, "index-1.sqlite"), "no database at all, but long enough to be looked at".repeat(100));
  const index = open(folder);
  assert.equal((await index.counts()).documents, 0);
  await index.put([document(1, "a")]);
  assert.equal((await index.search({ order: "newest", limit: 1 })).total, 1);
});

test("only a rebuild fills an index, and it stays filled when it is opened again", async () => {
  const folder = freshFolder();
  const first = sqliteFtsIndex({ folder });
  await first.put([document(1, "a")]);
  await (await first.rebuild()).abandon();
  assert.equal(await first.isFilled(), false);
  await (await first.rebuild()).finish();
  assert.equal(await first.isFilled(), true);
  await first.close();
  const again = open(folder);
  assert.equal(await again.isFilled(), true);
  assert.equal((await again.counts()).documents, 0);
});

test("an index that there is nothing to fill with is filled as it is, and stays so", async () => {
  const folder = freshFolder();
  const first = sqliteFtsIndex({ folder });
  assert.equal(await first.isFilled(), false);
  await first.declareFilled();
  assert.equal(await first.isFilled(), true);
  await first.put([document(1, "a")]);
  await first.close();
  const again = open(folder);
  assert.equal(await again.isFilled(), true);
  assert.equal((await again.counts()).documents, 1);
});

test("an index that another has open is unavailable until it lets go, and not touched", async () => {
  const folder = freshFolder();
  const first = sqliteFtsIndex({ folder });
  await first.put([document(1, "a")]);
  const second = open(folder);
  await assert.rejects(second.search({ order: "newest", limit: 1 }), { code: "search_unavailable" });
  await assert.rejects(second.put([document(2, "a")]), { code: "search_unavailable" });
  assert.equal((await first.counts()).documents, 1);
  await first.close();
  await assert.rejects(first.counts(), { code: "search_unavailable" });
  assert.equal((await second.counts()).documents, 1);
});

test("nothing is made before the first call", async () => {
  const folder = freshFolder();
  await sqliteFtsIndex({ folder }).close();
  assert.equal(existsSync(folder), false);
});

test("of more hits than are counted, the total is a lower bound, and pages go on to the last", async () => {
  const index = open(freshFolder());
  const builder = await index.rebuild();
  const count = 4500;
  for (let id = 0; id < count; id += 500) {
    await builder.put(Array.from({ length: 500 }, (_, i) => document(id + i, "a")));
  }
  await builder.finish();
  let seen = 0;
  let cursor: string | null = null;
  do {
    const page = await index.search({ order: "newest", limit: 1000, ...(cursor !== null && { cursor }) });
    assert.deepEqual([page.total, page.isLowerBound], [2000, true]);
    seen += page.hits.length;
    cursor = page.next;
  } while (cursor !== null);
  assert.equal(seen, count);
});

function document(id: number, text: string): SearchDocument {
  return { key: `file:${id}`, type: "file", owner: "ann", title: "t", text, fields: {}, createdAt: 1 };
}

/** SQLite keeps `-wal` and `-shm` beside an open file. */
function filesWithoutEnds(folder: string): readonly string[] {
  return readdirSync(folder).filter((name) => name.endsWith(".sqlite"));
}
