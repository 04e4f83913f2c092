import type { FactsOptions } from "../../../core/archive/object-storage.ts";
import type { DigestName, StreamFacts } from "../../../core/digest.ts";
import type { FactsDuties } from "./facts-thread.ts";
import { readError } from "./read-failure.ts";
import { startThreads } from "./threads.ts";

/** Reads and hashes whole files on threads of their own. */
export interface FactsThreads {
  /** @param path what errors call the file. @throws AppError object_missing, object_corrupt, storage_unavailable. */
  facts(file: string, path: string, algorithms: readonly DigestName[], options: FactsOptions): Promise<StreamFacts>;
  close(): Promise<void>;
}

export function factsThreads(most: number): FactsThreads {
  const threads = startThreads<FactsDuties>("facts-thread", most);
  const stops = new WeakMap<AbortSignal, SharedArrayBuffer>();

  /** Memory that the threads look at while they work, and hear of an abort from. */
  function stopOf(signal: AbortSignal): SharedArrayBuffer {
    const known = stops.get(signal);
    if (known) return known;
    const stop = new SharedArrayBuffer(4);
    stops.set(signal, stop);
    signal.addEventListener("abort", () => Atomics.store(new Int32Array(stop), 0, 1), { once: true });
    return stop;
  }

  return {
    async facts(file, path, algorithms, { signal, onRead }) {
      signal.throwIfAborted();
      let read = 0;
      const count = (bytes: number) => {
        read += bytes;
        onRead(bytes);
      };
      try {
        const request = { file, path, algorithms, stop: stopOf(signal) };
        const facts = await threads.ask("facts", request, { onRead: count });
        signal.throwIfAborted();
        onRead(facts.sizeBytes - read);
        return facts;
      } catch (error) {
        signal.throwIfAborted();
        throw readError(error);
      }
    },
    close: () => threads.close(),
  };
}
