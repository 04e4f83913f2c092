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
): Buffer {
  let dataAt = at + 2 + entries.length * 12 + 4;
  const data: Buffer[] = [];
  const rows = entries.map(([tag, type, count, value]) => {
    if (value.length <= 4) return Buffer.concat([u16(tag, type), u32(count), value, Buffer.alloc(4 - value.length)]);
    data.push(value);
    dataAt += value.length;
    return Buffer.concat([u16(tag, type), u32(count), u32(dataAt - value.length)]);
  });
  return Buffer.concat([u16(entries.length), ...rows, u32(0), ...data]);
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
