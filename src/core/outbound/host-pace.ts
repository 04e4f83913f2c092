import type { Clock } from "../clock.ts";
import type { Rate } from "../rate.ts";

export interface Pace {
  /** Requests under way at once to one host; any number when left out. */
  readonly connections?: number;
  /** Requests begun; `calls: 1` spaces them evenly. Any number when left out. */
  readonly rate?: Rate;
  /** What is thrown at whoever would have to wait for the rate; when left out, they wait. */
  refusal?(host: string, waitMs: number): Error;
}

/** Keeps requests to each host within bounds. */
export interface HostPace {
  /**
   * Waits for a turn: for a connection in the order in which they were asked for, then for the rate.
   * @returns what ends it; calling it again does nothing. @throws the signal's reason; the pace's refusal.
   */
  turn(host: string, signal: AbortSignal): Promise<() => void>;
  /** Nobody asks the host before `at` (epoch milliseconds): it said so. */
  holdBack(host: string, at: number): void;
}

interface Host {
  /** Turns given out; one that ends is handed to the first who waits. */
  underWay: number;
  /** When the requests of the last `perMs` began, the oldest first. */
  readonly begun: number[];
  heldUntil: number;
  readonly waiting: (() => void)[];
}

/** So many hosts are known before those are looked for that nothing is known of. */
const MANY_HOSTS = 256;

export function hostPace(
  { connections = Number.POSITIVE_INFINITY, rate, refusal }: Pace,
  clock: Pick<Clock, "now" | "sleep">,
): HostPace {
  const hosts = new Map<string, Host>();
  let sweepAt = MANY_HOSTS;

  const hostOf = (name: string) => {
    const known = hosts.get(name);
    if (known) return known;
    if (hosts.size >= sweepAt) {
      for (const [other, host] of hosts) if (isForgettable(host)) hosts.delete(other);
      sweepAt = Math.max(MANY_HOSTS, 2 * hosts.size);
    }
    const host: Host = { underWay: 0, begun: [], heldUntil: 0, waiting: [] };
    hosts.set(name, host);
    return host;
  };

  /** When the next request may begin. */
  const nextAt = ({ begun, heldUntil }: Host) => {
    if (!rate || begun.length < rate.calls) return heldUntil;
    return Math.max(heldUntil, (begun[0] ?? 0) + rate.perMs);
  };

  const isForgettable = ({ underWay, begun, heldUntil }: Host) =>
    underWay === 0 && Math.max(heldUntil, rate ? (begun.at(-1) ?? 0) + rate.perMs : 0) <= clock.now();

  const leave = (name: string, host: Host) => {
    const next = host.waiting.shift();
    if (next) return next();
    host.underWay--;
    if (isForgettable(host)) hosts.delete(name);
  };

  return {
    async turn(name, signal) {
      signal.throwIfAborted();
      const host = hostOf(name);
      if (host.underWay < connections) host.underWay++;
      else await placeIn(host.waiting, signal);
      try {
        // Anew after each pause: meanwhile another may have begun, or the host have asked for patience.
        for (;;) {
          const waitMs = nextAt(host) - clock.now();
          if (waitMs <= 0) break;
          if (refusal) throw refusal(name, waitMs);
          await clock.sleep(waitMs, signal);
          signal.throwIfAborted();
        }
        if (rate && host.begun.push(clock.now()) > rate.calls) host.begun.shift();
      } catch (error) {
        leave(name, host);
        throw error;
      }
      let over = false;
      return () => {
        if (over) return;
        over = true;
        leave(name, host);
      };
    },
    holdBack(name, at) {
      const host = hostOf(name);
      host.heldUntil = Math.max(host.heldUntil, at);
    },
  };
}

/** Resolves when it is called up; leaves its place when the signal aborts. */
function placeIn(waiting: (() => void)[], signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const called = () => {
      signal.removeEventListener("abort", left);
      resolve();
    };
    const left = () => {
      waiting.splice(waiting.indexOf(called), 1);
      reject(signal.reason);
    };
    waiting.push(called);
    signal.addEventListener("abort", left, { once: true });
  });
}
