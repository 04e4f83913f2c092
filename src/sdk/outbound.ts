import { hostPace } from "../core/outbound/host-pace.ts";
import { IDEMPOTENCY_KEY, type Retries, retriesOf, tryRepeatedly } from "../core/outbound/tries.ts";
import type { Rate } from "../core/rate.ts";
import { sleep } from "./backoff.ts";
import { LongshoreError } from "./errors.ts";

export type { Passing, Retries } from "../core/outbound/tries.ts";
export type { Rate } from "../core/rate.ts";

export interface OutboundOptions {
  /** At most so many calls in any stretch of time of this length, repeated ones among them. Any number when left out. */
  readonly rate?: Rate;
  /** Whether each host has the rate for itself, as it is when left out, or all of them share one. */
  readonly perHost?: boolean;
  /** What a call over the rate does: it waits, as when left out, or throws `rate_limited` at once. */
  readonly whenLimited?: "wait" | "raise";
  /** What is left out is as in {@link DEFAULT_RETRIES}. */
  readonly retries?: Partial<Retries>;
  /** For each try, until the head of its answer is there. Default: a minute. */
  readonly timeoutMs?: number;
  /** Stands in for the global `fetch`. */
  readonly fetch?: typeof fetch;
}

/**
 * As `fetch` is, with patience: any status is an answer once tries are used up. A body that is a stream is sent once.
 *
 * POST and PATCH are repeated after a 429 alone, as after anything else they may have been carried out; unless they have
 * an `Idempotency-Key`.
 * @throws LongshoreError rate_limited, with `retryAfterMs`; remote_unavailable; the reason of the signal; `TypeError` for
 * what is no request.
 */
export type OutboundClient = (url: string | URL, init?: RequestInit) => Promise<Response>;

export const DEFAULT_RETRIES: Retries = {
  attempts: 5,
  waits: [2_000],
  jitter: 0.25,
  retryAfterMs: 300_000,
  on: ["connection", "timeout", 429, "5xx"],
};
const TIMEOUT_MS = 60_000;
/** Longer ones end at once: `setTimeout` counts in 32 bits. */
const LONGEST_SLEEP_MS = 2 ** 31 - 1;

const clock = {
  now: Date.now,
  // Whoever waits looks at the signal afterwards.
  sleep: (ms: number, signal?: AbortSignal) => sleep(Math.min(ms, LONGEST_SLEEP_MS), signal).catch(() => undefined),
};

/**
 * A client for other people's services: never more calls than they allow, and again when it is worth it. Calls of one
 * client know of each other; those of another process do not.
 * @throws RangeError for options that make no sense.
 */
export function outboundClient(options: OutboundOptions = {}): OutboundClient {
  const { rate, perHost = true, whenLimited = "wait", timeoutMs = TIMEOUT_MS, fetch: fetching = fetch } = options;
  const retries = { ...DEFAULT_RETRIES, ...options.retries };
  requireSense(rate, retries);
  const pace = hostPace({ ...(rate && { rate }), ...(whenLimited === "raise" && { refusal: limited }) }, clock);

  return async (url, init = {}) => {
    const request = new Request(url, init);
    const { origin, host } = new URL(request.url);
    const isStream = init.body instanceof ReadableStream;
    const repeated = retriesOf(request.method, request.headers.has(IDEMPOTENCY_KEY), retries);

    async function attempt(endTurn: () => void) {
      const late = new AbortController();
      const timer = setTimeout(() => late.abort(unanswered(origin, `no answer within ${timeoutMs} ms`)), timeoutMs);
      try {
        const signal = AbortSignal.any([request.signal, late.signal]);
        const answer = await fetching(isStream ? request : request.clone(), { signal });
        endTurn();
        return {
          answer,
          status: answer.status,
          retryAfter: answer.headers.get("retry-after"),
          // A connection that breaks meanwhile is as well.
          discard: () => void answer.body?.cancel().catch(() => undefined),
        };
      } catch (error) {
        throw late.signal.aborted ? late.signal.reason : error;
      } finally {
        clearTimeout(timer);
      }
    }

    try {
      return await tryRepeatedly(
        {
          host: perHost ? host : "",
          signal: request.signal,
          attempt,
          failure(error) {
            if (error instanceof LongshoreError) return "timeout";
            return error instanceof TypeError ? "connection" : undefined;
          },
        },
        { pace, clock, retries: isStream ? { ...retries, attempts: 1 } : repeated },
      );
    } catch (error) {
      if (request.signal.aborted || !(error instanceof TypeError)) throw error;
      throw unanswered(origin, error.cause instanceof Error ? error.cause.message : error.message, error);
    }
  };
}

function limited(host: string, waitMs: number): LongshoreError {
  const whose = host === "" ? "this client" : host;
  const message = `No more calls to ${whose} for ${Math.ceil(waitMs / 1_000)} s: the rate of this client is used up.`;
  return new LongshoreError("rate_limited", message, { details: { host }, retryAfterMs: Math.ceil(waitMs) });
}

function unanswered(origin: string, reason: string, cause?: unknown): LongshoreError {
  return new LongshoreError("remote_unavailable", `${origin} does not answer (${reason}).`, {
    details: { origin, reason },
    cause,
  });
}

function requireSense(rate: Rate | undefined, { attempts, waits, jitter, retryAfterMs }: Retries): void {
  const isCount = (n: number) => Number.isInteger(n) && n >= 1;
  if (rate && !(isCount(rate.calls) && rate.perMs > 0))
    throw new RangeError("A rate is of 1 call or more in some time.");
  if (!isCount(attempts)) throw new RangeError("There is at least one attempt.");
  if (!(jitter >= 0 && jitter <= 1)) throw new RangeError("Jitter is from 0 to 1.");
  if (![...waits, retryAfterMs].every((ms) => ms >= 0)) throw new RangeError("Waits are of 0 ms or more.");
}
