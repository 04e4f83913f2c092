import { bodyOf, type Connection } from "./connection.ts";
import { type Listing, listing, type PageOptions } from "./pages.ts";
import { silenceGuard } from "./silence.ts";
import type { ArchivedFile, Transaction, TransactionDetail } from "./types.ts";

/** A file's bytes come without a pause; a connection silent for this long is dead. */
const SILENCE_MS = 60_000;

export interface TransactionsApi {
  get(id: number): Promise<TransactionDetail>;
  /** Newest first. */
  list(options?: PageOptions): Listing<Transaction>;
  /** In the order of their ids. */
  files(id: number, options?: PageOptions): Listing<ArchivedFile>;
}

export interface ContentOptions {
  /** First byte wanted, 0-based. */
  readonly from?: number;
  /** Last byte wanted, inclusive. */
  readonly to?: number;
  /** With `from` or `to`: the whole file is sent instead when its ETag is another one (RFC 9110 §13.1.5). */
  readonly ifRange?: string;
  readonly signal?: AbortSignal;
}

export interface Content {
  /** Where `bytes` begin; 0 when the whole file is sent. */
  readonly from: number;
  /** Size of the whole file. */
  readonly sizeBytes: number;
  /** Names the file's bytes: the archive's digest in quotes. */
  readonly etag: string | null;
  /** To be read once. @throws LongshoreError server_unavailable when the connection breaks. */
  readonly bytes: AsyncIterable<Uint8Array<ArrayBuffer>>;
}

export interface FilesApi {
  get(id: number): Promise<ArchivedFile>;
  /** What `content` would send, without the bytes. */
  stat(id: number, signal?: AbortSignal): Promise<Pick<Content, "sizeBytes" | "etag">>;
  content(id: number, options?: ContentOptions): Promise<Content>;
}

export function transactionsApi(connection: Connection): TransactionsApi {
  return {
    get: (id) => connection.json<TransactionDetail>(`/transactions/${id}`),
    list: ({ signal, ...page } = {}) => listing<Transaction>(connection, "/transactions", page, signal),
    files: (id, { signal, ...page } = {}) =>
      listing<ArchivedFile>(connection, `/transactions/${id}/files`, page, signal),
  };
}

export function filesApi(connection: Connection): FilesApi {
  return {
    get: (id) => connection.json<ArchivedFile>(`/files/${id}`),
    async stat(id, signal) {
      const { headers } = await connection.send(`/files/${id}/content`, { method: "HEAD", signal });
      return { sizeBytes: Number(headers.get("content-length")), etag: headers.get("etag") };
    },
    async content(id, { from, to, ifRange, signal } = {}) {
      const ranged = from !== undefined || to !== undefined;
      const silence = silenceGuard(SILENCE_MS, signal);
      const request = {
        headers: {
          ...(ranged ? { range: `bytes=${from ?? 0}-${to ?? ""}` } : {}),
          ...(ranged && ifRange !== undefined ? { "if-range": ifRange } : {}),
        },
        signal: silence.signal,
      };
      const response = await silence.during(connection.send(`/files/${id}/content`, request));
      const [, start, total] = /^bytes (\d+)-\d+\/(\d+)$/.exec(response.headers.get("content-range") ?? "") ?? [];
      return {
        from: Number(start ?? 0),
        sizeBytes: Number(total ?? response.headers.get("content-length")),
        etag: response.headers.get("etag"),
        bytes: silence.guarded(bodyOf(response, silence.signal)),
      };
    },
  };
}
