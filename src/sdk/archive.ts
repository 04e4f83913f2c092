import type { Connection } from "./connection.ts";
import { type Content, type ContentOptions, contentAt, contentFacts } from "./content.ts";
import { type Listing, listing, type PageOptions } from "./pages.ts";
import type { ArchivedFile, Downloads, Transaction, TransactionDetail } from "./types.ts";

export interface TransactionsApi {
  get(id: number): Promise<TransactionDetail>;
  /** Newest first. */
  list(options?: PageOptions): Listing<Transaction>;
  /** In the order of their ids. */
  files(id: number, options?: PageOptions): Listing<ArchivedFile>;
  /** Downloads that had at least one of its files. */
  statistics(id: number): Promise<Downloads>;
}

export interface FilesApi {
  get(id: number): Promise<ArchivedFile>;
  /** What `content` would send, without the bytes; its ETag is the archive's digest in quotes. */
  stat(id: number, signal?: AbortSignal): Promise<Pick<Content, "sizeBytes" | "etag">>;
  content(id: number, options?: ContentOptions): Promise<Content>;
  /** Downloads by itself and in carts. */
  statistics(id: number): Promise<Downloads>;
}

export function transactionsApi(connection: Connection): TransactionsApi {
  return {
    get: (id) => connection.json<TransactionDetail>(`/transactions/${id}`),
    list: ({ signal, ...page } = {}) => listing<Transaction>(connection, "/transactions", page, signal),
    files: (id, { signal, ...page } = {}) =>
      listing<ArchivedFile>(connection, `/transactions/${id}/files`, page, signal),
    statistics: (id) => connection.json<Downloads>(`/transactions/${id}/statistics`),
  };
}

export function filesApi(connection: Connection): FilesApi {
  return {
    get: (id) => connection.json<ArchivedFile>(`/files/${id}`),
    stat: (id, signal) => contentFacts(connection, `/files/${id}/content`, signal),
    content: (id, options = {}) => contentAt(connection, `/files/${id}/content`, options),
    statistics: (id) => connection.json<Downloads>(`/files/${id}/statistics`),
  };
}
