import type { RecordData } from "./extractor.ts";

const MAX_ENTRIES = 1000;
const MAX_TEXT_BYTES = 1000;
/** Bytes of a value by its type: BYTE, ASCII, SHORT, LONG, RATIONAL, SBYTE, UNDEFINED, SSHORT, SLONG, SRATIONAL, FLOAT, DOUBLE. */
const TYPE_BYTES = [0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4] as const;

/** Tags that are told, of TIFF 6.0 and Exif 2.32 §4.6. */
const TAGS: ReadonlyMap<number, string> = new Map([
  [0x010d, "documentName"],
  [0x010e, "description"],
  [0x010f, "make"],
  [0x0110, "model"],
  [0x0112, "orientation"],
  [0x0131, "software"],
  [0x0132, "modifiedAt"],
  [0x013b, "artist"],
  [0x8298, "copyright"],
  [0x829a, "exposureSeconds"],
  [0x829d, "fNumber"],
  [0x8827, "iso"],
  [0x9003, "takenAt"],
  [0x9011, "takenAtOffset"],
  [0x920a, "focalLengthMm"],
  [0xa434, "lens"],
]);
const EXIF_POINTER = 0x8769;
const GPS_POINTER = 0x8825;
const TIMES = new Set(["modifiedAt", "takenAt"]);

type TagValue = string | readonly number[];
type Directory = ReadonlyMap<number, TagValue>;

/** Reads bytes at an offset: as many as there are. */
export type ReadAt = (at: number, length: number) => Buffer;

/**
 * The directories of a TIFF (TIFF 6.0 §2) or of an Exif block, which is one: those of its pages, by tag. What lies outside
 * is left out. Offsets count from the byte order's mark.
 */
export function tiffReader(read: ReadAt) {
  const head = read(0, 8);
  const isLittle = head.toString("latin1", 0, 2) === "II";
  const short = (bytes: Buffer, at: number) => (isLittle ? bytes.readUInt16LE(at) : bytes.readUInt16BE(at));
  const long = (bytes: Buffer, at: number) => (isLittle ? bytes.readUInt32LE(at) : bytes.readUInt32BE(at));
  const signed = (bytes: Buffer, at: number) => (isLittle ? bytes.readInt32LE(at) : bytes.readInt32BE(at));

  function numberAt(bytes: Buffer, at: number, type: number): number {
    if (type === 3) return short(bytes, at);
    if (type === 4 || type === 13) return long(bytes, at);
    if (type === 5) return long(bytes, at) / long(bytes, at + 4);
    if (type === 6) return bytes.readInt8(at);
    if (type === 8) return isLittle ? bytes.readInt16LE(at) : bytes.readInt16BE(at);
    if (type === 9) return signed(bytes, at);
    if (type === 10) return signed(bytes, at) / signed(bytes, at + 4);
    if (type === 11) return isLittle ? bytes.readFloatLE(at) : bytes.readFloatBE(at);
    if (type === 12) return isLittle ? bytes.readDoubleLE(at) : bytes.readDoubleBE(at);
    return bytes[at] ?? 0;
  }

  function tagValue(entry: Buffer): TagValue | undefined {
    const type = short(entry, 2);
    const size = TYPE_BYTES[type] ?? 0;
    const count = long(entry, 4);
    if (size === 0 || count === 0) return undefined;
    const wanted = Math.min(count, type === 2 ? MAX_TEXT_BYTES : 16) * size;
    const bytes = count * size <= 4 ? entry.subarray(8, 8 + wanted) : read(long(entry, 8), wanted);
    if (bytes.length < wanted) return undefined;
    if (type === 2)
      return bytes
        .toString("utf8")
        .replace(/\0[\s\S]*$/, "")
        .trim();
    return Array.from({ length: wanted / size }, (_, i) => numberAt(bytes, i * size, type));
  }

  return {
    isTiff: head.length === 8 && (isLittle || head.toString("latin1", 0, 2) === "MM") && short(head, 2) === 42,
    first: () => (head.length === 8 ? long(head, 4) : 0),
    /** @returns the tags, and where the next directory is; 0 for none. */
    directory(at: number): { readonly tags: Directory; readonly next: number } {
      const tags = new Map<number, TagValue>();
      const start = read(at, 2);
      if (at < 8 || start.length < 2) return { tags, next: 0 };
      const count = short(start, 0);
      const entries = read(at + 2, Math.min(count, MAX_ENTRIES) * 12);
      for (let i = 0; i + 12 <= entries.length; i += 12) {
        const entry = entries.subarray(i, i + 12);
        const value = tagValue(entry);
        if (value !== undefined) tags.set(short(entry, 0), value);
      }
      const next = read(at + 2 + count * 12, 4);
      return { tags, next: next.length === 4 ? long(next, 0) : 0 };
    },
  };
}
export type TiffReader = ReturnType<typeof tiffReader>;

