const MAX_ENTRIES = 1000;
const MAX_TEXT_BYTES = 1000;
const MAX_NUMBERS = 16;
/** Bytes of a value by its type (TIFF 6.0 §2, Exif 2.32 §4.6.2, BigTIFF): BYTE, ASCII, SHORT, LONG, RATIONAL, … LONG8, SLONG8, IFD8. */
const TYPE_BYTES = [0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8, 8, 8] as const;

type TagValue = string | readonly number[];
/** Values by their tags; of long ones, the beginning. */
export type Tags = ReadonlyMap<number, TagValue>;

/** Reads bytes at an offset: as many as there are. */
export type ReadAt = (at: number, length: number) => Buffer;

interface Directory {
  readonly tags: Tags;
  /** Where each tag's value lies. */
  readonly places: ReadonlyMap<number, { readonly at: number; readonly sizeBytes: number }>;
  /** Where the next directory is; 0 for none. */
  readonly next: number;
}

/**
 * The directories of a TIFF (TIFF 6.0 §2), a BigTIFF, or of an Exif block, which is a TIFF: those of its pages, by tag. What
 * lies outside is left out. Offsets count from the byte order's mark.
 */
export function tiffReader(read: ReadAt) {
  const head = read(0, 16);
  const order = head.toString("latin1", 0, 2);
  const isLittle = order === "II";
  const version = head.length < 8 ? 0 : isLittle ? head.readUInt16LE(2) : head.readUInt16BE(2);
  const isBig = version === 43 && head.length === 16;
  /** Of an entry, and of an offset or a count within it. */
  const [entryBytes, wordBytes] = isBig ? [20, 8] : [12, 4];

  const short = (bytes: Buffer, at: number) => (isLittle ? bytes.readUInt16LE(at) : bytes.readUInt16BE(at));
  const long = (bytes: Buffer, at: number) => (isLittle ? bytes.readUInt32LE(at) : bytes.readUInt32BE(at));
  const signed = (bytes: Buffer, at: number) => (isLittle ? bytes.readInt32LE(at) : bytes.readInt32BE(at));
  const long8 = (bytes: Buffer, at: number) => Number(isLittle ? bytes.readBigUInt64LE(at) : bytes.readBigUInt64BE(at));
  const word = isBig ? long8 : long;

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
    if (type === 17) return Number(isLittle ? bytes.readBigInt64LE(at) : bytes.readBigInt64BE(at));
    if (type === 16 || type === 18) return long8(bytes, at);
    return bytes[at] ?? 0;
  }

  function valueAt(type: number, count: number, at: number): TagValue | undefined {
    const size = TYPE_BYTES[type] ?? 0;
    const wanted = Math.min(count, type === 2 ? MAX_TEXT_BYTES : MAX_NUMBERS) * size;
    const bytes = read(at, wanted);
    if (wanted === 0 || bytes.length < wanted) return undefined;
    if (type === 2)
      return bytes
        .toString("utf8")
        .replace(/\0[\s\S]*$/, "")
        .trim();
    return Array.from({ length: wanted / size }, (_, i) => numberAt(bytes, i * size, type));
  }

  return {
    isTiff: (isLittle || order === "MM") && (version === 42 || isBig),
    first: () => (head.length < 8 ? 0 : isBig ? long8(head, 8) : long(head, 4)),
    directory(at: number): Directory {
      const tags = new Map<number, TagValue>();
      const places = new Map<number, { at: number; sizeBytes: number }>();
      const countBytes = isBig ? 8 : 2;
      const start = read(at, countBytes);
      if (at < 8 || start.length < countBytes) return { tags, places, next: 0 };
      const count = isBig ? long8(start, 0) : short(start, 0);
      const entries = read(at + countBytes, Math.min(count, MAX_ENTRIES) * entryBytes);
      for (let i = 0; i + entryBytes <= entries.length; i += entryBytes) {
        const [tag, type, values] = [short(entries, i), short(entries, i + 2), word(entries, i + 4)];
        const sizeBytes = (TYPE_BYTES[type] ?? 0) * values;
        const ownAt = i + 4 + wordBytes;
        // Short values stand in the entry itself.
        const place = sizeBytes <= wordBytes ? at + countBytes + ownAt : word(entries, ownAt);
        const value = valueAt(type, values, place);
        if (value === undefined) continue;
        tags.set(tag, value);
        places.set(tag, { at: place, sizeBytes });
      }
      const next = read(at + countBytes + count * entryBytes, wordBytes);
      return { tags, places, next: next.length === wordBytes ? word(next, 0) : 0 };
    },
  };
}
export type TiffReader = ReturnType<typeof tiffReader>;

/** Finite; a file may divide by 0. */
export function numberOf(tags: Tags, tag: number): number | undefined {
  const value = tags.get(tag);
  const first = typeof value === "string" ? undefined : value?.[0];
  return Number.isFinite(first) ? first : undefined;
}

/** As {@link numberOf}, and a whole number that is not negative. */
export function wholeOf(tags: Tags, tag: number): number | undefined {
  const number = numberOf(tags, tag);
  return Number.isSafeInteger(number) && (number ?? -1) >= 0 ? number : undefined;
}
