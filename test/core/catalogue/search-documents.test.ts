import assert from "node:assert/strict";
import { test } from "node:test";
import type { ArchivedFile, KeyValue, Transaction } from "../../../src/core/catalogue/catalogue-store.ts";
import { fileDocument, transactionDocument } from "../../../src/core/catalogue/search-documents.ts";
import { fileId, transactionId } from "../../../src/core/ids.ts";

const CREATED_AT = Date.UTC(2024, 0, 31);
const TRANSACTION: Transaction = {
  id: transactionId(7),
  submitter: "34002",
  project: "1234a",
  instrument: null,
  owner: "ann",
  fileCount: 2,
  sizeBytes: 30,
  objectPath: "",
  inventoryDigest: "",
  createdAt: CREATED_AT,
};
const FILE: ArchivedFile = {
  id: fileId(42),
  transactionId: transactionId(7),
  path: "data/run 1/Scan.v2.TIF",
  contentPath: "",
  sizeBytes: 20,
  modifiedAt: "2024-01-30T12:00:00.000Z",
  changedAt: null,
  mediaType: "image/TIFF",
  digests: { sha1: "aa", sha512: "bb" },
  crc32: 0,
  declared: { algorithm: "sha1", value: "aa" },
};
const KEY_VALUES: readonly KeyValue[] = [
  { fileId: null, key: "sample", value: "blank" },
  { fileId: null, key: "project", value: "1234a" },
  { fileId: null, key: "empty", value: "" },
  { fileId: fileId(42), key: "sample", value: "B7" },
  { fileId: fileId(42), key: "width", value: "1000" },
  { fileId: fileId(42), key: "mass", value: "1.50" },
  { fileId: fileId(43), key: "sample", value: "of another file" },
];

test("a file is found by what it is, and by what is said of it and of its transaction", () => {
  assert.deepEqual(fileDocument(FILE, TRANSACTION, KEY_VALUES), {
    key: "file:42",
    type: "file",
    owner: "ann",
    title: "run 1/Scan.v2.TIF",
    text: "run 1/Scan.v2.TIF · 1234a · 34002 · blank · 1234a · B7 · 1000 · 1.50",
    fields: {
      type: ["file", "image"],
      mediatype: ["image/tiff"],
      path: ["run 1/Scan.v2.TIF"],
      name: ["Scan.v2.TIF"],
      extension: ["TIF"],
      size: [20],
      modified: [Date.UTC(2024, 0, 30, 12)],
      digest: ["aa", "bb"],
      transaction: [7],
      project: ["1234a"],
      submitter: ["34002"],
      created: [CREATED_AT],
      sample: ["blank", "B7"],
      width: [1000],
      mass: ["1.50", 1.5],
    },
    createdAt: CREATED_AT,
  });
});

test("a transaction is found by what is said of it, not by what is said of its files", () => {
  const document = transactionDocument(TRANSACTION, KEY_VALUES);
  assert.equal(document.key, "transaction:7");
  assert.equal(document.text, "1234a · 34002 · blank · 1234a");
  assert.deepEqual(document.fields.sample, ["blank"]);
  assert.deepEqual(document.fields.files, [2]);
  assert.equal(document.fields.width, undefined);
});

test("a time that could not be read, and a name without an extension, are no values", () => {
  const { fields } = fileDocument({ ...FILE, path: "data/.profile", modifiedAt: "yesterday" }, TRANSACTION, []);
  assert.equal(fields.modified, undefined);
  assert.equal(fields.extension, undefined);
  assert.deepEqual(fields.name, [".profile"]);
});

test("a key-value may be called whatever it likes", () => {
  const named = ["__proto__", "constructor", "ä b"].map((key) => ({ fileId: null, key, value: "x" }));
  const { fields } = transactionDocument(TRANSACTION, named);
  for (const { key } of named) assert.deepEqual(Object.getOwnPropertyDescriptor(fields, key)?.value, ["x"], key);
});
