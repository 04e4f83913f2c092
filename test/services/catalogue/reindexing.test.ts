import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { startIndexing } from "../../../src/core/catalogue/indexing.ts";
import { indexingDuty, sharedReindexing } from "../../../src/core/catalogue/reindexing.ts";
import type { SearchIndex } from "../../../src/core/catalogue/search-index.ts";
import { AppError } from "../../../src/core/errors.ts";
import { openSearch, type SearchFixture } from "../../support/search.ts";

/** The duty as one process does it, until the test is over. */
function onDuty(t: TestContext, search: SearchFixture, index: SearchIndex = search.index) {
  const { clock, parts, stores } = search;
  const leaving = new AbortController();
  const troubles: string[] = [];
  const onTrouble = (error: unknown, during: string) => troubles.push(`${during}: ${String(error)}`);
  const start = () => startIndexing({ ...parts, index, onTrouble });
  const rebuilds = stores.searchRebuilds;
  const ended = indexingDuty({ start, rebuilds, clock, onTrouble })(leaving.signal);
  const leave = async () => {
    leaving.abort();
    await ended;
  };
  t.after(leave);
  return { leave, troubles };
}

const reindexingOf = ({ stores, clock }: SearchFixture) => sharedReindexing(stores.searchRebuilds, clock);

test("whoever has the duty makes the index anew when that is asked for, and notes how far it is", async (t) => {
  const search = await openSearch(t);
  const reindexing = reindexingOf(search);
  await search.add(1, ["a", "b"]);
  onDuty(t, search);
  const isOver = async () => typeof (await reindexing.lastRebuild())?.finishedAt === "number";
  await search.eventually("the new index is filled", isOver);
  await search.index.remove(["file:10000"]);
  assert.deepEqual(await search.titles(""), ["Transaction 1", "b"]);

  search.clock.pass(1_000);
  const askedAt = search.clock.now();
  await reindexing.begin();
  assert.equal((await reindexing.lastRebuild())?.finishedAt, null);
  await search.eventually("it is made anew", isOver);
  assert.deepEqual(await search.titles(""), ["Transaction 1", "a", "b"]);
  const last = (await reindexing.lastRebuild()) ?? assert.fail();
  assert.ok(last.startedAt >= askedAt);
  assert.deepEqual([last.done, last.total, last.error], [3, 3, null]);
});

test("a rebuild whose process left is begun again by the next one", async (t) => {
  const search = await openSearch(t);
  const reindexing = reindexingOf(search);
  await search.add(1, ["a", "b"]);
  await search.index.declareFilled();
  let begun = 0;
  const first = onDuty(t, search, {
    ...search.index,
    async rebuild() {
      begun += 1;
      const builder = await search.index.rebuild();
      // Stands for a machine that hangs: it goes on when it is too late.
      return { ...builder, put: () => search.clock.sleep(10_000).then(() => builder.put([])) };
    },
  });
  await reindexing.begin();
  await search.eventually("it is under way", () => begun === 1);
  let isGone = false;
  const leaving = first.leave().then(() => {
    isGone = true;
  });
  onDuty(t, search);
  await search.eventually(
    "it is made anew",
    async () => typeof (await reindexing.lastRebuild())?.finishedAt === "number",
  );
  await search.eventually("the first one is gone", () => isGone);
  await leaving;
  const last = (await reindexing.lastRebuild()) ?? assert.fail();
  assert.deepEqual([last.done, last.error], [3, null]);
  assert.deepEqual(await search.titles(""), ["Transaction 1", "a", "b"]);
  assert.deepEqual(first.troubles, []);
});

test("what keeps an index from being made is noted, and told", async (t) => {
  const search = await openSearch(t);
  const reindexing = reindexingOf(search);
  await search.index.declareFilled();
  const { troubles } = onDuty(t, search, {
    ...search.index,
    async rebuild() {
      throw new AppError("storage_full", { path: "x" });
    },
  });
  await reindexing.begin();
  await search.eventually("it failed", async () => (await reindexing.lastRebuild())?.error !== null);
  assert.equal((await reindexing.lastRebuild())?.error?.code, "storage_full");
  assert.equal(troubles.length, 1);
  assert.match(troubles[0] ?? "", /^making the search index anew: /);
});
