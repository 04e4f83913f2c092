import assert from "node:assert/strict";
import { test } from "node:test";
import { type Indexing, type IndexingParts, startIndexing } from "../../../src/core/catalogue/indexing.ts";
import type { SearchIndex } from "../../../src/core/catalogue/search-index.ts";
import { AppError } from "../../../src/core/errors.ts";
import { extractionId, fileId, transactionId } from "../../../src/core/ids.ts";
import { record } from "../../conformance/crawl-rows.ts";
import { seededRandom } from "../../support/random.ts";
import { everything, openSearch, type SearchFixture } from "../../support/search.ts";
import { until } from "../../support/until.ts";

/*
 * Some of these begin with an index that counts as filled: others are filled from everything there is, beside the changes.
 */

/** Runs until the test is over. */
function indexing(t: { after(end: () => Promise<void>): void }, parts: IndexingParts): Indexing {
  const running = startIndexing(parts);
  t.after(() => running.stop());
  return running;
}

/** No rebuild is under way, and there was one. */
const isOver = (running: Indexing) => typeof running.lastRebuild()?.finishedAt === "number";
const names = (count: number, prefix = "f") => Array.from({ length: count }, (_, i) => `${prefix}${i}`);

test("what is added is found, and what is forgotten is not", async (t) => {
  const search = await openSearch(t);
  const { stores } = search;
  await search.add(1, ["a.csv", "b.csv"], [{ fileId: fileId(10_001), key: "site", value: "north" }]);
  const kept = await search.describe(["file:///s"], [record("x"), record("y")]);
  indexing(t, search.parts);
  await search.indexed();
  assert.deepEqual(await search.titles(""), ["Transaction 1", "a.csv", "b.csv", "f/x · tabular", "f/y · tabular"]);
  assert.deepEqual(await search.titles("site:north"), ["b.csv"]);

  await stores.catalogue.forget(transactionId(1));
  await stores.crawls.remove((await stores.extractions.get(kept))?.crawl ?? assert.fail());
  await search.add(2, ["c.csv"]);
  await search.indexed();
  assert.deepEqual(await search.titles(""), ["Transaction 2", "c.csv"]);
  assert.deepEqual(search.troubles, []);
});

test("a transaction of more files than a batch holds is indexed to the last, with what is said of each", async (t) => {
  const search = await openSearch(t);
  const count = 1_700;
  const said = names(count).map((name, i) => ({ fileId: fileId(10_000 + i), key: "nickname", value: `of-${name}` }));
  await search.add(1, names(count), said);
  indexing(t, search.parts);
  await search.indexed();
  assert.equal((await search.index.counts()).documents, count + 1);
  for (const i of [0, 499, 500, 1699]) assert.deepEqual(await search.titles(`nickname:of-f${i}`), [`f${i}`]);
  await search.stores.catalogue.forget(transactionId(1));
  await search.indexed();
  assert.equal((await search.index.counts()).documents, 0);
});

test("records of archived files name them, and have what is said of them", async (t) => {
  const search = await openSearch(t);
  await search.add(7, ["run/scan.png", "run/other.png"], [{ fileId: null, key: "site", value: "north" }]);
  const files = [{ endpoint: 1, path: "7/data/run/scan.png", sizeBytes: 1 }];
  await search.describe(
    ["file:///s", "archive:"],
    [
      record("x", { files, data: { width: 2000 } }),
      record("y", { files: [{ endpoint: 0, path: "7/data/run/scan.png", sizeBytes: 1 }], data: { width: 3000 } }),
      record("z", { files: [{ endpoint: 1, path: "9/data/gone.png", sizeBytes: 1 }], data: { width: 4000 } }),
    ],
  );
  indexing(t, search.parts);
  await search.indexed();
  const [hit, ...others] = await everything(search.index, "width:>1000 project:p1 site:north");
  assert.deepEqual([hit?.title, hit?.fields.file, others], ["run/scan.png · tabular", [70_000], []]);
  assert.equal((await everything(search.index, "width:>1000")).length, 3);
});

