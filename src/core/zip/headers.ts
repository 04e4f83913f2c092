/** Clauses (§): PKWARE APPNOTE.TXT 6.3.10, ".ZIP File Format Specification". */

/** What the directory and the local header say of a member. */
export interface ZipMember {
  /** With `/` between folders; UTF-8 in the file. */
  readonly name: string;
  /** §4.4.5. */
  readonly method: "stored" | "deflated";
  readonly crc32: number;
  /** As it is when it has been taken out. */
  readonly sizeBytes: number;
  /** As it lies in the archive. */
  readonly compressedBytes: number;
  /** Epoch milliseconds. */
  readonly modifiedAt: number;
  /**
   * §4.4.4 bit 3: sizes and CRC-32 were not known before the member's bytes and follow them, so the local header has none.
   */
  readonly isStreamed?: boolean;
  /** Its local header is as long as one with ZIP64 sizes: it was given its room before they were known. */
  readonly hasRoom64?: boolean;
}

const LOCAL_HEADER = 0x04034b50;
const CENTRAL_HEADER = 0x02014b50;
const DESCRIPTOR = 0x08074b50;
const END_OF_DIRECTORY = 0x06054b50;
const END_OF_DIRECTORY_64 = 0x06064b50;
const LOCATOR_64 = 0x07064b50;
/** What precedes the name: §4.3.7, §4.3.12. */
const LOCAL_BYTES = 30;
const CENTRAL_BYTES = 46;

/** Fields of 16 and 32 bits that hold this are to be looked up in a larger one (§4.4.1.4). */
export const MAX_16 = 0xffff;
export const MAX_32 = 0xffffffff;

/** §4.4.2: made on Unix (3), by this specification's version 6.3, so that readers look for a Unix mode. */
const MADE_BY = (3 << 8) | 63;
/** §4.4.3.2: 1.0 for a stored file, 2.0 for a deflated one, 4.5 when it uses ZIP64. */
const NEEDS_STORED = 10;
const NEEDS_DEFLATED = 20;
const NEEDS_64 = 45;
const METHODS = { stored: 0, deflated: 8 } as const;
/** §4.4.4 bit 11: the name is UTF-8. Bit 3: see {@link ZipMember.isStreamed}. */
const IS_UTF8 = 1 << 11;
const IS_STREAMED = 1 << 3;
/** §4.4.15: a regular file, mode 0644. */
const ATTRIBUTES = 0o100644 * 2 ** 16;

/** §4.5.3 "Zip64 Extended Information Extra Field". */
const EXTRA_64 = 0x0001;
/** Of a local header, with its two sizes. */
const LOCAL_64_BYTES = 20;
/** §4.6.1 "extended timestamp": UTC, where DOS times have no zone. Its body is a byte of flags and 32 bits of seconds. */
const EXTRA_TIME = 0x5455;
const EXTRA_TIME_BYTES = 9;
const HAS_MODIFIED_AT = 1;
/** §4.6.10 "Microsoft Open Packaging Growth Hint": a signature, and room that a header may grow into. */
const EXTRA_ROOM = 0xa220;
const ROOM_SIGNATURE = 0xa028;
const MAX_TIME = 2 ** 31 - 1;

/** What §4.4.6 can say: even seconds from 1980 to 2107. */
const DOS_FIRST = Date.UTC(1980, 0, 1);
const DOS_LAST = Date.UTC(2107, 11, 31, 23, 59, 58);

/** How long `writeLocal` will write. */
export function localBytes(member: ZipMember): number {
  return LOCAL_BYTES + Buffer.byteLength(member.name) + local64Bytes(member) + timeBytes(member);
}

/** §4.3.7. @returns where it ends. */
export function writeLocal(target: Buffer, from: number, member: ZipMember): number {
  const large = hasLocal64(member);
  const nameAt = from + LOCAL_BYTES;
  const nameEnd = nameAt + target.write(member.name, nameAt, "utf8");
  const at = target.writeUInt32LE(LOCAL_HEADER, from);
  const known = member.isStreamed ? { ...member, crc32: 0, sizeBytes: 0, compressedBytes: 0 } : member;
  writeFacts(target, at, nameEnd - nameAt, known, large, local64Bytes(member));
  // "MUST include BOTH original and compressed file size fields"
  if (large) return writeTime(target, writeExtra64(target, nameEnd, [known.sizeBytes, known.compressedBytes]), member);
  return writeTime(target, member.hasRoom64 ? writeRoom(target, nameEnd) : nameEnd, member);
}

/** @param far whether the member's offset is written in 64 bits: it may be where it would fit in 32. */
export function centralBytes(member: ZipMember, far: boolean): number {
  return CENTRAL_BYTES + Buffer.byteLength(member.name) + extra64Bytes(isLarge(member), far) + timeBytes(member);
}

