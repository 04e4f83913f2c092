import { closeSync, constants, fstatSync, openSync, readSync, realpathSync } from "node:fs";
import { AppError } from "../errors.ts";

/** Read at a time: what an extractor holds of a file at most, if it does not keep more itself. */
const CHUNK_BYTES = 256 * 1024;

/** An open file on this machine. Reading is synchronous: an extractor has its process to itself. */
export interface LocalBytes {
  readonly sizeBytes: number;
  /** Shorter than asked for where the file ends. The bytes are the caller's own. */
  read(at: number, length: number): Buffer;
  /** All bytes from an offset on, in order. A chunk is overwritten by the next. */
  chunks(from?: number): Generator<Buffer, void, undefined>;
}

/** Not blocking: opening a named pipe would wait for a writer. */
const OPEN_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/**
 * Lends an open file, and closes it. The one place where core touches the file system, and it only reads: extractors run
 * in a process that may do nothing else.
 * @throws AppError entry_unreadable for what is no regular file (any more); what the operating system refuses.
 */
export async function withLocalFile<T>(path: string, use: (bytes: LocalBytes) => T | Promise<T>): Promise<T> {
  const fd = openSync(path, OPEN_FLAGS);
  try {
    const stats = fstatSync(fd);
    if (!stats.isFile()) throw new AppError("entry_unreadable", { hint: "it is no regular file" });
    const { size } = stats;
    return await use({
      sizeBytes: size,
      read(at, length) {
        const buffer = Buffer.allocUnsafe(Math.max(0, Math.min(length, size - at)));
        return buffer.subarray(0, fill(fd, buffer, at));
      },
      *chunks(from = 0) {
        const buffer = Buffer.allocUnsafe(Math.max(1, Math.min(CHUNK_BYTES, size - from)));
        for (let at = from; ; ) {
          const got = fill(fd, buffer, at);
          if (got === 0) return;
          yield buffer.subarray(0, got);
          at += got;
        }
      },
    });
  } finally {
    closeSync(fd);
  }
}

/** @throws AppError entry_unreadable when a link is on the way; what the operating system refuses. */
export function requireNoLink(path: string): void {
  if (realpathSync.native(path) !== path)
    throw new AppError("entry_unreadable", { hint: "it is reached through a link now" });
}

/** One read may give less than there is. */
function fill(fd: number, buffer: Buffer, at: number): number {
  let filled = 0;
  while (filled < buffer.length) {
    const got = readSync(fd, buffer, filled, buffer.length - filled, at + filled);
    if (got === 0) break;
    filled += got;
  }
  return filled;
}
