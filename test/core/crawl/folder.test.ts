import assert from "node:assert/strict";
import { test } from "node:test";
import { folderWalk } from "../../../src/core/crawl/walk/folder.ts";
import { problem } from "../../../src/core/errors.ts";

test("problems with names that have NUL can be kept by every database", async () => {
  const { take } = folderWalk({ endpoint: 1, folder: "" }, null);
  const met = [problem("entry_unreadable", { path: "a\0b", hint: "not a\0b" }), problem("entry_unreadable")];
  const { problems } = await take({ folder: "", entries: [], problems: met, isLast: true });
  assert.deepEqual(
    problems.map(({ endpoint, path }) => [endpoint, path]),
    [
      [1, "a\uFFFDb"],
      [1, undefined],
    ],
  );
  // "The character with the code zero cannot be in a string constant." (PostgreSQL 15, 4.1.2.2)
  assert.ok(!JSON.stringify(problems).includes("\\u0000"));
});
