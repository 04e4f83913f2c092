import { Readable } from "node:stream";
import type { RemoteArchive, RemoteFile } from "../../core/carts/staging/remote-archive.ts";
import { AppError, CODES } from "../../core/errors.ts";
import type { Exchange, ExchangeAnswer } from "../../core/outbound/exchange.ts";
import { serviceName, splitCredentials } from "../../core/outbound/send.ts";

const HEAD_MS = 60_000;
const SILENCE_MS = 60_000;
/** Of an answer that is no file, what is read at most. */
const MAX_MESSAGE_BYTES = 64 * 1024;
/** What a 500 says of a file that is not there: the original's in its traceback, another Longshore's in its message. */
const MISSING = ["[Errno 2] No such file or directory", CODES.file_unknown[1]];

export interface PacificaArchiveOptions {
  /** With its slash at the end: ids are put behind it. */
  readonly url: string;
  readonly exchange: Exchange;
  /** How long the service may take to answer; how long it may be silent inside a file. */
  readonly headMs?: number;
  readonly silenceMs?: number;
}

/**
 * Reads files of a Pacifica archive interface: `POST` asks for a file to be staged, `HEAD` tells where it lies, `GET`
 * brings it. The original tells of a missing file by the status 500 of any failure; only the traceback of a `POST` tells
 * them apart, so that is asked for when a `HEAD` or `GET` fails. Other implementations answer 404.
 */
export function pacificaArchive(options: PacificaArchiveOptions): RemoteArchive {
  const { exchange, headMs = HEAD_MS, silenceMs = SILENCE_MS } = options;
  const { address, authorization } = splitCredentials(options.url);
  const service = serviceName(address.href);
  /** Coded bytes would be hashed as they are. */
  const headers = { ...authorization, "accept-encoding": "identity" };

  /** @returns an answer with status 200 or 204. @throws AppError file_unknown, remote_unavailable, remote_refused. */
  async function ask(method: "GET" | "HEAD" | "POST", id: string, signal: AbortSignal): Promise<ExchangeAnswer> {
    // A path of dots would be resolved away.
    if (/^\.{0,2}$/.test(id)) throw unknown(id);
    const url = new URL(address.href + encodeURIComponent(id));
    const body = method === "POST" ? "" : undefined;
    const admit = () => undefined;
    const answer = await exchange({ method, url, headers, body, admit, headMs, silenceMs, signal });
    if (answer.status === 200 || answer.status === 204) return answer;
    const text = await textOf(answer, signal);
    if (answer.status === 404 || answer.status === 410) throw unknown(id);
    if (answer.status < 500) throw refused({ id, found: `status ${answer.status}` });
    if (method === "POST" && MISSING.some((words) => text.includes(words))) throw unknown(id);
    if (method !== "POST") await request(id, signal);
    throw new AppError("remote_unavailable", { service, id, reason: `status ${answer.status}` });
  }

  async function request(id: string, signal: AbortSignal): Promise<void> {
    await textOf(await ask("POST", id, signal), signal);
  }

  /** Reads an answer that is no file. */
  async function textOf(answer: ExchangeAnswer, signal: AbortSignal): Promise<string> {
    const pieces: Uint8Array[] = [];
    let sizeBytes = 0;
    for await (const piece of translated(answer.body, signal)) {
      pieces.push(piece);
      sizeBytes += piece.length;
      if (sizeBytes >= MAX_MESSAGE_BYTES) break;
    }
    return Buffer.concat(pieces).toString("utf8", 0, MAX_MESSAGE_BYTES);
  }

  /** The same bytes, failing in words. */
  function translated(body: Readable, signal: AbortSignal): Readable {
    async function* bytes(): AsyncGenerator<Uint8Array> {
      try {
        yield* body;
      } catch (error) {
        throw signal.aborted ? signal.reason : broken(error);
      }
    }
    body.on("error", () => undefined); // told to whoever reads, however late that begins
    const stream = Readable.from(bytes(), { objectMode: false });
    // Destroyed before it was read, the generator has never begun and so ends nothing.
    return stream.once("close", () => body.destroy());
  }

  function broken(error: unknown): unknown {
    if (error instanceof AppError || !(error instanceof Error)) return error;
    const reason = "code" in error ? String(error.code) : error.message;
    return new AppError("remote_unavailable", { service, reason }, { cause: error });
  }
  function refused(details: { readonly id: string; readonly expected?: string; readonly found: string }): AppError {
    return new AppError("remote_refused", { service, ...details });
  }
  function unknown(id: string): AppError {
    return new AppError("file_unknown", { service, id });
  }

  return {
    request,

    async state(id, signal): Promise<RemoteFile> {
      const answer = await ask("HEAD", id, signal);
      await textOf(answer, signal);
      const { headers: fields } = answer;
      const length = fields["x-content-length"] ?? "";
      const medium = fields["x-pacifica-file-storage-media"]?.trim().toLowerCase();
      if (!/^\d+$/.test(length.trim()))
        throw refused({ id, expected: "a size in x-content-length", found: length === "" ? "none" : length });
      if (medium === undefined)
        throw refused({ id, expected: "where the file lies in x-pacifica-file-storage-media", found: "nothing" });
      if (medium === "error") throw new AppError("remote_unavailable", { service, id, reason: "storage media error" });
      return { sizeBytes: Number(length), modifiedAt: timeOf(fields["last-modified"]), online: medium === "disk" };
    },

    async open(id, signal) {
      const answer = await ask("GET", id, signal);
      const coding = answer.headers["content-encoding"] ?? "identity";
      if (coding === "identity") return translated(answer.body, signal);
      answer.body.destroy();
      throw refused({ id, expected: "a file that is not compressed", found: coding });
    },
  };
}

/** Seconds since 1970 with a fraction, as the original writes them; or a date as HTTP has them (RFC 9110 §5.6.7). */
function timeOf(field: string | undefined): number | null {
  if (field === undefined || field.trim() === "") return null;
  const seconds = Number(field);
  const ms = Number.isNaN(seconds) ? Date.parse(field) : seconds * 1_000;
  return Number.isFinite(ms) ? Math.round(ms) : null;
}