test("a document that the index does not take is told of and kept, and keeps no other from being indexed", async (t) => {
  const search = await openSearch(t);
  let isPoisoned = true;
  const index: SearchIndex = {
    ...search.index,
    async put(documents) {
      if (isPoisoned && documents.some(({ key }) => key === "file:10003")) throw new Error("poison");
      await search.index.put(documents);
    },
  };
  await search.add(1, names(1_200));
  await search.add(2, ["after"]);
  await (await search.index.rebuild()).finish();
  indexing(t, { ...search.parts, index });
  const { searchChanges } = search.stores;
  await search.eventually("all others are indexed", async () => (await search.index.counts()).documents === 1_202);
  assert.deepEqual(await search.titles("f3"), []);
  assert.deepEqual(search.troubles, ["indexing file:10003: poison"]);
  await search.add(3, ["still"]);
  await search.eventually("what comes later is, too", async () => (await search.titles("still")).length === 1);
  assert.deepEqual(
    (await searchChanges.pending(9)).map(({ subject }) => subject),
    [{ transaction: 1 }],
  );

  isPoisoned = false;
  search.clock.pass(60_000); // a minute after it failed
  await search.indexed();
  assert.deepEqual(await search.titles("f3"), ["f3"]);
  assert.equal(search.troubles.length, 1);
});

test("a change that cannot be read is told of and kept, and keeps no other from being indexed", async (t) => {
  const search = await openSearch(t);
  const content: IndexingParts["content"] = {
    ...search.parts.content,
    async *of(subject) {
      if ("transaction" in subject && subject.transaction === 1) throw new TypeError("unreadable");
      yield* search.parts.content.of(subject);
    },
  };
  await search.add(1, ["a"]);
  await search.add(2, ["b"]);
  await (await search.index.rebuild()).finish();
  indexing(t, { ...search.parts, content });
  await search.eventually("the other one is indexed", async () => (await search.titles("b")).length === 1);
  assert.deepEqual(search.troubles, ["changes 1 for the search index: unreadable"]);
  assert.equal(await search.stores.searchChanges.depth(), 1);
});

test("a disk that is full, or an index of somebody else, is waited for", async (t) => {
  const search = await openSearch(t);
  let trouble: AppError | undefined = new AppError("storage_full");
  const index: SearchIndex = {
    ...search.index,
    async put(documents) {
      if (trouble) throw trouble;
      await search.index.put(documents);
    },
  };
  await search.add(1, ["a", "b"]);
  await (await search.index.rebuild()).finish();
  indexing(t, { ...search.parts, index });
  await search.eventually("it was tried several times", () => search.troubles.length >= 3);
  trouble = new AppError("search_unavailable");
  const before = search.troubles.length;
  await search.eventually("it was tried again", () => search.troubles.length > before);
  assert.deepEqual(await search.titles(""), []);
  trouble = undefined;
  await search.indexed();
  assert.deepEqual(await search.titles(""), ["Transaction 1", "a", "b"]);
});

test("a damaged index is made anew", async (t) => {
  const search = await openSearch(t);
  let isDamaged = false;
  const index: SearchIndex = {
    ...search.index,
    async put(documents) {
      if (isDamaged) throw new AppError("database_damaged");
      await search.index.put(documents);
    },
    async rebuild() {
      const builder = await search.index.rebuild();
      return {
        ...builder,
        async finish() {
          await builder.finish();
          isDamaged = false;
        },
      };
    },
  };
  await search.add(1, ["a"]);
  const running = indexing(t, { ...search.parts, index });
  await search.eventually("it is filled", () => isOver(running));
  await search.indexed();
  isDamaged = true;
  await search.add(2, ["b"]);
  await search.indexed();
  assert.deepEqual(await search.titles(""), ["Transaction 1", "Transaction 2", "a", "b"]);
  assert.deepEqual([running.lastRebuild()?.done, running.lastRebuild()?.error], [4, null]);
});

