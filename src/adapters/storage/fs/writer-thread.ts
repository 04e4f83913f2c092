import { close, closeSync, fdatasync, mkdirSync, openSync, writeSync } from "node:fs";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { parentPort } from "node:worker_threads";
import { crc32 } from "node:zlib";
import { type DigestName, type Digests, digestsOf, type MultiHash, multiHash } from "../../../core/digest.ts";
import { systemCode } from "./errors.ts";
import { type Answer, type Failure, FILE_MODE, type LaneFile, type Message } from "./writer-protocol.ts";

/*
 * The worker thread behind `writer.ts`: writes and hashes files with synchronous calls, which for small files cost
 * a fraction of asynchronous ones; here nobody waits for them.
 */

/** What is kept of a lane between its batches. */
interface Lane {
  /** The file last begun. */
  path: string | undefined;
  file: OpenFile | undefined;
  failure: Failure | undefined;
  /** Write-back of large files that is under way; each closes its file. */
  readonly flushing: Set<Promise<void>>;
}

interface OpenFile {
  readonly path: string;
  /** `undefined` in a lane that only hashes. */
  readonly fd: number | undefined;
  sizeBytes: number;
  crc32: number;
  /** Only for a file that came in more than one piece; the others are hashed in one call. */
  hashing: MultiHash | undefined;
  digests: Digests | undefined;
  /** Up to where write-back has been asked for, and when it has ended; it never rejects, but fails the lane. */
  flushedBytes: number;
  flushed: Promise<void> | undefined;
}

/**
 * The disk starts on a large file while the rest of it is still coming: after this many bytes, and at its end. Left
 * alone, Linux keeps a whole GiB in memory until it is told to sync. What is left to do after the last byte of 1 GiB:
 * 0.44 s without, 0.06 s with 64 MiB, 0.03 s with 16 MiB (medians of 4, 2026-11-22).
 */
const FLUSH_BYTES = 16 * 1024 * 1024;

const lanes = new Map<number, Lane>();
const flush = promisify(fdatasync);
const closeLater = promisify(close);

parentPort?.on("message", (batch: Message) => {
  const lane = lanes.get(batch.lane) ?? { path: undefined, file: undefined, failure: undefined, flushing: new Set() };
  lanes.set(batch.lane, lane);
  const files: LaneFile[] = [];
  attempt(lane, () => {
    if (!lane.failure) carryOut(lane, batch, files);
  });
  if (!batch.last) {
    answer({ lane: batch.lane, files, failure: lane.failure });
    return;
  }
  lanes.delete(batch.lane);
  attempt(lane, () => abandon(lane));
  void Promise.all(lane.flushing).then(() => answer({ lane: batch.lane, files, failure: lane.failure }));
});

function answer(message: Answer): void {
  parentPort?.postMessage(message);
}

/** The first failure is the one that is reported; it ends the lane's work. */
function attempt(lane: Lane, work: () => void): void {
  try {
    work();
  } catch (error) {
    fail(lane, error, lane.path);
    if (lane.file) attempt(lane, () => abandon(lane));
  }
}

function fail(lane: Lane, error: unknown, path: string | undefined): void {
  lane.failure ??= { message: error instanceof Error ? error.message : String(error), code: systemCode(error), path };
}

function carryOut(lane: Lane, { folder, algorithms, steps, slab }: Message, files: LaneFile[]): void {
  const bytes = slab && new Uint8Array(slab);
  let at = 0;
  for (const [i, step] of steps.entries()) {
    if (typeof step === "string") {
      lane.path = step;
      lane.file = begin(folder, step);
    } else if (lane.file && bytes && typeof step === "number") {
      append(lane.file, bytes.subarray(at, at + step), algorithms, steps[i + 1] === null);
      at += step;
      if (lane.file.sizeBytes - lane.file.flushedBytes >= FLUSH_BYTES) startFlush(lane, lane.file);
    } else if (lane.file) {
      files.push(end(lane, lane.file, algorithms));
    }
  }
}

function begin(folder: string | undefined, path: string): OpenFile {
  return {
    path,
    fd: folder === undefined ? undefined : create(join(folder, path)),
    sizeBytes: 0,
    crc32: 0,
    hashing: undefined,
    digests: undefined,
    flushedBytes: 0,
    flushed: undefined,
  };
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
  if (file.fd !== undefined) {
    for (let at = 0; at < bytes.byteLength; ) at += writeSync(file.fd, bytes, at);
    file.crc32 = crc32(bytes, file.crc32);
  }
  if (ends && file.sizeBytes === 0) {
    file.digests = digestsOf(bytes, algorithms);
  } else {
    file.hashing ??= multiHash(algorithms);
    file.hashing.update(bytes);
  }
  file.sizeBytes += bytes.byteLength;
}

function startFlush(lane: Lane, file: OpenFile): void {
  if (file.fd === undefined) return;
  file.flushedBytes = file.sizeBytes;
  file.flushed = Promise.all([file.flushed, flush(file.fd)]).then(
    () => {},
    (error: unknown) => fail(lane, error, file.path),
  );
}

const NOTHING = new Uint8Array();

function end(lane: Lane, file: OpenFile, algorithms: readonly DigestName[]): LaneFile {
  if (file.flushed) startFlush(lane, file);
  abandon(lane);
  const { sizeBytes, crc32, hashing } = file;
  return { sizeBytes, crc32, digests: file.digests ?? hashing?.digests() ?? digestsOf(NOTHING, algorithms) };
}

/** Closes the lane's file, complete or not: at once, or when its write-back has ended. */
function abandon(lane: Lane): void {
  const { fd, flushed, path } = lane.file ?? {};
  lane.file = undefined;
  if (fd === undefined) return;
  if (!flushed) {
    closeSync(fd);
    return;
  }
  const closed = flushed
    .then(() => closeLater(fd))
    .catch((error: unknown) => fail(lane, error, path))
    .finally(() => lane.flushing.delete(closed));
  lane.flushing.add(closed);
}
