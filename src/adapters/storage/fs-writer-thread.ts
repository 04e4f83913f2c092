import { closeSync, mkdirSync, openSync, writeSync } from "node:fs";
import { dirname, join } from "node:path";
import { parentPort } from "node:worker_threads";
import { crc32 } from "node:zlib";
import type { WrittenFile } from "../../core/archive/object-storage.ts";
import { type DigestName, type Digests, digestsOf, type MultiHash, multiHash } from "../../core/digest.ts";
import { systemCode } from "./fs-errors.ts";
import { type Answer, type Batch, type Failure, FILE_MODE } from "./fs-writer-protocol.ts";

/*
 * The worker thread behind `fs-writer.ts`: writes and hashes files with synchronous calls, which for small files cost
 * a fraction of asynchronous ones; here nobody waits for them.
 */

/** One writer's state between its batches. */
interface Sink {
  /** The file last begun. */
  path: string | undefined;
  file: OpenFile | undefined;
  failure: Failure | undefined;
}

interface OpenFile {
  readonly path: string;
  readonly fd: number;
  sizeBytes: number;
  crc32: number;
  /** Only for a file that came in more than one piece; the others are hashed in one call. */
  hashing: MultiHash | undefined;
  digests: Digests | undefined;
}

const sinks = new Map<number, Sink>();

parentPort?.on("message", (batch: Batch) => {
  const answer = carryOut(batch);
  parentPort?.postMessage(answer, answer.slab ? [answer.slab] : []);
});

function carryOut(batch: Batch): Answer {
  const { writer, slab } = batch;
  const sink = sinks.get(writer) ?? { path: undefined, file: undefined, failure: undefined };
  sinks.set(writer, sink);
  const files: WrittenFile[] = [];
  try {
    if (!sink.failure) write(sink, batch, files);
    if (batch.last) close(sink);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    sink.failure ??= { message, code: systemCode(error), path: sink.path };
    closeAfterFailure(sink);
  }
  if (batch.last) sinks.delete(writer);
  return { writer, slab, files, failure: sink.failure };
}

function write(sink: Sink, { folder, algorithms, steps, slab }: Batch, files: WrittenFile[]): void {
  const bytes = slab && new Uint8Array(slab);
  let at = 0;
  for (const [i, step] of steps.entries()) {
    if (typeof step === "string") {
      sink.path = step;
      sink.file = begin(folder, step);
    } else if (sink.file && bytes && typeof step === "number") {
      append(sink.file, bytes.subarray(at, at + step), algorithms, steps[i + 1] === null);
      at += step;
    } else if (sink.file) {
      const { path, sizeBytes, crc32, hashing, digests } = sink.file;
      close(sink);
      files.push({ path, sizeBytes, crc32, digests: digests ?? hashing?.digests() ?? digestsOf(NOTHING, algorithms) });
    }
  }
}

const NOTHING = new Uint8Array();

function begin(folder: string, path: string): OpenFile {
  return { path, fd: create(join(folder, path)), sizeBytes: 0, crc32: 0, hashing: undefined, digests: undefined };
}

/** Folders are made when one turns out to be missing: no list of those known, no call for those that exist. */
function create(file: string): number {
  try {
    return openSync(file, "wx", FILE_MODE);
  } catch (error) {
    if (systemCode(error) !== "ENOENT") throw error;
    mkdirSync(dirname(file), { recursive: true });
    return openSync(file, "wx", FILE_MODE);
  }
}

/** @param ends whether these are the file's last bytes. */
function append(file: OpenFile, bytes: Uint8Array, algorithms: readonly DigestName[], ends: boolean): void {
  for (let at = 0; at < bytes.byteLength; ) at += writeSync(file.fd, bytes, at);
  if (ends && file.sizeBytes === 0) {
    file.digests = digestsOf(bytes, algorithms);
  } else {
    file.hashing ??= multiHash(algorithms);
    file.hashing.update(bytes);
  }
  file.crc32 = crc32(bytes, file.crc32);
  file.sizeBytes += bytes.byteLength;
}

function close(sink: Sink): void {
  const fd = sink.file?.fd;
  sink.file = undefined;
  if (fd !== undefined) closeSync(fd);
}

function closeAfterFailure(sink: Sink): void {
  try {
    close(sink);
  } catch {
    // Whatever close(2) says now, the descriptor is gone and the first failure is the one that is reported.
  }
}
