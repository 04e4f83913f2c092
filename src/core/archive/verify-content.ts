import { buffer } from "node:stream/consumers";
import type { Clock } from "../clock.ts";
import { type DigestName, factsOfStream, type StreamFacts } from "../digest.ts";
import { AppError, type Problem, problem } from "../errors.ts";
import type { ObjectStorage } from "./object-storage.ts";

export interface ReadOptions {
  /** Files read at a time; each costs about 2 MiB. */
  readonly parallel: number;
  /** Over all files together; as fast as it goes when left out. */
  readonly bytesPerSecond?: number | undefined;
  readonly signal: AbortSignal;
  /** Told of bytes as they are read. */
  onRead(bytes: number): void;
}

/** How a verification reads the archive. */
export interface ContentReader {
  readonly parallel: number;
  /** Reads a file to its end, once, for all digests. @throws AppError object_missing, object_corrupt, storage_unavailable. */
  facts(path: string, algorithms: readonly DigestName[]): Promise<StreamFacts>;
  /** A file that is small enough to be read as a whole. @throws as `facts`. */
  whole(path: string): Promise<Uint8Array>;
}

export function contentReader(storage: ObjectStorage, clock: Clock, options: ReadOptions): ContentReader {
  const { parallel, signal, bytesPerSecond } = options;
  const inTurn = turnstile(parallel);
  const pause = bytesPerSecond === undefined ? undefined : pacer(clock, bytesPerSecond, signal);

  async function* read(path: string): AsyncGenerator<Uint8Array> {
    for await (const chunk of await storage.open(path)) {
      signal.throwIfAborted();
      options.onRead(chunk.length);
      yield chunk;
      await pause?.(chunk.length);
    }
  }
  return {
    parallel,
    facts: (path, algorithms) =>
      inTurn(async () => {
        signal.throwIfAborted();
        // What reads beside this thread cannot be slowed down from here.
        return storage.facts && !pause
          ? storage.facts(path, algorithms, options)
          : factsOfStream(read(path), algorithms);
      }),
    whole: (path) => inTurn(() => buffer(read(path))),
  };
}

/**
 * An error of the archive's as a problem of the file it is about. Whatever else was thrown goes on.
 * @param path when the error does not name one itself.
 */
export function unreadable(path: string, error: unknown): Problem {
  if (!(error instanceof AppError)) throw error;
  const { path: named, expected, found, reason } = error.details;
  const about = typeof named === "string" ? named : path;
  return problem(error.code, { path: about, ...fact("expected", expected), ...fact("found", found ?? reason) });
}

function fact(name: "expected" | "found", value: unknown): { readonly [key: string]: string | number } {
  return typeof value === "string" || typeof value === "number" ? { [name]: value } : {};
}

/** Lets so many work at a time; the others wait in line. */
function turnstile(places: number): <T>(work: () => Promise<T>) => Promise<T> {
  const waiting: (() => void)[] = [];
  let free = places;
  return async (work) => {
    if (free > 0) free--;
    else await new Promise<void>((enter) => waiting.push(enter));
    try {
      return await work();
    } finally {
      const next = waiting.shift();
      if (next) next();
      else free++;
    }
  };
}

/** Timers are too coarse for the time that one chunk takes: debts below this are not slept off yet. */
const SHORTEST_PAUSE_MS = 20;

/** Makes its callers wait so that what they took stays within the rate; unused time is not saved up. */
function pacer(clock: Clock, bytesPerSecond: number, signal: AbortSignal): (bytes: number) => Promise<void> {
  let paidAt = 0;
  return async (bytes) => {
    const now = clock.now();
    paidAt = Math.max(paidAt, now) + (bytes * 1000) / bytesPerSecond;
    if (paidAt - now >= SHORTEST_PAUSE_MS) await clock.sleep(paidAt - now, signal);
  };
}
