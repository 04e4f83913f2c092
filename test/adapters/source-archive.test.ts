import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { archiveSource } from "../../src/adapters/source/archive.ts";
import { entriesOf, sourceConformance, walkAll } from "../conformance/source.ts";
import { type TestArchive, testArchive } from "../support/archive.ts";

const sourceOf = ({ stores: { catalogue }, archive: { storage } }: TestArchive, owner?: string) =>
  archiveSource({ catalogue, storage, owner });

sourceConformance(
  "archive",
  async (files) => {
    const archive = await testArchive();
    const { id } = await archive.deposit(files);
    return { source: sourceOf(archive), base: `${id}/data`, tellsHidden: true, cleanUp: () => archive.close() };
  },
  { manyNames: 2_100 },
);

describe("Source: archive", () => {
  let archive: TestArchive;
  before(async () => {
    archive = await testArchive();
    await archive.deposit({ "a.txt": "hello", "sub/b.txt": "b" }, "ada");
    await archive.deposit({ "c.txt": "c" }, "bob");
  });
  after(() => archive.close());

  test("the root has a folder for each transaction, and everything is below them", async () => {
    const paths = entriesOf(await walkAll(sourceOf(archive))).map(({ path }) => path);
    const expected = ["1", "2", "1/data", "1/data/sub", "1/data/a.txt", "1/data/sub/b.txt", "2/data", "2/data/c.txt"];
    assert.deepEqual(paths, expected);
  });

  test("of other owners' transactions nothing is listed or read", async () => {
    const source = sourceOf(archive, "bob");
    const listings = await walkAll(source, { folders: ["", "1", "1/data"] });
    assert.deepEqual(
      entriesOf(listings).map(({ path }) => path),
      ["2", "2/data", "2/data/c.txt"],
    );
    assert.deepEqual(
      listings.flatMap(({ problems }) => problems.map(({ path }) => path)),
      ["1", "1/data"],
    );
    await assert.rejects(source.open("1/data/a.txt"), { code: "object_missing" });
  });
});
