import { AppError } from "../errors.ts";

export const TAR_BLOCK_BYTES = 512;

/** One 512-byte header as written: extended headers are not applied yet. */
export interface TarHeader {
  /** Raw bytes of `prefix/name`: decoding is the reader's decision. */
  readonly nameBytes: Uint8Array;
  readonly sizeBytes: number;
  /** Epoch seconds. */
  readonly modifiedAt: number;
  readonly typeFlag: string;
}

/** What a type flag means, for sentences. POSIX.1-2017 pax "ustar Interchange Format", GNU and Solaris extensions. */
export const TYPE_WORDS: Readonly<Record<string, string>> = {
  "1": "hard link",
  "2": "symbolic link",
  "3": "character device",
  "4": "block device",
  "6": "named pipe",
  D: "GNU incremental directory",
  M: "GNU multi-volume continuation",
  N: "GNU old long name",
  S: "GNU sparse file",
  V: "GNU volume label",
};

const SIGNATURES: readonly (readonly [string, readonly number[]])[] = [
  ["gzip", [0x1f, 0x8b]],
  ["bzip2", [0x42, 0x5a, 0x68]],
  ["xz", [0xfd, 0x37, 0x7a, 0x58, 0x5a]],
  ["zstd", [0x28, 0xb5, 0x2f, 0xfd]],
  ["lz4", [0x04, 0x22, 0x4d, 0x18]],
  ["compress", [0x1f, 0x9d]],
  ["zip", [0x50, 0x4b, 0x03, 0x04]],
  ["7z", [0x37, 0x7a, 0xbc, 0xaf]],
];

/** The compression a body starts with, if any. */
export function compressionOf(start: Uint8Array): string | undefined {
  return SIGNATURES.find(([, bytes]) => bytes.every((byte, i) => start[i] === byte))?.[0];
}

export function isZeroBlock(block: Uint8Array): boolean {
  return block.every((byte) => byte === 0);
}

/**
 * Reads one header block: v7, ustar (POSIX.1-1988), GNU and pax (POSIX.1-2001).
 * @returns `undefined` when the checksum is wrong.
 * @throws AppError bundle_header_corrupt when the checksum is right and a number is not one.
 */
export function readTarHeader(block: Uint8Array): TarHeader | undefined {
  if (!checksumMatches(block)) return undefined;
  // The prefix field exists in "ustar\0" headers only: GNU ("ustar  ") keeps other things there.
  const isUstar = latin1(block, 257, 263) === "ustar\0";
  const name = untilNul(block, 0, 100);
  const prefix = isUstar ? untilNul(block, 345, 500) : new Uint8Array();
  return {
    nameBytes: prefix.length === 0 ? name : Buffer.concat([prefix, Buffer.from("/"), name]),
    sizeBytes: number(block, 124, 136, "size"),
    modifiedAt: number(block, 136, 148, "mtime"),
    typeFlag: String.fromCharCode(block[156] ?? 0),
  };
}

/**
 * Reads the records of a pax extended header: `"%d %s=%s\n", length, keyword, value` (POSIX.1-2001 pax).
 * Values are kept as bytes: a path need not be UTF-8.
 * @throws AppError bundle_header_corrupt.
 */
export function readPaxRecords(body: Uint8Array): ReadonlyMap<string, Uint8Array> {
  const records = new Map<string, Uint8Array>();
  let at = 0;
  while (at < body.length) {
    const blank = body.indexOf(0x20, at);
    const length = blank < 0 ? Number.NaN : Number(latin1(body, at, blank));
    const end = at + length;
    if (!Number.isInteger(length) || end > body.length || end <= blank + 1 || body[end - 1] !== 0x0a)
      throw new AppError("bundle_header_corrupt", { found: "a pax record whose length is wrong" });
    const equals = body.indexOf(0x3d, blank);
    if (equals < 0 || equals >= end) throw new AppError("bundle_header_corrupt", { found: "a pax record without =" });
    records.set(latin1(body, blank + 1, equals), body.slice(equals + 1, end - 1));
    at = end;
  }
  return records;
}

/** POSIX: the sum of all bytes, the checksum field itself counted as blanks. Some old writers summed signed bytes. */
function checksumMatches(block: Uint8Array): boolean {
  let unsigned = 0;
  let signed = 0;
  for (let i = 0; i < TAR_BLOCK_BYTES; i++) {
    const byte = i >= 148 && i < 156 ? 0x20 : (block[i] ?? 0);
    unsigned += byte;
    signed += byte < 128 ? byte : byte - 256;
  }
  const declared = octal(latin1(block, 148, 156));
  return declared !== undefined && (declared === unsigned || declared === signed);
}

/** Octal text, or base-256 with the high bit set (GNU and pax writers, for what octal cannot hold). */
function number(block: Uint8Array, from: number, to: number, field: string): number {
  const first = block[from] ?? 0;
  let value: number | undefined;
  if (first === 0x80) {
    value = 0;
    for (let i = from + 1; i < to; i++) value = value * 256 + (block[i] ?? 0);
  } else if (first === 0xff) {
    // Two's complement: times before 1970. A negative size is refused below.
    value = -1;
    for (let i = from + 1; i < to; i++) value = value * 256 + (block[i] ?? 0);
  } else {
    value = octal(latin1(block, from, to));
  }
  if (value === undefined || !Number.isSafeInteger(value) || (field === "size" && value < 0))
    throw new AppError("bundle_header_corrupt", { found: `a tar header whose ${field} is not a number` });
  return value;
}

function octal(text: string): number | undefined {
  const digits = /^[ \0]*([0-7]*)[ \0]*/.exec(text)?.[1];
  if (digits === undefined) return undefined;
  return digits === "" ? (/^[ \0]*$/.test(text) ? 0 : undefined) : Number.parseInt(digits, 8);
}

function untilNul(block: Uint8Array, from: number, to: number): Uint8Array {
  const nul = block.indexOf(0, from);
  return block.slice(from, nul >= 0 && nul < to ? nul : to);
}

function latin1(bytes: Uint8Array, from: number, to: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + from, to - from).toString("latin1");
}
