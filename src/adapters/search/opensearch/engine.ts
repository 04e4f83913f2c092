import type { Clock } from "../../../core/clock.ts";
import { AppError } from "../../../core/errors.ts";
import type { Exchange } from "../../../core/outbound/exchange.ts";
import { splitCredentials } from "../../../core/outbound/send.ts";

/** Tries in all, and what lies between them: twice as long each time. */
const TRIES = 4;
const FIRST_PAUSE_MS = 100;
const HEAD_MS = 60_000;
const SILENCE_MS = 30_000;
/** The engine, or a proxy before it, is busy or not there yet. */
const PASSING = [429, 502, 503, 504];
const MAX_REASON_LENGTH = 300;

/** What OpenSearch began as, and what has index aliases that must exist (`require_alias`). */
const LEAST = { opensearch: [1, 0], elasticsearch: [7, 10] } as const;

export type Json = Readonly<Record<string, unknown>>;

export interface EngineRequest {
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  /** With the query; begins with a slash. */
  readonly path: string;
  /** One document, or several, one a line. */
  readonly body?: Json | readonly string[];
  /** Statuses beyond 2xx that are an answer to the one who asks. */
  readonly answers?: readonly number[];
}

export interface EngineAnswer {
  readonly status: number;
  readonly document: Json;
}

/** OpenSearch or Elasticsearch over HTTP. */
export interface Engine {
  /**
   * What may pass is tried again for about a second.
   * @throws AppError search_unavailable with what is wrong: no connection, no access, no room, shards that are not there;
   * Error with the engine's own words for a request it does not take.
   */
  ask(request: EngineRequest): Promise<EngineAnswer>;
  /** From now on, every call ends with search_unavailable. */
  close(): void;
}

export interface EngineParts {
  /** Perhaps with `user:password@`, without a slash at the end. */
  readonly url: string;
  readonly exchange: Exchange;
  readonly clock: Clock;
}

export function searchEngine({ url, exchange, clock }: EngineParts): Engine {
  const { address, authorization } = splitCredentials(url);
  const origin = address.origin;
  const base = address.href.replace(/\/+$/, "");
  const closing = new AbortController();
  const { signal } = closing;

  async function once({ method, path, body }: EngineRequest): Promise<EngineAnswer> {
    const isLines = Array.isArray(body);
    const { status, body: bytes } = await exchange({
      method,
      url: new URL(base + path),
      headers: {
        ...authorization,
        accept: "application/json",
        ...(body && { "content-type": isLines ? "application/x-ndjson" : "application/json" }),
      },
      body: body && (isLines ? `${body.join("\n")}\n` : JSON.stringify(body)),
      // The address is one that a setting names.
      admit: () => undefined,
      headMs: HEAD_MS,
      silenceMs: SILENCE_MS,
      signal,
    });
    const chunks: Uint8Array[] = await Array.fromAsync(bytes).catch((cause: unknown) => {
      throw new AppError("remote_unavailable", { reason: "the answer broke off" }, { cause });
    });
    return { status, document: jsonObject(Buffer.concat(chunks).toString("utf8")) };
  }

  return {
    async ask(request) {
      for (let tries = 1; ; tries++) {
        if (signal.aborted) throw new AppError("search_unavailable", { reason: "it is closed" });
        let failure: Error;
        try {
          const answer = await once(request);
          const isAnswer = (answer.status >= 200 && answer.status < 300) || request.answers?.includes(answer.status);
          if (isAnswer) return answer;
          failure = refusal(answer, request, origin);
          if (!PASSING.includes(answer.status) || isFull(answer.document)) throw failure;
        } catch (error) {
          const isOfTheConnection = error instanceof AppError && error.code.startsWith("remote_");
          if (!isOfTheConnection && !signal.aborted) throw error;
          const reason = isOfTheConnection ? (error.details.reason ?? error.details.found ?? "") : "it is closed";
          failure = new AppError("search_unavailable", { engine: origin, reason }, { cause: error });
        }
        if (tries === TRIES) throw failure;
        await clock.sleep(FIRST_PAUSE_MS * 2 ** (tries - 1), signal);
      }
    },

    close: () => closing.abort(),
  };
}

/** @returns which it is, and its version. @throws AppError search_unavailable for something else, or what is too old. */
export async function assertUsable(engine: Engine): Promise<{ readonly name: string; readonly number: string }> {
  const { document } = await engine.ask({ method: "GET", path: "/" });
  const version = isRecord(document.version) ? document.version : {};
  const number = String(version.number ?? "");
  const name = version.distribution === "opensearch" ? "opensearch" : "elasticsearch";
  const [major = 0, minor = 0] = number.split(".").map(Number);
  const [leastMajor, leastMinor] = LEAST[name];
  if (major > leastMajor || (major === leastMajor && minor >= leastMinor)) return { name, number };
  throw new AppError("search_unavailable", {
    reason: "no search engine, or one that is too old",
    expected: `OpenSearch ${LEAST.opensearch.join(".")} or Elasticsearch ${LEAST.elasticsearch.join(".")}, or later`,
    found: number === "" ? "something else" : `${name} ${number}`,
  });
}

/** An error of the engine: of a whole request, or of one document among others. */
export function failureOf(error: unknown): { readonly type: string; readonly reason: string } {
  const { type, reason, caused_by: cause } = isRecord(error) ? error : {};
  const words = [String(reason ?? error ?? ""), ...(isRecord(cause) ? [String(cause.reason ?? "")] : [])];
  return { type: String(type ?? ""), reason: words.filter(Boolean).join(": ").slice(0, MAX_REASON_LENGTH) };
}

/** Nothing more is taken, not even a new index, because a disk is nearly full or an operator says so. */
export function isBlock(type: string): boolean {
  return type === "cluster_block_exception" || type === "index_create_block_exception";
}

function isFull(document: Json): boolean {
  return isBlock(failureOf(document.error).type);
}

function refusal({ status, document }: EngineAnswer, { method, path }: EngineRequest, origin: string): Error {
  const { type, reason } = failureOf(document.error);
  const details = { engine: origin, status, reason: reason || `status ${status}` };
  if (isBlock(type)) return new AppError("search_unavailable", details);
  if (status === 401 || status === 403)
    return new AppError("search_unavailable", {
      ...details,
      hint: "see user and password in LONGSHORE_SEARCH_URL, and what this user may do",
    });
  if (status === 404 || status >= 500 || PASSING.includes(status) || type === "index_closed_exception")
    return new AppError("search_unavailable", details);
  return new Error(`The search engine refuses ${method} ${path.split("?")[0]}: ${status} ${type} ${reason}`);
}

/** Without anything in it when it is none: a proxy's page. */
function jsonObject(text: string): Json {
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) ? value : {};
  } catch {
    return {};
  }
}

export function isRecord(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Empty when there is none: the engine leaves out what is empty. */
export function recordIn(value: unknown, ...path: readonly string[]): Json {
  let at = value;
  for (const name of path) at = isRecord(at) ? at[name] : undefined;
  return isRecord(at) ? at : {};
}
