import assert from "node:assert/strict";
import { buffer } from "node:stream/consumers";
import { test } from "node:test";
import { memoryObjectStorage } from "../../../../src/adapters/storage/memory.ts";
import { AppError, type Problem } from "../../../../src/core/errors.ts";
import { type ReceiveOptions, receiveBundle, stagedMembers } from "../../../../src/core/ingest/bundle/bundle.ts";
import { bundleTar } from "../../../support/bundles.ts";
import { chunked, tarMember, tarOf } from "../../../support/tars.ts";

const OPTIONS: ReceiveOptions = {
  algorithms: ["sha512", "sha1"],
  expected: {},
  onBytes: () => {},
  signal: new AbortController().signal,
};

const staged = () => memoryObjectStorage().stage("object");

/** The problems of a bundle that is refused, and its code. */
async function refused(bytes: Uint8Array): Promise<readonly [string, readonly (string | undefined)[]]> {
  const error = await receiveBundle(chunked(bytes), await staged(), OPTIONS).catch((thrown: unknown) => thrown);
  assert.ok(error instanceof AppError, String(error));
  return [error.code, (error.details.problems as unknown as Problem[]).map(({ path }) => path)];
}

test("the members of a bundle are in the tree, and a note tells in tar order what they are", async () => {
  const tree = await staged();
  const files = { "data/b": "hello", "data/a": "", "data/con": "renamed" };
  const bundle = await bundleTar(files, { metadataAt: "middle" });
  let seen = 0;
  const received = await receiveBundle(chunked(bundle, 300), tree, { ...OPTIONS, onBytes: (count) => (seen += count) });
  assert.equal(seen, bundle.length);
  assert.deepEqual([received.memberCount, received.passedOver], [4, []]);
  const members = await Array.fromAsync(stagedMembers(tree));
  assert.deepEqual(
    members.map(({ path, contentPath }) => [path, contentPath]),
    [
      ["data/b", "v1/content/data/b"],
      ["metadata.txt", "v1/content/metadata.txt"],
      ["data/a", "v1/content/data/a"],
      ["data/con", "v1/content/renamed/00000001"],
    ],
  );
  const [first] = members;
  // printf hello | sha1sum; python3 -c "import zlib; print(zlib.crc32(b'hello'))"
  assert.deepEqual(
    [first?.sizeBytes, first?.digests.sha1, first?.crc32, first?.modifiedAt],
    [5, "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d", 907_060_870, 1_600_000_000],
  );
  assert.equal((await buffer(await tree.open("v1/content/renamed/00000001"))).toString(), "renamed");
});

test("all members that cannot be taken in are listed together", async () => {
  const tar = tarOf(
    tarMember({ name: "data/a" }, "1"),
    tarMember({ name: "./data/a" }, "2"),
    tarMember({ name: "/etc/passwd" }, "3"),
    tarMember({ name: "data/link", type: "2" }),
    tarMember({ name: "metadata.txt" }, "[]"),
    tarMember({ name: "metadata.txt" }, "[]"),
  );
  assert.deepEqual(await refused(tar), ["bundle_refused", ["data/a", "/etc/passwd", "data/link", "metadata.txt"]]);
  const twice = tarOf(tarMember({ name: "data/a" }), tarMember({ name: "data/a" }));
  assert.deepEqual(await refused(twice), ["bundle_member_duplicate", ["data/a"]]);
});

test("a name that is a file and the folder of another is refused, whichever comes first", async () => {
  for (const names of [
    ["data/a", "data/a/b/c"],
    ["data/a/b/c", "data/a"],
  ])
    assert.deepEqual(await refused(tarOf(...names.map((name) => tarMember({ name }, "x")))), [
      "bundle_name_unsafe",
      ["data/a"],
    ]);
  // Not a clash: only the beginning of the name is the same.
  const tree = await staged();
  const names = ["data/a", "data/a.b", "data/ab/c"].map((name) => tarMember({ name }));
  assert.equal((await receiveBundle(chunked(tarOf(...names)), tree, OPTIONS)).memberCount, 3);
});

test("members outside of data are passed over, the first thousand of them by name", async () => {
  const outside = Array.from({ length: 1_500 }, (_, i) => tarMember({ name: `other/${i}` }, "x"));
  const tree = await staged();
  const { memberCount, passedOver } = await receiveBundle(chunked(tarOf(...outside)), tree, OPTIONS);
  assert.deepEqual([memberCount, passedOver.length, passedOver[7]?.path], [0, 1_000, "other/7"]);
  assert.deepEqual(await Array.fromAsync(tree.list()), []);
});

test("reading stops when it is told to, with the reason", async () => {
  const abort = new AbortController();
  const bundle = await bundleTar({ "data/a": Buffer.alloc(100_000) });
  let seen = 0;
  const onBytes = (count: number) => {
    seen += count;
    if (seen > 50_000) abort.abort(new Error("enough"));
  };
  const receiving = receiveBundle(chunked(bundle, 1000), await staged(), { ...OPTIONS, onBytes, signal: abort.signal });
  await assert.rejects(receiving, /enough/);
  assert.ok(seen <= 52_000);
});

test("a tree that was never filled has no members to tell of", async () => {
  await assert.rejects(stagedMembers(await staged()).next(), { code: "stage_missing" });
});
