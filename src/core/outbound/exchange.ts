import type { Readable } from "node:stream";

export interface ExchangeRequest {
  readonly method: "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE";
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | undefined;
  /** Asked for every IP address before a connection to it is begun: the reason not to, or `undefined`. */
  admit(address: string): string | undefined;
  /** Until the head of the answer is there. */
  readonly headMs: number;
  /** Longest silence of the sender inside the body; a reader that is behind does not count. */
  readonly silenceMs: number;
  readonly signal: AbortSignal;
}

export interface ExchangeAnswer {
  readonly status: number;
  /** Names in lower case; repeated fields joined by a comma. */
  readonly headers: Readonly<Record<string, string>>;
  /** As it came over the wire, breaking when the connection ends before it does. Destroying it closes the connection. */
  readonly body: Readable;
}

/**
 * One HTTP request and its answer: no redirects, no second try, no decoding.
 *
 * Adapter: `adapters/outbound/http-exchange.ts`.
 * @throws AppError fetch_refused (the address), remote_unavailable (no connection, no answer in time), remote_refused (an
 * answer that is not HTTP; a certificate that does not fit); the reason of `signal`.
 */
export interface Exchange {
  (request: ExchangeRequest): Promise<ExchangeAnswer>;
  /** Closes idle connections. */
  close(): void;
}
