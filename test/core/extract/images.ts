import { crc32, deflateSync } from "node:zlib";

/** So that no other number of a header is taken for one of them. */
export const WIDTH = 437;
export const HEIGHT = 291;

function u16(...values: readonly number[]): Buffer {
  return Buffer.concat(values.map((value) => Buffer.of(value & 255, value >> 8)));
}
function u32(...values: readonly number[]): Buffer {
  return Buffer.from(Uint32Array.from(values).buffer);
}
const latin1 = (text: string) => Buffer.from(text, "latin1");

/** A directory of TIFF entries, little-endian, at an offset: what does not fit into an entry follows it. */
function directory(
  at: number,
  entries: readonly (readonly [tag: number, type: number, count: number, value: Buffer])[],
  next = 0,
): Buffer {
  let dataAt = at + 2 + entries.length * 12 + 4;
  const data: Buffer[] = [];
  const rows = entries.map(([tag, type, count, value]) => {
    if (value.length <= 4) return Buffer.concat([u16(tag, type), u32(count), value, Buffer.alloc(4 - value.length)]);
    data.push(value);
    dataAt += value.length;
    return Buffer.concat([u16(tag, type), u32(count), u32(dataAt - value.length)]);
  });
  return Buffer.concat([u16(entries.length), ...rows, u32(next), ...data]);
}

/** 52° 30' 36" N, 13° 24' 18" W, 34.5 m; taken at 2024-05-06 07:08:09; upright on its left side. */
export function exifBlock(): Buffer {
  const gpsAt = 200;
  const exifAt = 400;
  const main = directory(8, [
    [0x010f, 2, 5, latin1("Acme\0")],
    [0x0112, 3, 1, u16(6)],
    [0x8769, 4, 1, u32(exifAt)],
    [0x8825, 4, 1, u32(gpsAt)],
  ]);
  const gps = directory(gpsAt, [
    [1, 2, 2, latin1("N\0")],
    [2, 5, 3, u32(52, 1, 30, 1, 36, 1)],
    [3, 2, 2, latin1("W\0")],
    [4, 5, 3, u32(13, 1, 24, 1, 18, 1)],
    [5, 1, 1, Buffer.of(0)],
    [6, 5, 1, u32(345, 10)],
  ]);
  const exif = directory(exifAt, [[0x9003, 2, 20, latin1("2024:05:06 07:08:09\0")]]);
  const block = Buffer.alloc(exifAt + exif.length);
  latin1("II*\0").copy(block);
  u32(8).copy(block, 4);
  main.copy(block, 8);
  gps.copy(block, gpsAt);
  exif.copy(block, exifAt);
  return block;
}

function pngChunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([latin1(type), data]);
  const number = (value: number) => u32(value).reverse();
  return Buffer.concat([number(data.length), body, number(crc32(body))]);
}

function jpegSegment(marker: number, data: Buffer): Buffer {
  return Buffer.concat([Buffer.of(0xff, marker), u16(data.length + 2).swap16(), data]);
}

function dpx(): Buffer {
  const header = Buffer.alloc(2048);
  latin1("SDPX").copy(header);
  header.writeUInt32BE(2048, 4);
  latin1("V1.0").copy(header, 8);
  header.writeUInt32BE(2048, 16);
  latin1("frame_0001.dpx").copy(header, 36);
  latin1("2024:05:06:07:08:09").copy(header, 136);
  header.writeUInt16BE(1, 770);
  header.writeUInt32BE(WIDTH, 772);
  header.writeUInt32BE(HEIGHT, 776);
  header.writeUInt8(50, 800);
  header.writeUInt8(10, 803);
  return header;
}

/** A packet as ISO 16684-1 has it: properties as attributes, elements and lists, and a structure. */
export const XMP = `<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" xmp:Rating="4" xmlns:dc="d">
<dc:title><rdf:Alt><rdf:li xml:lang="x-default">Core &amp; moraine</rdf:li></rdf:Alt></dc:title>
<dc:subject><rdf:Bag><rdf:li>ice</rdf:li><rdf:li>rock</rdf:li></rdf:Bag></dc:subject><photoshop:City>Bern</photoshop:City>
<exif:Flash rdf:parseType="Resource"><exif:Fired>False</exif:Fired></exif:Flash><xmpMM:History><rdf:Seq><rdf:li rdf:parseType="Resource"><stEvt:action>saved</stEvt:action></rdf:li></rdf:Seq></xmpMM:History>
</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>`;

