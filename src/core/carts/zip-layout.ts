import { AppError } from "../errors.ts";
import type { ArchiveFormat, MemberFacts } from "./archive-format.ts";

/** Clauses (§): PKWARE APPNOTE.TXT 6.3.10, ".ZIP File Format Specification". */

const LOCAL_HEADER = 0x04034b50;
const CENTRAL_HEADER = 0x02014b50;
const END_OF_DIRECTORY = 0x06054b50;
const END_OF_DIRECTORY_64 = 0x06064b50;
const LOCATOR_64 = 0x07064b50;
/** What precedes the name: §4.3.7, §4.3.12. */
const LOCAL_BYTES = 30;
const CENTRAL_BYTES = 46;

/** Fields of 16 and 32 bits that hold this are to be looked up in a larger one (§4.4.1.4). */
const MAX_16 = 0xffff;
const MAX_32 = 0xffffffff;
/**
 * From here on, counted from the first file, the directory has its offsets in 64 bits. Below the 4 GiB where it must, as
 * what lies before the first file, the manifest, is as long as the names that are still to come.
 */
const FAR = 2 ** 31;

/** §4.4.2: made on Unix (3), by this specification's version 6.3, so that readers look for a Unix mode. */
const MADE_BY = (3 << 8) | 63;
/** §4.4.3.2: 1.0 for a stored file, 4.5 when it uses ZIP64. */
const NEEDS = 10;
const NEEDS_64 = 45;
/** §4.4.4 bit 11: the name is UTF-8. Bit 3, sizes after the file, is not set: readers need not seek. */
const FLAGS = 1 << 11;
/** §4.4.15: a regular file, mode 0644. */
const ATTRIBUTES = 0o100644 * 2 ** 16;

/** §4.5.3 "Zip64 Extended Information Extra Field". */
const EXTRA_64 = 0x0001;
/** §4.6.1 "extended timestamp": UTC, where DOS times have no zone. Its body is a byte of flags and 32 bits of seconds. */
const EXTRA_TIME = 0x5455;
const EXTRA_TIME_BYTES = 9;
const HAS_MODIFIED_AT = 1;
const MAX_TIME = 2 ** 31 - 1;

/** What §4.4.6 can say: even seconds from 1980 to 2107. */
const DOS_FIRST = Date.UTC(1980, 0, 1);
const DOS_LAST = Date.UTC(2107, 11, 31, 23, 59, 58);

/**
 * ZIP with every member stored, whatever it is; CRC-32 and sizes stand before each, and ZIP64 fields only where numbers
 * ask for them, but see {@link FAR}.
 * @param createdAt time of members that have none, epoch milliseconds.
 */
export function zipFormat(createdAt: number): ArchiveFormat {
  const secondsOf = (member: MemberFacts) => Math.floor((member.modifiedAt ?? createdAt) / 1000);
  return {
    maxLeadBytes: MAX_32 - 1 - FAR,
    headBytes: (name, member) =>
      LOCAL_BYTES + nameBytes(name) + extra64Bytes(isLarge(member), false) + timeBytes(secondsOf(member)),
    writeHead(target, from, name, member) {
      const seconds = secondsOf(member);
      const large = isLarge(member);
      const nameAt = from + LOCAL_BYTES;
      const nameEnd = nameAt + target.write(name, nameAt, "utf8");
      const at = target.writeUInt32LE(LOCAL_HEADER, from);
      writeFacts(target, at, nameEnd - nameAt, member, seconds, extra64Bytes(large, false));
      // "MUST include BOTH original and compressed file size fields"
      const extra64End = large ? writeExtra64(target, nameEnd, [member.sizeBytes, member.sizeBytes]) : nameEnd;
      writeTime(target, extra64End, seconds);
    },
    paddingBytes: () => 0,
    directoryBytes: (name, member, offset) =>
      CENTRAL_BYTES + nameBytes(name) + extra64Bytes(isLarge(member), offset >= FAR) + timeBytes(secondsOf(member)),
    writeDirectory(target, from, name, member, offset, lead) {
      const seconds = secondsOf(member);
      const large = isLarge(member);
      const far = offset >= FAR;
      const nameAt = from + CENTRAL_BYTES;
      const nameEnd = nameAt + target.write(name, nameAt, "utf8");
      let at = target.writeUInt32LE(CENTRAL_HEADER, from);
      at = target.writeUInt16LE(MADE_BY, at);
      at = writeFacts(target, at, nameEnd - nameAt, member, seconds, extra64Bytes(large, far));
      at = target.writeUInt16LE(0, at); // length of the comment
      at = target.writeUInt32LE(0, at); // disk, internal attributes
      at = target.writeUInt32LE(ATTRIBUTES, at);
      target.writeUInt32LE(far ? MAX_32 : lead + offset, at);
      // "MUST only appear if the corresponding … field is set to 0xFFFF or 0xFFFFFFFF", in this order
      const fields = [...(large ? [member.sizeBytes, member.sizeBytes] : []), ...(far ? [lead + offset] : [])];
      const extra64End = fields.length > 0 ? writeExtra64(target, nameEnd, fields) : nameEnd;
      writeTime(target, extra64End, seconds);
    },
    end: endOfDirectory,
  };
}

