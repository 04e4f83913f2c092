import { pipeline, type Readable, Transform } from "node:stream";
import { createBrotliDecompress, createGunzip, createInflate } from "node:zlib";
import type { Clock } from "../clock.ts";
import { AppError } from "../errors.ts";
import type { Exchange, ExchangeAnswer } from "./exchange.ts";
import type { HostPace } from "./host-pace.ts";
import type { Origins } from "./origins.ts";

export interface FetchRequest {
  readonly method: "GET" | "HEAD" | "POST";
  readonly url: string;
  /** `authorization` and `cookie` go to the first origin only: they are dropped when a redirect leaves it. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent again when the exchange is: keep it small. */
  readonly body?: string;
  readonly limits: FetchLimits;
  readonly signal: AbortSignal;
}

export interface FetchLimits {
  /** From the first packet to the last byte of the head, for each hop. */
  readonly headMs: number;
  /** Longest silence inside the body. */
  readonly silenceMs: number;
  /** For everything: hops, pauses and body. */
  readonly totalMs: number;
  /** Of the body, as it is after decoding. */
  readonly bodyBytes: number;
}

export interface FetchAnswer {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  /** Of the last hop. */
  readonly url: string;
  /**
   * Decoded (gzip, deflate). Breaks with an AppError when it ends early, grows too large or falls silent. Read to its end
   * or destroyed by whoever asked: an unread body holds a connection.
   */
  readonly body: Readable;
}

/**
 * The one way out for addresses that users name: packages, crawls, webhooks of registers.
 *
 * Closed by default. An origin is fetched when a setting names it; a name with a wildcard admits public addresses only.
 * Every hop is judged anew, by the address that the connection really goes to, so that neither a redirect nor a name
 * that changes its mind gets anywhere else. Each host is asked at a bounded rate and by a bounded number at a time;
 * connections that fail, 429, 502, 503 and 504 are tried again with growing pauses, `Retry-After` honoured up to some
 * minutes, six times in all and as long as `totalMs` lasts. Every other status is an answer, and so is one of these in the end.
 *
 * @throws AppError fetch_refused (not allowed, with the reason), remote_unavailable (no answer, too slow),
 * remote_refused (not HTTP, too many redirects), the reason of `signal`; out of the body also remote_too_large.
 */
export type Fetch = (request: FetchRequest) => Promise<FetchAnswer>;

const MAX_REDIRECTS = 5;
const MAX_TRIES = 6;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 30_000;
/** Of what a host asks for: all who want something of it wait so long, and a slip of its pen must not shut them out. */
const LONGEST_ASKED_MS = 300_000;
/** Answers of a server that is busy or down for the moment (RFC 9110 §15.6, RFC 6585 §4). */
const TRANSIENT = [429, 502, 503, 504];
const REDIRECTS = [301, 302, 303, 307, 308];
/** Dropped when a redirect leaves the origin that they were meant for. */
const CREDENTIALS = ["authorization", "cookie", "x-ckan-api-key"];

export interface FetchParts {
  readonly exchange: Exchange;
  readonly origins: Origins;
  readonly pace: HostPace;
  readonly clock: Clock;
  readonly userAgent: string;
}

