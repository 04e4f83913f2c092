import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { parentPort } from "node:worker_threads";
import { crc32 } from "node:zlib";
import { digestsOf, multiHash, type StreamFacts } from "../../../core/digest.ts";
import { systemCode } from "./errors.ts";
import { type FactsAnswer, type FactsRequest, NOT_A_FILE, SHORT, STOPPED } from "./facts-protocol.ts";

/*
 * A thread behind `facts.ts`: reads and hashes files with synchronous calls, which for small files cost a fraction of
 * asynchronous ones; here nobody waits for them.
 */

/** Of large files, this much is read between two answers. */
const TELL_BYTES = 16 * 1024 * 1024;
const buffer = Buffer.allocUnsafeSlow(1024 * 1024);

parentPort?.on("message", (request: FactsRequest) => {
  try {
    answer({ id: request.id, facts: factsOfFile(request) });
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    answer({ id: request.id, failure: { message, code: systemCode(error) } });
  }
});

function answer(message: FactsAnswer): void {
  parentPort?.postMessage(message);
}

function factsOfFile({ id, file, algorithms, stop }: FactsRequest): StreamFacts {
  const stopped = new Int32Array(stop);
  const fd = openSync(file, "r");
  try {
    const stats = fstatSync(fd);
    if (!stats.isFile()) throw failure(NOT_A_FILE);
    const sizeBytes = stats.size;
    const readAt = (position: number) => {
      if (Atomics.load(stopped, 0) !== 0) throw failure(STOPPED);
      const read = readSync(fd, buffer, 0, Math.min(buffer.length, sizeBytes - position), position);
      if (read === 0) throw failure(SHORT);
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
        answer({ id, read: position - told });
        told = position;
      }
      bytes = readAt(position);
    }
  } finally {
    closeSync(fd);
  }
}

function failure(code: string): Error {
  return Object.assign(new Error(code), { code });
}
