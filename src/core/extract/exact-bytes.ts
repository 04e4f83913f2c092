import type { LocalBytes } from "./local-bytes.ts";
import { malformed } from "./malformed.ts";

const PAGE_BYTES = 2048;
/** What is kept of a file: 4 MiB. */
const MAX_PAGES = 2048;

/** Headers lie scattered over a file, many small ones beside each other: read by pages, each once. */
export interface ExactBytes {
  readonly sizeBytes: number;
  /** Not to be written to: bytes are shared. @throws AppError content_malformed where the file ends before them. */
  read(at: number, length: number): Buffer;
}

export function exactBytes(bytes: LocalBytes): ExactBytes {
  const pages = new Map<number, Buffer>();

  function page(number: number): Buffer {
    const known = pages.get(number);
    if (known) return known;
    if (pages.size === MAX_PAGES) pages.clear();
    const fresh = bytes.read(number * PAGE_BYTES, PAGE_BYTES);
    pages.set(number, fresh);
    return fresh;
  }

  return {
    sizeBytes: bytes.sizeBytes,
    read(at, length) {
      // Asked before anything is reserved: a length that a file claims may be anything.
      if (at < 0 || length < 0 || at + length > bytes.sizeBytes) throw malformed("it ends early", bytes.sizeBytes);
      const number = Math.floor(at / PAGE_BYTES);
      const from = at - number * PAGE_BYTES;
      const found = from + length <= PAGE_BYTES ? page(number).subarray(from, from + length) : bytes.read(at, length);
      // The file has become shorter.
      if (found.length < length) throw malformed("it ends early", at + found.length);
      return found;
    },
  };
}
