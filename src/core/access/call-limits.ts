import type { Clock } from "../clock.ts";
import type { Rate } from "../rate.ts";

/** A rate that is used up. */
export interface UsedUp {
  readonly rate: Rate;
  /** Until the next call is let through. */
  readonly waitMs: number;
}

/** How much each caller may still call. */
export interface CallLimits {
  /**
   * Counts a call, when none of the rates is used up; one that is refused does not count.
   * @param rates the caller's own, in place of everybody's.
   */
  count(caller: string, rates?: readonly Rate[]): UsedUp | undefined;
}

/** So many callers are remembered, some 2 MiB. Of more, those that were silent longest begin anew. */
const MAX_CALLERS = 10_000;
/** What sums of fractions are off by is no call too many. */
const SLACK_MS = 0.001;

/**
 * Each caller has a bucket for each rate that holds `calls`, and fills again evenly within `perMs` (the generic cell rate
 * algorithm, ITU-T I.371: of a bucket only the time is kept at which it will be full). So many calls may come at once, and
 * after that as many as have come back.
 */
export function callLimits(everybodys: readonly Rate[], clock: Pick<Clock, "now">): CallLimits {
  /** When the buckets of each caller will be full, by the order of the rates; who called last comes last. */
  const callers = new Map<string, readonly number[]>();

  return {
    count(caller, rates = everybodys) {
      if (rates.length === 0) return undefined;
      const now = clock.now();
      const known = callers.get(caller);
      const fullAt = rates.map(({ perMs }, index) => {
        const at = known?.[index] ?? now;
        // Further ahead than a bucket is large: the clock was set back, or the rates are others now.
        return at < now || at > now + perMs ? now : at;
      });
      const waits = rates.map(({ calls, perMs }, index) => (fullAt[index] ?? now) + perMs / calls - perMs - now);
      const waitMs = Math.max(...waits);
      callers.delete(caller);
      const [oldest] = callers.size >= MAX_CALLERS ? callers.keys() : [];
      if (oldest !== undefined) callers.delete(oldest);
      const usedUp = waitMs > SLACK_MS ? rates[waits.indexOf(waitMs)] : undefined;
      callers.set(
        caller,
        usedUp ? fullAt : rates.map(({ calls, perMs }, index) => (fullAt[index] ?? now) + perMs / calls),
      );
      return usedUp && { rate: usedUp, waitMs };
    },
  };
}
