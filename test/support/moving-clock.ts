import type { Clock } from "../../src/core/clock.ts";

/** Stands still until it is moved; sleepers wake when their time has come. */
export interface MovingClock extends Clock {
  pass(ms: number): void;
}

export function movingClock(startMs = 1_700_000_000_000): MovingClock {
  let now = startMs;
  const sleepers = new Set<() => void>();
  return {
    now: () => now,
    sleep: (ms, signal) =>
      new Promise((resolve) => {
        const wakeAt = now + ms;
        const wake = () => {
          if (now < wakeAt && !signal?.aborted) return;
          sleepers.delete(wake);
          signal?.removeEventListener("abort", wake);
          resolve();
        };
        sleepers.add(wake);
        signal?.addEventListener("abort", wake);
        wake();
      }),
    pass(ms) {
      now += ms;
      for (const wake of [...sleepers]) wake();
    },
  };
}
