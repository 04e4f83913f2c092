import { AppError } from "../../core/errors.ts";

/**
 * Passes `sizeBytes` bytes on, no more and no fewer: anything else breaks the connection, so that a client never takes
 * another file for the whole. The last piece waits until it is known to be the last.
 * @throws AppError object_corrupt.
 */
export async function* exactly(bytes: AsyncIterable<Uint8Array>, sizeBytes: number): AsyncGenerator<Uint8Array> {
  let passed = 0;
  let held: Uint8Array | undefined;
  for await (const chunk of bytes) {
    passed += chunk.length;
    if (passed > sizeBytes) break;
    if (held) yield held;
    held = chunk;
  }
  if (passed !== sizeBytes) throw new AppError("object_corrupt", { expected: sizeBytes, found: passed });
  if (held) yield held;
}