/** ICC.1:2022: a header, one tag, and its description in two letters for a language and a country. */
export function iccProfile(name: string): Buffer {
  const text = Buffer.from(name, "utf16le").swap16();
  const profile = Buffer.alloc(144 + 28 + text.length);
  profile.writeUInt32BE(profile.length, 0);
  profile.writeUInt32BE(0x04300000, 8);
  latin1("mntrRGB XYZ ").copy(profile, 12);
  latin1("acsp").copy(profile, 36);
  profile.writeUInt32BE(1, 128);
  latin1("desc").copy(profile, 132);
  profile.writeUInt32BE(144, 136);
  profile.writeUInt32BE(28 + text.length, 140);
  latin1("mluc").copy(profile, 144);
  for (const [at, value] of [
    [152, 1],
    [156, 12],
    [164, text.length],
    [168, 28],
  ] as const)
    profile.writeUInt32BE(value, at);
  latin1("enUS").copy(profile, 160);
  text.copy(profile, 172);
  return profile;
}

/** The sample's PNG and JPEG with such a packet and profile. */
export function annotatedImages(): Readonly<Record<string, Buffer>> {
  const { png = Buffer.alloc(0), jpeg = Buffer.alloc(0) } = sampleImages();
  const afterHeader = 33;
  const chunks = [
    pngChunk("iTXt", Buffer.concat([latin1("XML:com.adobe.xmp\0\0\0\0\0"), Buffer.from(XMP)])),
    pngChunk("iCCP", Buffer.concat([latin1("icc\0\0"), deflateSync(iccProfile("Scanner 7"))])),
    pngChunk("tEXt", latin1("Software\0Scan it")),
  ];
  const segments = [
    jpegSegment(0xe1, Buffer.concat([latin1("http://ns.adobe.com/xap/1.0/\0"), Buffer.from(XMP)])),
    jpegSegment(0xe2, Buffer.concat([latin1("ICC_PROFILE\0\x01\x01"), iccProfile("Scanner 7")])),
  ];
  return {
    png: Buffer.concat([png.subarray(0, afterHeader), ...chunks, png.subarray(afterHeader)]),
    jpeg: Buffer.concat([jpeg.subarray(0, 2), ...segments, jpeg.subarray(2)]),
  };
}

function tiffPage(at: number, width: number, height: number, next: number, compression: number, reduced = 0): Buffer {
  return directory(
    at,
    [
      [254, 4, 1, u32(reduced)],
      [256, 3, 1, u16(width)],
      [257, 3, 1, u16(height)],
      [258, 3, 1, u16(1)],
      [259, 3, 1, u16(compression)],
      [262, 3, 1, u16(0)],
    ],
    next,
  );
}

/** Two pages and a reduced copy; what follows the last is the caller's: 0 for nothing, 8 for the first again. */
export function pagedTiff(afterLast: number): Buffer {
  const file = Buffer.alloc(400);
  latin1("II*\0\x08\0\0\0").copy(file);
  tiffPage(8, WIDTH, HEIGHT, 108, 4).copy(file, 8);
  tiffPage(108, 200, 100, 208, 5).copy(file, 108);
  tiffPage(208, 20, 10, afterLast, 1, 1).copy(file, 208);
  return file;
}

/** BigTIFF: offsets and counts of 8 bytes, big-endian. */
export function bigTiff(): Buffer {
  const file = Buffer.alloc(16 + 8 + 3 * 20 + 8);
  latin1("MM\0+\0\x08\0\0").copy(file);
  file.writeBigUInt64BE(16n, 8);
  file.writeBigUInt64BE(3n, 16);
  for (const [i, [tag, value]] of (
    [
      [256, WIDTH],
      [257, HEIGHT],
      [262, 2],
    ] as const
  ).entries()) {
    const at = 24 + i * 20;
    file.writeUInt16BE(tag, at);
    file.writeUInt16BE(16, at + 2);
    file.writeBigUInt64BE(1n, at + 4);
    file.writeBigUInt64BE(BigInt(value), at + 12);
  }
  return file;
}

