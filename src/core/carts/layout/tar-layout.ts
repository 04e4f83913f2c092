import type { ArchiveFormat } from "./archive-format.ts";

/** Clauses: POSIX.1-2017, Shell and Utilities, pax, "ustar Interchange Format" and "pax Interchange Format". */

/** "All blocks are 512 bytes"; a member's bytes are filled up to whole ones. */
const BLOCK = 512;
/** Room of the field `name`, which needs no NUL when it is full. `prefix` is never used: readers disagree on where to cut. */
const NAME_BYTES = 100;
/** Largest number in the eleven octal digits of `size` and `mtime`: 8 GiB less one byte, the year 2242. */
const MAX_OCTAL = 8 ** 11 - 1;

/** Extended headers go by this name, for readers so old that they take them for files. */
const EXTENDED_NAME = "PaxHeaders/member";
/** "At the end of the archive … two 512-octet logical records filled with binary zeros." */
const END = Buffer.alloc(2 * BLOCK);

/**
 * Tar as every reader since 2001 knows it: ustar headers, owned by nobody in particular, with a pax extended header before
 * the members whose name, size or time ustar cannot hold.
 * @param createdAt time of members that have none, epoch milliseconds.
 */
export function tarFormat(createdAt: number): ArchiveFormat {
  const secondsOf = (modifiedAt: number | null) => Math.floor((modifiedAt ?? createdAt) / 1000);
  return {
    maxLeadBytes: Number.MAX_SAFE_INTEGER,
    headBytes(name, { sizeBytes, modifiedAt }) {
      const records = extendedRecords(name, sizeBytes, secondsOf(modifiedAt));
      return records === "" ? BLOCK : 2 * BLOCK + wholeBlocks(Buffer.byteLength(records));
    },
    writeHead(target, at, name, { sizeBytes, modifiedAt }) {
      const seconds = secondsOf(modifiedAt);
      const records = extendedRecords(name, sizeBytes, seconds);
      if (records === "") return writeHeader(target, at, name, sizeBytes, seconds, REGULAR);
      // What the extended header overrides is filled with what comes nearest.
      const nearest = inOctal(seconds) ? seconds : 0;
      const recordBytes = Buffer.byteLength(records);
      const recordsAt = at + BLOCK;
      const headerAt = recordsAt + wholeBlocks(recordBytes);
      writeHeader(target, at, EXTENDED_NAME, recordBytes, nearest, EXTENDED);
      target.fill(0, recordsAt + target.write(records, recordsAt, "utf8"), headerAt);
      writeHeader(target, headerAt, asciiName(name), inOctal(sizeBytes) ? sizeBytes : 0, nearest, REGULAR);
    },
    paddingBytes: ({ sizeBytes }) => wholeBlocks(sizeBytes) - sizeBytes,
    directoryBytes: () => 0,
    writeDirectory: () => {},
    end: () => END,
  };
}

function wholeBlocks(bytes: number): number {
  return Math.ceil(bytes / BLOCK) * BLOCK;
}

function inOctal(value: number): boolean {
  return value >= 0 && value <= MAX_OCTAL;
}

/** What the ustar header cannot say; "" when it can say everything. */
function extendedRecords(name: string, sizeBytes: number, seconds: number): string {
  let records = isUstarName(name) ? "" : record("path", name);
  if (!inOctal(sizeBytes)) records += record("size", String(sizeBytes));
  if (!inOctal(seconds)) records += record("mtime", String(seconds));
  return records;
}

/** Names in ustar headers are ASCII: what encoding other bytes are in, only an extended header says. */
function isUstarName(name: string): boolean {
  return name.length <= NAME_BYTES && Buffer.byteLength(name) === name.length;
}

/** `"%d %s=%s\n", <length>, <keyword>, <value>`, where the length counts its own digits. */
function record(keyword: string, value: string): string {
  const rest = ` ${keyword}=${value}\n`;
  const restBytes = Buffer.byteLength(rest);
  const guess = restBytes + String(restBytes).length;
  return `${restBytes + String(guess).length}${rest}`;
}

/** A stand-in for readers that pass over extended headers. A slash at its end would make a folder of it. */
function asciiName(name: string): string {
  return name
    .slice(0, NAME_BYTES)
    .replace(/[^ -~]/g, "_")
    .replace(/\/$/, "_");
}

const REGULAR = "0".charCodeAt(0);
const EXTENDED = "x".charCodeAt(0);

/** All that is the same in every header: mode 0644, owner 0, no names, `ustar` version 00, device 0. */
const BLANK = Buffer.alloc(BLOCK);
BLANK.write("0000644\0", 100, "latin1");
BLANK.write("0000000\0", 108, "latin1");
BLANK.write("0000000\0", 116, "latin1");
BLANK.write("ustar\x0000", 257, "latin1");
BLANK.write("0000000\0", 329, "latin1");
BLANK.write("0000000\0", 337, "latin1");
/** Its checksum so far; the checksum's own eight bytes count as blanks. */
const BLANK_SUM = BLANK.reduce((sum, byte) => sum + byte, 8 * " ".charCodeAt(0));

/** Fills one block. The checksum is summed over the bytes written here only: summing all would be most of the cost. */
function writeHeader(
  target: Buffer,
  at: number,
  name: string,
  sizeBytes: number,
  seconds: number,
  typeFlag: number,
): void {
  target.set(BLANK, at);
  target.write(name, at, "latin1");
  let sum = BLANK_SUM + typeFlag;
  for (let i = at; i < at + name.length; i++) sum += target[i] ?? 0;
  sum += writeOctal(target, at + 124, 11, sizeBytes);
  sum += writeOctal(target, at + 136, 11, seconds);
  target[at + 156] = typeFlag;
  // "%06o", then NUL and blank: as every tar since the first has written it.
  writeOctal(target, at + 148, 6, sum);
  target[at + 155] = " ".charCodeAt(0);
}

/** Digits with leading zeros; the NUL behind them is there already. @returns the sum of the bytes written. */
function writeOctal(target: Buffer, at: number, digits: number, value: number): number {
  let sum = 0;
  let left = value;
  for (let i = at + digits - 1; i >= at; i--) {
    const rest = Math.floor(left / 8);
    const byte = 0x30 + left - rest * 8;
    target[i] = byte;
    sum += byte;
    left = rest;
  }
  return sum;
}