/** §4.3.14 to §4.3.16. */
function endOfDirectory(members: number, directoryAt: number, directoryBytes: number): Uint8Array {
  const end = Buffer.alloc(22);
  let at = end.writeUInt32LE(END_OF_DIRECTORY, 0);
  at = end.writeUInt32LE(0, at); // this disk, disk of the directory
  at = end.writeUInt16LE(Math.min(members, MAX_16), at);
  at = end.writeUInt16LE(Math.min(members, MAX_16), at);
  at = end.writeUInt32LE(Math.min(directoryBytes, MAX_32), at);
  end.writeUInt32LE(Math.min(directoryAt, MAX_32), at);
  if (members < MAX_16 && directoryBytes < MAX_32 && directoryAt < MAX_32) return end;

  const end64 = Buffer.alloc(56 + 20);
  at = end64.writeUInt32LE(END_OF_DIRECTORY_64, 0);
  at = writeUInt64(end64, at, 56 - 12); // "should not include the leading 12 bytes"
  at = end64.writeUInt16LE(MADE_BY, at);
  at = end64.writeUInt16LE(NEEDS_64, at);
  at = writeUInt64(end64, at, 0); // this disk, disk of the directory
  at = writeUInt64(end64, at, members);
  at = writeUInt64(end64, at, members);
  at = writeUInt64(end64, at, directoryBytes);
  at = writeUInt64(end64, at, directoryAt);
  at = end64.writeUInt32LE(LOCATOR_64, at);
  at = end64.writeUInt32LE(0, at); // disk of the record before
  at = writeUInt64(end64, at, directoryAt + directoryBytes);
  end64.writeUInt32LE(1, at); // disks
  return Buffer.concat([end64, end]);
}

/** What §4.3.7 (local header) and §4.3.12 (central header) have in common: "version needed" to "extra field length". */
function writeFacts(
  target: Buffer,
  from: number,
  nameLength: number,
  { crc32, sizeBytes }: MemberFacts,
  seconds: number,
  extra64: number,
): number {
  let at = target.writeUInt16LE(extra64 > 0 ? NEEDS_64 : NEEDS, from);
  at = target.writeUInt16LE(FLAGS, at);
  at = target.writeUInt16LE(0, at); // stored
  at = target.writeUInt32LE(dosTime(seconds), at);
  at = target.writeUInt32LE(crc32, at);
  at = target.writeUInt32LE(Math.min(sizeBytes, MAX_32), at); // compressed
  at = target.writeUInt32LE(Math.min(sizeBytes, MAX_32), at);
  at = target.writeUInt16LE(nameLength, at);
  return target.writeUInt16LE(extra64 + timeBytes(seconds), at);
}

function writeExtra64(target: Buffer, from: number, fields: readonly number[]): number {
  let at = writeExtra(target, from, EXTRA_64, 8 * fields.length);
  for (const field of fields) at = writeUInt64(target, at, field);
  return at;
}

function writeTime(target: Buffer, from: number, seconds: number): void {
  if (timeBytes(seconds) === 0) return;
  const at = writeExtra(target, from, EXTRA_TIME, EXTRA_TIME_BYTES - 4);
  target.writeUInt32LE(seconds, target.writeUInt8(HAS_MODIFIED_AT, at));
}

function writeExtra(target: Buffer, at: number, id: number, bodyBytes: number): number {
  return target.writeUInt16LE(bodyBytes, target.writeUInt16LE(id, at));
}

function writeUInt64(target: Buffer, at: number, value: number): number {
  const high = Math.floor(value / 2 ** 32);
  return target.writeUInt32LE(high, target.writeUInt32LE(value - high * 2 ** 32, at));
}

function isLarge({ sizeBytes }: MemberFacts): boolean {
  return sizeBytes >= MAX_32;
}

function extra64Bytes(large: boolean, far: boolean): number {
  return large || far ? 4 + (large ? 16 : 0) + (far ? 8 : 0) : 0;
}

/** Before 1970 and after 2038 there is only the DOS time: readers disagree on whether the field has a sign. */
function timeBytes(seconds: number): number {
  return seconds >= 0 && seconds <= MAX_TIME ? EXTRA_TIME_BYTES : 0;
}

/** The length of a name has 16 bits (§4.4.10). */
function nameBytes(name: string): number {
  const bytes = Buffer.byteLength(name);
  if (bytes > MAX_16)
    throw new AppError("cart_path_unsafe", {
      path: name.slice(0, 200),
      expected: `at most ${MAX_16} bytes`,
      found: bytes,
    });
  return bytes;
}

/** §4.4.6, in UTC: date in the high 16 bits, time in the low ones; what lies outside becomes the nearest there is. */
function dosTime(seconds: number): number {
  const time = new Date(Math.min(Math.max(seconds * 1000, DOS_FIRST), DOS_LAST));
  const date = ((time.getUTCFullYear() - 1980) << 9) | ((time.getUTCMonth() + 1) << 5) | time.getUTCDate();
  return date * 2 ** 16 + ((time.getUTCHours() << 11) | (time.getUTCMinutes() << 5) | (time.getUTCSeconds() >> 1));
}
