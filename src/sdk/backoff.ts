import { LongshoreError } from "./errors.ts";

export interface BackoffOptions {
  readonly signal?: AbortSignal | undefined;
  /** Failures in a row without progress that are still answered with another try. */
  readonly tries?: number;
  /** First pause; each further one is twice as long, up to `longestMs`. */
  readonly firstMs?: number;
  readonly longestMs?: number;
  /** Told before each pause. */
  readonly onRetry?: ((error: LongshoreError, pauseMs: number) => void) | undefined;
}

/** The one place where the SDK decides to try again. */
export interface Backoff {
  /** Something moved: the next failure counts as the first. */
  progressed(): void;
  /** Pauses before another try. @throws what failed, when it is not transient or has failed too often. */
  pause(error: unknown): Promise<void>;
}

export function backoff(options: BackoffOptions = {}): Backoff {
  const { tries = 10, firstMs = 250, longestMs = 20_000, signal } = options;
  let failures = 0;
  return {
    progressed() {
      failures = 0;
    },
    async pause(error) {
      if (!(error instanceof LongshoreError) || !error.transient || failures >= tries) throw error;
      const growing = Math.min(longestMs, firstMs * 2 ** failures);
      // Full clients of one restarted server must not all come back in the same instant.
      const pauseMs = Math.max(error.retryAfterMs ?? 0, growing * (0.75 + Math.random() / 2));
      failures++;
      options.onRetry?.(error, pauseMs);
      await sleep(pauseMs, signal);
    },
  };
}

/** @throws the signal's reason when it aborts. */
export function sleep(ms: number, signal: AbortSignal | undefined): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const abort = () => reject(signal?.reason);
  const timer = setTimeout(() => {
    signal?.removeEventListener("abort", abort);
    resolve();
  }, ms);
  if (signal?.aborted) abort();
  else signal?.addEventListener("abort", abort, { once: true });
  return promise.finally(() => clearTimeout(timer));
}
