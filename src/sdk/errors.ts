/** What a problem document (RFC 9457) says beyond its sentence. */
export interface ErrorFacts {
  readonly details?: Readonly<Record<string, unknown>> | undefined;
  /** HTTP status; absent when no answer came. */
  readonly status?: number | undefined;
  /** Finds the cause in the server's log. */
  readonly requestId?: string | undefined;
  /** The server's `Retry-After`, in milliseconds. */
  readonly retryAfterMs?: number | undefined;
  readonly cause?: unknown;
}

/** The only error class the SDK throws, beside the reason of an aborted signal. `code` is stable; see docs/errors.md. */
export class LongshoreError extends Error {
  override readonly name = "LongshoreError";
  readonly code: string;
  readonly details: Readonly<Record<string, unknown>>;
  readonly status: number | undefined;
  readonly requestId: string | undefined;
  readonly retryAfterMs: number | undefined;

  constructor(code: string, message: string, facts: ErrorFacts = {}) {
    super(message, facts.cause === undefined ? undefined : { cause: facts.cause });
    this.code = code;
    this.details = facts.details ?? {};
    this.status = facts.status;
    this.requestId = facts.requestId;
    this.retryAfterMs = facts.retryAfterMs;
  }

  /** Whether the same request may succeed a little later: no answer, overload, a lock, or trouble inside the server. */
  get transient(): boolean {
    if (this.status === undefined)
      return ["server_unavailable", "remote_unavailable", "rate_limited"].includes(this.code);
    return this.status >= 500 || [408, 423, 425, 429].includes(this.status);
  }
}

/** Reads an answer that is not a success. A body that is no problem document came from something in between. */
export async function errorOf(response: Response): Promise<LongshoreError> {
  const body = problemOf(await response.text().catch(() => ""));
  const { status, url } = response;
  const retryAfter = Number(response.headers.get("retry-after") ?? Number.NaN);
  const retryAfterMs = Number.isFinite(retryAfter) ? retryAfter * 1000 : undefined;
  if (body)
    return new LongshoreError(body.code, body.detail ?? body.title ?? body.code, {
      status,
      retryAfterMs,
      details: body.details,
      requestId: body.requestId,
    });
  return new LongshoreError(
    status >= 500 ? "server_unavailable" : "remote_refused",
    `${url} answered ${status} ${response.statusText}`.trimEnd(),
    { status, retryAfterMs, details: { url } },
  );
}

interface ProblemDocument {
  readonly code: string;
  readonly title?: string;
  readonly detail?: string;
  readonly details?: Readonly<Record<string, unknown>>;
  readonly requestId?: string;
}

function problemOf(text: string): ProblemDocument | undefined {
  try {
    const body: unknown = JSON.parse(text);
    const known = typeof body === "object" && body !== null && "code" in body && typeof body.code === "string";
    return known ? (body as ProblemDocument) : undefined;
  } catch {
    return undefined; // not JSON: a proxy's page, or nothing at all
  }
}
