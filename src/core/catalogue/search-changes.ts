import type { ExtractionId, FileId, TransactionId } from "../ids.ts";

/** What is to be looked at again: put into the index as it is now, or taken out when it is no longer there. */
export type SearchSubject =
  /** With all its files. */
  | { readonly transaction: TransactionId }
  | { readonly file: FileId }
  /** Records from one number to another, both included. */
  | { readonly extraction: ExtractionId; readonly from: number; readonly until: number };

export interface SearchChange {
  /**
   * Never used again. A larger one is mostly the later change; where several write at once, one with a smaller number may
   * become visible after it, and is pending then: whoever reads asks for what is there, not for what came after.
   */
  readonly number: number;
  readonly subject: SearchSubject;
}

/**
 * What has changed in the database and is not in the search index yet. Rows are added by the stores of what changes, in the
 * transaction that changes it: the index can be late, and cannot drift.
 *
 * Adapters: `adapters/db/search-changes.ts` over SQLite and PostgreSQL. Contract: `test/conformance/search-changes.ts`.
 */
export interface SearchChanges {
  /** By number. */
  pending(limit: number): Promise<readonly SearchChange[]>;
  /** Forgets changes that are in the index. */
  done(numbers: readonly number[]): Promise<void>;
  depth(): Promise<number>;
}