/** §4.3.12. @param offset where the local header is. @returns where it ends. */
export function writeCentral(target: Buffer, from: number, member: ZipMember, offset: number, far: boolean): number {
  const large = isLarge(member);
  const nameAt = from + CENTRAL_BYTES;
  const nameEnd = nameAt + target.write(member.name, nameAt, "utf8");
  let at = target.writeUInt32LE(CENTRAL_HEADER, from);
  at = target.writeUInt16LE(MADE_BY, at);
  at = writeFacts(target, at, nameEnd - nameAt, member, large || far, extra64Bytes(large, far));
  at = target.writeUInt16LE(0, at); // length of the comment
  at = target.writeUInt32LE(0, at); // disk, internal attributes
  at = target.writeUInt32LE(ATTRIBUTES, at);
  target.writeUInt32LE(far ? MAX_32 : offset, at);
  // "MUST only appear if the corresponding … field is set to 0xFFFF or 0xFFFFFFFF", in this order
  const fields = [...(large ? [member.sizeBytes, member.compressedBytes] : []), ...(far ? [offset] : [])];
  const extra64End = fields.length > 0 ? writeExtra64(target, nameEnd, fields) : nameEnd;
  return writeTime(target, extra64End, member);
}

/** What follows a streamed member (§4.3.9); its sizes have 64 bits when the local header has a ZIP64 field. */
export function descriptor(member: ZipMember): Uint8Array {
  const large = hasLocal64(member);
  const bytes = Buffer.alloc(large ? 24 : 16);
  let at = bytes.writeUInt32LE(DESCRIPTOR, 0);
  at = bytes.writeUInt32LE(member.crc32, at);
  for (const size of [member.compressedBytes, member.sizeBytes])
    at = large ? writeUInt64(bytes, at, size) : bytes.writeUInt32LE(size, at);
  return bytes;
}

/** §4.3.14 to §4.3.16. */
export function endOfDirectory(members: number, directoryAt: number, directoryBytes: number): Uint8Array {
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
  member: ZipMember,
  uses64: boolean,
  extra64: number,
): number {
  const needs = member.method === "stored" ? NEEDS_STORED : NEEDS_DEFLATED;
  const large = uses64 && (isLarge(member) || hasLocal64(member));
  let at = target.writeUInt16LE(uses64 ? NEEDS_64 : needs, from);
  at = target.writeUInt16LE(IS_UTF8 | (member.isStreamed ? IS_STREAMED : 0), at);
  at = target.writeUInt16LE(METHODS[member.method], at);
  at = target.writeUInt32LE(dosTime(member.modifiedAt), at);
  at = target.writeUInt32LE(member.crc32, at);
  at = target.writeUInt32LE(large && extra64 >= 20 ? MAX_32 : member.compressedBytes, at);
  at = target.writeUInt32LE(large && extra64 >= 20 ? MAX_32 : member.sizeBytes, at);
  at = target.writeUInt16LE(nameLength, at);
  return target.writeUInt16LE(extra64 + timeBytes(member), at);
}

function writeExtra64(target: Buffer, from: number, fields: readonly number[]): number {
  let at = writeExtra(target, from, EXTRA_64, 8 * fields.length);
  for (const field of fields) at = writeUInt64(target, at, field);
  return at;
}

/** As long as an {@link writeExtra64} of two sizes. */
function writeRoom(target: Buffer, from: number): number {
  const end = from + LOCAL_64_BYTES;
  let at = writeExtra(target, from, EXTRA_ROOM, LOCAL_64_BYTES - 4);
  at = target.writeUInt16LE(ROOM_SIGNATURE, at);
  target.fill(0, at, end);
  return end;
}

function writeTime(target: Buffer, from: number, member: ZipMember): number {
  if (timeBytes(member) === 0) return from;
  const at = writeExtra(target, from, EXTRA_TIME, EXTRA_TIME_BYTES - 4);
  return target.writeUInt32LE(Math.floor(member.modifiedAt / 1000), target.writeUInt8(HAS_MODIFIED_AT, at));
}

function writeExtra(target: Buffer, at: number, id: number, bodyBytes: number): number {
  return target.writeUInt16LE(bodyBytes, target.writeUInt16LE(id, at));
}

function writeUInt64(target: Buffer, at: number, value: number): number {
  const high = Math.floor(value / 2 ** 32);
  return target.writeUInt32LE(high, target.writeUInt32LE(value - high * 2 ** 32, at));
}

function isLarge({ sizeBytes, compressedBytes }: ZipMember): boolean {
  return sizeBytes >= MAX_32 || compressedBytes >= MAX_32;
}

/** A streamed member may turn out large when its header is long written: it has room for that always. */
function hasLocal64(member: ZipMember): boolean {
  return member.isStreamed === true || isLarge(member);
}

function local64Bytes(member: ZipMember): number {
  return hasLocal64(member) || member.hasRoom64 ? LOCAL_64_BYTES : 0;
}

function extra64Bytes(large: boolean, far: boolean): number {
  return large || far ? 4 + (large ? 16 : 0) + (far ? 8 : 0) : 0;
}

/** Before 1970 and after 2038 there is only the DOS time: readers disagree on whether the field has a sign. */
function timeBytes({ modifiedAt }: ZipMember): number {
  const seconds = Math.floor(modifiedAt / 1000);
  return seconds >= 0 && seconds <= MAX_TIME ? EXTRA_TIME_BYTES : 0;
}

/** §4.4.6, in UTC: date in the high 16 bits, time in the low ones; what lies outside becomes the nearest there is. */
function dosTime(modifiedAt: number): number {
  const time = new Date(Math.min(Math.max(modifiedAt, DOS_FIRST), DOS_LAST));
  const date = ((time.getUTCFullYear() - 1980) << 9) | ((time.getUTCMonth() + 1) << 5) | time.getUTCDate();
  return date * 2 ** 16 + ((time.getUTCHours() << 11) | (time.getUTCMinutes() << 5) | (time.getUTCSeconds() >> 1));
}
