import { pipeline, type Readable, Transform } from "node:stream";
import { createBrotliDecompress, createGunzip, createInflate } from "node:zlib";
import type { Clock } from "../clock.ts";
import { AppError } from "../errors.ts";
import type { Exchange, ExchangeAnswer, ExchangeRequest } from "./exchange.ts";
import type { HostPace } from "./host-pace.ts";
import type { Origins } from "./origins.ts";
import { type Retries, tryRepeatedly } from "./tries.ts";

export interface FetchRequest {
  readonly method: ExchangeRequest["method"];
  readonly url: string;
  /** `authorization` and `cookie` go to the first origin only: they are dropped when a redirect leaves it. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent again when the exchange is: keep it small. */
  readonly body?: string;
  readonly limits: FetchLimits;
  /** When each hop is tried again; {@link PERSISTENT} when left out. */
  readonly retries?: Retries;
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
 * what may pass is tried again, as long as `totalMs` lasts. Every other status is an answer, and so is one of these in the end.
 *
 * @throws AppError fetch_refused (not allowed, with the reason), remote_unavailable (no answer, too slow),
 * remote_refused (not HTTP, too many redirects), the reason of `signal`; out of the body also remote_too_large.
 */
export type Fetch = (request: FetchRequest) => Promise<FetchAnswer>;

const MAX_REDIRECTS = 5;
/** The statuses are those of a server that is busy or down for the moment (RFC 9110 §15.6, RFC 6585 §4). */
export const PERSISTENT: Retries = {
  attempts: 6,
  waits: [500, 1_000, 2_000, 4_000, 8_000],
  jitter: 0,
  // All who want something of the host wait so long, and a slip of its pen must not shut them out.
  retryAfterMs: 300_000,
  on: ["connection", 429, 502, 503, 504],
};
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
  const hop = (url: URL, request: Hop, retries: Retries, signal: AbortSignal): Promise<ExchangeAnswer> => {
    const admit = origins.admit(url);
    return tryRepeatedly(
      {
        host: url.host,
        signal,
        async attempt(endTurn) {
          const answer = await exchange({ ...request, url, admit, signal });
          answer.body.once("close", endTurn);
          const { status, headers, body } = answer;
          return { answer, status, retryAfter: headers["retry-after"], discard: () => body.destroy() };
        },
        failure: (error) =>
          error instanceof AppError && error.code === "remote_unavailable" ? "connection" : undefined,
      },
      { pace, retries, clock },
    );
  };

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
          request.retries ?? PERSISTENT,
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
        // RFC 9110 §15.4: 303 turns everything into a GET; by old custom, 301 and 302 do so with a POST.
        if (answer.status === 303 || (method === "POST" && (answer.status === 301 || answer.status === 302))) {
          if (method !== "HEAD") method = "GET";
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
