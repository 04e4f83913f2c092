import type { Clock } from "../clock.ts";

export interface Pace {
  /** Requests under way at once to one host. */
  readonly connections: number;
  /** Requests begun in a second to one host. */
  readonly perSecond: number;
}

/** Keeps requests to each host within bounds, in the order they were asked for. */
export interface HostPace {
  /** Waits for a turn. @returns what ends it; calling it again does nothing. @throws the signal's reason. */
  turn(host: string, signal: AbortSignal): Promise<() => void>;
  /** Nobody asks the host before `at` (epoch milliseconds): it said so. */
  holdBack(host: string, at: number): void;
}

interface Host {
  /** Turns given out; one that ends is handed to the first who waits. */
  underWay: number;
  /** When the next request may begin, as far as the rate goes. */
  nextAt: number;
  heldUntil: number;
  readonly waiting: (() => void)[];
}

export function hostPace({ connections, perSecond }: Pace, clock: Clock): HostPace {
  const hosts = new Map<string, Host>();

  const hostOf = (name: string) => {
    const known = hosts.get(name);
    if (known) return known;
    const host: Host = { underWay: 0, nextAt: 0, heldUntil: 0, waiting: [] };
    hosts.set(name, host);
    return host;
  };

  const leave = (name: string, host: Host) => {
    const next = host.waiting.shift();
    if (next) return next();
    host.underWay--;
    if (host.underWay === 0 && Math.max(host.nextAt, host.heldUntil) <= clock.now()) hosts.delete(name);
  };

  return {
    async turn(name, signal) {
      signal.throwIfAborted();
      const host = hostOf(name);
      if (host.underWay < connections) host.underWay++;
      else await placeIn(host.waiting, signal);
      try {
        const at = Math.max(clock.now(), host.nextAt);
        host.nextAt = at + 1_000 / perSecond;
        for (let pauseMs = 1; pauseMs > 0; ) {
          pauseMs = Math.max(at, host.heldUntil) - clock.now();
          if (pauseMs > 0) await clock.sleep(pauseMs, signal);
          signal.throwIfAborted();
        }
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
