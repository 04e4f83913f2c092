import { backoff, sleep } from "./backoff.ts";
import type { LongshoreError } from "./errors.ts";

/** How often something that goes on is looked at: soon at first, since most of it takes no time at all. */
const FIRST_LOOK_MS = 200;
const LOOK_MS = 5_000;

export interface WatchOptions<T> {
  readonly signal?: AbortSignal | undefined;
  /** Told what every look has found. */
  onProgress?(found: T): void;
  onRetry?(error: LongshoreError, pauseMs: number): void;
}

/**
 * Looks again and again until it is over. A server that is lost meanwhile is waited for.
 * @throws LongshoreError what `look` does, when further tries are of no use; the signal's reason.
 */
export async function watch<T>(
  look: () => Promise<T>,
  isOver: (found: T) => boolean,
  options: WatchOptions<T>,
): Promise<T> {
  const retry = backoff({ signal: options.signal, onRetry: (error, pauseMs) => options.onRetry?.(error, pauseMs) });
  for (let pauseMs = FIRST_LOOK_MS; ; pauseMs = Math.min(LOOK_MS, pauseMs * 1.5)) {
    try {
      const found = await look();
      retry.progressed();
      options.onProgress?.(found);
      if (isOver(found)) return found;
    } catch (error) {
      await retry.pause(error);
      continue;
    }
    await sleep(pauseMs, options.signal);
  }
}
