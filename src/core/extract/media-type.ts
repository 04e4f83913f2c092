import type { LocalBytes } from "./local-bytes.ts";
import { encodingOf, HEAD_BYTES } from "./text-encoding.ts";

/** Bytes that a file of a kind has at a place; letters stand for themselves, `\x..` for others, `?` for any byte. */
interface Magic {
  readonly at: number;
  readonly bytes: string;
  readonly type: string;
}

const magic = (type: string, bytes: string, at = 0): Magic => ({ at, bytes, type });

const HDF5_SIGNATURE = "\x89HDF\r\n\x1a\n";

/** The first that fits counts: longer ones stand before those they begin like. */
const MAGIC: readonly Magic[] = [
  // Images
  magic("image/png", "\x89PNG\r\n\x1a\n"),
  magic("image/jpeg", "\xff\xd8\xff"),
  magic("image/gif", "GIF87a"),
  magic("image/gif", "GIF89a"),
  magic("image/tiff", "II*\0"),
  magic("image/tiff", "MM\0*"),
  magic("image/tiff", "II+\0"),
  magic("image/tiff", "MM\0+"),
  magic("image/webp", "RIFF????WEBP"),
  magic("image/x-dpx", "SDPX"),
  magic("image/x-dpx", "XPDS"),
  magic("image/bmp", "BM????\0\0\0\0????\x0c\0\0\0"),
  magic("image/bmp", "BM????\0\0\0\0????\x28\0\0\0"),
  magic("image/bmp", "BM????\0\0\0\0????\x38\0\0\0"),
  magic("image/bmp", "BM????\0\0\0\0????\x6c\0\0\0"),
  magic("image/bmp", "BM????\0\0\0\0????\x7c\0\0\0"),
  magic("image/x-exr", "\x76\x2f\x31\x01"),
  magic("image/vnd.adobe.photoshop", "8BPS"),
  magic("image/heic", "ftypheic", 4),
  magic("image/avif", "ftypavif", 4),
  magic("image/jp2", "\0\0\0\x0cjP  \r\n\x87\n"),
  // Scientific data
  magic("application/x-hdf5", HDF5_SIGNATURE),
  magic("application/x-hdf", "\x0e\x03\x13\x01"),
  magic("application/x-netcdf", "CDF\x01"),
  magic("application/x-netcdf", "CDF\x02"),
  magic("application/x-netcdf", "CDF\x05"),
  magic("application/vnd.apache.parquet", "PAR1"),
  magic("application/fits", "SIMPLE  =                    T"),
  magic("application/vnd.sqlite3", "SQLite format 3\0"),
  // Documents
  magic("application/pdf", "%PDF-"),
  magic("application/postscript", "%!PS"),
  magic("application/rtf", "{\\rtf"),
  magic("application/x-ole-storage", "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"),
  // Archives and compressed files
  magic("application/zip", "PK\x03\x04"),
  magic("application/zip", "PK\x05\x06"),
  magic("application/gzip", "\x1f\x8b\x08"),
  magic("application/x-tar", "ustar", 257),
  magic("application/x-bzip2", "BZh"),
  magic("application/x-xz", "\xfd7zXZ\0"),
  magic("application/zstd", "\x28\xb5\x2f\xfd"),
  magic("application/x-7z-compressed", "7z\xbc\xaf\x27\x1c"),
  magic("application/vnd.rar", "Rar!\x1a\x07"),
  magic("application/x-compress", "\x1f\x9d"),
  magic("application/x-archive", "!<arch>\n"),
  // Sound and film
  magic("audio/wav", "RIFF????WAVE"),
  magic("audio/wav", "RF64????WAVE"),
  magic("audio/basic", ".snd"),
  magic("audio/x-caf", "caff\0\x01"),
  magic("video/x-msvideo", "RIFF????AVI "),
  magic("video/x-flv", "FLV\x01"),
  magic("video/x-ms-asf", "\x30\x26\xb2\x75\x8e\x66\xcf\x11"),
  // Packets of 188 bytes (ITU-T H.222.0, 2.4.3.2).
  magic("video/mp2t", `G${"?".repeat(187)}G${"?".repeat(187)}G`),
  magic("audio/flac", "fLaC"),
  magic("audio/ogg", "OggS"),
  magic("audio/mpeg", "ID3"),
  magic("audio/mpeg", "\xff\xfb"),
  magic("audio/mpeg", "\xff\xf3"),
  magic("audio/aac", "\xff\xf1"),
  magic("audio/aac", "\xff\xf9"),
  magic("audio/aiff", "FORM????AIF"),
  magic("audio/midi", "MThd"),
  magic("video/quicktime", "ftypqt  ", 4),
  magic("audio/mp4", "ftypM4A", 4),
  magic("video/mp4", "ftyp", 4),
  magic("video/quicktime", "moov", 4),
  magic("video/x-matroska", "\x1a\x45\xdf\xa3"),
  magic("video/mpeg", "\0\0\x01\xba"),
  magic("video/mpeg", "\0\0\x01\xb3"),
  magic("application/mxf", "\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01\x02"),
  // Programs
  magic("application/x-executable", "\x7fELF"),
  magic("application/vnd.microsoft.portable-executable", "MZ"),
  magic("application/wasm", "\0asm"),
];

