import { crc32 } from "node:zlib";
import type { Gathered, GatherPart } from "../../../core/archive/object-storage.ts";
import { AppError } from "../../../core/errors.ts";
import { eachAtOnce } from "../../../core/streams.ts";

const READS_AT_ONCE = 32;

/** @param open as the storage's own; the stream ends with the range. */
export async function gatherParts(
  open: (path: string, range: { start: number; end: number }) => Promise<AsyncIterable<Uint8Array>>,
  buffer: Uint8Array<ArrayBuffer>,
  parts: readonly GatherPart[],
): Promise<Gathered> {
  const crcs: (number | undefined)[] = parts.map(() => undefined);

  async function read({ path, start, sizeBytes, at, crc }: GatherPart, index: number): Promise<void> {
    const expected = start + sizeBytes;
    const bytes = await open(path, { start, end: expected - 1 }).catch((error: unknown) => {
      if (!(error instanceof AppError) || error.code !== "range_not_satisfiable") throw error;
      throw new AppError("object_corrupt", { path, expected, found: error.details.sizeBytes ?? null });
    });
    let found = start;
    for await (const chunk of bytes) {
      buffer.set(chunk, at + found - start);
      found += chunk.byteLength;
    }
    if (found !== expected) throw new AppError("object_corrupt", { path, expected, found });
    if (crc) crcs[index] = crc32(buffer.subarray(at, at + sizeBytes));
  }

  await eachAtOnce(
    parts.entries(),
    () => READS_AT_ONCE,
    ([index, part]) => read(part, index),
  );
  return { buffer, crcs };
}
