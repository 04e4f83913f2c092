import { type Connection, jsonBody, type Query, query } from "./connection.ts";
import { type Listing, listing, type PageOptions } from "./pages.ts";
import type { Page } from "./types.ts";
import { type WatchOptions, watch } from "./watch.ts";

export type FoundType = "file" | "transaction" | "record";

/** Something that fits a query. */
export interface SearchHit {
  /** `file:42`, `transaction:7`, `record:<extraction>:<number>`. */
  readonly id: string;
  readonly type: FoundType;
  readonly title: string;
  /** The part of its text where something was found, in pieces; `null` when the query asks for no words. */
  readonly highlight: readonly { readonly text: string; readonly isMatch: boolean }[] | null;
  /** What queries can name; times are milliseconds since 1970. */
  readonly fields: Readonly<Record<string, readonly (string | number)[]>>;
  readonly createdAt: string;
  /** Address of what was found. */
  readonly links: { readonly self: string };
}

export interface SearchPage extends Page<SearchHit> {
  /** Hits on all pages together. */
  readonly total: number;
  /** There are more than `total`, and facets are those of the newest of them. */
  readonly isLowerBound: boolean;
  /** By field, the most frequent values first. */
  readonly facets: Readonly<Record<string, readonly { readonly value: string; readonly count: number }[]>>;
}

/** A listing whose pages say how many hits there are, and what values they have. */
export interface SearchListing extends Listing<SearchHit> {
  page(cursor?: string): Promise<SearchPage>;
}

export interface HitOptions extends PageOptions {
  /** `relevance` when left out: hits with all words in their title, with some, and the others; each newest first. */
  readonly order?: "relevance" | "newest";
  /** Fields whose values are counted. */
  readonly facets?: readonly string[];
}

export interface SearchOptions extends HitOptions {
  /** Everything, when left out. */
  readonly types?: readonly FoundType[];
}

export interface NewSavedQuery {
  /** No two of one's own have the same. */
  readonly name: string;
  readonly query: string;
  /** Everything, when left out or empty. */
  readonly types?: readonly FoundType[];
}

export interface SavedQuery {
  readonly id: string;
  readonly owner: string;
  readonly name: string;
  readonly query: string;
  /** Empty: everything. */
  readonly types: readonly FoundType[];
  readonly createdAt: string;
}

export interface SearchIndex {
  readonly documents: number;
  readonly sizeBytes: number;
  /** Changes that it does not have yet. */
  readonly pending: number;
  /** The last one since the server was started. */
  readonly rebuild: {
    readonly startedAt: string;
    /** `null` while it is under way. */
    readonly finishedAt: string | null;
    readonly done: number;
    /** About how many there are. */
    readonly total: number;
    /** Why there is no new index; the one before is in use still. */
    readonly error: { readonly code: string; readonly message: string } | null;
  } | null;
}

/** Finds files, transactions and records. */
export interface SearchApi {
  /** @param text see docs/formats/queries.md. @throws LongshoreError query_invalid, with the column. */
  find(text: string, options?: SearchOptions): SearchListing;
  /** Values of a field that begin so. */
  suggest(
    field: string,
    prefix: string,
    options?: { readonly limit?: number; readonly signal?: AbortSignal },
  ): Promise<readonly string[]>;
  readonly saved: SavedQueriesApi;
  /** For operators: how the index stands. */
  index(signal?: AbortSignal): Promise<SearchIndex>;
  /** For operators: has the index made anew from the database, and waits for it. Look at its `rebuild` for an error. */
  reindex(options?: WatchOptions<SearchIndex>): Promise<SearchIndex>;
}

/** One's own queries, kept under names. */
export interface SavedQueriesApi {
  /** @throws LongshoreError query_invalid, saved_query_exists. */
  create(saved: NewSavedQuery): Promise<SavedQuery>;
  get(id: string): Promise<SavedQuery>;
  /** By name. */
  list(): Listing<SavedQuery>;
  /** What it finds now. */
  find(id: string, options?: HitOptions): SearchListing;
  /** What is left out stays. */
  change(id: string, change: Partial<NewSavedQuery>): Promise<SavedQuery>;
  remove(id: string): Promise<void>;
}

export function searchApi(connection: Connection): SearchApi {
  const pathOf = (id: string) => `/saved-queries/${encodeURIComponent(id)}`;

  function hits(path: string, { facets, signal, ...options }: HitOptions, asked: Query = {}): SearchListing {
    const parameters: Query = { ...asked, ...options, facet: facets };
    const page = (cursor?: string) => connection.json<SearchPage>(path + query({ ...parameters, cursor }), { signal });
    return { ...listing<SearchHit>(connection, path, parameters, signal), page };
  }

  const index = (signal?: AbortSignal) => connection.json<SearchIndex>("/search/index", { signal });

  return {
    find: (text, { types, ...options } = {}) => hits("/search", options, { q: text, type: types }),
    async suggest(field, prefix, { limit, signal } = {}) {
      const path = `/search/suggest${query({ field, prefix, limit })}`;
      return (await connection.json<{ readonly items: readonly string[] }>(path, { signal })).items;
    },
    index,
    async reindex(options = {}) {
      await connection.send("/search/index/rebuild", { method: "POST", signal: options.signal });
      return watch(
        () => index(options.signal),
        // A server that was started anew meanwhile knows of none.
        ({ rebuild }) => rebuild === null || rebuild.finishedAt !== null,
        options,
      );
    },
    saved: {
      create: (saved) => connection.json<SavedQuery>("/saved-queries", jsonBody("POST", saved)),
      get: (id) => connection.json<SavedQuery>(pathOf(id)),
      list: () => listing<SavedQuery>(connection, "/saved-queries", {}, undefined),
      find: (id, options = {}) => hits(`${pathOf(id)}/hits`, options),
      change: (id, change) => connection.json<SavedQuery>(pathOf(id), jsonBody("PATCH", change)),
      async remove(id) {
        await connection.send(pathOf(id), { method: "DELETE" });
      },
    },
  };
}
