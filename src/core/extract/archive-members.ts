import { AppError } from "../errors.ts";
import {
  isZeroBlock,
  readPaxRecords,
  readTarHeader,
  TAR_BLOCK_BYTES,
  TYPE_WORDS,
} from "../ingest/bundle/tar-header.ts";
import type { LocalBytes } from "./local-bytes.ts";
import { malformed } from "./malformed.ts";

export interface ArchiveMember {
  readonly path: string;
  readonly kind: "file" | "folder" | "other";
  readonly sizeBytes: number;
  /** As the archive stores it; `null` where members are not compressed one by one. */
  readonly storedBytes: number | null;
  /** ISO 8601; of ZIP, the maker's own time. */
  readonly modifiedAt: string | null;
  readonly isEncrypted: boolean;
}

const MAX_PAX_BYTES = 1024 * 1024;
/** The end record may be followed by a comment of so many bytes (APPNOTE 4.4.12). */
const ZIP_END_BYTES = 22 + 65_535;
const MAX_DIRECTORY_BYTES = 256 * 1024 * 1024;

/** Where a member of a ZIP lies, and how it is packed. */
export interface ZipEntry {
  readonly member: ArchiveMember & { readonly storedBytes: number };
  /** APPNOTE 4.4.5: 0 stored, 8 deflated. */
  readonly method: number;
  /** Of its local header, which its bytes follow. */
  readonly headerAt: number;
}

export function* zipMembers(bytes: LocalBytes): Generator<ArchiveMember, void, undefined> {
  for (const { member } of zipEntries(bytes)) yield member;
}

/** The members in a ZIP's central directory (APPNOTE 6.3, with ZIP64). @throws AppError content_malformed. */
export function* zipEntries(bytes: LocalBytes): Generator<ZipEntry, void, undefined> {
  const { count, at, sizeBytes } = zipDirectory(bytes);
  if (sizeBytes > MAX_DIRECTORY_BYTES) throw malformed(`the directory is larger than ${MAX_DIRECTORY_BYTES} bytes`, at);
  const directory = bytes.read(at, sizeBytes);
  let entry = 0;
  for (let i = 0; i < count; i++) {
    if (entry + 46 > directory.length || directory.readUInt32LE(entry) !== 0x02014b50)
      throw malformed(`the directory ends before its member ${i + 1} of ${count}`, at + entry);
    const [nameBytes, extraBytes, commentBytes] = [28, 30, 32].map((field) => directory.readUInt16LE(entry + field));
    const nameEnd = entry + 46 + (nameBytes ?? 0);
    const extraEnd = nameEnd + (extraBytes ?? 0);
    const end = extraEnd + (commentBytes ?? 0);
    if (end > directory.length) throw malformed("a directory entry does not end", at + entry);
    const flags = directory.readUInt16LE(entry + 8);
    const stored = directory.readUInt32LE(entry + 20);
    const size = directory.readUInt32LE(entry + 24);
    const headerAt = directory.readUInt32LE(entry + 42);
    const wide = zip64Fields(directory.subarray(nameEnd, extraEnd), {
      size: size === 0xffffffff,
      stored: stored === 0xffffffff,
      headerAt: headerAt === 0xffffffff,
    });
    // Without flag 11 names are in code page 437 (APPNOTE D.1): read as Latin-1, its ASCII part is right.
    const path = directory.toString((flags & 0x800) !== 0 ? "utf8" : "latin1", entry + 46, nameEnd);
    const member: ZipEntry["member"] = {
      path: path.toWellFormed(),
      kind: path.endsWith("/") ? "folder" : "file",
      sizeBytes: wide.size ?? size,
      storedBytes: wide.stored ?? stored,
      modifiedAt: dosTime(directory.readUInt16LE(entry + 14), directory.readUInt16LE(entry + 12)),
      isEncrypted: (flags & 1) !== 0,
    };
    yield { member, method: directory.readUInt16LE(entry + 10), headerAt: wide.headerAt ?? headerAt };
    entry = end;
  }
}

function zipDirectory(bytes: LocalBytes) {
  const tailAt = Math.max(0, bytes.sizeBytes - ZIP_END_BYTES);
  const tail = bytes.read(tailAt, ZIP_END_BYTES);
  const end = tail.lastIndexOf(Buffer.from("PK\x05\x06", "latin1"));
  if (end < 0 || end + 22 > tail.length) throw malformed("a ZIP has no end record");
  const short = {
    count: tail.readUInt16LE(end + 10),
    sizeBytes: tail.readUInt32LE(end + 12),
    at: tail.readUInt32LE(end + 16),
  };
  if (short.count !== 0xffff && short.sizeBytes !== 0xffffffff && short.at !== 0xffffffff) return short;
  const locator = bytes.read(tailAt + end - 20, 20);
  if (locator.length < 20 || locator.readUInt32LE(0) !== 0x07064b50) return short;
  const record = bytes.read(Number(locator.readBigUInt64LE(8)), 56);
  if (record.length < 56 || record.readUInt32LE(0) !== 0x06064b50) throw malformed("a ZIP64 end record is missing");
  const [count, sizeBytes, at] = [32, 40, 48].map((field) => Number(record.readBigUInt64LE(field)));
  return { count: count ?? 0, sizeBytes: sizeBytes ?? 0, at: at ?? 0 };
}

