export const DOCUMENT_TYPES = ["file", "transaction", "record"] as const;

/** What can be found: one document for each thing of the catalogue. */
export interface SearchDocument {
  /** `file:42`, `transaction:7`, `record:…`: unique; the same one replaces. */
  readonly key: string;
  readonly type: (typeof DOCUMENT_TYPES)[number];
  /** Who may see it beside operators. */
  readonly owner: string;
  /** Words to be found without naming a field. */
  readonly text: string;
  /** Values that queries name: `project`, `mediatype`, `width`, `path`, … Numbers and times (epoch ms) can be compared. */
  readonly fields: Readonly<Record<string, readonly (string | number)[]>>;
  /** Shown in results. */
  readonly title: string;
  readonly createdAt: number;
}

/** A parsed query; see `query.ts`. */
export type Query =
  | { readonly all: readonly Query[] }
  | { readonly any: readonly Query[] }
  | { readonly not: Query }
  | { readonly word: string; readonly isPrefix: boolean }
  | { readonly phrase: readonly string[] }
  | { readonly field: string; readonly is: string; readonly isPrefix: boolean }
  | {
      readonly field: string;
      readonly from?: number;
      readonly until?: number;
      readonly fromIn: boolean;
      readonly untilIn: boolean;
    };

export interface SearchRequest {
  /** Absent: everything. */
  readonly query?: Query;
  /** Only what this owner has; absent for operators. */
  readonly owner?: string;
  readonly types?: readonly SearchDocument["type"][];
  /** Relevance: hits with all words in the title, with some, and the others; each newest first. */
  readonly order: "relevance" | "newest";
  readonly limit: number;
  /** From the page before: pages neither repeat nor leave out what was there all the time, however far. */
  readonly cursor?: string;
  /** Fields whose most frequent values are counted: over all hits, or over the newest when `isLowerBound`. */
  readonly facets?: readonly string[];
}

export interface SearchHit {
  readonly key: string;
  readonly type: SearchDocument["type"];
  readonly title: string;
  /** Part of the text (of the title, if nothing was found in the text) with `\u0002` and `\u0003` around what was found; `null` when nothing of the text was asked for. */
  readonly highlight: string | null;
  readonly fields: SearchDocument["fields"];
  readonly createdAt: number;
}

export interface SearchPage {
  readonly hits: readonly SearchHit[];
  readonly next: string | null;
  /** Of all hits. Exact up to `limit` of the adapter, and then `isLowerBound`. */
  readonly total: number;
  readonly isLowerBound: boolean;
  readonly facets: Readonly<Record<string, readonly { readonly value: string; readonly count: number }[]>>;
}

/**
 * Finds what the catalogue knows. It holds nothing that cannot be indexed anew from the database. Every call may fail with
 * `search_unavailable` or `database_damaged`.
 *
 * Adapters: `adapters/search/{sqlite-fts,postgres,opensearch}.ts`. Contract: `test/conformance/search-index.ts`.
 */
export interface SearchIndex {
  /** Adds or replaces; visible on return. A few hundred at a time. Of a call that fails, some may be there: it is to be repeated. */
  put(documents: readonly SearchDocument[]): Promise<void>;
  remove(keys: readonly string[]): Promise<void>;
  search(request: SearchRequest): Promise<SearchPage>;
  /** Values of a field that begin so, for hints. */
  suggest(field: string, prefix: string, owner: string | undefined, limit: number): Promise<readonly string[]>;
  /**
   * Whether what has been put is all there is to be found: a rebuild has come to its end. Before that, an index is empty or
   * holds what was put since it was made.
   */
  isFilled(): Promise<boolean>;
  /** Says so of an index in use, because there was nothing to fill it with. */
  declareFilled(): Promise<void>;
  /**
   * Begins an index beside the one in use; it takes its place at `finish`. Changes that come meanwhile reach both, and count
   * for more than what is put into the new one. Beginning another abandons it: its calls then fail with `job_cancelled`.
   */
  rebuild(): Promise<{
    put(documents: readonly SearchDocument[]): Promise<void>;
    finish(): Promise<void>;
    abandon(): Promise<void>;
  }>;
  counts(): Promise<{ readonly documents: number; readonly sizeBytes: number }>;
}
