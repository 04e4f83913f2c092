import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cp, readFile } from "node:fs/promises";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { registeredExtractors } from "../../src/adapters/sandbox/registered.ts";
import { extracting, LIMITS, OPERATOR } from "../support/extracting.ts";

const EXAMPLES = fileURLToPath(new URL("../../examples/extractors", import.meta.url));
/** Where registered extractors look for programs. */
const hasPython = spawnSync("python3", ["--version"], { env: { PATH: "/usr/local/bin:/usr/bin:/bin" } }).status === 0;

test("the example of a registered extractor describes its files beside the built-in ones", async (t) => {
  if (!hasPython) return t.skip("there is no python3");
  const { folder, write, crawled, extracted, extractions, allRecords } = await extracting(t, {
    registered: (place, reserved) =>
      registeredExtractors({ folder: place, limits: LIMITS, processes: 2, containerEnvironment: {}, reserved }),
  });
  await cp(EXAMPLES, `${folder}/extractors`, { recursive: true });
  const [fasta] = await extractions.register(OPERATOR, "fasta");
  assert.equal(fasta?.name, "fasta");
  const known = (await extractions.extractors()).map(({ name }) => name);
  assert.ok(known.includes("fasta") && known.includes("generic"));

  await write({
    "x.fa": await readFile(`${EXAMPLES}/fasta/sample.fasta`),
    "none.fa": "plain words\n",
    "other.json": "[1]",
  });
  const extraction = await extracted(await crawled(), { extractors: ["fasta", "json"] });
  assert.deepEqual(extraction.counts, { pulled: 3, toSchedule: 3, success: 3, failed: 0, pending: 0, unknown: 0 });
  const records = await allRecords(extraction);
  const [none, sample] = records
    .filter(({ extractor }) => extractor === "fasta")
    .toSorted((a, b) => (a.files[0]?.path ?? "").localeCompare(b.files[0]?.path ?? ""));
  // Counted by hand: ACGT ACGTAC, GGGG; 5 and 4 of 14 are G or C.
  assert.deepEqual(sample?.data, { sequences: 2, residues: 14, longest: 10, gcContent: 0.6429, names: ["one", "two"] });
  assert.deepEqual(none?.data, { sequences: 0, residues: 0, longest: 0, gcContent: null, names: [] });
  assert.match(none?.problems[0]?.message ?? "", /it has no sequence/);
});
