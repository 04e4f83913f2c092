import { Readable } from "node:stream";
import { createInflateRaw } from "node:zlib";
import { type ZipEntry, zipEntries } from "../archive-members.ts";
import type { LocalBytes } from "../local-bytes.ts";
import { malformed } from "../malformed.ts";

/** Entries of a document's ZIP that are looked through for its parts. */
const MAX_ENTRIES = 20_000;
const LOCAL_HEADER_BYTES = 30;
const CHUNK_BYTES = 64 * 1024;

/** By their paths; a document's ZIP holds no more than its parts. @throws AppError content_malformed. */
export function zipParts(bytes: LocalBytes, isWanted: (path: string) => boolean): readonly ZipEntry[] {
  const found: ZipEntry[] = [];
  let entries = 0;
  for (const entry of zipEntries(bytes)) {
    entries += 1;
    if (entries > MAX_ENTRIES) throw malformed(`there are more than ${MAX_ENTRIES} members`);
    if (isWanted(entry.member.path)) found.push(entry);
  }
  return found;
}

/** A part's bytes, expanded to no more than so many: a bomb gives its beginning. @throws AppError content_malformed. */
export async function zipPartBytes(bytes: LocalBytes, entry: ZipEntry, maxBytes: number): Promise<Buffer> {
  const { member, method, headerAt } = entry;
  const header = bytes.read(headerAt, LOCAL_HEADER_BYTES);
  // APPNOTE 4.3.7: the local header's own name and extra field, which may differ from the directory's.
  if (header.length < LOCAL_HEADER_BYTES || header.readUInt32LE(0) !== 0x04034b50)
    throw malformed(`the header of ${member.path} is missing`, headerAt);
  const at = headerAt + LOCAL_HEADER_BYTES + header.readUInt16LE(26) + header.readUInt16LE(28);
  if (method === 0) return bytes.read(at, Math.min(member.storedBytes, maxBytes));
  if (method !== 8) throw malformed(`${member.path} is packed by method ${method}`, headerAt);

  const source = Readable.from(stored(bytes, at, member.storedBytes), { objectMode: false });
  const inflate = createInflateRaw();
  source.on("error", (error) => inflate.destroy(error)).pipe(inflate);
  const chunks: Buffer[] = [];
  let expanded = 0;
  try {
    for await (const chunk of inflate as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      expanded += chunk.length;
      if (expanded >= maxBytes) break;
    }
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    throw /^Z_/.test(code) ? malformed(`${member.path}: ${(error as Error).message}`, at) : error;
  } finally {
    source.destroy();
    inflate.destroy();
  }
  return Buffer.concat(chunks, Math.min(expanded, maxBytes));
}

function* stored(bytes: LocalBytes, at: number, length: number): Generator<Buffer, void, undefined> {
  for (let done = 0; done < length; done += CHUNK_BYTES) {
    const piece = bytes.read(at + done, Math.min(CHUNK_BYTES, length - done));
    if (piece.length === 0) return;
    yield piece;
  }
}
