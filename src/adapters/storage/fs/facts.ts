import { extname } from "node:path";
import { Worker } from "node:worker_threads";
import type { FactsOptions } from "../../../core/archive/object-storage.ts";
import type { DigestName, StreamFacts } from "../../../core/digest.ts";
import { AppError } from "../../../core/errors.ts";
import { ABSENT, storageError } from "./errors.ts";
import { type FactsAnswer, type FactsRequest, NOT_A_FILE, SHORT } from "./facts-protocol.ts";

/** Reads and hashes whole files on threads of their own, started when first needed. */
export interface FactsThreads {
  /** @param path what errors call the file. @throws AppError object_missing, object_corrupt, storage_unavailable. */
  facts(file: string, path: string, algorithms: readonly DigestName[], options: FactsOptions): Promise<StreamFacts>;
  close(): Promise<void>;
}

interface Asked extends PromiseWithResolvers<FactsAnswer> {
  readonly onRead: (bytes: number) => void;
}

export function factsThreads(most: number): FactsThreads {
  const threads: FactsThread[] = [];
  const stops = new WeakMap<AbortSignal, SharedArrayBuffer>();

  function leastBusy(): FactsThread {
    const idle = threads.find((thread) => thread.load() === 0);
    if (idle) return idle;
    if (threads.length >= most) return threads.reduce((a, b) => (b.load() < a.load() ? b : a));
    const thread = factsThread(() => threads.splice(threads.indexOf(thread), 1));
    threads.push(thread);
    return thread;
  }

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
      const { facts, failure } = await leastBusy().ask({ file, algorithms, stop: stopOf(signal) }, count);
      signal.throwIfAborted();
      if (facts) {
        onRead(facts.sizeBytes - read);
        return facts;
      }
      throw errorOf(failure, path);
    },
    async close() {
      await Promise.all(threads.map((thread) => thread.close()));
    },
  };
}

interface FactsThread {
  /** Files asked for and not answered. */
  load(): number;
  ask(request: Omit<FactsRequest, "id">, onRead: (bytes: number) => void): Promise<FactsAnswer>;
  close(): Promise<void>;
}

/** @param onDeath called once, when the thread has ended for whatever reason. */
function factsThread(onDeath: () => void): FactsThread {
  // The sources run as .ts, the published build as .js. Flags of the process, such as `--input-type`, are not for it.
  const worker = new Worker(new URL(`./facts-thread${extname(import.meta.url)}`, import.meta.url), { execArgv: [] });
  const asked = new Map<number, Asked>();
  let last = 0;
  let cause: unknown = new Error("The reading thread has ended.");

  worker.on("message", ({ id, ...answer }: FactsAnswer) => {
    const { onRead, resolve } = asked.get(id) ?? {};
    if (answer.read !== undefined) return onRead?.(answer.read);
    asked.delete(id);
    if (asked.size === 0) worker.unref();
    resolve?.({ id, ...answer });
  });
  worker.on("error", (error) => {
    cause = error;
  });
  worker.on("exit", () => {
    for (const { reject } of asked.values()) reject(cause);
    asked.clear();
    onDeath();
  });
  // An idle thread lets the process exit; one with work does not.
  worker.unref();

  return {
    load: () => asked.size,
    ask(request, onRead) {
      const answer = Promise.withResolvers<FactsAnswer>();
      if (asked.size === 0) worker.ref();
      last += 1;
      asked.set(last, { ...answer, onRead });
      worker.postMessage({ id: last, ...request } satisfies FactsRequest);
      return answer.promise;
    },
    async close() {
      await worker.terminate();
    },
  };
}

function errorOf(failure: FactsAnswer["failure"], path: string): unknown {
  const { code = "", message = "" } = failure ?? {};
  if (code === NOT_A_FILE || ABSENT.some((absent) => absent === code)) return new AppError("object_missing", { path });
  if (code === SHORT) return new AppError("object_corrupt", { path, found: SHORT });
  return storageError(Object.assign(new Error(message), { code }), path);
}
