import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import type { RecordData } from "../../../src/core/extract/extractor.ts";
import { extractor } from "../../../src/core/extract/extractors/tabular-text.ts";
import { seededRandom } from "../../support/random.ts";
import { without } from "../../support/tools.ts";
import { describing } from "./records.ts";

const columnsOf = (data: RecordData) => data.columns as readonly RecordData[];

test("preamble, quoted fields, missing values and types", async (t) => {
  const { describe } = await describing(t, extractor);
  const { data } = await describe(
    '# logger 7\n# 2024\nid,"Game ""Number""",day,note\n1,10,2024-01-01,"a, b"\n2,,2024-01-02,"two\nlines"\n3,2.5,2024-01-03,NA\n',
  );
  assert.deepEqual(data.preamble, ["# logger 7", "# 2024"]);
  assert.deepEqual(data.headers, ["id", 'Game "Number"', "day", "note"]);
  assert.deepEqual([data.delimiter, data.rows, data.unevenRows, data.columnCount], [",", 3, 0, 4]);
  assert.deepEqual(
    columnsOf(data).map(({ type, count, missing, mean }) => [type, count, missing, mean]),
    [
      ["integer", 3, 0, 2],
      ["number", 2, 1, 6.25],
      ["date", 3, 0, null],
      ["text", 2, 1, null],
    ],
  );
});

test("a table without headers keeps its first row", async (t) => {
  const { describe } = await describing(t, extractor);
  const { data } = await describe(Array.from({ length: 128 }, (_, i) => `${i},${i * 2}`).join("\n"));
  assert.deepEqual([data.headers, data.rows], [null, 128]);
  assert.deepEqual(
    columnsOf(data).map(({ name, mean }) => [name, mean]),
    [
      ["column_1", 63.5],
      ["column_2", 127],
    ],
  );
});

for (const [what, delimiter, text] of [
  ["tabs", "\t", "a\tb\n1\t2\n3\t4\n"],
  ["semicolons, with commas in numbers", ";", "a;b\n1,5;2\n3,5;4\n"],
  ["bars", "|", "a|b\n1|2\n3|4\n"],
  ["runs of blanks", " ", "  a   b\n  1   2\n 30  40\n"],
  ["nothing", "", "value\n1\n2\n"],
  ["commas, lines ended by CR alone", ",", "a,b\r1,2\r3,4\r"],
  ["commas, lines ended by CRLF", ",", "a,b\r\n1,2\r\n3,4\r\n"],
] as const)
  test(`fields parted by ${what}`, async (t) => {
    const { describe } = await describing(t, extractor);
    const { data } = await describe(text);
    assert.deepEqual([data.delimiter, data.rows, data.hasHeader], [delimiter, 2, true]);
  });

test("means and modes are those of Python's statistics", {
  skip: without("python3", ["python3", "-c", "import csv, statistics"], "python.org"),
}, async (t) => {
  const { describe, folder } = await describing(t, extractor);
  const random = seededRandom(t);
  const rows = Array.from(
    { length: 5000 },
    () => `${random(1000)},${(random(1e9) - 5e8) / 1000},"w ""${random(20)}"""`,
  );
  const text = `n,x,word\n${rows.join("\n")}\n`;
  const path = join(folder, "table.csv");
  await writeFile(path, text);
  const program = `
import csv, json, statistics, sys
rows = list(csv.DictReader(open(sys.argv[1], newline="")))
n = [int(r["n"]) for r in rows]; x = [float(r["x"]) for r in rows]
words = [r["word"] for r in rows]
print(json.dumps([statistics.fmean(n), min(n), max(n), statistics.fmean(x), min(x), max(x), words.count(statistics.mode(words)), len(set(words))]))`;
  const [nMean, nMin, nMax, xMean, xMin, xMax, modeCount, distinct] = JSON.parse(
    execFileSync("python3", ["-c", program, path], { encoding: "utf8" }),
  );
  const [n, x, word] = columnsOf((await describe(await readFile(path))).data);
  assert.deepEqual(
    [n?.mean, n?.min, n?.max, x?.min, x?.max, word?.distinct],
    [nMean, nMin, nMax, xMin, xMax, distinct],
  );
  assert.ok(Math.abs(Number(x?.mean) - xMean) < 1e-6, `${x?.mean} is not ${xMean}`);
  const [mode] = (word?.modes ?? []) as readonly RecordData[];
  assert.equal(mode?.count, modeCount);
});

test("a mean is not lost beside large values", async (t) => {
  const { describe } = await describing(t, extractor);
  const { data } = await describe("v,w\n1e100,a\n1,b\n-1e100,c\n1,d\n");
  assert.equal(columnsOf(data)[0]?.mean, 0.5);
});

test("a line of 200 MB is cut, told, and takes no such memory", async (t) => {
  const { describe } = await describing(t, extractor);
  const line = Buffer.alloc(200 * 1024 * 1024, "x,");
  const before = process.memoryUsage().arrayBuffers;
  const { data, problems } = await describe(line);
  assert.deepEqual(
    problems.map(({ code }) => code),
    ["content_malformed"],
  );
  assert.equal(data.rows, 1);
  assert.ok(process.memoryUsage().arrayBuffers - before < 16 * 1024 * 1024);
});

test("a quote that never ends does not swallow the rest", async (t) => {
  const { describe } = await describing(t, extractor);
  const { data } = await describe(`a,b\n1,"open\n${"2,3\n".repeat(100)}`);
  assert.equal(data.columnCount, 2);
  assert.equal(data.rows, 101);
});

test("a column of many distinct values has no modes, and its other figures", async (t) => {
  const { describe } = await describing(t, extractor);
  const { data } = await describe(`id,v\n${Array.from({ length: 20_000 }, (_, i) => `${i},1`).join("\n")}`);
  const [id, v] = columnsOf(data);
  assert.deepEqual([id?.modes, id?.distinct, id?.max], [null, null, 19_999]);
  assert.deepEqual(v?.modes, [{ value: "1", count: 20_000 }]);
});