/** What a camera says: of a directory, and of those for Exif and GPS that it points to. */
export function exifOf(
  tiff: TiffReader,
  tags: Directory,
): { readonly exif: RecordData; readonly gps: RecordData | null } {
  const pointed = (tag: number): Directory => {
    const at = numberOf(tags, tag);
    return at === undefined ? new Map() : tiff.directory(at).tags;
  };
  const all = new Map([...tags, ...pointed(EXIF_POINTER)]);
  const exif: Record<string, string | number> = {};
  for (const [tag, name] of TAGS) {
    const value = all.get(tag);
    const plain = typeof value === "string" ? value : value?.[0];
    if (plain === undefined || plain === "" || (typeof plain === "number" && !Number.isFinite(plain))) continue;
    exif[name] = TIMES.has(name) ? isoTime(String(plain)) : typeof plain === "string" ? plain.toWellFormed() : plain;
  }
  return { exif, gps: gpsOf(pointed(GPS_POINTER)) };
}

/** Finite; a file may divide by 0. */
export function numberOf(tags: Directory, tag: number): number | undefined {
  const value = tags.get(tag);
  const first = typeof value === "string" ? undefined : value?.[0];
  return Number.isFinite(first) ? first : undefined;
}

/** As {@link numberOf}, and a whole number that is not negative. */
export function wholeOf(tags: Directory, tag: number): number | undefined {
  const number = numberOf(tags, tag);
  return Number.isSafeInteger(number) && (number ?? -1) >= 0 ? number : undefined;
}

/** Exif writes `2024:05:06 07:08:09`, in the camera's own time. */
function isoTime(text: string): string {
  return text.replace(/^(\d{4}):(\d\d):(\d\d)[ T](\d\d:\d\d:\d\d).*$/s, "$1-$2-$3T$4").toWellFormed();
}

/** Exif 2.32 §4.6.6: degrees, minutes and seconds, and which hemisphere; metres, and whether below the sea. */
function gpsOf(tags: Directory): RecordData | null {
  const degrees = (tag: number): number | undefined => {
    const value = tags.get(tag);
    if (typeof value === "string" || value === undefined) return undefined;
    const [whole = Number.NaN, minutes = 0, seconds = 0] = value;
    const sign = /^[SW]/.test(String(tags.get(tag - 1))) ? -1 : 1;
    return sign * (whole + minutes / 60 + seconds / 3600);
  };
  const [latitude, longitude] = [degrees(2), degrees(4)];
  if (latitude === undefined || longitude === undefined) return null;
  if (!(Math.abs(latitude) <= 90 && Math.abs(longitude) <= 180)) return null;
  const metres = numberOf(tags, 6);
  const altitudeMetres =
    metres !== undefined && Number.isFinite(metres) ? metres * (numberOf(tags, 5) === 1 ? -1 : 1) : null;
  return { latitude: rounded(latitude), longitude: rounded(longitude), altitudeMetres };
}

/** 7 digits of a degree are a centimetre. */
function rounded(degrees: number): number {
  return Math.round(degrees * 1e7) / 1e7;
}
