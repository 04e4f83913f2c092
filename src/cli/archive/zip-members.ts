import { createHash } from "node:crypto";
import { type ArchiveBytes, unexpected } from "./archive-bytes.ts";
import { bodyOf, type Member, textOf } from "./member.ts";

/** Signatures of APPNOTE 6.3, sections 4.3.7, 4.3.12, 4.3.14 and 4.3.16. */
const LOCAL_HEADER = 0x04034b50;
const CENTRAL_HEADER = 0x02014b50;
const ZIP64_END = 0x06064b50;
const END = 0x06054b50;
/** "It does not fit here; the zip64 extra field has it" (4.4.8, 4.4.9, 4.4.16). */
const IN_ZIP64 = 0xffffffff;
const UTF8_FLAG = 1 << 11;
const ZIP64_EXTRA = 0x0001;
const TIME_EXTRA = 0x5455;

/**
 * Reads the ZIPs that Longshore's server makes, front to back: stored members with sizes and CRC-32 in their local headers.
 * Other programs go by the central directory, so at the end that has to name the same members in the same order.
 */
export async function* zipMembers(archive: ArchiveBytes): AsyncGenerator<Member, void, undefined> {
  const [inFront, inDirectory] = [createHash("sha256"), createHash("sha256")];
  for (;;) {
    const startsAt = archive.position;
    const signature = view(await archive.take(4)).getUint32(0, true);
    if (signature === LOCAL_HEADER) {
      const member = await localHeader(archive, startsAt);
      inFront.update(factsOf(member, startsAt));
      yield member;
      if (archive.position < member.endsAt) await archive.seek(member.endsAt);
    } else if (signature === CENTRAL_HEADER) inDirectory.update(await centralHeader(archive, startsAt));
    else if (signature === ZIP64_END || signature === END) break;
    else throw unexpected("a ZIP header is damaged", startsAt);
  }
  if (!inFront.digest().equals(inDirectory.digest()))
    throw unexpected("its directory does not name the members it has", archive.position);
  while (archive.position < archive.sizeBytes) await archive.some(1024);
}

type Facts = Pick<Member, "path" | "sizeBytes" | "crc32">;
const factsOf = ({ path, sizeBytes, crc32 }: Facts, startsAt: number) => `${startsAt} ${sizeBytes} ${crc32} ${path}\n`;

async function localHeader(archive: ArchiveBytes, startsAt: number): Promise<Member> {
  const fixed = view((await archive.take(26)).slice());
  // Neither encrypted nor with a data descriptor; names in UTF-8; stored.
  if (fixed.getUint16(2, true) !== UTF8_FLAG || fixed.getUint16(4, true) !== 0)
    throw unexpected("a ZIP member is not stored as it is", startsAt);
  const path = textOf(await archive.take(fixed.getUint16(22, true)));
  const extras = extraFields((await archive.take(fixed.getUint16(24, true))).slice(), startsAt);
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
  const fixed = view((await archive.take(42)).slice());
  const path = textOf(await archive.take(fixed.getUint16(24, true))) ?? "";
  const extras = extraFields((await archive.take(fixed.getUint16(26, true))).slice(), at);
  await archive.take(fixed.getUint16(28, true));
  // The zip64 field holds, in this order, only what does not fit its own place (4.5.3).
  let taken = 0;
  const wide = (short: number) => {
    if (short !== IN_ZIP64) return short;
    taken += 8;
    return large(extras, taken - 8, at);
  };
  const sizeBytes = wide(fixed.getUint32(20, true));
  wide(fixed.getUint32(16, true));
  const startsAt = wide(fixed.getUint32(38, true));
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
