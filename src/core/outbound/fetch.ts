import type { Readable } from "node:stream";

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
 * connections that fail, 429, 502, 503 and 504 are tried again with growing pauses, `Retry-After` honoured, as long as
 * `totalMs` lasts. Other statuses are answers.
 *
 * @throws AppError fetch_refused (not allowed, with the reason), remote_unavailable (no answer, too slow, tries used up),
 * remote_refused (not HTTP, too many redirects), the reason of `signal`.
 */
export type Fetch = (request: FetchRequest) => Promise<FetchAnswer>;
