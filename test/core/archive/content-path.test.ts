import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { contentPaths } from "../../../src/core/archive/content-path.ts";
import { assertGrowsLinearly } from "../../support/growth.ts";

/** Content paths of these logical paths, chosen in this order for one object. */
function chosen(...logicalPaths: readonly string[]): readonly string[] {
  const paths = contentPaths();
  return logicalPaths.map((path) => paths.choose(path));
}

describe("content paths", () => {
  for (const path of [
    "metadata.txt",
    "data/a.txt",
    "data/deep/er/and/deeper.tar.gz",
    "data/with blank (1), [2] & more+~#@!.csv",
    "data/ä/日本語/Ωmega.txt",
    "data/com10.txt",
    `data/${"x".repeat(255)}`,
  ])
    test(`${path.slice(0, 50)} is its own`, () => assert.deepEqual(chosen(path), [`v1/content/${path}`]));

  for (const [why, path] of [
    ["a leading dot", "data/.hidden"],
    ["a trailing dot", "data/file."],
    ["a trailing blank", "data/file "],
    ["a backslash", "data/a\\b"],
    ["a colon", "data/a:b"],
    ["a question mark", "data/what?"],
    ["a quote", 'data/"a"'],
    ["a control character", "data/a\tb"],
    ["a line end", "data/a\nb"],
    ["an invisible mark", "data/a\u200bb"],
    ["an emoji, which older systems cannot show", "data/🚢"],
    ["a private character", "data/\ue000"],
    ["a device of Windows", "data/NUL.txt"],
    ["another device of Windows", "data/sub/com1"],
    ["a name that is not in NFC", "data/a\u0308"],
    ["a part of more than 255 bytes", `data/${"ä".repeat(128)}`],
    ["more than 800 bytes", `data/${"abcdefgh/".repeat(120)}z`],
  ] as const)
    test(`a name with ${why} is generated`, () => assert.deepEqual(chosen(path), ["v1/content/renamed/00000001"]));

  for (const [why, first, second] of [
    ["case", "data/README", "data/readme"],
    ["case of a folder", "data/Sub/a", "data/sub/b"],
    ["compatibility forms", "data/ﬁle", "data/file"],
    ["sharp s", "data/straße", "data/STRASSE"],
    ["final sigma", "data/ς", "data/Σ"],
    ["a file where a folder is", "data/a/b", "data/a"],
    ["a folder where a file is", "data/a", "data/A/b"],
  ] as const)
    test(`of two paths that clash by ${why} the second is generated`, () =>
      assert.deepEqual(chosen(first, second), [`v1/content/${first}`, "v1/content/renamed/00000001"]));

  test("nobody gets at the folder of generated names", () =>
    assert.deepEqual(chosen("renamed", "Renamed"), ["v1/content/renamed/00000001", "v1/content/renamed/00000002"]));

  test("are different for 200,000 files, and chosen in time that grows with their number", async () => {
    await assertGrowsLinearly(25_000, (files) => {
      const paths = contentPaths();
      const seen = new Set<string>();
      for (let i = 0; i < files; i++) seen.add(paths.choose(`data/${i % 100}/${i % 3 === 0 ? "." : ""}${i}.txt`));
      assert.equal(seen.size, files);
    });
  });
});