/** APPNOTE 4.5.3: only those fields are there that the short ones leave to it, in this order. */
function zip64Fields<Name extends string>(
  extra: Buffer,
  isLeft: Readonly<Record<Name, boolean>>,
): Partial<Record<Name, number>> {
  for (let at = 0; at + 4 <= extra.length; at += 4 + extra.readUInt16LE(at + 2)) {
    if (extra.readUInt16LE(at) !== 1) continue;
    const wide = extra.subarray(at + 4, at + 4 + extra.readUInt16LE(at + 2));
    const wanted = (Object.keys(isLeft) as Name[]).filter((name) => isLeft[name]);
    const there = wanted.filter((_, i) => (i + 1) * 8 <= wide.length);
    return Object.fromEntries(there.map((name, i) => [name, Number(wide.readBigUInt64LE(i * 8))])) as Partial<
      Record<Name, number>
    >;
  }
  return {};
}

/** APPNOTE 4.4.6: MS-DOS date and time, which have no zone. */
function dosTime(date: number, time: number): string | null {
  const [year, month, day] = [1980 + (date >> 9), (date >> 5) & 15, date & 31];
  const [hour, minute, second] = [time >> 11, (time >> 5) & 63, 2 * (time & 31)];
  if (month < 1 || month > 12 || day < 1 || hour > 23 || minute > 59 || second > 59) return null;
  const two = (value: number) => String(value).padStart(2, "0");
  return `${year}-${two(month)}-${two(day)}T${two(hour)}:${two(minute)}:${two(second)}`;
}

/** Bytes that come once. */
export interface Passing {
  /** Fewer only at the end. */
  take(length: number): Promise<Buffer>;
  /** @returns whether there was so much. */
  skip(length: number): Promise<boolean>;
}

/** Of a file, where what is passed over is not read. */
export function passingFile(bytes: LocalBytes): Passing {
  let at = 0;
  return {
    async take(length) {
      const taken = bytes.read(at, length);
      at += taken.length;
      return taken;
    },
    async skip(length) {
      at += length;
      return at <= bytes.sizeBytes;
    },
  };
}

export function passingStream(chunks: AsyncIterator<Buffer>): Passing {
  let rest: Buffer = Buffer.alloc(0);
  async function more(): Promise<boolean> {
    const { value, done } = await chunks.next();
    if (done) return false;
    rest = rest.length === 0 ? value : Buffer.concat([rest, value]);
    return true;
  }
  return {
    async take(length) {
      while (rest.length < length && (await more()));
      const taken = Buffer.from(rest.subarray(0, length));
      rest = rest.subarray(length);
      return taken;
    },
    async skip(length) {
      let left = length;
      while (left > rest.length) {
        left -= rest.length;
        rest = Buffer.alloc(0);
        if (!(await more())) return false;
      }
      rest = rest.subarray(left);
      return true;
    },
  };
}

/** The members of a tar (POSIX.1-2001 pax, ustar, GNU long names). @throws AppError content_malformed. */
export async function* tarMembers(source: Passing): AsyncGenerator<ArchiveMember, void, undefined> {
  let longName: string | undefined;
  let pax: ReadonlyMap<string, Uint8Array> = new Map();
  for (let at = 0; ; ) {
    const block = await source.take(TAR_BLOCK_BYTES);
    if (block.length < TAR_BLOCK_BYTES) throw malformed("a tar ends before its end-of-archive blocks", at);
    if (isZeroBlock(block)) return;
    const header = headerOf(block, at);
    const ownBytes = header.sizeBytes;
    const isExtended = ["x", "g", "L", "K"].includes(header.typeFlag);
    if (isExtended && ownBytes > MAX_PAX_BYTES) throw malformed("a tar extended header is too large", at);
    const extended = isExtended ? await source.take(ownBytes) : undefined;
    if (header.typeFlag === "x" && extended) pax = paxOf(extended, at);
    else if (header.typeFlag === "L" && extended) longName = extended.toString("utf8").replace(/\0+$/, "");
    if (extended === undefined) {
      const text = (keyword: string) =>
        pax.has(keyword) ? Buffer.from(pax.get(keyword) ?? []).toString("utf8") : undefined;
      const sizeBytes = Number(text("size") ?? ownBytes);
      if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 0) throw malformed("a pax size is no number", at);
      const path = text("path") ?? longName ?? Buffer.from(header.nameBytes).toString("utf8");
      const kind = header.typeFlag === "5" ? "folder" : header.typeFlag in TYPE_WORDS ? "other" : "file";
      const modifiedMs = Number(text("mtime") ?? header.modifiedAt) * 1000;
      const isTime = Math.abs(modifiedMs) <= 8.64e15;
      yield {
        path: path.toWellFormed(),
        kind,
        sizeBytes: kind === "file" ? sizeBytes : 0,
        storedBytes: null,
        modifiedAt: isTime ? new Date(modifiedMs).toISOString() : null,
        isEncrypted: false,
      };
      pax = new Map();
      longName = undefined;
      const skipped = Math.ceil(sizeBytes / TAR_BLOCK_BYTES) * TAR_BLOCK_BYTES;
      if (!(await source.skip(skipped))) throw malformed("a tar ends within a member", at);
      at += TAR_BLOCK_BYTES + skipped;
    } else {
      const padding = (TAR_BLOCK_BYTES - (ownBytes % TAR_BLOCK_BYTES)) % TAR_BLOCK_BYTES;
      if (!(await source.skip(padding))) throw malformed("a tar ends within a header", at);
      at += TAR_BLOCK_BYTES + ownBytes + padding;
    }
  }
}

function headerOf(block: Buffer, at: number) {
  const header = inTar(() => readTarHeader(block), at);
  if (header === undefined) throw malformed("a tar header does not match its checksum", at);
  return header;
}

function paxOf(body: Buffer, at: number) {
  return inTar(() => readPaxRecords(body), at);
}

/** What is wrong with a bundle's tar is, of a file in a store, just a damaged file. */
function inTar<T>(read: () => T, at: number): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof AppError && error.code === "bundle_header_corrupt")
      throw malformed("a tar header is damaged", at);
    throw error;
  }
}
