import { malformed } from "../malformed.ts";
import { inflatedProfile, MAX_PROFILE_BYTES } from "./icc.ts";
import { type ImageHeader, known, MAX_PARTS, whole, within } from "./image-header.ts";
import { type ReadAt, type TiffReader, tiffReader } from "./tiff-reader.ts";
import { MAX_XMP_BYTES } from "./xmp.ts";

const MAX_TEXT_BYTES = 2000;

/** PNG 3rd edition §11.2.1: channels and colour by colour type. */
const PNG_COLOURS: Readonly<Record<number, readonly [number, string]>> = {
  0: [1, "grey"],
  2: [3, "rgb"],
  3: [1, "palette"],
  4: [2, "grey+alpha"],
  6: [4, "rgb+alpha"],
};
/** §11.3.3: keywords of its texts that are told. */
const PNG_WORDS: Readonly<Record<string, string>> = {
  Title: "title",
  Author: "artist",
  Description: "description",
  Copyright: "copyright",
  "Creation Time": "creationTime",
  Software: "software",
  Source: "source",
  Comment: "comment",
};

export function png(read: ReadAt): ImageHeader {
  const head = whole(read, 8, 25);
  if (head.toString("latin1", 4, 8) !== "IHDR") throw malformed("a PNG does not begin with its header", 12);
  const [channels, colour] = PNG_COLOURS[head.readUInt8(17)] ?? [null, null];
  const notes: Record<string, string> = {};
  let frames = 1;
  let exif: TiffReader | undefined;
  let xmp: Buffer | undefined;
  let profile: Buffer | undefined;
  for (let at = 33, chunks = 0; chunks < MAX_PARTS; chunks++) {
    const chunk = read(at, 12);
    if (chunk.length < 12) break;
    const length = chunk.readUInt32BE(0);
    const data = (most: number) => read(at + 8, Math.min(length, most));
    const type = chunk.toString("latin1", 4, 8);
    if (type === "IEND") break;
    if (type === "acTL") frames = chunk.readUInt32BE(8);
    if (type === "eXIf") exif = tiffReader(within(read, at + 8));
    if (type === "iCCP") profile = pngProfile(data(MAX_PROFILE_BYTES));
    if (type === "tEXt") {
      const [keyword = "", text = ""] = data(MAX_TEXT_BYTES).toString("latin1").split("\0", 2);
      const name = PNG_WORDS[keyword];
      if (name !== undefined && text.trim() !== "") notes[name] = text.trim();
    }
    if (type === "iTXt") xmp ??= pngXmp(data(MAX_XMP_BYTES));
    at += 12 + length;
  }
  const size = { width: head.readUInt32BE(8), height: head.readUInt32BE(12), bitDepth: head.readUInt8(16) };
  return { ...size, channels, colour, frames, notes, ...known({ exif, xmp, profile }) };
}

/** §11.3.2.3: its name, and how it is packed. */
function pngProfile(chunk: Buffer): Buffer | undefined {
  const end = chunk.indexOf(0);
  return end < 0 ? undefined : inflatedProfile(chunk.subarray(end + 2));
}

/** ISO 16684-1 gives it a keyword; §11.3.3.4: two flags, a language and a translation before the text, here none. */
function pngXmp(chunk: Buffer): Buffer | undefined {
  const start = Buffer.from("XML:com.adobe.xmp\0\0\0\0\0", "latin1");
  return chunk.subarray(0, start.length).equals(start) ? chunk.subarray(start.length) : undefined;
}

const JPEG_XMP = "http://ns.adobe.com/xap/1.0/\0";
/** Then two bytes: which of how many segments. */
const JPEG_PROFILE = "ICC_PROFILE\0";