test("an index that was never filled is filled from what is there, without any change", async (t) => {
  const search = await openSearch(t);
  const { searchChanges } = search.stores;
  await search.add(1, names(600));
  await search.describe(["file:///s"], [record("x")]);
  await searchChanges.done((await searchChanges.pending(9)).map(({ number }) => number));
  const running = indexing(t, search.parts);
  await search.eventually("it is filled", () => isOver(running));
  assert.equal((await search.index.counts()).documents, 602);
  const { done, total, error } = running.lastRebuild() ?? assert.fail();
  assert.deepEqual([done, total, error], [602, 602, null]);
});

test("a rebuild that fails leaves the index as it is and says why", async (t) => {
  const search = await openSearch(t);
  await search.add(1, ["a"]);
  let isBroken = false;
  const content: IndexingParts["content"] = {
    ...search.parts.content,
    async size() {
      if (isBroken) throw new AppError("database_unavailable");
      return search.parts.content.size();
    },
  };
  const running = indexing(t, { ...search.parts, content });
  await search.eventually("it is filled", () => isOver(running));
  await search.indexed();
  isBroken = true;
  await assert.rejects(running.rebuild(), { code: "database_unavailable" });
  assert.equal(running.lastRebuild()?.error?.code, "database_unavailable");
  assert.deepEqual(await search.titles(""), ["Transaction 1", "a"]);
});

test("stopped at any time, the next one brings in what was left", async (t) => {
  const below = seededRandom(t);
  const search = await openSearch(t);
  for (let id = 1; id <= 12; id++) await search.add(id, names(1 + below(300), `t${id}-`));
  let last = await everything(search.index);
  while ((await search.stores.searchChanges.depth()) > 0) {
    const running = startIndexing(search.parts);
    const before = await search.stores.searchChanges.depth();
    await search.eventually("something was done", async () => (await search.stores.searchChanges.depth()) < before);
    await running.stop();
    const now = await everything(search.index);
    assert.ok(now.length >= last.length);
    last = now;
  }
  await assertLikeRebuilt(search);
});

test("after any changes, the index is what a rebuild makes of the database", async (t) => {
  const below = seededRandom(t);
  const search = await openSearch(t);
  const { stores } = search;
  const running = indexing(t, search.parts);
  const there = new Set<number>();
  const extractions: string[] = [];
  for (let step = 1; step <= 100; step++) {
    const known = [...there];
    const what = below(10);
    if (what < 4 || known.length === 0) {
      await search.add(step, names(below(40), `s${step}-`), [{ fileId: null, key: "step", value: String(step) }]);
      there.add(step);
    } else if (what < 6) {
      // Forgotten, and perhaps there again at once with other files, as a rebuild of the database does it.
      const id = known[below(known.length)] ?? 0;
      await stores.catalogue.forget(transactionId(id));
      there.delete(id);
      if (below(2) === 0) {
        await search.add(id, names(below(20), `again${step}-`));
        there.add(id);
      }
    } else if (what < 8) {
      const of = known[below(known.length)] ?? 0;
      const files = names(3, `s${of}-`).map((name) => ({ endpoint: 0, path: `${of}/data/${name}`, sizeBytes: 1 }));
      extractions.push(
        await search.describe(
          ["archive:"],
          files.map((file, i) => record(`r${i}`, { files: [file] })),
        ),
      );
    } else if (what < 9 && extractions.length > 0) {
      const [id = ""] = extractions.splice(below(extractions.length), 1);
      await stores.crawls.remove((await stores.extractions.get(extractionId(id)))?.crawl ?? assert.fail());
    } else if (what === 9 && below(3) === 0) void running.rebuild();
    // What is indexed already has to follow, and what is not yet may come at any time.
    if (below(3) === 0) await search.indexed();
    else search.clock.pass(100);
  }
  await search.indexed();
  await until("no rebuild is under way", () => isOver(running));
  await assertLikeRebuilt(search);
  assert.deepEqual(search.troubles, []);
});

/** Every document, field by field. */
async function assertLikeRebuilt({ index, parts }: SearchFixture): Promise<void> {
  const incremental = await everything(index);
  assert.ok(incremental.length > 0);
  const builder = await index.rebuild();
  for await (const { documents } of parts.content.everything()) await builder.put(documents);
  await builder.finish();
  assert.deepEqual(incremental, await everything(index));
}
