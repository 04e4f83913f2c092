import type { Gathered, GatherPart } from "../../../core/archive/object-storage.ts";
import { mapInOrder } from "../../../core/streams.ts";
import type { GatherDuties } from "./gather-thread.ts";
import { readError } from "./read-failure.ts";
import { startThreads } from "./threads.ts";

/** Reads from many files at once, on threads of their own. */
export interface GatherThreads {
  /** @throws AppError object_missing, object_corrupt, storage_unavailable. */
  gather(buffer: Uint8Array<ArrayBuffer>, parts: readonly GatherPart[]): Promise<Gathered>;
  sizes(paths: readonly string[]): Promise<readonly (number | undefined)[]>;
  close(): Promise<void>;
}

/** Paths that a thread looks at in one go, some milliseconds: downloads wait for their turn meanwhile. */
const SIZES_AT_ONCE = 1024;

export function gatherThreads(root: string, most: number): GatherThreads {
  const threads = startThreads<GatherDuties>("gather-thread", most, root);

  async function translated<T>(answer: Promise<T>): Promise<T> {
    try {
      return await answer;
    } catch (error) {
      throw readError(error);
    }
  }
  return {
    gather(buffer, parts) {
      // Only a buffer that has its memory to itself can be handed over; any other is copied, there and back.
      const own = buffer.byteLength === buffer.buffer.byteLength;
      return translated(threads.ask("gather", { buffer, parts }, { transfer: own ? [buffer.buffer] : [] }));
    },
    async sizes(paths) {
      const batches = Array.from({ length: Math.ceil(paths.length / SIZES_AT_ONCE) }, (_, i) =>
        paths.slice(i * SIZES_AT_ONCE, (i + 1) * SIZES_AT_ONCE),
      );
      const sizes = mapInOrder(batches, most, (batch) => translated(threads.ask("sizes", batch)));
      return (await Array.fromAsync(sizes)).flat();
    },
    close: () => threads.close(),
  };
}