/** ITU T.81: segments up to the frame header, and from there to the first scan; Exif 2.32 §4.5.4 in the segment APP1. */
export function jpeg(read: ReadAt): ImageHeader {
  let frame: Buffer | undefined;
  let exif: TiffReader | undefined;
  let xmp: Buffer | undefined;
  const profiles: Buffer[] = [];
  let transform: number | undefined;
  for (let at = 2, segments = 0; segments < MAX_PARTS; segments++) {
    const head = frame ? read(at, 4) : whole(read, at, 4);
    if (frame && head.length < 4) break;
    if (head[0] !== 0xff) throw malformed("a JPEG marker is expected", at);
    const marker = head[1] ?? 0;
    // Fill bytes, and markers without a length.
    if (marker === 0xff || (marker >= 0xd0 && marker <= 0xd8) || marker === 0x01) {
      at += marker === 0xff ? 1 : 2;
      continue;
    }
    if (marker === 0xd9 || marker === 0xda) break;
    const length = head.readUInt16BE(2) - 2;
    const isFrame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
    if (isFrame) frame ??= whole(read, at + 4, 6);
    if (marker === 0xe1 || marker === 0xe2 || marker === 0xee) {
      const start = read(at + 4, 32).toString("latin1");
      if (marker === 0xe1 && start.startsWith("Exif\0\0")) exif ??= tiffReader(within(read, at + 10));
      if (marker === 0xe1 && start.startsWith(JPEG_XMP)) xmp ??= read(at + 4 + 29, length - 29);
      if (marker === 0xe2 && start.startsWith(JPEG_PROFILE)) profiles.push(read(at + 4 + 14, length - 14));
      // Adobe Technical Note 5116, 18: how components have been transformed.
      if (marker === 0xee && start.startsWith("Adobe")) transform = start.charCodeAt(11);
    }
    at += 4 + length;
  }
  if (!frame) throw malformed("a JPEG has no frame header");
  const channels = frame.readUInt8(5);
  const size = { width: frame.readUInt16BE(3), height: frame.readUInt16BE(1), bitDepth: frame.readUInt8(0) };
  const profile = profiles.length > 0 ? Buffer.concat(profiles) : undefined;
  return { ...size, channels, colour: jpegColour(channels, transform), frames: 1, ...known({ exif, xmp, profile }) };
}

function jpegColour(channels: number, transform: number | undefined): string | null {
  if (channels === 1) return "grey";
  if (channels === 3) return transform === 0 ? "rgb" : "ycbcr";
  return channels === 4 ? (transform === 2 ? "ycck" : "cmyk") : null;
}

/** GIF89a §18 and §20 to §26: pictures are counted by passing over their data. */
export function gif(read: ReadAt, sizeBytes: number): ImageHeader {
  const head = whole(read, 6, 7);
  const packed = head.readUInt8(4);
  const tableBytes = (flags: number) => ((flags & 0x80) === 0 ? 0 : 3 * 2 ** ((flags & 7) + 1));
  const maxBlocks = 100 * MAX_PARTS;
  let frames: number | null = 0;
  let at = 13 + tableBytes(packed);
  let blocks = 0;
  const skipBlocks = () => {
    for (; at < sizeBytes && blocks < maxBlocks; blocks++) {
      const length = read(at, 1)[0] ?? 0;
      at += 1 + length;
      if (length === 0) return;
    }
  };
  while (at < sizeBytes && blocks < maxBlocks) {
    const kind = read(at, 1)[0];
    if (kind === 0x21) at += 2;
    else if (kind === 0x2c) {
      frames += 1;
      at += 11 + tableBytes(read(at + 9, 1)[0] ?? 0);
    } else break;
    skipBlocks();
  }
  if (blocks >= maxBlocks) frames = null;
  const size = { width: head.readUInt16LE(0), height: head.readUInt16LE(2) };
  return { ...size, bitDepth: (packed & 7) + 1, channels: 1, colour: "palette", frames };
}

/** BITMAPCOREHEADER, or BITMAPINFOHEADER and those that begin like it. */
export function bmp(read: ReadAt): ImageHeader {
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
export function webp(read: ReadAt, sizeBytes: number): ImageHeader {
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
  let xmp: Buffer | undefined;
  let profile: Buffer | undefined;
  for (let at = 30, chunks = 0; at < sizeBytes && chunks < MAX_PARTS; chunks++) {
    const chunk = read(at, 8);
    if (chunk.length < 8) break;
    const type = chunk.toString("latin1", 0, 4);
    const length = chunk.readUInt32LE(4);
    if (type === "ANMF") frames += 1;
    if (type === "XMP ") xmp = read(at + 8, Math.min(length, MAX_XMP_BYTES));
    if (type === "ICCP") profile = read(at + 8, Math.min(length, MAX_PROFILE_BYTES));
    if (type === "EXIF") {
      const prefix = read(at + 8, 6).toString("latin1") === "Exif\0\0" ? 6 : 0;
      exif = tiffReader(within(read, at + 8 + prefix));
    }
    at += 8 + length + (length % 2);
  }
  const size = { width: data.readUIntLE(4, 3) + 1, height: whole(read, 27, 3).readUIntLE(0, 3) + 1 };
  const [channels, colour] = hasAlpha ? [4, "rgb+alpha"] : [3, "rgb"];
  return { ...size, ...plain, frames: Math.max(1, frames), channels, colour, ...known({ exif, xmp, profile }) };
}