/** Folders of a ZIP that tell what the ZIP is: Office Open XML (ECMA-376 part 2). */
const ZIP_PARTS: readonly (readonly [string, string])[] = [
  ["word/", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"],
  ["xl/", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"],
  ["ppt/", "application/vnd.openxmlformats-officedocument.presentationml.presentation"],
];
/** What a member's name follows: its own header, and its entry in the directory (APPNOTE 4.3.7, 4.3.12). */
const ZIP_HEADERS: readonly (readonly [string, number])[] = [
  ["PK\x03\x04", 30],
  ["PK\x01\x02", 46],
];

/** Streams of an OLE file, whose names are UTF-16 ([MS-CFB] 2.6.1). */
const OLE_STREAMS: readonly (readonly [string, string])[] = [
  ["Workbook", "application/vnd.ms-excel"],
  ["Book", "application/vnd.ms-excel"],
  ["WordDocument", "application/msword"],
  ["PowerPoint Document", "application/vnd.ms-powerpoint"],
];

/** Attributes that only netCDF-4 writes; its first ones lie at the beginning. */
const NETCDF4_MARKS = ["_NCProperties", "_Netcdf4Dimid", "_Netcdf4Coordinates", "_nc3_strict"];

const TEXT: readonly (readonly [RegExp, string])[] = [
  // No comment reads on behind its own end: that could go in as many ways as there are comments, two to their power.
  // HTML, 13.1: comments may come before the doctype or the root, which may be left out, as its head and body may.
  [/^\s*(<!--((?!-->)[\s\S])*-->\s*)*<(!doctype\s+html|html|head|body)[\s>]/i, "text/html"],
  [/^\s*<\?xml[^>]*>\s*(<!--((?!-->)[\s\S])*-->\s*)*(<!DOCTYPE\s+html[\s>]|<html[\s>])/, "application/xhtml+xml"],
  [/^\s*(<\?xml[^>]*>\s*)?(<!--((?!-->)[\s\S])*-->\s*)*(<!DOCTYPE[^>[]*>\s*)?<svg[\s>]/, "image/svg+xml"],
  [/^\s*(<\?xml\s|<!DOCTYPE\s)/, "application/xml"],
  // An object's first name, or an array's first value with what may follow it (RFC 8259).
  [
    /^\s*(\{\s*("([^"\\]|\\.)*"\s*:|\}\s*$)|\[\s*(\]\s*$|[{[]\s*["{[\]}\d-]|("([^"\\]|\\.)*"|-?\d[\d.eE+-]*|true|false|null)\s*[,\]]))/,
    "application/json",
  ],
  [/^#!.{0,80}\bpython/, "text/x-python"],
  [/^#!.{0,80}\b(ba|da|z|k|a)?sh\b/, "text/x-shellscript"],
];

const MAGIC_BY_FIRST = Map.groupBy(MAGIC, ({ at, bytes }) => (at === 0 && bytes[0] !== "?" ? bytes.charCodeAt(0) : -1));
const ANYWHERE = MAGIC_BY_FIRST.get(-1) ?? [];

/**
 * What a file is by its first bytes, its name unseen. `text/plain` and `application/octet-stream` when they say no more
 * than that; `inode/x-empty` when there are none.
 * @param head {@link HEAD_BYTES} of it are enough; the more, the surer.
 */
export function mediaTypeOf(head: Buffer): string {
  if (head.length === 0) return "inode/x-empty";
  const known = [...(MAGIC_BY_FIRST.get(head[0] ?? 0) ?? []), ...ANYWHERE].find((one) => fits(head, one));
  if (known?.type === "application/zip") return zipType(head.toString("latin1")) ?? known.type;
  if (known?.type === "application/x-ole-storage") return oleType(head) ?? known.type;
  if (known?.type === "application/x-hdf5" || (!known && hasUserBlock(head))) return hdf5Type(head);
  if (known) return known.type;
  const encoding = encodingOf(head);
  if (encoding === undefined) return "application/octet-stream";
  const start = new TextDecoder(encoding).decode(head.subarray(0, 4096));
  return TEXT.find(([pattern]) => pattern.test(start))?.[1] ?? "text/plain";
}

function fits(head: Buffer, { at, bytes }: Magic): boolean {
  if (head.length < at + bytes.length) return false;
  for (let i = 0; i < bytes.length; i++) {
    const wanted = bytes.charCodeAt(i);
    if (wanted !== 0x3f && wanted !== head[at + i]) return false;
  }
  return true;
}

/** HDF5 behind something else, at 512 or its doubles (HDF5 File Format Specification, II.A). */
function hasUserBlock(head: Buffer): boolean {
  for (let at = 512; at + HDF5_SIGNATURE.length <= head.length; at *= 2)
    if (head.toString("latin1", at, at + HDF5_SIGNATURE.length) === HDF5_SIGNATURE) return true;
  return false;
}

/** netCDF-4 files are HDF5 files; those of libraries before 4.4.1 may not be told from others. */
function hdf5Type(head: Buffer): string {
  return NETCDF4_MARKS.some((mark) => head.includes(mark)) ? "application/x-netcdf4" : "application/x-hdf5";
}

/**
 * OpenDocument and EPUB say their type in a member, stored, which should be the first (OpenDocument 1.3 part 2, 3.3); Office
 * Open XML is known by where its parts lie. Only names count: packed data may look like any of them.
 */
function zipType(entries: string): string | undefined {
  const itself = /mimetype(application\/[a-z0-9.+-]+)/.exec(entries)?.[1];
  if (itself !== undefined) return itself;
  for (const [signature, headerBytes] of ZIP_HEADERS)
    for (let at = entries.indexOf(signature); at >= 0; at = entries.indexOf(signature, at + 4)) {
      const known = ZIP_PARTS.find(([folder]) => entries.startsWith(folder, at + headerBytes));
      if (known) return known[1];
    }
  return undefined;
}

function oleType(names: Buffer): string | undefined {
  return OLE_STREAMS.find(([name]) => names.includes(Buffer.from(name, "utf16le")))?.[1];
}

/** Of a directory: enough for the names that count. */
const ELSEWHERE_BYTES = 64 * 1024;

/** As {@link mediaTypeOf}, of a whole file: where its beginning says too little, the place of its directory is looked at. */
export function mediaTypeOfFile(bytes: Pick<LocalBytes, "sizeBytes" | "read">): string {
  const head = bytes.read(0, HEAD_BYTES);
  const type = mediaTypeOf(head);
  if (bytes.sizeBytes <= head.length) return type;
  if (type === "application/zip") {
    const tail = bytes.read(Math.max(0, bytes.sizeBytes - ELSEWHERE_BYTES), ELSEWHERE_BYTES);
    return zipType(tail.toString("latin1")) ?? type;
  }
  if (type !== "application/x-ole-storage") return type;
  // [MS-CFB] 2.2: sectors are counted from behind the header, which takes one.
  const directoryAt = (head.readUInt32LE(48) + 1) * 2 ** Math.min(head.readUInt16LE(30), 16);
  return oleType(bytes.read(directoryAt, ELSEWHERE_BYTES)) ?? type;
}
