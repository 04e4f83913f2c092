import { malformed } from "../malformed.ts";
import { MAX_PROFILE_BYTES } from "./icc.ts";
import { type ImageHeader, known, MAX_PARTS, whole } from "./image-header.ts";
import { type ReadAt, type Tags, tiffReader, wholeOf } from "./tiff-reader.ts";
import { MAX_XMP_BYTES } from "./xmp.ts";

/** Of a TIFF, so many directories are told one by one; all are counted. */
const MAX_PAGES_TOLD = 1000;

/** TIFF 6.0 §8 and §23: photometric interpretation; 32,803 is of DNG. */
const TIFF_COLOURS: Readonly<Record<number, string>> = {
  0: "grey",
  1: "grey",
  2: "rgb",
  3: "palette",
  4: "mask",
  5: "cmyk",
  6: "ycbcr",
  8: "lab",
  32803: "colour filter array",
};
/** TIFF 6.0 §8 and its supplements. */
const TIFF_COMPRESSIONS: Readonly<Record<number, string>> = {
  1: "none",
  2: "ccitt rle",
  3: "ccitt g3",
  4: "ccitt g4",
  5: "lzw",
  6: "old jpeg",
  7: "jpeg",
  8: "deflate",
  32773: "packbits",
  32946: "deflate",
  34712: "jpeg 2000",
  34887: "lerc",
  34925: "lzma",
  50000: "zstd",
  50001: "webp",
};
const [XMP_TAG, PROFILE_TAG] = [700, 34_675];

/** All directories in their chain; those that others point to (SubIFDs) are reduced copies, and not pages. */
export function tiff(read: ReadAt): ImageHeader {
  const reader = tiffReader(read);
  if (!reader.isTiff) throw malformed("it is no TIFF that is known");
  const first = reader.directory(reader.first());
  const picture = tiffPage(first.tags);
  if (picture === undefined) throw malformed("a TIFF does not say its width and height");
  const seen = new Set([reader.first()]);
  const pages = [picture];
  for (let at = first.next; at !== 0 && !seen.has(at) && seen.size < MAX_PARTS; ) {
    seen.add(at);
    const { tags, next } = reader.directory(at);
    const page = tiffPage(tags);
    if (page !== undefined && pages.length < MAX_PAGES_TOLD) pages.push(page);
    at = next;
  }
  const partOf = (tag: number, most: number) => {
    const place = first.places.get(tag);
    return place && read(place.at, Math.min(place.sizeBytes, most));
  };
  const { compression: _, isReduced: __, ...size } = picture;
  const parts = known({ xmp: partOf(XMP_TAG, MAX_XMP_BYTES), profile: partOf(PROFILE_TAG, MAX_PROFILE_BYTES) });
  return { ...size, frames: seen.size, pages, exif: reader, ...parts };
}

function tiffPage(tags: Tags) {
  const [width, height] = [wholeOf(tags, 256), wholeOf(tags, 257)];
  if (width === undefined || height === undefined) return undefined;
  return {
    width,
    height,
    bitDepth: wholeOf(tags, 258) ?? 1,
    channels: wholeOf(tags, 277) ?? 1,
    colour: TIFF_COLOURS[wholeOf(tags, 262) ?? -1] ?? null,
    compression: TIFF_COMPRESSIONS[wholeOf(tags, 259) ?? 1] ?? null,
    isReduced: ((wholeOf(tags, 254) ?? 0) & 1) === 1,
  };
}

/** Adobe Photoshop File Formats Specification: colour modes. */
const PSD_COLOURS: Readonly<Record<number, string>> = {
  0: "bitmap",
  1: "grey",
  2: "palette",
  3: "rgb",
  4: "cmyk",
  7: "multichannel",
  8: "duotone",
  9: "lab",
};
const [PSD_PROFILE, PSD_XMP] = [0x040f, 0x0424];

