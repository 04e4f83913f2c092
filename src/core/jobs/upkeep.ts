import type { Clock } from "../clock.ts";

/** Unless the caller has another rhythm. */
const EVERY_MS = 60_000;

export interface UpkeepParts {
  /** Completes "the upkeep of …". */
  readonly what: string;
  readonly clock: Clock;
  /** From the end of one round to the next. */
  readonly everyMs?: number;
  /** Ends early once the signal is aborted. */
  round(signal: AbortSignal): Promise<unknown>;
  /** Told of what goes wrong; it is tried again with the next round. */
  onTrouble?(error: unknown, during: string): void;
}

export interface Upkeep {
  /** Resolves when the step that is under way is done. */
  stop(): Promise<void>;
}

/** One round after the other, beginning at once, until it is stopped. */
export function startUpkeep({ what, clock, everyMs = EVERY_MS, round, onTrouble }: UpkeepParts): Upkeep {
  const stopping = new AbortController();

  async function loop(): Promise<void> {
    while (!stopping.signal.aborted) {
      await round(stopping.signal).catch((error: unknown) => onTrouble?.(error, `the upkeep of ${what}`));
      await clock.sleep(everyMs, stopping.signal);
    }
  }

  const running = loop();
  return {
    async stop() {
      stopping.abort();
      await running;
    },
  };
}
