import type { Clock } from "../clock.ts";
import type { HostPace } from "./host-pace.ts";

/** Trouble that may pass: no connection, no answer in time, any status of 500 and more, or one status. */
export type Passing = "connection" | "timeout" | "5xx" | number;

/** When a request is sent again. */
export interface Retries {
  /** Tries in all, the first among them: 1 repeats nothing. */
  readonly attempts: number;
  /** Milliseconds before the second try, the third and so on; the last one is used for all that follow. */
  readonly waits: readonly number[];
  /** Share of a wait by which chance makes it longer or shorter, 0 to 1: clients of one server come back one by one. */
  readonly jitter: number;
  /** Longest `Retry-After` that is heeded, milliseconds: a longer one is cut to it. 0: none is, and `waits` decide. */
  readonly retryAfterMs: number;
  /** What a request is repeated for. Everything else is an answer, or an error, at once. */
  readonly on: readonly Passing[];
}

/** With it a service knows what it has done already (draft-ietf-httpapi-idempotency-key-header). */
export const IDEMPOTENCY_KEY = "idempotency-key";

/**
 * What may be repeated of a method. After anything but a 429, POST and PATCH may have been carried out; all others in use
 * are idempotent (RFC 9110 §9.2.2).
 */
export function retriesOf(method: string, hasKey: boolean, retries: Retries): Retries {
  if (hasKey || (method !== "POST" && method !== "PATCH")) return retries;
  return { ...retries, on: retries.on.filter((passing) => passing === 429) };
}

/** The answer to one try. */
export interface Tried<A> {
  readonly answer: A;
  readonly status: number;
  readonly retryAfter: string | null | undefined;
  /** Nobody will read it. */
  discard(): void;
}

export interface Call<A> {
  readonly host: string;
  readonly signal: AbortSignal;
  /** @param endTurn to be called when the request is over; not when this throws. */
  attempt(endTurn: () => void): Promise<Tried<A>>;
  /** What befell a try that threw; `undefined`: nothing that another try could change. */
  failure(error: unknown): "connection" | "timeout" | undefined;
}

export interface TryParts {
  readonly pace: HostPace;
  readonly retries: Retries;
  readonly clock: Pick<Clock, "now" | "sleep">;
  /** 0 to 1, evenly. */
  readonly random?: () => number;
}

/**
 * Calls until there is an answer that will not pass, or `attempts` are used up: then the last answer is given, or the last
 * error thrown. `Retry-After` holds back everybody who wants something of this host.
 * @throws what the last try threw; the reason of `signal`; what the pace throws.
 */
export async function tryRepeatedly<A>(
  { host, signal, attempt, failure }: Call<A>,
  { pace, retries, clock, random = Math.random }: TryParts,
): Promise<A> {
  for (let tries = 1; ; tries++) {
    let pauseMs = waitMs(retries, tries, random());
    const endTurn = await pace.turn(host, signal);
    try {
      const { answer, status, retryAfter, discard } = await attempt(endTurn);
      if (tries >= retries.attempts || !mayPass(retries, status)) return answer;
      discard();
      const asked = retries.retryAfterMs === 0 ? undefined : askedMs(retryAfter, clock.now());
      if (asked !== undefined) {
        pauseMs = Math.min(retries.retryAfterMs, asked);
        pace.holdBack(host, clock.now() + pauseMs);
      }
    } catch (error) {
      endTurn();
      signal.throwIfAborted();
      const befell = failure(error);
      if (befell === undefined || !retries.on.includes(befell) || tries >= retries.attempts) throw error;
    }
    await clock.sleep(pauseMs, signal);
    signal.throwIfAborted();
  }
}

/** The pause after the n-th try. */
function waitMs({ waits, jitter }: Retries, tries: number, chance: number): number {
  const wait = waits[tries - 1] ?? waits.at(-1) ?? 0;
  return wait * (1 + jitter * (2 * chance - 1));
}

function mayPass({ on }: Retries, status: number): boolean {
  return on.includes(status) || (status >= 500 && on.includes("5xx"));
}

/** RFC 9110 §10.2.3: seconds, or a date. */
function askedMs(field: string | null | undefined, now: number): number | undefined {
  if (field === undefined || field === null) return undefined;
  const ms = /^\d+$/.test(field.trim()) ? Number(field) * 1_000 : Date.parse(field) - now;
  return Number.isNaN(ms) ? undefined : Math.max(0, ms);
}
