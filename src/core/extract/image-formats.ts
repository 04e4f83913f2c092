import { type ReadAt, type TiffReader, tiffReader, wholeOf } from "./exif.ts";
import { malformed } from "./malformed.ts";

export interface ImageHeader {
  readonly width: number;
  readonly height: number;
  /** Bits of one channel of a pixel; of a palette image, of one index. */
  readonly bitDepth: number | null;
  readonly channels: number | null;
  readonly colour: string | null;
  /** Pictures in the file; `null` where the format does not say without reading all of it. */
  readonly frames: number | null;
  readonly exif?: TiffReader;
  /** What else the header says in words. */
  readonly notes?: Readonly<Record<string, string | number>>;
}

const MAX_SEGMENTS = 10_000;
const MAX_PAGES = 10_000;

type Reader = (read: ReadAt, sizeBytes: number) => ImageHeader;

/** By media type. @throws AppError content_malformed when even width and height cannot be told. */
export const IMAGE_FORMATS: Readonly<Record<string, Reader>> = {
  "image/png": png,
  "image/jpeg": jpeg,
  "image/gif": gif,
  "image/tiff": tiff,
  "image/bmp": bmp,
  "image/webp": webp,
  "image/x-dpx": dpx,
};

/** All of it, or the file has ended. */
function whole(read: ReadAt, at: number, length: number): Buffer {
  const bytes = read(at, length);
  return bytes.length === length ? bytes : failEarly(at + bytes.length);
}
function failEarly(at: number): never {
  throw malformed("the file ends within its headers", at);
}

function within(read: ReadAt, start: number): ReadAt {
  return (at, length) => read(start + at, length);
}

/** PNG 3rd edition §11.2.1: channels and colour by colour type. */
const PNG_COLOURS: Readonly<Record<number, readonly [number, string]>> = {
  0: [1, "grey"],
  2: [3, "rgb"],
  3: [1, "palette"],
  4: [2, "grey+alpha"],
  6: [4, "rgb+alpha"],
};

function png(read: ReadAt): ImageHeader {
  const head = whole(read, 8, 25);
  if (head.toString("latin1", 4, 8) !== "IHDR") throw malformed("a PNG does not begin with its header", 12);
  const [channels, colour] = PNG_COLOURS[head.readUInt8(17)] ?? [null, null];
  let frames = 1;
  let exif: TiffReader | undefined;
  for (let at = 33, chunks = 0; chunks < MAX_SEGMENTS; chunks++) {
    const chunk = read(at, 12);
    if (chunk.length < 12) break;
    const length = chunk.readUInt32BE(0);
    const type = chunk.toString("latin1", 4, 8);
    if (type === "IEND") break;
    if (type === "acTL") frames = chunk.readUInt32BE(8);
    if (type === "eXIf") exif = tiffReader(within(read, at + 8));
    at += 12 + length;
  }
  const size = { width: head.readUInt32BE(8), height: head.readUInt32BE(12), bitDepth: head.readUInt8(16) };
  return { ...size, channels, colour, frames, ...(exif ? { exif } : {}) };
}

/** ITU T.81: segments up to the frame header; Exif 2.32 §4.5.4 in the segment APP1. */
function jpeg(read: ReadAt): ImageHeader {
  let exif: TiffReader | undefined;
  for (let at = 2, segments = 0; segments < MAX_SEGMENTS; segments++) {
    const head = whole(read, at, 4);
    if (head[0] !== 0xff) throw malformed("a JPEG marker is expected", at);
    const marker = head[1] ?? 0;
    // Fill bytes, and markers without a length.
    if (marker === 0xff || (marker >= 0xd0 && marker <= 0xd8) || marker === 0x01) {
      at += marker === 0xff ? 1 : 2;
      continue;
    }
    const isFrame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
    if (isFrame) {
      const frame = whole(read, at + 4, 6);
      const channels = frame.readUInt8(5);
      const colour = ({ 1: "grey", 3: "ycbcr", 4: "cmyk" } as const)[channels] ?? null;
      const size = { width: frame.readUInt16BE(3), height: frame.readUInt16BE(1), bitDepth: frame.readUInt8(0) };
      return { ...size, channels, colour, frames: 1, ...(exif ? { exif } : {}) };
    }
    if (marker === 0xd9 || marker === 0xda) break;
    if (marker === 0xe1 && read(at + 4, 6).toString("latin1") === "Exif\0\0")
      exif ??= tiffReader(within(read, at + 10));
    at += 2 + head.readUInt16BE(2);
  }
  throw malformed("a JPEG has no frame header");
}

/** GIF89a §18 and §20 to §26: pictures are counted by passing over their data. */
function gif(read: ReadAt, sizeBytes: number): ImageHeader {
  const head = whole(read, 6, 7);
  const packed = head.readUInt8(4);
  const tableBytes = (flags: number) => ((flags & 0x80) === 0 ? 0 : 3 * 2 ** ((flags & 7) + 1));
  let frames: number | null = 0;
  let at = 13 + tableBytes(packed);
  let blocks = 0;
  const skipBlocks = () => {
    for (; at < sizeBytes && blocks < 100 * MAX_SEGMENTS; blocks++) {
      const length = read(at, 1)[0] ?? 0;
      at += 1 + length;
      if (length === 0) return;
    }
  };
  while (at < sizeBytes && blocks < 100 * MAX_SEGMENTS) {
    const kind = read(at, 1)[0];
    if (kind === 0x21) at += 2;
    else if (kind === 0x2c) {
      frames += 1;
      at += 11 + tableBytes(read(at + 9, 1)[0] ?? 0);
    } else break;
    skipBlocks();
  }
  if (blocks >= 100 * MAX_SEGMENTS) frames = null;
  const size = { width: head.readUInt16LE(0), height: head.readUInt16LE(2) };
  return { ...size, bitDepth: (packed & 7) + 1, channels: 1, colour: "palette", frames };
}

