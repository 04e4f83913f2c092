import assert from "node:assert/strict";
import { test } from "node:test";
import { problem } from "../../../src/core/errors.ts";
import { refusal } from "../../../src/core/ingest/refusal.ts";

const missing = (i: number) => problem("file_missing", { path: `data/${i}` });

test("one problem is the error, with what it is about", () => {
  const one = problem("file_size_mismatch", { path: "data/a", expected: 4, found: 5 });
  const error = refusal([one]);
  assert.equal(error.code, "file_size_mismatch");
  assert.deepEqual(error.details, { path: "data/a", expected: 4, found: 5, problems: [one] });
});

test("problems of one kind keep their code, different ones are a refused bundle; all are counted and listed", () => {
  const same = refusal([missing(1), missing(2)]);
  assert.deepEqual([same.code, same.details.problemCount], ["file_missing", 2]);
  const mixed = refusal([missing(1), problem("bundle_empty")]);
  assert.deepEqual([mixed.code, mixed.details.problems], ["bundle_refused", [missing(1), problem("bundle_empty")]]);
});

test("many or long problems are counted, and listed as far as a job's record should hold them", () => {
  const many = refusal(Array.from({ length: 200_000 }, (_, i) => missing(i)));
  assert.equal(many.details.problemCount, 200_000);
  assert.equal((many.details.problems as unknown[]).length, 1_000);
  const long = refusal(Array.from({ length: 500 }, () => problem("file_missing", { path: "n".repeat(32_000) })));
  assert.ok(JSON.stringify(long.details).length < 400_000);
  assert.equal(long.details.problemCount, 500);
});
