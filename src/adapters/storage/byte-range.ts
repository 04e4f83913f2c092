import type { ByteRange } from "../../core/archive/object-storage.ts";
import { AppError } from "../../core/errors.ts";

/** The range as offsets into a file of `sizeBytes`; `end` is exclusive. @throws AppError range_not_satisfiable. */
export function rangeWithin(
  range: ByteRange | undefined,
  sizeBytes: number,
  path: string,
): { start: number; end: number } {
  const start = range?.start ?? 0;
  if (start > sizeBytes) throw new AppError("range_not_satisfiable", { path, start, sizeBytes });
  return { start, end: Math.max(start, Math.min(sizeBytes, (range?.end ?? sizeBytes) + 1)) };
}
