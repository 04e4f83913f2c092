import { crc32 } from "node:zlib";
import type { BlockDeflate, Deflated } from "./block-deflate.ts";

/** A member that is kept as it is, with the ways of one that is deflated. */
export function stored(write: (pieces: readonly Uint8Array[]) => Promise<void>, from?: Deflated): BlockDeflate {
  let { crc32: crc, sizeBytes } = from ?? { crc32: 0, sizeBytes: 0 };
  let last: Promise<void> = Promise.resolve();
  const facts = async (): Promise<Deflated> => {
    await last;
    return { crc32: crc, sizeBytes, compressedBytes: sizeBytes };
  };
  return {
    write(part) {
      const bytes = typeof part === "string" ? Buffer.from(part) : part;
      crc = crc32(bytes, crc);
      sizeBytes += bytes.length;
      last = last.then(() => write([bytes]));
      return last;
    },
    flush: facts,
    end: facts,
  };
}
