import assert from "node:assert/strict";
import { test } from "node:test";
import { grouperNamed } from "../../../src/core/crawl/grouping/groupers.ts";
import type { Grouper } from "../../../src/core/crawl/grouping/groups.ts";
import type { SourceEntry } from "../../../src/core/crawl/source.ts";
import { type BatchContent, batchesByFamily, batchesOfSingles } from "../../../src/core/crawl/walk/batches.ts";
import { seededRandom } from "../../support/random.ts";

const entry = (path: string, sizeBytes = 1): SourceEntry => ({ path, kind: "file", sizeBytes, modifiedAt: 5, mode: 6 });
const namesIn = (batches: readonly BatchContent[]) => batches.flatMap(({ files }) => files.map(({ name }) => name));

test("files are told by their names in the folder, some thousand at a time", () => {
  const files = Array.from({ length: 9_001 }, (_, at) => entry(`deep/folder/${at}`));
  const batches = batchesOfSingles(files);
  assert.deepEqual(namesIn(batches), Array.from(files.keys(), String));
  assert.ok(batches.every(({ files: some, families }) => some.length <= 500 && families === null));
  assert.deepEqual(batches[0]?.files[0], { name: "0", sizeBytes: 1, modifiedAt: 5, mode: 6 });
  assert.deepEqual(batchesOfSingles([]), []);
});

test("groups of one file each need not be told, whatever the grouper", async () => {
  const batches = await batchesByFamily([entry("a/x.tif"), entry("a/y.tif")], grouperNamed("stem"));
  assert.deepEqual(
    batches.map(({ families }) => families),
    [null],
  );
  const [named] = await batchesByFamily([entry("a/x.tif")], grouperNamed("extension"));
  assert.deepEqual(named?.families, [{ groups: [{ files: [0], kind: "tif" }] }]);
});

test("a family is in one batch, however large", async () => {
  const files = Array.from({ length: 10_000 }, (_, at) => entry(`f/${at}.${at < 9_000 ? "tif" : `x${at}`}`));
  const batches = await batchesByFamily(files, grouperNamed("extension"));
  assert.deepEqual(
    batches.map(({ files: some, families }) => [some.length, families?.length]),
    [
      [9_000, 1],
      [500, 500],
      [500, 500],
    ],
  );
});

test("random groups: each file is in one batch, and groups have the files they had", async (t) => {
  const random = seededRandom(t);
  for (let round = 0; round < 20; round++) {
    const count = 1 + random(9_000);
    // Some are so large that families are split where they can be.
    const files = Array.from({ length: count }, (_, at) => entry(`f/${at}`, random(10) === 0 ? 3 * 1024 ** 3 : 1));
    const groups = files.map((_, at) => ({
      files: [...new Set([at, ...Array.from({ length: random(3) }, () => Math.min(count - 1, at + random(4)))])],
      kind: `k${at}`,
      details: { at },
    }));
    const grouper: Grouper = () => groups;
    const batches = await batchesByFamily(files, grouper);
    assert.deepEqual(namesIn(batches).toSorted(), Array.from(files.keys(), String).toSorted());
    const told = batches.flatMap(({ files: some, families }) =>
      (families ?? []).flatMap((family) =>
        family.groups.map(({ files: places, ...group }) => ({
          files: places.map((place) => Number(some[place]?.name)),
          ...group,
        })),
      ),
    );
    assert.deepEqual(
      told.toSorted((a, b) => Number(a.details?.at) - Number(b.details?.at)),
      groups,
    );
  }
});
