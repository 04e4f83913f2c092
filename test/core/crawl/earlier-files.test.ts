import assert from "node:assert/strict";
import { test } from "node:test";
import type { CrawlBatch } from "../../../src/core/crawl/crawl.ts";
import { earlierFiles } from "../../../src/core/crawl/walk/earlier-files.ts";
import { crawlId } from "../../../src/core/ids.ts";

/** A store that holds these files, and counts what it is asked. */
function storeOf(files: Readonly<Record<string, readonly (readonly string[])[]>>) {
  const asked = { together: 0, alone: 0 };
  const batchesIn = (folder: string) =>
    (files[folder] ?? []).map(
      (names, seq): CrawlBatch => ({
        seq,
        endpoint: 0,
        folder,
        files: names.map((name) => ({ name, sizeBytes: 1, modifiedAt: 1, mode: 1 })),
        families: null,
        changes: null,
        gone: [],
      }),
    );
  return {
    asked,
    async *batchesOf(_: unknown, { folder }: { readonly folder: string }) {
      asked.alone++;
      yield* batchesIn(folder);
    },
    async firstBatchesOf(_: unknown, __: number, folders: readonly string[], limit: number) {
      asked.together++;
      return folders.toSorted().flatMap(batchesIn).slice(0, limit);
    },
  };
}

test("folders that are expected are read with few queries, in whatever order their turn comes", async () => {
  const folders = Array.from({ length: 640 }, (_, at) => `f${at}`);
  const store = storeOf(Object.fromEntries(folders.map((folder) => [folder, [[`in ${folder}`]]])));
  for (const order of [folders, folders.toReversed()]) {
    Object.assign(store.asked, { together: 0, alone: 0 });
    const { expect, of } = earlierFiles(store, crawlId("c"), 0);
    for (const folder of folders) expect(folder);
    for (const folder of order) assert.deepEqual([...(await of(folder)).keys()], [`in ${folder}`]);
    assert.equal(store.asked.alone, 0);
    assert.ok(store.asked.together <= 11, `${store.asked.together} queries`);
  }
});

test("folders with many batches, none, and such as nobody expected are read whole", async () => {
  const large = Array.from({ length: 300 }, (_, at) => [`a${at}`, `b${at}`]);
  const store = storeOf({ large, small: [["x"]], another: large, zero: [["z"], ["y"]] });
  const { expect, of } = earlierFiles(store, crawlId("c"), 0);
  for (const folder of ["small", "large", "empty", "another", "zero"]) expect(folder);
  const sizes: number[] = [];
  for (const folder of ["empty", "small", "large", "unexpected", "zero", "another"])
    sizes.push((await of(folder)).size);
  assert.deepEqual(sizes, [0, 1, 600, 0, 2, 600]);
});
