import assert from "node:assert/strict";
import { test } from "node:test";
import { parseQuery } from "../../../src/core/catalogue/query.ts";
import { type RecordedArchiveFile, recordDocument } from "../../../src/core/catalogue/record-document.ts";
import type { ExtractionRecord } from "../../../src/core/extract/extraction.ts";
import { crawlId, extractionId, fileId, transactionId } from "../../../src/core/ids.ts";

const CREATED_AT = Date.UTC(2025, 4, 1);
const RECORD: ExtractionRecord = {
  number: 3,
  extraction: extractionId("e1"),
  crawl: crawlId("c1"),
  family: "f1",
  group: 0,
  groupKind: "file",
  extractor: "image-headers",
  version: "1",
  files: [{ endpoint: 0, path: "run 1/Scan.v2.TIF", sizeBytes: 20 }],
  data: { format: "image/TIFF", width: 1000, exif: { make: "Nikon" } },
  problems: [],
  failure: null,
  durationMs: 1,
  createdAt: CREATED_AT,
};
const CONTEXT = { owner: "ann", endpoints: ["file:///store"], archived: new Map<string, RecordedArchiveFile>() };

function fieldsOf(data: ExtractionRecord["data"]) {
  return recordDocument({ ...RECORD, data }, CONTEXT).fields;
}

test("a record is found by where it comes from and by what it says", () => {
  assert.deepEqual(recordDocument(RECORD, CONTEXT), {
    key: "record:e1:3",
    type: "record",
    owner: "ann",
    title: "run 1/Scan.v2.TIF · image-headers",
    text: "image/TIFF · Nikon",
    fields: {
      type: ["record", "image"],
      mediatype: ["image/tiff"],
      extractor: ["image-headers"],
      crawl: ["c1"],
      endpoint: ["file:///store"],
      group: ["file"],
      created: [CREATED_AT],
      path: ["run 1/Scan.v2.TIF"],
      name: ["Scan.v2.TIF"],
      extension: ["TIF"],
      size: [20],
      format: ["image/TIFF"],
      width: [1000],
      "exif.make": ["Nikon"],
      make: ["Nikon"],
    },
    createdAt: CREATED_AT,
  });
});

test("a record of an archived file has the file's fields, and names the file", () => {
  const transaction = {
    id: transactionId(7),
    submitter: "34002",
    project: "1234a",
    instrument: null,
    owner: "bob",
    fileCount: 1,
    sizeBytes: 20,
    objectPath: "",
    inventoryDigest: "",
    createdAt: 1,
  };
  const file = {
    id: fileId(42),
    transactionId: transactionId(7),
    path: "data/run 1/Scan.v2.TIF",
    contentPath: "",
    sizeBytes: 20,
    modifiedAt: null,
    changedAt: null,
    mediaType: "application/octet-stream",
    digests: { sha1: "aa" },
    crc32: 0,
    declared: { algorithm: "sha1", value: "aa" },
  } as const;
  const path = "7/data/run 1/Scan.v2.TIF";
  const { title, owner, fields } = recordDocument(
    { ...RECORD, files: [{ endpoint: 0, path, sizeBytes: 20 }] },
    {
      owner: "ann",
      endpoints: ["archive:"],
      archived: new Map([[path, { file, transaction, keyValues: [{ fileId: null, key: "site", value: "north" }] }]]),
    },
  );
  // Who described it may see the record; who may see the file is the file's business.
  assert.deepEqual([title, owner], ["run 1/Scan.v2.TIF · image-headers", "ann"]);
  assert.deepEqual(fields.file, [42]);
  assert.deepEqual(fields.type, ["record", "image", "application"]);
  assert.deepEqual([fields.project, fields.transaction, fields.site], [["1234a"], [7], ["north"]]);
  assert.deepEqual([fields.path, fields.width, fields.size], [["run 1/Scan.v2.TIF"], [1000], [20]]);
  assert.deepEqual(fields.created, [CREATED_AT]);
});

test("nested values have their full name, and their last one where it is theirs alone", () => {
  const fields = fieldsOf({ a: { x: 1, "odd key": 2 }, b: { x: 3, y: true }, list: [{ z: "p" }, { z: "q" }] });
  assert.deepEqual([fields["a.x"], fields["b.x"], fields.x], [[1], [3], undefined]);
  assert.deepEqual([fields["a.odd_key"], fields.odd_key], [[2], [2]]);
  assert.deepEqual([fields["b.y"], fields.y], [["true"], ["true"]]);
  assert.deepEqual(
    [fields["list.z"], fields.z],
    [
      ["p", "q"],
      ["p", "q"],
    ],
  );
});

test("keywords are found as such, whatever the extractor calls them and however many lists it has", () => {
  const fields = fieldsOf({
    phrases: [{ phrase: "mass spectrum", score: 4 }],
    terms: [{ phrase: "blank", score: 1 }],
    keywords: ["noise"],
  });
  assert.deepEqual(fields.keywords?.toSorted(), ["blank", "mass spectrum", "noise"]);
  assert.deepEqual(fields["terms.phrase"], ["blank"]);
});

test("what a record says cannot pass for what Longshore says", () => {
  const fields = fieldsOf({ type: "transaction", Owner: "x", crawl: { id: "c2" }, more: { project: "9" } });
  assert.deepEqual([fields.type, fields["data.type"]], [["record"], ["transaction"]]);
  assert.deepEqual([fields.crawl, fields["crawl.id"], fields.id], [["c1"], ["c2"], ["c2"]]);
  assert.deepEqual([fields.project, fields["more.project"]], [undefined, ["9"]]);
});

test("every field of a record can be asked for, whatever its data is called", () => {
  const names = ["1st", "ä b", "a:b", "__proto__", "constructor", "", "(x)", "\ud800"];
  const fields = fieldsOf(Object.fromEntries(names.map((name) => [name, 1])));
  for (const field of Object.keys(fields)) {
    const query = parseQuery(`${field}:>=1`);
    assert.ok(query && "field" in query && query.field === field, field);
  }
});

test("however much a record says, its document is bounded", () => {
  const columns = Array.from({ length: 4000 }, (_, i) => ({
    name: `column ${i}`,
    [`statistic${i}`]: i,
    comment: "long ".repeat(1000),
  }));
  const document = recordDocument({ ...RECORD, data: { columns } }, CONTEXT);
  assert.ok(Object.keys(document.fields).length < 250, "fields");
  for (const [field, values] of Object.entries(document.fields)) assert.ok(values.length <= 50, field);
  assert.ok(document.text.length < 20_000, "text");
  assert.ok(JSON.stringify(document).length < 100_000, "all");
});

test("a failure is found by its reason", () => {
  const failure = { reason: "silence", message: "" } as const;
  const { fields, text } = recordDocument({ ...RECORD, data: null, failure }, CONTEXT);
  assert.deepEqual([fields.failure, text], [["silence"], ""]);
});
