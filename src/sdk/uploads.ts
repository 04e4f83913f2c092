import { backoff } from "./backoff.ts";
import type { Connection } from "./connection.ts";
import { LongshoreError } from "./errors.ts";

/** Bytes that can be read from any offset, as often as it takes. */
export interface UploadSource {
  readonly sizeBytes: number;
  /** Everything from `offset` on, the same bytes every time. A chunk is used up before the next is asked for. */
  open(offset: number): AsyncIterable<Uint8Array>;
}

export interface UploadStatus {
  /** Bytes the server has, durable. */
  readonly offset: number;
  /** The job that takes the bundle in, once the upload is complete. */
  readonly jobId: number | undefined;
}

export interface NewUpload {
  readonly sizeBytes: number;
  /** Kept with the upload, such as `filename`. */
  readonly metadata?: Readonly<Record<string, string>>;
}

export interface SendOptions extends Omit<NewUpload, "sizeBytes"> {
  /** An upload begun earlier, to be continued where it stands. */
  readonly url?: string;
  /** Sent per request, and held in memory twice: one on its way, one being read. */
  readonly chunkBytes?: number;
  readonly signal?: AbortSignal;
  /** The address to keep for continuing in another process. */
  onCreated?(url: string): void;
  /** Bytes the server has. */
  onProgress?(offset: number): void;
  onRetry?(error: LongshoreError, pauseMs: number): void;
}

/** Resumable uploads (tus 1.0); a complete one becomes a bundle. */
export interface UploadsApi {
  create(upload: NewUpload, signal?: AbortSignal): Promise<{ readonly url: string } & UploadStatus>;
  status(url: string, signal?: AbortSignal): Promise<UploadStatus>;
  /** Appends one piece; with `checksum`, `algorithm base64` as tus has it, a piece damaged on the way is refused. */
  patch(
    url: string,
    offset: number,
    bytes: Uint8Array<ArrayBuffer>,
    options?: { readonly checksum?: string; readonly signal?: AbortSignal | undefined },
  ): Promise<UploadStatus>;
  /** Gives an unfinished upload up and frees what it holds. */
  abort(url: string): Promise<void>;
  /**
   * Sends all of `source`, with a checksum on every piece where the server offers that. Broken connections and a server
   * in trouble are answered with further tries while anything moves at all.
   * @throws LongshoreError upload_unknown when `url` is gone, and whatever outlasts the tries.
   */
  send(source: UploadSource, options?: SendOptions): Promise<{ readonly url: string; readonly jobId: number }>;
}

const TUS = { "tus-resumable": "1.0.0" };
const DEFAULT_CHUNK_BYTES = 8 * 1024 * 1024;
/** tus name of an algorithm and Web Crypto's, best first. */
const CHECKSUMS = [
  ["sha256", "SHA-256"],
  ["sha512", "SHA-512"],
  ["sha1", "SHA-1"],
] as const;

/** A piece of a Blob or File is read only when it is sent. */
export function blobSource(blob: Blob): UploadSource {
  return {
    sizeBytes: blob.size,
    async *open(offset) {
      yield* blob.slice(offset).stream();
    },
  };
}

