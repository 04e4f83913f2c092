import { crc32 } from "node:zlib";
import type { Gathered, GatherPart } from "../../../core/archive/object-storage.ts";
import { AppError } from "../../../core/errors.ts";
import { eachAtOnce } from "../../../core/streams.ts";
import type { ReadPart } from "./read-ahead.ts";

const READS_AT_ONCE = 32;

/** {@link ObjectStorage.gather}, with many requests under way. */
export async function gatherParts(
  readPart: ReadPart,
  buffer: Uint8Array<ArrayBuffer>,
  parts: readonly GatherPart[],
): Promise<Gathered> {
  const crcs: (number | undefined)[] = parts.map(() => undefined);

  async function read(part: GatherPart, index: number): Promise<void> {
    const { path, start, sizeBytes, at, crc } = part;
    const expected = start + sizeBytes;
    const target = buffer.subarray(at, at + sizeBytes);
    const found = await readPart(part, target).catch((error: unknown) => {
      if (!(error instanceof AppError) || error.code !== "range_not_satisfiable") throw error;
      throw new AppError("object_corrupt", { path, expected, found: error.details.sizeBytes ?? null });
    });
    if (found !== sizeBytes) throw new AppError("object_corrupt", { path, expected, found: start + found });
    if (crc) crcs[index] = crc32(target);
  }

  await eachAtOnce(
    parts.entries(),
    () => READS_AT_ONCE,
    ([index, part]) => read(part, index),
  );
  return { buffer, crcs };
}
