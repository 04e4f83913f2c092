import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { extractor } from "../../../src/core/extract/extractors/image-headers.ts";
import { without } from "../../support/tools.ts";
import { HEIGHT, sampleImages, WIDTH } from "./images.ts";
import { describing } from "./records.ts";

const noFile = without("file", ["file", "--version"], "apt-get install file");

for (const [format, bytes] of Object.entries(sampleImages())) {
  test(`${format}: width and height are those that were drawn`, async (t) => {
    const { describe } = await describing(t, extractor);
    const { data } = await describe(bytes, `picture.${format}`);
    assert.deepEqual([data.width, data.height], [WIDTH, HEIGHT]);
    assert.equal(data.bitDepth, { dpx: 10, gif: 1 }[format] ?? 8);
    assert.equal(data.frames, format === "gif" ? 3 : 1);
  });

  test(`${format}: file(1) sees the same size`, { skip: noFile }, async (t) => {
    const { folder } = await describing(t, extractor);
    const path = join(folder, "picture");
    await writeFile(path, bytes);
    const said = execFileSync("file", ["-b", path], { encoding: "utf8" });
    const numbers = said.match(/\d+/g)?.map(Number) ?? [];
    assert.ok(numbers.includes(WIDTH) && numbers.includes(HEIGHT), said);
  });
}

for (const format of ["png", "jpeg"])
  test(`${format}: when, where and with what it was taken`, async (t) => {
    const { describe } = await describing(t, extractor);
    const { data } = await describe(sampleImages()[format] ?? "");
    assert.equal(data.takenAt, "2024-05-06T07:08:09");
    assert.equal(data.orientation, 6);
    assert.deepEqual(data.exif, { make: "Acme" });
    // 52 + 30/60 + 36/3600 and -(13 + 24/60 + 18/3600).
    assert.deepEqual(data.gps, { latitude: 52.51, longitude: -13.405, altitudeMetres: 34.5 });
  });

test("DPX: the scanner's words", async (t) => {
  const { describe } = await describing(t, extractor);
  const { data } = await describe(sampleImages().dpx ?? "");
  assert.deepEqual([data.takenAt, data.exif], ["2024-05-06T07:08:09", { fileName: "frame_0001.dpx" }]);
});