export function uploadsApi(connection: Connection): UploadsApi {
  async function create(upload: NewUpload, signal?: AbortSignal) {
    const metadata = Object.entries(upload.metadata ?? {}).map(([key, value]) => `${key} ${base64(utf8(value))}`);
    const response = await connection.send("/uploads", {
      method: "POST",
      headers: {
        ...TUS,
        "upload-length": String(upload.sizeBytes),
        ...(metadata.length > 0 ? { "upload-metadata": metadata.join(",") } : {}),
      },
      signal,
    });
    const location = response.headers.get("location");
    if (!location) throw unexpected(response, "a new upload without its Location");
    return { ...statusOf(response), url: new URL(location, response.url).href };
  }

  const status = async (url: string, signal?: AbortSignal) =>
    statusOf(await connection.send(url, { method: "HEAD", headers: TUS, signal }).catch(nameAbsence));

  const patch: UploadsApi["patch"] = async (url, offset, bytes, { checksum, signal } = {}) =>
    statusOf(
      await connection.send(url, {
        method: "PATCH",
        headers: {
          ...TUS,
          "content-type": "application/offset+octet-stream",
          "upload-offset": String(offset),
          ...(checksum === undefined ? {} : { "upload-checksum": checksum }),
        },
        body: bytes,
        signal,
      }),
    );

  /** How to make the checksum of a piece, when the server reads any that we can make. */
  async function checksumming(signal: AbortSignal | undefined) {
    const response = await connection.send("/uploads", { method: "OPTIONS", signal });
    const offered = (response.headers.get("tus-checksum-algorithm") ?? "").split(",").map((name) => name.trim());
    const [name, algorithm] = CHECKSUMS.find(([tusName]) => offered.includes(tusName)) ?? [];
    // Browsers have Web Crypto only on pages that came over HTTPS or from this machine.
    const subtle = crypto.subtle as typeof crypto.subtle | undefined;
    if (!algorithm || !subtle) return async () => ({});
    return async (bytes: Uint8Array<ArrayBuffer>) => ({
      checksum: `${name} ${base64(new Uint8Array(await subtle.digest(algorithm, bytes)))}`,
    });
  }

  async function send(source: UploadSource, options: SendOptions = {}) {
    const { signal, chunkBytes = DEFAULT_CHUNK_BYTES } = options;
    const checksumOf = await checksumming(signal);
    const begun = options.url
      ? { url: options.url, ...(await status(options.url, signal)) }
      : await create({ sizeBytes: source.sizeBytes, ...metadataOf(options) }, signal);
    const { url } = begun;
    if (!options.url) options.onCreated?.(url);
    const retry = backoff({ signal, onRetry: (error, pauseMs) => options.onRetry?.(error, pauseMs) });

    let known: UploadStatus = begun;
    const moved = (next: UploadStatus) => {
      if (next.offset > known.offset) retry.progressed();
      known = next;
      options.onProgress?.(known.offset);
    };

    /** Sends one piece, or what the server does not have of it yet. */
    async function deliver(piece: Piece): Promise<void> {
      const end = piece.offset + piece.bytes.length;
      while (known.offset >= piece.offset && known.offset < end) {
        const bytes = piece.bytes.subarray(known.offset - piece.offset);
        try {
          moved(await patch(url, known.offset, bytes, { ...(await checksumOf(bytes)), signal }));
        } catch (error) {
          await retry.pause(retried(error));
          moved(await recovered());
        }
      }
    }

    /** Where the upload stands after trouble; tries until the server says. */
    async function recovered(): Promise<UploadStatus> {
      for (;;) {
        try {
          return await status(url, signal);
        } catch (error) {
          await retry.pause(error);
        }
      }
    }

    options.onProgress?.(known.offset);
    while (known.offset < source.sizeBytes) {
      // A second round only when the server stands somewhere outside the pieces at hand.
      for await (const piece of readAhead(pieces(source.open(known.offset), known.offset, chunkBytes))) {
        await deliver(piece);
        if (known.offset !== piece.offset + piece.bytes.length) break;
      }
    }
    const { jobId } = known.jobId === undefined ? await recovered() : known;
    if (jobId === undefined)
      throw new LongshoreError("remote_refused", `${url} is complete but the server names no job for it.`);
    return { url, jobId };
  }

  return {
    create,
    status,
    patch,
    send,
    async abort(url) {
      await connection.send(url, { method: "DELETE", headers: TUS });
    },
  };
}

function metadataOf({ metadata }: SendOptions) {
  return metadata === undefined ? {} : { metadata };
}

/**
 * tus 1.0: 409 says that the offset is another one than we think, 460 that the piece was damaged on the way. Both are
 * answered by asking where the upload stands and going on from there.
 */
function retried(error: unknown): unknown {
  if (!(error instanceof LongshoreError) || (error.status !== 409 && error.status !== 460)) return error;
  return new LongshoreError("server_unavailable", error.message, { details: error.details, cause: error });
}

function statusOf(response: Response): UploadStatus {
  const offset = response.headers.get("upload-offset");
  const jobId = response.headers.get("longshore-job");
  return { offset: Number(offset ?? 0), jobId: jobId === null ? undefined : Number(jobId) };
}

/** The answer to HEAD has no body to name what is wrong. */
function nameAbsence(error: unknown): never {
  const gone = error instanceof LongshoreError && (error.status === 404 || error.status === 410);
  throw gone ? new LongshoreError("upload_unknown", "The server does not know this upload (any more).", error) : error;
}

interface Piece {
  readonly offset: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/**
 * Cuts a stream into pieces of `size` bytes; the last one is shorter. Two buffers take turns: a piece is good until the
 * one after the next is asked for.
 */
async function* pieces(stream: AsyncIterable<Uint8Array>, from: number, size: number): AsyncGenerator<Piece> {
  let offset = from;
  let [buffer, other] = [new Uint8Array(size), new Uint8Array(size)];
  let filled = 0;
  for await (const chunk of stream) {
    for (let taken = 0; taken < chunk.length; ) {
      const part = chunk.subarray(taken, taken + size - filled);
      buffer.set(part, filled);
      filled += part.length;
      taken += part.length;
      if (filled < size) continue;
      yield { offset, bytes: buffer };
      offset += size;
      [buffer, other] = [other, buffer];
      filled = 0;
    }
  }
  if (filled > 0) yield { offset, bytes: buffer.subarray(0, filled) };
}

/** Reads one item further than is asked for, while the asker is busy. */
async function* readAhead<T>(items: AsyncGenerator<T>): AsyncGenerator<T> {
  const next = () => {
    const result = items.next();
    result.catch(() => undefined); // reported when it is awaited below
    return result;
  };
  let upcoming = next();
  try {
    for (;;) {
      const result = await upcoming;
      if (result.done) return;
      upcoming = next();
      yield result.value;
    }
  } finally {
    await items.return(undefined);
  }
}

function unexpected(response: Response, what: string): LongshoreError {
  return new LongshoreError("remote_refused", `${response.url} answered ${what}.`, { status: response.status });
}

const utf8 = (text: string) => new TextEncoder().encode(text);
const base64 = (bytes: Uint8Array) => btoa(String.fromCharCode(...bytes));
