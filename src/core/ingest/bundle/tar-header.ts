import { AppError } from "../../errors.ts";

export const TAR_BLOCK_BYTES = 512;

/** One 512-byte header as written: extended headers are not applied yet. */
export interface TarHeader {
  /** Raw bytes of `prefix/name`, where possible a view of the block: decoding is the reader's decision. */
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
  S: "sparse file (make the tar without --sparse)",
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
 * Reads one header block: v7, ustar (POSIX.1-1988), GNU and pax (POSIX.1-2001). Allocates no more than it must: a bundle
 * may have more headers than bytes worth hashing.
 * @returns `undefined` when the checksum is wrong.
 * @throws AppError bundle_header_corrupt when the checksum is right and a number is not one.
 */
export function readTarHeader(block: Uint8Array): TarHeader | undefined {
  if (!checksumMatches(block)) return undefined;
  const name = block.subarray(0, nulOrEnd(block, 0, 100));
  // The prefix field exists in "ustar\0" headers only: GNU ("ustar  ") keeps other things there.
  const prefixEnd = isUstar(block) ? nulOrEnd(block, 345, 500) : 345;
  return {
    nameBytes: prefixEnd === 345 ? name : Buffer.concat([block.subarray(345, prefixEnd), SLASH, name]),
    sizeBytes: number(block, 124, 136, "size"),
    modifiedAt: number(block, 136, 148, "mtime"),
    typeFlag: String.fromCharCode(block[156] ?? 0),
  };
}

/** Whether another block of sparse map follows: the old GNU format puts such blocks before the data. */
export function sparseMapContinues(block: Uint8Array, kind: "header" | "map"): boolean {
  return (block[kind === "header" ? 482 : 504] ?? 0) !== 0;
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
    const blank = body.indexOf(BLANK, at);
    const digits = blank < 0 ? "" : latin1(body, at, Math.min(blank, at + 12));
    const end = at + (/^\d+$/.test(digits) ? Number(digits) : Number.NaN);
    if (!(end <= body.length && end > blank + 1) || body[end - 1] !== 0x0a)
      throw new AppError("bundle_header_corrupt", { found: "a pax record whose length is wrong" });
    const equals = body.indexOf(0x3d, blank);
    if (equals < 0 || equals >= end) throw new AppError("bundle_header_corrupt", { found: "a pax record without =" });
    records.set(latin1(body, blank + 1, equals), body.slice(equals + 1, end - 1));
    at = end;
  }
  return records;
}

const BLANK = 0x20;
const SLASH = Buffer.from("/");
const USTAR = Buffer.from("ustar\0");

function isUstar(block: Uint8Array): boolean {
  return USTAR.every((byte, i) => block[257 + i] === byte);
}

/** POSIX: the sum of all bytes, the checksum field itself counted as blanks. Some old writers summed signed bytes. */
function checksumMatches(block: Uint8Array): boolean {
  let sum = 8 * BLANK;
  let high = 0;
  for (let i = 0; i < TAR_BLOCK_BYTES; i++) {
    if (i === 148) i = 156;
    const byte = block[i] ?? 0;
    sum += byte;
    high += byte >> 7;
  }
  const declared = octal(block, 148, 156);
  return declared === sum || declared === sum - 256 * high;
}

/** Octal text, or base-256 with the high bit set (GNU and pax writers, for what octal cannot hold). */
function number(block: Uint8Array, from: number, to: number, field: string): number {
  const first = block[from] ?? 0;
  // 0xff begins two's complement: times before 1970. A negative size is refused below.
  const value = first === 0x80 || first === 0xff ? base256(block, from, to) : octal(block, from, to);
  if (value === undefined || !Number.isSafeInteger(value) || (field === "size" && value < 0))
    throw new AppError("bundle_header_corrupt", { found: `a tar header whose ${field} is not a number` });
  return value;
}

function base256(block: Uint8Array, from: number, to: number): number {
  let value = block[from] === 0xff ? -1 : 0;
  for (let i = from + 1; i < to; i++) value = value * 256 + (block[i] ?? 0);
  return value;
}

/** Digits up to a blank, a NUL or the end of the field; leading blanks and NULs count for nothing, a blank field is 0. */
function octal(block: Uint8Array, from: number, to: number): number | undefined {
  let at = from;
  while (at < to && isFiller(block[at])) at++;
  let value = 0;
  for (; at < to && !isFiller(block[at]); at++) {
    const digit = (block[at] ?? 0) - 0x30;
    if (digit < 0 || digit > 7) return undefined;
    value = value * 8 + digit;
  }
  return value;
}

function isFiller(byte: number | undefined): boolean {
  return byte === BLANK || byte === 0;
}

function nulOrEnd(block: Uint8Array, from: number, to: number): number {
  for (let at = from; at < to; at++) if (block[at] === 0) return at;
  return to;
}

function latin1(bytes: Uint8Array, from: number, to: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + from, to - from).toString("latin1");
}
