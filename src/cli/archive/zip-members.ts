import { createHash } from "node:crypto";
import { type ArchiveBytes, unexpected } from "./archive-bytes.ts";
import { bodyOf, copyOf, type Member, textOf } from "./member.ts";

/** Signatures of APPNOTE 6.3, sections 4.3.7, 4.3.12, 4.3.14 to 4.3.16. */
const LOCAL_HEADER = 0x04034b50;
const CENTRAL_HEADER = 0x02014b50;
const ZIP64_END = 0x06064b50;
const END = 0x06054b50;
/** "It does not fit here; the zip64 extra field has it" (4.4.8, 4.4.9, 4.4.16). */
const IN_ZIP64 = 0xffffffff;
const ZIP64_LOCATOR = 0x07064b50;
const ZIP64_LOCATOR_BYTES = 20;
const UTF8_FLAG = 1 << 11;
const ZIP64_EXTRA = 0x0001;
const TIME_EXTRA = 0x5455;

/**
 * Reads the ZIPs that Longshore's server makes, front to back: stored members with sizes and CRC-32 in their local headers.
 * Other programs go by the directory at the end, so that has to name the same members in the same order.
 */
export async function* zipMembers(archive: ArchiveBytes): AsyncGenerator<Member, void, undefined> {
  const [inFront, inDirectory] = [createHash("sha256"), createHash("sha256")];
  let members = 0;
  let directoryAt: number | undefined;
  for (;;) {
    const startsAt = archive.position;
    const signature = view(await archive.take(4)).getUint32(0, true);
    if (signature === LOCAL_HEADER && directoryAt === undefined) {
      const member = await localHeader(archive, startsAt);
      inFront.update(factsOf(member, startsAt));
      members++;
      yield member;
      if (archive.position < member.endsAt) await archive.seek(member.endsAt);
    } else if (signature === CENTRAL_HEADER) {
      directoryAt ??= startsAt;
      inDirectory.update(await centralHeader(archive, startsAt));
    } else if (signature === ZIP64_END || signature === END) {
      directoryAt ??= startsAt;
      await checkEnd(archive, signature, { members, directoryAt, directoryBytes: startsAt - directoryAt });
      break;
    } else throw unexpected("a ZIP header is damaged", startsAt);
  }
  if (!inFront.digest().equals(inDirectory.digest()))
    throw unexpected("its directory does not name the members it has", archive.position);
}

interface DirectoryFacts {
  readonly members: number;
  readonly directoryAt: number;
  readonly directoryBytes: number;
}

/** The last records say where the directory is: all in 64 bits, if they say so, then in as many as fit. */
async function checkEnd(archive: ArchiveBytes, signature: number, facts: DirectoryFacts): Promise<void> {
  const at = archive.position;
  const { members, directoryAt, directoryBytes } = facts;
  const found: number[] = [];
  const expected: number[] = [];
  if (signature === ZIP64_END) {
    const end64 = view(copyOf(await archive.take(52 + ZIP64_LOCATOR_BYTES)));
    const [long, short] = [
      (offset: number) => Number(end64.getBigUint64(offset, true)),
      (offset: number) => end64.getUint32(offset, true),
    ];
    found.push(long(0), short(12), short(16), long(20), long(28), long(36), long(44));
    expected.push(44, 0, 0, members, members, directoryBytes, directoryAt);
    found.push(short(52), short(56), long(60), short(68), view(await archive.take(4)).getUint32(0, true));
    expected.push(ZIP64_LOCATOR, 0, directoryAt + directoryBytes, 1, END);
  }
  const end = view(await archive.take(18));
  const count = Math.min(members, 0xffff);
  found.push(end.getUint32(0, true), end.getUint16(4, true), end.getUint16(6, true), end.getUint16(16, true));
  expected.push(0, count, count, 0);
  found.push(end.getUint32(8, true), end.getUint32(12, true), archive.position);
  expected.push(Math.min(directoryBytes, IN_ZIP64), Math.min(directoryAt, IN_ZIP64), archive.sizeBytes);
  if (found.some((value, i) => value !== expected[i]))
    throw unexpected("its last records do not fit its directory", at);
}

