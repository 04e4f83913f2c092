import { crc32 } from "node:zlib";
import { AppError } from "../errors.ts";
import { mapInOrder } from "../streams.ts";
import type { Gathered, GatherPart, ObjectStorage } from "./object-storage.ts";

const STATS_AT_ONCE = 16;

/** {@link ObjectStorage.sizes}, with storage that lacks it too. */
export async function sizesOf(
  storage: ObjectStorage,
  paths: readonly string[],
): Promise<readonly (number | undefined)[]> {
  if (storage.sizes) return storage.sizes(paths);
  return Array.fromAsync(mapInOrder(paths, STATS_AT_ONCE, async (path) => (await storage.stat(path))?.sizeBytes));
}

/** {@link ObjectStorage.gather}, with storage that lacks it too. Such a storage's reads end with the signal. */
export async function gatherFrom(
  storage: ObjectStorage,
  buffer: Uint8Array<ArrayBuffer>,
  parts: readonly GatherPart[],
  signal: AbortSignal,
): Promise<Gathered> {
  if (storage.gather) return storage.gather(buffer, parts);
  const crcs: (number | undefined)[] = [];
  for (const part of parts) crcs.push(await readPart(storage, buffer, part, signal));
  return { buffer, crcs };
}

/** @returns its CRC-32, if that is wanted. */
async function readPart(
  storage: ObjectStorage,
  buffer: Uint8Array,
  { path, start, sizeBytes, at, crc }: GatherPart,
  signal: AbortSignal,
): Promise<number | undefined> {
  signal.throwIfAborted();
  const expected = start + sizeBytes;
  const stream = await storage.open(path, { start, end: expected - 1 }).catch((error: unknown) => {
    const isShort = error instanceof AppError && error.code === "range_not_satisfiable";
    throw isShort ? new AppError("object_corrupt", { path, expected, found: error.details.sizeBytes ?? null }) : error;
  });
  const abort = () => stream.destroy(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  try {
    let found = start;
    for await (const chunk of stream as AsyncIterable<Uint8Array>) {
      buffer.set(chunk, at + found - start);
      found += chunk.byteLength;
    }
    if (found !== expected) throw new AppError("object_corrupt", { path, expected, found });
  } finally {
    signal.removeEventListener("abort", abort);
  }
  return crc ? crc32(buffer.subarray(at, at + sizeBytes)) : undefined;
}
