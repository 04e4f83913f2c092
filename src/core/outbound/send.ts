import type { Clock } from "../clock.ts";
import { AppError } from "../errors.ts";
import { currentTrace } from "../tracing.ts";

/** A body that need not fit in memory. */
export interface OutboundBody {
  /** Exact. It is announced as Content-Length: services of CherryPy's kind take no JSON without (411). */
  readonly sizeBytes: number;
  /** Called once for every try. */
  open(): Promise<AsyncIterable<Uint8Array>>;
}

export interface OutboundRequest {
  readonly method: "GET" | "POST" | "PUT";
  /** `user:password@` in it becomes Basic authorization (RFC 7617), and is never shown. */
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | OutboundBody;
  /** For the whole exchange, repeated tries included. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

export interface OutboundAnswer {
  readonly status: number;
  /** The body's first {@link MAX_ANSWER_BYTES}: some services send back what they were sent. */
  readonly text: string;
  readonly isWhole: boolean;
}

/**
 * One request and its answer, whatever the status. Redirects are answers too: they are not followed.
 *
 * A connection that fails is tried again, up to three times in all; an answer never is. So a service may receive a
 * request more than once.
 * @throws AppError remote_unavailable when no answer comes; the reason of `signal`; what the body's source throws.
 */
export type Send = (request: OutboundRequest) => Promise<OutboundAnswer>;

export const MAX_ANSWER_BYTES = 1024 * 1024;
const PAUSES_MS = [200, 1_000];

/** Sends through the runtime's own `fetch`. */
export function httpSend(clock: Clock): Send {
  return async (request) => {
    const deadline = AbortSignal.timeout(request.timeoutMs);
    const signal = request.signal ? AbortSignal.any([request.signal, deadline]) : deadline;
    for (let tries = 1; ; tries++) {
      try {
        return await exchange(request, signal);
      } catch (error) {
        request.signal?.throwIfAborted();
        if (error instanceof BodyFailure) throw error.cause;
        const reason = deadline.aborted ? `no answer within ${request.timeoutMs / 1000} s` : connectionFault(error);
        if (reason === undefined) throw error;
        const pauseMs = PAUSES_MS[tries - 1];
        if (deadline.aborted || pauseMs === undefined)
          throw new AppError("remote_unavailable", { service: serviceName(request.url), reason }, { cause: error });
        await clock.sleep(pauseMs, signal);
      }
    }
  };
}

/** How a service is named to people: without credentials and query. */
export function serviceName(url: string): string {
  const { origin, pathname } = new URL(url);
  return `${origin}${pathname}`;
}

/** An address without the credentials in it, and the header field that they become: Basic authorization (RFC 7617). */
export function splitCredentials(url: string): {
  readonly address: URL;
  readonly authorization: Readonly<Record<string, string>>;
} {
  const address = new URL(url);
  if (address.username === "") return { address, authorization: {} };
  const credentials = [address.username, address.password].map(decodeURIComponent).join(":");
  address.username = "";
  address.password = "";
  return { address, authorization: { authorization: `Basic ${Buffer.from(credentials).toString("base64")}` } };
}

/** Tells what our own source of bytes threw from what the connection met. */
class BodyFailure extends Error {
  override readonly name = "BodyFailure";
}

async function exchange({ method, url, headers, body }: OutboundRequest, signal: AbortSignal): Promise<OutboundAnswer> {
  const { address, authorization } = splitCredentials(url);
  const fields = new Headers({ ...headers });
  for (const [name, value] of Object.entries(authorization)) fields.set(name, value);
  const trace = currentTrace();
  if (trace !== undefined) fields.set("traceparent", trace);
  const init: RequestInit = { method, headers: fields, signal, redirect: "manual" };
  let failure: BodyFailure | undefined;
  let bytes: AsyncGenerator<Uint8Array> | undefined;
  if (typeof body === "string") init.body = body;
  else if (body) {
    bytes = watched(body, (error) => {
      failure = new BodyFailure("The body's source failed.", { cause: error });
    });
    fields.set("content-length", String(body.sizeBytes));
    init.body = ReadableStream.from(bytes);
    init.duplex = "half";
  }
  try {
    const response = await fetch(address, init);
    return { status: response.status, ...(await beginning(response.body)) };
  } catch (error) {
    throw failure ?? error;
  } finally {
    // A service may answer before it has read everything; `fetch` then leaves the source open.
    await bytes?.return(undefined);
  }
}

async function* watched(body: OutboundBody, failed: (error: unknown) => void): AsyncGenerator<Uint8Array> {
  try {
    yield* await body.open();
  } catch (error) {
    failed(error);
    throw error;
  }
}

/** Leaving the loop early closes the connection. */
async function beginning(body: AsyncIterable<Uint8Array> | null): Promise<Pick<OutboundAnswer, "text" | "isWhole">> {
  const pieces: Uint8Array[] = [];
  let sizeBytes = 0;
  let isWhole = true;
  for await (const piece of body ?? []) {
    pieces.push(piece);
    sizeBytes += piece.length;
    isWhole = sizeBytes <= MAX_ANSWER_BYTES;
    if (!isWhole) break;
  }
  return { text: Buffer.concat(pieces).toString("utf8", 0, MAX_ANSWER_BYTES), isWhole };
}

/** What befell the connection, or `undefined` when it is not the connection's fault: `fetch` gives its errors a cause. */
function connectionFault(error: unknown): string | undefined {
  if (!(error instanceof TypeError && error.cause instanceof Error)) return undefined;
  return "code" in error.cause ? String(error.cause.code) : error.cause.message;
}
