import type { ArchiveBytes } from "./archive-bytes.ts";

/** A regular file in an archive. */
export interface Member {
  /** As the archive has it: nothing is known of it yet but that it is text. */
  readonly path: string;
  readonly sizeBytes: number;
  /** Epoch milliseconds; a ZIP cannot say it of every time. */
  readonly modifiedAt: number | undefined;
  /** Only in a ZIP. */
  readonly crc32: number | undefined;
  /** Where its header begins, and where the one of the next member does. */
  readonly startsAt: number;
  readonly endsAt: number;
  /** To be read once, before the next member is asked for; what is not read is passed over. */
  bytes(): AsyncGenerator<Uint8Array, void, undefined>;
}

/**
 * The members in order. Between two of them, the archive's bytes may be moved forward to where another member begins.
 * @throws LongshoreError remote_refused for everything that the server's own archives do not have: links, folders,
 * compression, and whatever else an archive could do to its reader.
 */
export type MemberReader = (archive: ArchiveBytes) => AsyncGenerator<Member, void, undefined>;

export async function* bodyOf(archive: ArchiveBytes, sizeBytes: number): AsyncGenerator<Uint8Array, void, undefined> {
  for (let left = sizeBytes; left > 0; ) {
    const part = await archive.some(left);
    left -= part.length;
    yield part;
  }
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** @returns `undefined` when the bytes are no UTF-8. */
export function textOf(bytes: Uint8Array): string | undefined {
  try {
    return utf8.decode(bytes);
  } catch (error) {
    if (error instanceof TypeError) return undefined;
    throw error;
  }
}

/** Not `slice`, which copies an Uint8Array, but makes another view of a Buffer. */
export function copyOf(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(bytes);
}