export function psd(read: ReadAt): ImageHeader {
  const head = whole(read, 0, 30);
  const resourcesAt = 30 + head.readUInt32BE(26);
  let xmp: Buffer | undefined;
  let profile: Buffer | undefined;
  const resources = read(resourcesAt, 4);
  const end = resourcesAt + 4 + (resources.length === 4 ? resources.readUInt32BE(0) : 0);
  for (let at = resourcesAt + 4, blocks = 0; at < end && blocks < MAX_PARTS; blocks++) {
    const block = read(at, 7);
    if (block.length < 7 || block.toString("latin1", 0, 4) !== "8BIM") break;
    // The name is a byte of length and text, padded to be even.
    const sizeAt = at + 6 + ((1 + block.readUInt8(6) + 1) & ~1);
    const size = read(sizeAt, 4);
    if (size.length < 4) break;
    const length = size.readUInt32BE(0);
    const id = block.readUInt16BE(4);
    if (id === PSD_XMP) xmp = read(sizeAt + 4, Math.min(length, MAX_XMP_BYTES));
    if (id === PSD_PROFILE) profile = read(sizeAt + 4, Math.min(length, MAX_PROFILE_BYTES));
    at = sizeAt + 4 + length + (length % 2);
  }
  return {
    width: head.readUInt32BE(18),
    height: head.readUInt32BE(14),
    bitDepth: head.readUInt16BE(22),
    channels: head.readUInt16BE(12),
    colour: PSD_COLOURS[head.readUInt16BE(24)] ?? null,
    frames: 1,
    ...known({ xmp, profile }),
  };
}

/** ISO/IEC 15444-1, I.5.3.3: enumerated colour spaces. */
const JP2_COLOURS: Readonly<Record<number, string>> = { 16: "rgb", 17: "grey", 18: "ycbcr" };
/** ISO 16684-3: the box that holds XMP. */
const XMP_UUID = "be7acfcb97a942e89c71999491e3afac";

/** ISO/IEC 15444-1, annex I: boxes, of which the header's lie in one another. */
export function jp2(read: ReadAt, sizeBytes: number): ImageHeader {
  let header: Buffer | undefined;
  let colour: string | null = null;
  let xmp: Buffer | undefined;
  let profile: Buffer | undefined;
  let boxes = 0;
  function look(from: number, end: number): void {
    for (let at = from; at + 8 <= end && boxes < MAX_PARTS; boxes++) {
      const head = read(at, 16);
      if (head.length < 8) return;
      const short = head.readUInt32BE(0);
      const isLong = short === 1 && head.length === 16;
      const length = short === 0 ? end - at : isLong ? Number(head.readBigUInt64BE(8)) : short;
      const [dataAt, dataEnd] = [at + (isLong ? 16 : 8), Math.min(end, at + length)];
      const type = head.toString("latin1", 4, 8);
      if (type === "jp2h" && from === 0) look(dataAt, dataEnd);
      if (type === "ihdr") header ??= whole(read, dataAt, 14);
      if (type === "colr") {
        const method = read(dataAt, 7);
        if (method[0] === 1 && method.length === 7) colour ??= JP2_COLOURS[method.readUInt32BE(3)] ?? null;
        if (method[0] === 2) profile ??= read(dataAt + 3, Math.min(dataEnd - dataAt - 3, MAX_PROFILE_BYTES));
      }
      if (type === "uuid" && read(dataAt, 16).toString("hex") === XMP_UUID)
        xmp ??= read(dataAt + 16, Math.min(dataEnd - dataAt - 16, MAX_XMP_BYTES));
      if (length < 8) return;
      at += length;
    }
  }
  look(0, sizeBytes);
  if (!header) throw malformed("a JPEG 2000 file has no header");
  const bits = header.readUInt8(10);
  return {
    width: header.readUInt32BE(4),
    height: header.readUInt32BE(0),
    // I.5.3.1: 255 when components differ; otherwise one less, and the highest bit for a sign.
    bitDepth: bits === 255 ? null : (bits & 0x7f) + 1,
    channels: header.readUInt16BE(8),
    colour,
    frames: 1,
    ...known({ xmp, profile }),
  };
}
