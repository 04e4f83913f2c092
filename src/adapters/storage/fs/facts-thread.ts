import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { crc32 } from "node:zlib";
import { type DigestName, digestsOf, multiHash, type StreamFacts } from "../../../core/digest.ts";
import { NOT_A_FILE, ReadFailure, readFailure, SHORT, STOPPED } from "./read-failure.ts";
import { doDuties, type Line } from "./thread-duties.ts";

/*
 * A thread behind `facts.ts`: reads and hashes files with synchronous calls, which for small files cost a fraction of
 * asynchronous ones; here nobody waits for them.
 */

export interface FactsRequest {
  /** On disk. */
  readonly file: string;
  /** What errors call it. */
  readonly path: string;
  readonly algorithms: readonly DigestName[];
  /** Not 0: give up. One `Int32`. */
  readonly stop: SharedArrayBuffer;
}

/** Of large files, this much is read between two answers. */
const TELL_BYTES = 16 * 1024 * 1024;
const buffer = Buffer.allocUnsafeSlow(1024 * 1024);

const duties = {
  facts(request: FactsRequest, line: Line): StreamFacts {
    try {
      return factsOfFile(request, line);
    } catch (error) {
      throw readFailure(error, { path: request.path });
    }
  },
};
export type FactsDuties = typeof duties;
doDuties(duties);

function factsOfFile({ file, algorithms, stop }: FactsRequest, line: Line): StreamFacts {
  const stopped = new Int32Array(stop);
  const fd = openSync(file, "r");
  try {
    const stats = fstatSync(fd);
    if (!stats.isFile()) throw new ReadFailure(NOT_A_FILE, NOT_A_FILE);
    const sizeBytes = stats.size;
    const readAt = (position: number) => {
      if (Atomics.load(stopped, 0) !== 0) throw new ReadFailure(STOPPED, STOPPED);
      const read = readSync(fd, buffer, 0, Math.min(buffer.length, sizeBytes - position), position);
      if (read === 0) throw new ReadFailure(SHORT, SHORT, { expected: sizeBytes, found: position });
      return buffer.subarray(0, read);
    };

    let bytes = sizeBytes === 0 ? buffer.subarray(0, 0) : readAt(0);
    if (bytes.length === sizeBytes) return { sizeBytes, digests: digestsOf(bytes, algorithms), crc32: crc32(bytes) };
    const hashing = multiHash(algorithms);
    let position = 0;
    let told = 0;
    let crc = 0;
    for (;;) {
      hashing.update(bytes);
      crc = crc32(bytes, crc);
      position += bytes.length;
      if (position === sizeBytes) return { sizeBytes, digests: hashing.digests(), crc32: crc };
      if (position - told >= TELL_BYTES) {
        line.read(position - told);
        told = position;
      }
      bytes = readAt(position);
    }
  } finally {
    closeSync(fd);
  }
}
