import { LongshoreError } from "./errors.ts";

/** Ends what waits for the network too long: a connection can die without anybody being told. */
export interface SilenceGuard {
  /** For the requests that are guarded; aborts as the caller's own signal does, too. */
  readonly signal: AbortSignal;
  /** Waits for one thing; when it takes too long, `signal` aborts with `server_unavailable`. */
  during<T>(work: Promise<T>): Promise<T>;
  /** The same bytes, each wait for the next ones guarded. How long the reader takes between them does not count. */
  guarded<T>(bytes: AsyncIterable<T>): AsyncGenerator<T, void, undefined>;
}

export function silenceGuard(limitMs: number, outer: AbortSignal | undefined): SilenceGuard {
  const silence = new AbortController();

  async function during<T>(work: Promise<T>): Promise<T> {
    const timer = setTimeout(
      () => silence.abort(new LongshoreError("server_unavailable", "The Longshore server has gone silent.")),
      limitMs,
    );
    return work.finally(() => clearTimeout(timer));
  }

  return {
    signal: outer ? AbortSignal.any([outer, silence.signal]) : silence.signal,
    during,
    async *guarded<T>(bytes: AsyncIterable<T>) {
      const iterator = bytes[Symbol.asyncIterator]();
      try {
        for (;;) {
          const { done, value } = await during(iterator.next());
          if (done) return;
          yield value;
        }
      } finally {
        await iterator.return?.();
      }
    },
  };
}