/** Adobe Photoshop File Formats Specification: a header, no colours, and one resource, which holds XMP. */
export function psd(): Buffer {
  const xmp = Buffer.from(XMP.length % 2 === 0 ? XMP : `${XMP} `);
  const file = Buffer.alloc(34 + 12 + xmp.length + 1);
  latin1("8BPS\0\x01").copy(file);
  file.writeUInt16BE(4, 12);
  file.writeUInt32BE(HEIGHT, 14);
  file.writeUInt32BE(WIDTH, 18);
  file.writeUInt16BE(16, 22);
  file.writeUInt16BE(4, 24);
  file.writeUInt32BE(12 + xmp.length, 30);
  latin1("8BIM\x04\x24\0\0").copy(file, 34);
  file.writeUInt32BE(xmp.length, 42);
  xmp.copy(file, 46);
  return file;
}

/** Headers as the formats' documents have them, with as little behind as readers of headers want. */
export function sampleImages(): Readonly<Record<string, Buffer>> {
  const row = Buffer.alloc(1 + WIDTH * 3);
  const size = Buffer.concat([u32(WIDTH).reverse(), u32(HEIGHT).reverse()]);
  const bmpSize = 54 + HEIGHT * Math.ceil((WIDTH * 3) / 4) * 4;
  const strip = Buffer.alloc(WIDTH * HEIGHT * 3);
  return {
    png: Buffer.concat([
      Buffer.from("\x89PNG\r\n\x1a\n", "latin1"),
      pngChunk("IHDR", Buffer.concat([size, Buffer.of(8, 2, 0, 0, 0)])),
      pngChunk("eXIf", exifBlock()),
      pngChunk("IDAT", deflateSync(Buffer.concat(Array(HEIGHT).fill(row)))),
      pngChunk("IEND", Buffer.alloc(0)),
    ]),
    jpeg: Buffer.concat([
      Buffer.of(0xff, 0xd8),
      jpegSegment(0xe1, Buffer.concat([latin1("Exif\0\0"), exifBlock()])),
      jpegSegment(
        0xc0,
        Buffer.concat([Buffer.of(8), u16(HEIGHT, WIDTH).swap16(), Buffer.of(3, 1, 17, 0, 2, 17, 0, 3, 17, 0)]),
      ),
      Buffer.of(0xff, 0xd9),
    ]),
    gif: Buffer.concat([
      latin1("GIF89a"),
      u16(WIDTH, HEIGHT),
      Buffer.of(0x80, 0, 0),
      Buffer.alloc(6),
      ...Array<Buffer>(3).fill(
        Buffer.concat([Buffer.of(0x2c), u16(0, 0, WIDTH, HEIGHT), Buffer.of(0, 2, 2, 0x44, 1, 0)]),
      ),
      Buffer.of(0x3b),
    ]),
    tiff: Buffer.concat([
      latin1("II*\0"),
      u32(8),
      directory(8, [
        [256, 4, 1, u32(WIDTH)],
        [257, 4, 1, u32(HEIGHT)],
        [258, 3, 3, u16(8, 8, 8)],
        [262, 3, 1, u16(2)],
        [273, 4, 1, u32(200)],
        [277, 3, 1, u16(3)],
      ]),
      strip,
    ]),
    bmp: Buffer.concat([
      latin1("BM"),
      u32(bmpSize, 0, 54, 40, WIDTH, HEIGHT),
      u16(1, 24),
      Buffer.alloc(24),
      Buffer.alloc(bmpSize - 54),
    ]),
    webp: Buffer.concat([
      latin1("RIFF"),
      u32(22),
      latin1("WEBPVP8 "),
      u32(10),
      Buffer.of(0x10, 0, 0, 0x9d, 1, 0x2a),
      u16(WIDTH, HEIGHT),
    ]),
    dpx: dpx(),
  };
}
