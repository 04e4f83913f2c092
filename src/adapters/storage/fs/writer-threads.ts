import { startWorkingThread } from "./working-thread.ts";
import type { Answer, Batch, Message } from "./writer-protocol.ts";

/** Steps in order, on one thread. It ends with the answer to its last batch. */
export interface Lane {
  /** Rejects when the thread is gone; what a batch meets is in its answer. */
  post(batch: Batch): Promise<Answer>;
}

/** The threads behind all writers of a storage, started when first needed. */
export interface WriterThreads {
  /**
   * A lane for each folder, on threads of their own where there are enough, the least busy ones; one for `undefined` only
   * hashes.
   */
  lanes(folders: readonly (string | undefined)[]): readonly Lane[];
  /** Lanes that have not ended fail. */
  close(): Promise<void>;
}

export function writerThreads(most: number): WriterThreads {
  const threads: WriterThread[] = [];
  return {
    lanes(folders) {
      const idle = threads.filter((thread) => thread.load() === 0).length;
      for (let missing = folders.length - idle; missing > 0 && threads.length < most; missing--) {
        const thread = writerThread(() => threads.splice(threads.indexOf(thread), 1));
        threads.push(thread);
      }
      const byLoad = threads.toSorted((a, b) => a.load() - b.load());
      return folders.flatMap((folder, i) => byLoad[i % byLoad.length]?.lane(folder) ?? []);
    },
    async close() {
      await Promise.all(threads.map((thread) => thread.close()));
    },
  };
}

interface WriterThread {
  /** Lanes that have not ended; those that write count twice, or all of them would meet on one thread. */
  load(): number;
  lane(folder: string | undefined): Lane;
  close(): Promise<void>;
}

/** @param onDeath called once, when the thread has ended for whatever reason. */
function writerThread(onDeath: () => void): WriterThread {
  const { worker, begin, end, close } = startWorkingThread("writer-thread");
  const waiting = new Map<number, PromiseWithResolvers<Answer>[]>();
  let opened = 0;
  let load = 0;
  let death: unknown;

  function die(cause: unknown): void {
    death ??= cause;
    for (const { reject } of [...waiting.values()].flat()) reject(death);
    waiting.clear();
  }
  worker.on("message", (answer: Answer) => {
    end();
    waiting.get(answer.lane)?.shift()?.resolve(answer);
  });
  worker.on("error", die);
  worker.on("exit", () => {
    die(new Error("The writer thread has ended."));
    onDeath();
  });

  return {
    load: () => load,
    lane(folder) {
      opened += 1;
      const lane = opened;
      const weight = folder === undefined ? 1 : 2;
      load += weight;
      waiting.set(lane, []);
      return {
        async post(batch) {
          if (death) throw death;
          const answer = Promise.withResolvers<Answer>();
          waiting.get(lane)?.push(answer);
          begin();
          worker.postMessage({ lane, folder, ...batch } satisfies Message);
          try {
            return await answer.promise;
          } finally {
            if (batch.last) {
              waiting.delete(lane);
              load -= weight;
            }
          }
        },
      };
    },
    close,
  };
}
