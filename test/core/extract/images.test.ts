import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { extractor } from "../../../src/core/extract/extractors/image-headers.ts";
import { seededRandom } from "../../support/random.ts";
import { without } from "../../support/tools.ts";
import { annotatedImages, bigTiff, HEIGHT, pagedTiff, psd, sampleImages, WIDTH } from "./images.ts";
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

const PROPERTIES = {
  "xmp:Rating": "4",
  "dc:title": "Core & moraine",
  "dc:subject": "ice; rock",
  "photoshop:City": "Bern",
};

for (const [format, bytes] of Object.entries(annotatedImages()))
  test(`${format}: XMP properties, and the profile by its name`, async (t) => {
    const { describe } = await describing(t, extractor);
    const { data } = await describe(bytes);
    assert.deepEqual(data.xmp, PROPERTIES);
    assert.deepEqual(data.profile, { name: "Scanner 7", colourSpace: "RGB" });
    assert.equal(data.takenAt, "2024-05-06T07:08:09");
    assert.deepEqual(data.exif, format === "png" ? { make: "Acme", software: "Scan it" } : { make: "Acme" });
  });

test("TIFF: all directories, with what is a smaller copy of another", async (t) => {
  const { describe } = await describing(t, extractor);
  const { data } = await describe(pagedTiff(0));
  const page = { bitDepth: 1, channels: 1, colour: "grey", isReduced: false };
  assert.equal(data.frames, 3);
  // TIFF 6.0, compression: 4 is CCITT group 4, 5 is LZW.
  assert.deepEqual(data.pages, [
    { ...page, width: WIDTH, height: HEIGHT, compression: "ccitt g4" },
    { ...page, width: 200, height: 100, compression: "lzw" },
    { ...page, width: 20, height: 10, compression: "none", isReduced: true },
  ]);
});

test("TIFF: a loop of directories ends where it began", async (t) => {
  const { describe } = await describing(t, extractor);
  for (const back of [8, 108, 208]) assert.equal((await describe(pagedTiff(back))).data.frames, 3);
});

test("BigTIFF: width and height", async (t) => {
  const { describe } = await describing(t, extractor);
  const { data } = await describe(bigTiff());
  assert.deepEqual([data.format, data.width, data.height, data.colour], ["image/tiff", WIDTH, HEIGHT, "rgb"]);
});

test("Exif whose place is no whole number is left out", async (t) => {
  const { describe } = await describing(t, extractor);
  const { jpeg } = sampleImages();
  assert.ok(jpeg);
  const float = Buffer.from(jpeg);
  const entry = float.indexOf(Buffer.of(0x69, 0x87, 4, 0));
  float.writeUInt16LE(11, entry + 2);
  float.writeFloatLE(400.5, entry + 8);
  assert.notEqual((await describe(jpeg)).data.takenAt, null);
  const { data } = await describe(float);
  assert.deepEqual([data.takenAt, data.width], [null, WIDTH]);
});

test("PSD: width, height and XMP", async (t) => {
  const { describe } = await describing(t, extractor);
  const { data } = await describe(psd());
  assert.deepEqual(
    [data.width, data.height, data.bitDepth, data.channels, data.colour],
    [WIDTH, HEIGHT, 16, 4, "cmyk"],
  );
  assert.deepEqual(data.xmp, PROPERTIES);
});

test("XMP that goes deeper than any costs no more than its length", async (t) => {
  const { describe } = await describing(t, extractor);
  const { png = Buffer.alloc(0) } = annotatedImages();
  const start = png.indexOf("<?xpacket");
  const deep = Buffer.from("<a>".repeat((png.indexOf("iCCP") - 8 - start) / 3));
  assert.deepEqual(
    (await describe(Buffer.concat([png.subarray(0, start), deep, png.subarray(start + deep.length)]))).data.profile,
    {
      name: "Scanner 7",
      colourSpace: "RGB",
    },
  );
});

const HOSTILE = { ...annotatedImages(), paged: pagedTiff(0), bigTiff: bigTiff(), psd: psd() };
for (const [format, bytes] of Object.entries(HOSTILE))
  test(`${format}: cut off anywhere or changed at random, it is described or refused`, async (t) => {
    const { survives } = await describing(t, extractor);
    const sample = bytes.subarray(0, 2000);
    for (let length = 0; length < sample.length; length += 9) await survives(sample.subarray(0, length), "cut");
    const random = seededRandom(t);
    for (let round = 0; round < 200; round++) {
      const damaged = Buffer.from(sample);
      for (let change = random(8); change >= 0; change--) damaged[random(damaged.length)] = random(256);
      await survives(damaged, "changed");
    }
  });
