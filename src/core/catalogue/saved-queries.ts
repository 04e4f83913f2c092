import type { SavedQueryId } from "../ids.ts";
import type { SearchDocument } from "./search-index.ts";

/** A search that somebody wants to ask again. */
export interface SavedQuery {
  readonly id: SavedQueryId;
  readonly owner: string;
  /** What its owner calls it: no two of one owner have the same name, to the letter. */
  readonly name: string;
  /** As it was written; see docs/formats/queries.md. */
  readonly query: string;
  /** What it looks for; none: everything. */
  readonly types: readonly SearchDocument["type"][];
  readonly createdAt: number;
}

/**
 * Queries that are kept under a name.
 *
 * Adapters: `adapters/db/saved-queries.ts` over SQLite and PostgreSQL. Contract: `test/conformance/saved-queries.ts`.
 */
export interface SavedQueries {
  /** @throws AppError saved_query_exists when the owner has one of this name. */
  create(saved: SavedQuery): Promise<void>;
  get(id: SavedQueryId): Promise<SavedQuery | undefined>;
  /** By name. */
  list(owner: string): Promise<readonly SavedQuery[]>;
  /**
   * Another name, query or types; what is left out stays.
   * @returns the query as it is now, or `undefined` when it is not known.
   * @throws AppError saved_query_exists when the owner has another of this name.
   */
  replace(
    id: SavedQueryId,
    change: Partial<Pick<SavedQuery, "name" | "query" | "types">>,
  ): Promise<SavedQuery | undefined>;
  /** @returns whether it was there. */
  remove(id: SavedQueryId): Promise<boolean>;
}