/** TIFF 6.0 §8: photometric interpretation. */
const TIFF_COLOURS = ["grey", "grey", "rgb", "palette", "mask", "cmyk", "ycbcr", null, "lab"] as const;

function tiff(read: ReadAt): ImageHeader {
  const reader = tiffReader(read);
  if (!reader.isTiff) throw malformed("only TIFF with 32-bit offsets is read");
  const { tags, next } = reader.directory(reader.first());
  const [width, height] = [wholeOf(tags, 256), wholeOf(tags, 257)];
  if (width === undefined || height === undefined) throw malformed("a TIFF does not say its width and height");
  const seen = new Set([reader.first()]);
  for (let at = next; at !== 0 && !seen.has(at) && seen.size < MAX_PAGES; ) {
    seen.add(at);
    at = reader.directory(at).next;
  }
  return {
    width,
    height,
    bitDepth: wholeOf(tags, 258) ?? 1,
    channels: wholeOf(tags, 277) ?? 1,
    colour: TIFF_COLOURS[wholeOf(tags, 262) ?? -1] ?? null,
    frames: seen.size,
    exif: reader,
  };
}

/** BITMAPCOREHEADER, or BITMAPINFOHEADER and those that begin like it. */
function bmp(read: ReadAt): ImageHeader {
  const head = whole(read, 14, 16);
  const isCore = head.readUInt32LE(0) === 12;
  const bits = head.readUInt16LE(isCore ? 10 : 14);
  const width = isCore ? head.readUInt16LE(4) : Math.abs(head.readInt32LE(4));
  const height = isCore ? head.readUInt16LE(6) : Math.abs(head.readInt32LE(8));
  const [bitDepth, channels, colour] =
    bits <= 8 ? [bits, 1, "palette"] : bits === 16 ? [5, 3, "rgb"] : [8, bits / 8, "rgb"];
  return { width, height, bitDepth, channels, colour, frames: 1 };
}

/** RFC 9649: simple lossy, simple lossless and extended layouts. */
function webp(read: ReadAt, sizeBytes: number): ImageHeader {
  const first = whole(read, 12, 18);
  const kind = first.toString("latin1", 0, 4);
  const data = first.subarray(8);
  const plain = { bitDepth: 8, frames: 1 } as const;
  if (kind === "VP8 ") {
    const size = { width: data.readUInt16LE(6) & 0x3fff, height: whole(read, 28, 2).readUInt16LE(0) & 0x3fff };
    return { ...size, ...plain, channels: 3, colour: "ycbcr" };
  }
  if (kind === "VP8L") {
    const bits = data.readUInt32LE(1);
    const hasAlpha = ((bits >>> 28) & 1) === 1;
    const size = { width: (bits & 0x3fff) + 1, height: ((bits >>> 14) & 0x3fff) + 1 };
    return { ...size, ...plain, channels: hasAlpha ? 4 : 3, colour: hasAlpha ? "rgb+alpha" : "rgb" };
  }
  if (kind !== "VP8X") throw malformed("a WebP has no picture", 12);
  const hasAlpha = (data.readUInt8(0) & 0x10) !== 0;
  let frames = 0;
  let exif: TiffReader | undefined;
  for (let at = 30, chunks = 0; at < sizeBytes && chunks < MAX_SEGMENTS; chunks++) {
    const chunk = read(at, 8);
    if (chunk.length < 8) break;
    const type = chunk.toString("latin1", 0, 4);
    if (type === "ANMF") frames += 1;
    if (type === "EXIF") {
      const prefix = read(at + 8, 6).toString("latin1") === "Exif\0\0" ? 6 : 0;
      exif = tiffReader(within(read, at + 8 + prefix));
    }
    const length = chunk.readUInt32LE(4);
    at += 8 + length + (length % 2);
  }
  const size = { width: data.readUIntLE(4, 3) + 1, height: whole(read, 27, 3).readUIntLE(0, 3) + 1 };
  const colour = hasAlpha ? "rgb+alpha" : "rgb";
  return {
    ...size,
    ...plain,
    frames: Math.max(1, frames),
    channels: hasAlpha ? 4 : 3,
    colour,
    ...(exif ? { exif } : {}),
  };
}

/** SMPTE ST 268: descriptors of what a picture's samples are. */
const DPX_COLOURS: Readonly<Record<number, readonly [number, string]>> = {
  6: [1, "luma"],
  50: [3, "rgb"],
  51: [4, "rgb+alpha"],
  52: [4, "rgb+alpha"],
  100: [2, "ycbcr"],
  102: [3, "ycbcr"],
};

function dpx(read: ReadAt): ImageHeader {
  const head = whole(read, 0, 804);
  const isBig = head.toString("latin1", 0, 4) === "SDPX";
  const long = (at: number) => (isBig ? head.readUInt32BE(at) : head.readUInt32LE(at));
  const text = (at: number, bytes: number) =>
    head
      .toString("latin1", at, at + bytes)
      .replace(/[\0\xff][\s\S]*$/, "")
      .trim();
  const [channels, colour] = DPX_COLOURS[head.readUInt8(800)] ?? [null, null];
  const words = {
    fileName: text(36, 100),
    creator: text(160, 100),
    project: text(260, 200),
    copyright: text(460, 200),
  };
  const createdAt = text(136, 24).replace(/^(\d{4}):(\d\d):(\d\d):/, "$1-$2-$3T");
  const notes = Object.fromEntries(Object.entries({ ...words, createdAt }).filter(([, value]) => value !== ""));
  return { width: long(772), height: long(776), bitDepth: head.readUInt8(803), channels, colour, frames: 1, notes };
}