type Facts = Pick<Member, "path" | "sizeBytes" | "crc32">;
const factsOf = ({ path, sizeBytes, crc32 }: Facts, startsAt: number) => `${startsAt} ${sizeBytes} ${crc32} ${path}\n`;

async function localHeader(archive: ArchiveBytes, startsAt: number): Promise<Member> {
  const fixed = view(copyOf(await archive.take(26)));
  // Neither encrypted nor with a data descriptor; names in UTF-8; stored.
  if (fixed.getUint16(2, true) !== UTF8_FLAG || fixed.getUint16(4, true) !== 0)
    throw unexpected("a ZIP member is not stored as it is", startsAt);
  const path = textOf(await archive.take(fixed.getUint16(22, true)));
  const extras = extraFields(copyOf(await archive.take(fixed.getUint16(24, true))), startsAt);
  const packed = fixed.getUint32(14, true);
  const sizeBytes = packed === IN_ZIP64 ? large(extras, 0, startsAt) : packed;
  if (path === undefined) throw unexpected("a ZIP member has no readable name", startsAt);
  const time = extras.get(TIME_EXTRA);
  return {
    path,
    sizeBytes,
    modifiedAt: time && time.byteLength >= 5 ? time.getInt32(1, true) * 1000 : undefined,
    crc32: fixed.getUint32(10, true),
    startsAt,
    endsAt: archive.position + sizeBytes,
    bytes: () => bodyOf(archive, sizeBytes),
  };
}

/** @returns what it says of the member, as {@link factsOf} writes it. */
async function centralHeader(archive: ArchiveBytes, at: number): Promise<string> {
  const fixed = view(copyOf(await archive.take(42)));
  const path = textOf(await archive.take(fixed.getUint16(24, true))) ?? "";
  const extras = extraFields(copyOf(await archive.take(fixed.getUint16(26, true))), at);
  await archive.take(fixed.getUint16(28, true));
  // The zip64 field holds, in this order, only what does not fit its own place (4.5.3).
  let taken = 0;
  const wide = (short: number) => {
    if (short !== IN_ZIP64) return short;
    taken += 8;
    return large(extras, taken - 8, at);
  };
  const sizeBytes = wide(fixed.getUint32(20, true));
  const packedBytes = wide(fixed.getUint32(16, true));
  const startsAt = wide(fixed.getUint32(38, true));
  const isStored = fixed.getUint16(4, true) === UTF8_FLAG && fixed.getUint16(6, true) === 0;
  if (!isStored || packedBytes !== sizeBytes || fixed.getUint16(30, true) !== 0)
    throw unexpected("a member of its directory is not stored as it is", at);
  return factsOf({ path, sizeBytes, crc32: fixed.getUint32(12, true) }, startsAt);
}

/** Tag, length, content; again and again (4.5.1). */
function extraFields(bytes: Uint8Array, at: number): ReadonlyMap<number, DataView> {
  const all = view(bytes);
  const fields = new Map<number, DataView>();
  for (let start = 0; start < bytes.length; ) {
    const end = start + 4 + (start + 4 <= bytes.length ? all.getUint16(start + 2, true) : bytes.length);
    if (end > bytes.length) throw unexpected("an extra field of a ZIP member is damaged", at);
    fields.set(all.getUint16(start, true), view(bytes.subarray(start + 4, end)));
    start = end;
  }
  return fields;
}

function large(extras: ReadonlyMap<number, DataView>, offset: number, at: number): number {
  const field = extras.get(ZIP64_EXTRA);
  const value = field && field.byteLength >= offset + 8 ? Number(field.getBigUint64(offset, true)) : Number.NaN;
  if (!Number.isSafeInteger(value)) throw unexpected("a ZIP member has no usable size or place", at);
  return value;
}

const view = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
