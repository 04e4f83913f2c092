import { type ArchiveBytes, unexpected } from "./archive-bytes.ts";
import { bodyOf, type Member, textOf } from "./member.ts";

const BLOCK = 512;
/** Longer than any path and number that a pax header of ours holds. */
const MAX_PAX_BYTES = 256 * 1024;

/** What a pax extended header says of the member that follows. */
interface Extension {
  readonly path?: string;
  readonly sizeBytes?: number;
  readonly modifiedAt?: number;
}

/**
 * Reads the tars that Longshore's server makes: ustar headers of regular files, pax extended headers with `path`, `size`
 * and `mtime`, two blocks of zeros at the end (POSIX.1-2017 pax, "ustar Interchange Format", "pax Header Block").
 */
export async function* tarMembers(archive: ArchiveBytes): AsyncGenerator<Member, void, undefined> {
  for (;;) {
    const startsAt = archive.position;
    let header = await archive.take(BLOCK);
    if (header.every((byte) => byte === 0)) return endOf(archive);
    let extension: Extension = {};
    if (typeOf(header, startsAt) === "x") {
      extension = await readExtension(archive, number(header, 124, 12, startsAt));
      header = await archive.take(BLOCK);
    }
    const type = typeOf(header, startsAt);
    if (type !== "0") throw unexpected(`it has a member of type "${type}"`, startsAt);
    const sizeBytes = extension.sizeBytes ?? number(header, 124, 12, startsAt);
    const [dataEndsAt, endsAt] = [archive.position + sizeBytes, archive.position + padded(sizeBytes)];
    yield {
      path: extension.path ?? pathOf(header, startsAt),
      sizeBytes,
      modifiedAt: extension.modifiedAt ?? number(header, 136, 12, startsAt) * 1000,
      crc32: undefined,
      startsAt,
      endsAt,
      bytes: () => bodyOf(archive, sizeBytes),
    };
    if (archive.position > dataEndsAt) continue; // moved on by whoever reads
    await archive.seek(dataEndsAt);
    requireZeros(await archive.take(endsAt - dataEndsAt), dataEndsAt);
  }
}

function requireZeros(padding: Uint8Array, at: number): void {
  if (padding.some((byte) => byte !== 0)) throw unexpected("something is where zeros should be", at);
}

/** Takes the second block of zeros. */
async function endOf(archive: ArchiveBytes): Promise<void> {
  const at = archive.position;
  if (archive.sizeBytes - at !== BLOCK) throw unexpected("it goes on behind its end, or has none", at);
  requireZeros(await archive.take(BLOCK), at);
}

/** @throws LongshoreError remote_refused when the block is no header of ours. */
function typeOf(header: Uint8Array, at: number): string {
  let sum = 8 * 0x20; // the checksum field counts as blanks
  for (let i = 0; i < BLOCK; i++) if (i < 148 || i >= 156) sum += header[i] ?? 0;
  if (ascii(header, 257, 6) !== "ustar\0" || number(header, 148, 8, at) !== sum)
    throw unexpected("a tar header is damaged", at);
  return ascii(header, 156, 1);
}

function pathOf(header: Uint8Array, at: number): string {
  const [prefix, name] = [textField(header, 345, 155), textField(header, 0, 100)];
  if (!name || prefix === undefined) throw unexpected("a tar header has no readable name", at);
  return prefix === "" ? name : `${prefix}/${name}`;
}

async function readExtension(archive: ArchiveBytes, sizeBytes: number): Promise<Extension> {
  const at = archive.position;
  if (sizeBytes > MAX_PAX_BYTES) throw unexpected("a pax header is too large", at);
  const blocks = await archive.take(padded(sizeBytes));
  requireZeros(blocks.subarray(sizeBytes), at);
  const body = blocks.subarray(0, sizeBytes);
  let extension: Extension = {};
  for (let start = 0; start < body.length; ) {
    const blank = body.indexOf(0x20, start);
    const end = start + (decimal(ascii(body, start, blank - start)) ?? 0);
    const record = blank < 0 || end <= blank || end > body.length ? undefined : textOf(body.subarray(blank + 1, end));
    const [, key = "", value = ""] = /^([^=]+)=(.*)\n$/s.exec(record ?? "") ?? [];
    const amount = decimal(value);
    if (key === "path") extension = { ...extension, path: value };
    else if (key === "size" && amount !== undefined) extension = { ...extension, sizeBytes: amount };
    else if (key === "mtime" && /^-?\d{1,15}(\.\d*)?$/.test(value))
      extension = { ...extension, modifiedAt: Number(value) * 1000 };
    else throw unexpected("a pax header says something else than path, size and time", at);
    start = end;
  }
  return extension;
}

function decimal(text: string): number | undefined {
  const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  return Number.isSafeInteger(value) ? value : undefined;
}

/** Octal digits, ended by blanks or NULs. */
function number(header: Uint8Array, from: number, length: number, at: number): number {
  const [, digits] = /^ *([0-7]+)[ \0]*$/.exec(ascii(header, from, length)) ?? [];
  if (digits === undefined) throw unexpected("a tar header holds something else than a number", at);
  return Number.parseInt(digits, 8);
}

function textField(header: Uint8Array, from: number, length: number): string | undefined {
  const field = header.subarray(from, from + length);
  const nul = field.indexOf(0);
  return textOf(nul < 0 ? field : field.subarray(0, nul));
}

const ascii = (bytes: Uint8Array, from: number, length: number) =>
  Buffer.from(bytes.buffer, bytes.byteOffset + from, Math.max(0, length)).toString("latin1");
const padded = (sizeBytes: number) => Math.ceil(sizeBytes / BLOCK) * BLOCK;
