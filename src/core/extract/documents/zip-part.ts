import { Readable } from "node:stream";
import { createInflateRaw, inflateRawSync } from "node:zlib";
import { type ZipEntry, zipEntries } from "../archive-members.ts";
import type { LocalBytes } from "../local-bytes.ts";
import { malformed } from "../malformed.ts";

/** Entries of a document's ZIP that are looked through for its parts. */
const MAX_ENTRIES = 20_000;
const LOCAL_HEADER_BYTES = 30;
const CHUNK_BYTES = 64 * 1024;
/** Expanded at once. */
const SMALL_BYTES = 1024 * 1024;

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
  const chunks: Buffer[] = [];
  let expanded = 0;
  for await (const chunk of zipPartChunks(bytes, entry)) {
    chunks.push(chunk);
    expanded += chunk.length;
    if (expanded >= maxBytes) break;
  }
  return Buffer.concat(chunks, Math.min(expanded, maxBytes));
}

/** A part's bytes, as they are expanded, for as long as they are asked for. @throws AppError content_malformed. */
export async function* zipPartChunks(bytes: LocalBytes, entry: ZipEntry): AsyncGenerator<Buffer, void, undefined> {
  const { member, method, headerAt } = entry;
  const header = bytes.read(headerAt, LOCAL_HEADER_BYTES);
  // APPNOTE 4.3.7: the local header's own name and extra field, which may differ from the directory's.
  if (header.length < LOCAL_HEADER_BYTES || header.readUInt32LE(0) !== 0x04034b50)
    throw malformed(`the header of ${member.path} is missing`, headerAt);
  const at = headerAt + LOCAL_HEADER_BYTES + header.readUInt16LE(26) + header.readUInt16LE(28);
  if (method === 0) {
    yield* stored(bytes, at, member.storedBytes);
    return;
  }
  if (method !== 8) throw malformed(`${member.path} is packed by method ${method}`, headerAt);
  const small = smallPart(bytes, at, member.storedBytes);
  if (small) {
    yield small;
    return;
  }

  const source = Readable.from(stored(bytes, at, member.storedBytes), { objectMode: false });
  const inflate = createInflateRaw();
  source.on("error", (error) => inflate.destroy(error)).pipe(inflate);
  try {
    yield* inflate as AsyncIterable<Buffer>;
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    throw /^Z_/.test(code) ? malformed(`${member.path}: ${(error as Error).message}`, at) : error;
  } finally {
    source.destroy();
    inflate.destroy();
  }
}

/** Most parts are small, and a stream takes longer than they do. `undefined` for what is large, or no deflated bytes. */
function smallPart(bytes: LocalBytes, at: number, storedBytes: number): Buffer | undefined {
  if (storedBytes > SMALL_BYTES) return undefined;
  try {
    return inflateRawSync(bytes.read(at, storedBytes), { maxOutputLength: SMALL_BYTES });
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    // The stream says what of it is wrong, behind what can be read.
    if (code === "ERR_BUFFER_TOO_LARGE" || /^Z_/.test(code)) return undefined;
    throw error;
  }
}

function* stored(bytes: LocalBytes, at: number, length: number): Generator<Buffer, void, undefined> {
  for (let done = 0; done < length; done += CHUNK_BYTES) {
    const piece = bytes.read(at + done, Math.min(CHUNK_BYTES, length - done));
    if (piece.length === 0) return;
    yield piece;
  }
}
