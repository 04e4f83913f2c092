import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { chooseExtractors, extensionOf } from "../../../src/core/extract/choose.ts";
import { mediaTypeOf, mediaTypeOfFile } from "../../../src/core/extract/media-type.ts";
import { zipOf } from "./documents.ts";
import { sampleImages } from "./images.ts";

/** By their formats' documents; names are not seen. */
const CONTENTS: readonly (readonly [string, string | Uint8Array])[] = [
  ["inode/x-empty", ""],
  ["text/plain", "Plain words.\n"],
  ["text/plain", "[section]\nkey=1\n"],
  ["text/plain", Buffer.from("caf\xe9\n", "latin1")],
  ["application/json", ' {"a": 1}'],
  ["application/json", "[1, 2]"],
  ["application/json", '\ufeff["é"]'],
  ["application/xml", '<?xml version="1.0"?><a/>'],
  ["image/svg+xml", '<?xml version="1.0"?>\n<!-- drawn -->\n<svg xmlns="http://www.w3.org/2000/svg"/>'],
  ["text/html", "<!DOCTYPE html><title>x</title>"],
  ["text/x-python", "#!/usr/bin/env python3\n"],
  ["application/pdf", "%PDF-1.7\n"],
  ["application/gzip", gzipSync("x")],
  ["application/octet-stream", Uint8Array.of(1, 2, 3, 0)],
  ["application/x-hdf5", Buffer.from("\x89HDF\r\n\x1a\n", "latin1")],
  ["application/x-netcdf", "CDF\x01\0\0\0\0"],
  ["application/vnd.apache.parquet", "PAR1\x15\0"],
  ["video/mp4", "\0\0\0\x18ftypisom"],
  ...Object.entries(sampleImages()).map(
    ([name, bytes]) => [`image/${name === "dpx" ? "x-dpx" : name}`, bytes] as const,
  ),
];

for (const [type, content] of CONTENTS)
  test(`content alone tells ${type}: ${JSON.stringify(String(content).slice(0, 12))}`, () => {
    assert.equal(mediaTypeOf(Buffer.from(content)), type);
  });

test("where a directory lies behind the beginning, it is looked at there", () => {
  const typeOf = (content: Buffer) =>
    mediaTypeOfFile({ sizeBytes: content.length, read: (at, length) => content.subarray(at, at + length) });
  const large = randomBytes(200_000);
  const sheet = { "docProps/thumbnail.bin": large, "xl/workbook.xml": "<workbook/>" };
  assert.equal(typeOf(zipOf(sheet)), "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet");
  assert.equal(typeOf(zipOf({ "a.bin": large, "excel/xl/workbook.xml": "" })), "application/zip");

  // [MS-CFB] 2.2: sectors of 512 bytes, the directory in the last.
  const ole = Buffer.alloc(100_352);
  ole.write("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "latin1");
  ole.writeUInt16LE(9, 30);
  ole.writeUInt32LE(ole.length / 512 - 2, 48);
  assert.equal(typeOf(ole), "application/x-ole-storage");
  ole.write("Workbook", ole.length - 512, "utf16le");
  assert.equal(typeOf(ole), "application/vnd.ms-excel");
});

test("the name's ending is asked where content says no more than text or bytes", () => {
  const table = { name: "table", takes: { mediaTypes: ["text/csv"], extensions: ["csv"] } };
  const image = { name: "image", takes: { mediaTypes: ["image/*"], extensions: ["png"] } };
  const any = { name: "any", takes: { mediaTypes: ["*/*"], extensions: [] } };
  const chosen = (type: string, name: string) =>
    chooseExtractors([table, image, any], type, name).map((one) => one.name);
  assert.deepEqual(chosen("text/plain", "a/B.CSV"), ["table", "any"]);
  assert.deepEqual(chosen("image/png", "a.csv"), ["image", "any"]);
  assert.deepEqual(chosen("application/json", "a.csv"), ["any"]);
  assert.deepEqual(chosen("application/octet-stream", "raw.png"), ["image", "any"]);
});

test("an ending is what follows the last dot of the last name", () => {
  assert.deepEqual(["a.tar.GZ", "a.b/c", ".profile", "x.", "noext"].map(extensionOf), ["gz", "", "", "", ""]);
});

test("a file of nothing but comments is looked at as quickly as any other", () => {
  // One more comment would double the time, were they read in more than one way: this would never come to its end.
  assert.equal(mediaTypeOf(Buffer.from(`${"<!-- -->".repeat(400)}x`)), "text/plain");
  assert.equal(mediaTypeOf(Buffer.from(`${"<!-- -->".repeat(400)}<svg>`)), "image/svg+xml");
});
