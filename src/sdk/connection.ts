import { errorOf, LongshoreError } from "./errors.ts";

export interface ConnectionOptions {
  /** Where the server is, such as `http://127.0.0.1:7700`. */
  readonly url: string;
  /** Bearer token; only ever sent to the origin of `url`. */
  readonly token?: string;
  /** Stands in for the global `fetch`. */
  readonly fetch?: typeof fetch;
}

export interface Send {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: NonNullable<RequestInit["body"]>;
  readonly signal?: AbortSignal | undefined;
}

/** A list is a parameter that is repeated. */
export type Query = Readonly<Record<string, string | number | readonly string[] | undefined>>;

/** One server, spoken to over HTTP. */
export interface Connection {
  /**
   * @param path below `/api/v1`, or a whole URL that the server gave out.
   * @throws LongshoreError for every answer that is not 2xx; `server_unavailable` when none came.
   */
  send(path: string, request?: Send): Promise<Response>;
  /** The same for an answer in JSON. */
  json<T>(path: string, request?: Send): Promise<T>;
}

export function connect(options: ConnectionOptions): Connection {
  const base = `${options.url.replace(/\/+$/, "")}/api/v1`;
  const fetching = options.fetch ?? fetch;

  async function send(path: string, request: Send = {}): Promise<Response> {
    const url = path.startsWith("/") ? base + path : path;
    const headers = new Headers(request.headers);
    if (options.token !== undefined && new URL(url).origin === new URL(base).origin)
      headers.set("authorization", `Bearer ${options.token}`);
    const response = await fetching(url, {
      method: request.method ?? "GET",
      headers,
      signal: request.signal ?? null,
      ...(request.body === undefined ? {} : { body: request.body, duplex: "half" as const }),
    }).catch((error: unknown) => {
      throw unreachable(options.url, error, request.signal);
    });
    if (!response.ok) throw await errorOf(response);
    return response;
  }

  return {
    send,
    async json<T>(path: string, request: Send = {}): Promise<T> {
      const response = await send(path, { ...request, headers: { accept: "application/json", ...request.headers } });
      const text = await response.text().catch((error: unknown) => {
        throw unreachable(options.url, error, request.signal);
      });
      try {
        return JSON.parse(text) as T;
      } catch (cause) {
        throw new LongshoreError("remote_refused", `${response.url} did not answer with JSON; is it Longshore?`, {
          status: response.status,
          details: { url: response.url },
          cause,
        });
      }
    },
  };
}

/** `?a=1&b=2`, or nothing; what is undefined is left out. */
export function query(parameters: Query): string {
  const given = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters))
    for (const one of typeof value === "object" ? value : [value])
      if (one !== undefined) given.append(name, String(one));
  return given.size === 0 ? "" : `?${given}`;
}

export function jsonBody(method: string, body: unknown, signal?: AbortSignal): Send {
  return { method, headers: { "content-type": "application/json" }, body: JSON.stringify(body), signal };
}

/**
 * The bytes of an answer; a connection that breaks is thrown as `server_unavailable`. Ending the loop early closes the
 * connection.
 */
export async function* bodyOf(
  response: Response,
  signal?: AbortSignal,
): AsyncGenerator<Uint8Array<ArrayBuffer>, void, undefined> {
  if (!response.body) return;
  const reader = response.body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read().catch((error: unknown) => {
        throw unreachable(new URL(response.url).origin, error, signal);
      });
      if (done) return;
      yield value;
    }
  } finally {
    await reader.cancel().catch(() => undefined); // already broken: there is nothing left to close
  }
}

/** What a failed `fetch` means: the caller's own abort, or a server that cannot be reached. */
function unreachable(url: string, error: unknown, signal: AbortSignal | undefined): unknown {
  if (signal?.aborted) return signal.reason;
  const cause = error instanceof Error ? error.cause : undefined;
  const reason =
    cause instanceof Error && "code" in cause ? String(cause.code) : error instanceof Error ? error.message : "";
  return new LongshoreError("server_unavailable", `The Longshore server at ${url} does not answer (${reason}).`, {
    details: { url, reason },
    cause: error,
  });
}
