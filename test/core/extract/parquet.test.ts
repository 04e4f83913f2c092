import assert from "node:assert/strict";
import { test } from "node:test";
import { ByteWriter, type ColumnSource, type ParquetWriteOptions, parquetWrite } from "hyparquet-writer";
import type { RecordData } from "../../../src/core/extract/extractor.ts";
import { extractor } from "../../../src/core/extract/extractors/parquet.ts";
import { seededRandom } from "../../support/random.ts";
import { describing } from "./records.ts";

const columnsOf = (data: RecordData) => data.columns as readonly RecordData[];

const modesOf = (column: RecordData | undefined) => column?.modes as readonly RecordData[];

function parquet(columnData: ColumnSource[], options: Partial<ParquetWriteOptions> = {}): Buffer {
  const writer = new ByteWriter();
  parquetWrite({ writer, columnData, ...options });
  return Buffer.from(writer.getBuffer());
}

const SAMPLE = parquet(
  [
    { name: "id", data: Array.from({ length: 1000 }, (_, i) => BigInt(i)), type: "INT64" },
    { name: "half", data: Array.from({ length: 1000 }, (_, i) => i / 2), type: "DOUBLE" },
    { name: "word", data: Array.from({ length: 1000 }, (_, i) => (i % 10 === 0 ? null : `w${i % 3}`)), type: "STRING" },
    {
      name: "day",
      data: Array.from({ length: 1000 }, (_, i) => new Date(Date.UTC(2024, 0, 1 + (i % 5)))),
      type: "TIMESTAMP",
    },
    { name: "ok", data: Array.from({ length: 1000 }, (_, i) => i % 2 === 0), type: "BOOLEAN" },
    { name: "bytes", data: Array.from({ length: 1000 }, () => Uint8Array.of(0, 255)), type: "BYTE_ARRAY" },
  ],
  { rowGroupSize: 300 },
);

test("schema, row groups and what each column holds", async (t) => {
  const { describe } = await describing(t, extractor);
  const { data, problems } = await describe(SAMPLE);
  assert.deepEqual(problems, []);
  assert.deepEqual([data.rows, data.rowGroups, data.columnCount, data.createdBy], [1000, 4, 6, "hyparquet"]);
  assert.deepEqual(
    columnsOf(data).map(
      ({ name, physicalType, logicalType, isRequired, from, type, count, missing, min, max, mean }) => [
        [name, physicalType, logicalType, isRequired, from],
        [type, count, missing, min, max, mean],
      ],
    ),
    [
      [
        ["id", "INT64", null, false, "data"],
        ["integer", 1000, 0, 0, 999, 499.5],
      ],
      [
        ["half", "DOUBLE", null, false, "data"],
        ["number", 1000, 0, 0, 499.5, 249.75],
      ],
      [
        ["word", "BYTE_ARRAY", "UTF8", false, "data"],
        ["text", 900, 100, null, null, null],
      ],
      [
        ["day", "INT64", "TIMESTAMP_MILLIS", false, "data"],
        ["date", 1000, 0, null, null, null],
      ],
      [
        ["ok", "BOOLEAN", null, false, "data"],
        ["boolean", 1000, 0, null, null, null],
      ],
      [
        ["bytes", "BYTE_ARRAY", null, false, "data"],
        ["text", 1000, 0, null, null, null],
      ],
    ],
  );
  const [, , word, day, ok, bytes] = columnsOf(data);
  assert.deepEqual(word?.modes, [
    { value: "w1", count: 300 },
    { value: "w2", count: 300 },
    { value: "w0", count: 300 },
  ]);
  assert.deepEqual([day?.distinct, modesOf(day)[0]?.value], [5, "2024-01-01T00:00:00Z"]);
  assert.deepEqual([ok?.distinct, bytes?.modes], [2, null]);
});

test("of a column in lists, what the file says of it itself is told, and that it is from there", async (t) => {
  const { describe } = await describing(t, extractor);
  const list = parquet([{ name: "list", data: [[1, 2], [3]] }], {
    schema: [
      { name: "root", num_children: 1 },
      { name: "list", repetition_type: "OPTIONAL", num_children: 1, converted_type: "LIST" },
      { name: "list", repetition_type: "REPEATED", num_children: 1 },
      { name: "element", repetition_type: "OPTIONAL", type: "INT32" },
    ],
  });
  const [column] = columnsOf((await describe(list)).data);
  assert.deepEqual(
    [column?.path, column?.from, column?.type, column?.mean],
    [["list", "list", "element"], "metadata", "integer", null],
  );
});

test("a column that cannot be read is a problem, and the others are described", async (t) => {
  const { describe } = await describing(t, extractor);
  const damaged = Buffer.from(SAMPLE);
  // The header of the first page, of the first column.
  damaged.fill(0xff, 4, 12);
  const { data, problems } = await describe(damaged, "damaged.parquet");
  assert.deepEqual(
    problems.map(({ code, path }) => [code, path]),
    [["content_malformed", "damaged.parquet:id"]],
  );
  assert.deepEqual(
    columnsOf(data).map(({ from }) => from),
    ["metadata", "data", "data", "data", "data", "data"],
  );
  // Of its own statistics.
  assert.deepEqual([columnsOf(data)[0]?.min, columnsOf(data)[0]?.max], [0, 999]);
});

test("cut off anywhere, it is refused", async (t) => {
  const { survives } = await describing(t, extractor);
  for (let length = 0; length < SAMPLE.length; length += 211)
    assert.equal(await survives(SAMPLE.subarray(0, length), "cut.parquet"), "refused");
});

// Damaged data pages are looked at in the sandbox: see sandbox-tables.test.ts.
test("with bytes of its metadata changed at random, it is described or refused", async (t) => {
  const { survives } = await describing(t, extractor);
  const random = seededRandom(t);
  const metadataBytes = SAMPLE.readUInt32LE(SAMPLE.length - 8);
  for (let round = 0; round < 200; round++) {
    const damaged = Buffer.from(SAMPLE);
    for (let change = random(8); change >= 0; change--)
      damaged[SAMPLE.length - 8 - metadataBytes + random(metadataBytes)] = random(256);
    await survives(damaged, "changed.parquet");
  }
});