export function guardedFetch({ exchange, origins, pace, clock, userAgent }: FetchParts): Fetch {
  /** One hop that was answered with something lasting. The turn at its host ends with the body. */
  async function hop(url: URL, request: Hop, signal: AbortSignal): Promise<ExchangeAnswer> {
    const admit = origins.admit(url);
    for (let tries = 1; ; tries++) {
      let pauseMs = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (tries - 1));
      const endTurn = await pace.turn(url.host, signal);
      try {
        const answer = await exchange({ ...request, url, admit, signal });
        answer.body.once("close", endTurn);
        if (!TRANSIENT.includes(answer.status) || tries === MAX_TRIES) return answer;
        answer.body.destroy();
        const asked = retryAfterMs(answer.headers["retry-after"], clock.now());
        if (asked !== undefined) {
          pauseMs = asked;
          pace.holdBack(url.host, clock.now() + asked);
        }
      } catch (error) {
        endTurn();
        signal.throwIfAborted();
        if (!(error instanceof AppError && error.code === "remote_unavailable") || tries === MAX_TRIES) throw error;
      }
      await clock.sleep(pauseMs, signal);
      signal.throwIfAborted();
    }
  }

  return async (request) => {
    const { limits } = request;
    let url = parsed(request.url);
    const deadline = AbortSignal.timeout(limits.totalMs);
    const signal = AbortSignal.any([request.signal, deadline]);
    /** The caller's own reason, or that it took too long. */
    const reasonToStop = () =>
      request.signal.aborted
        ? request.signal.reason
        : new AppError("remote_unavailable", {
            origin: url.origin,
            reason: `not over within ${limits.totalMs / 1000} s`,
          });
    let { method, body } = request;
    let headers: Readonly<Record<string, string>> = {
      accept: "*/*",
      "accept-encoding": "gzip, deflate, br",
      ...request.headers,
      "user-agent": userAgent,
    };
    try {
      for (let redirects = 0; ; redirects++) {
        const answer = await hop(
          url,
          { method, headers, body, headMs: limits.headMs, silenceMs: limits.silenceMs },
          signal,
        );
        const location = answer.headers.location;
        if (!REDIRECTS.includes(answer.status) || location === undefined) {
          const bytes = decoded(answer, url);
          return {
            status: answer.status,
            headers: answer.headers,
            url: url.href,
            body: limited(bytes, limits.bodyBytes, url, signal, reasonToStop),
          };
        }
        answer.body.destroy();
        if (redirects === MAX_REDIRECTS)
          throw new AppError("remote_refused", { origin: url.origin, expected: `at most ${MAX_REDIRECTS} redirects` });
        const next = parsed(location, url);
        if (next.origin !== url.origin) headers = without(headers, CREDENTIALS);
        // RFC 9110 §15.4: 303 always, 301 and 302 by old custom, turn a POST into a GET.
        if (answer.status === 303 || (method === "POST" && (answer.status === 301 || answer.status === 302))) {
          if (method === "POST") method = "GET";
          body = undefined;
          headers = without(headers, ["content-type"]);
        }
        url = next;
      }
    } catch (error) {
      throw signal.aborted ? reasonToStop() : error;
    }
  };
}

interface Hop {
  readonly method: FetchRequest["method"];
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | undefined;
  readonly headMs: number;
  readonly silenceMs: number;
}

/** @throws AppError fetch_refused. */
function parsed(text: string, base?: URL): URL {
  if (!URL.canParse(text, base?.href)) throw new AppError("fetch_refused", { found: "an address that cannot be read" });
  return new URL(text, base);
}

/** RFC 9110 §10.2.3: seconds, or a date. */
function retryAfterMs(field: string | undefined, now: number): number | undefined {
  if (field === undefined) return undefined;
  const ms = /^\d+$/.test(field.trim()) ? Number(field) * 1_000 : Date.parse(field) - now;
  return Number.isNaN(ms) ? undefined : Math.min(LONGEST_ASKED_MS, Math.max(0, ms));
}

function without(
  headers: Readonly<Record<string, string>>,
  names: readonly string[],
): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !names.includes(name.toLowerCase())));
}

/** @throws AppError remote_refused for a coding that was not asked for. */
function decoded({ headers, body }: ExchangeAnswer, url: URL): Readable {
  const coding = headers["content-encoding"]?.trim().toLowerCase() ?? "identity";
  if (coding === "identity" || coding === "") return body;
  const decoder = decoderOf(coding);
  if (!decoder) {
    body.destroy();
    throw new AppError("remote_refused", { origin: url.origin, expected: "gzip, deflate or br", found: coding });
  }
  return pipeline(body, decoder, () => undefined);
}

function decoderOf(coding: string) {
  if (coding === "gzip" || coding === "x-gzip") return createGunzip();
  if (coding === "deflate") return createInflate();
  return coding === "br" ? createBrotliDecompress() : undefined;
}

/** Passes the body on, watching how much it is and whether it is still wanted. */
function limited(
  bytes: Readable,
  bodyBytes: number,
  { origin }: URL,
  signal: AbortSignal,
  reasonToStop: () => Error,
): Readable {
  let passed = 0;
  const meter = new Transform({
    transform(chunk: Uint8Array, _encoding, done) {
      passed += chunk.length;
      if (passed <= bodyBytes) done(null, chunk);
      else done(new AppError("remote_too_large", { origin, expected: `at most ${bodyBytes} bytes`, found: "more" }));
    },
    destroy(error, done) {
      signal.removeEventListener("abort", aborted);
      done(error && (signal.aborted ? reasonToStop() : broken(error, origin)));
    },
  });
  // Before the pipeline hands it on: a stream keeps the error that it was destroyed with for whoever reads it later.
  bytes.once("error", (error) => meter.destroy(signal.aborted ? reasonToStop() : broken(error, origin)));
  const aborted = () => meter.destroy(reasonToStop());
  signal.addEventListener("abort", aborted, { once: true });
  return pipeline(bytes, meter, () => undefined);
}

/** What a connection met in the middle of a body. */
function broken(error: Error, origin: string): AppError {
  if (error instanceof AppError) return error;
  const reason = "code" in error ? String(error.code) : error.message;
  return new AppError("remote_unavailable", { origin, reason }, { cause: error });
}
