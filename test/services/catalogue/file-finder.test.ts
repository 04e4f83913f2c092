import assert from "node:assert/strict";
import { test } from "node:test";
import { fileFinder } from "../../../src/core/catalogue/file-finder.ts";
import { transactionId } from "../../../src/core/ids.ts";
import { seededRandom } from "../../support/random.ts";
import { openSearch } from "../../support/search.ts";

const COUNT = 4_500;
const name = (i: number) => `folder${Math.floor(i / 100)}/f${i}`;
const path = (i: number) => `data/${name(i)}`;

test("files are found by their paths wherever the search before has ended, and missing ones are not", async (t) => {
  const below = seededRandom(t);
  const { stores, add } = await openSearch(t);
  await add(
    1,
    Array.from({ length: COUNT }, (_, i) => name(i)),
  );
  const finder = fileFinder(stores.catalogue, transactionId(1));
  for (let round = 0; round < 40; round++) {
    const asked = Array.from({ length: 1 + below(5) }, () => below(COUNT + 100));
    const found = await finder.find(new Set(asked.map(path)));
    const expected = new Set(
      asked
        .filter((i) => i < COUNT)
        .map((i) => [path(i), 10_000 + i] as const)
        .map(String),
    );
    assert.deepEqual(new Set(Array.from(found.values(), (file) => String([file.path, file.id]))), expected);
  }
  assert.equal((await finder.find(new Set())).size, 0);
});

test("all files, folder by folder, take about two readings of the transaction", async (t) => {
  const { stores, add } = await openSearch(t);
  await add(
    1,
    Array.from({ length: COUNT }, (_, i) => name(i)),
  );
  let read = 0;
  const counting = {
    async listFiles(...asked: Parameters<typeof stores.catalogue.listFiles>) {
      const page = await stores.catalogue.listFiles(...asked);
      read += page.length;
      return page;
    },
  };
  const finder = fileFinder(counting, transactionId(1));
  for (let first = 0; first < COUNT; first += 900)
    await finder.find(new Set(Array.from({ length: 900 }, (_, i) => path(first + i))));
  assert.ok(read <= 3 * COUNT, `read ${read}`);
});
