import type { Document } from "./document.ts";
import type { Mapping } from "./mapping.ts";

export interface StoredIndex {
  readonly name: string;
  readonly mapping: Mapping;
  readonly createdAt: number;
}

/** An index as a change finds it. */
export interface IndexState {
  readonly mapping: Mapping;
  /** Those of the documents asked for that are there, by id. */
  readonly documents: ReadonlyMap<string, Document>;
  readonly lastSeqNo: number;
}

export interface IndexChange {
  readonly mapping: Mapping;
  /** Take the place of those with the same id. */
  readonly put: readonly Omit<Document, "number">[];
  readonly removed: readonly string[];
  readonly lastSeqNo: number;
}

/**
 * Documents of the indices that scripts make.
 *
 * Adapters: `adapters/db/document-store.ts` over SQLite and PostgreSQL. Contract: `test/conformance/document-store.ts`.
 */
export interface DocumentStore {
  /** @returns whether it was made: `false` when there is one of this name. */
  createIndex(index: StoredIndex): Promise<boolean>;
  index(name: string): Promise<StoredIndex | undefined>;
  /** In order of their names. */
  indices(): Promise<readonly StoredIndex[]>;
  /** With all its documents, however many. @returns whether it was there. */
  removeIndex(name: string): Promise<boolean>;
  /** Of some thousand ids those that are there, in no order. */
  documents(index: string, ids: readonly string[]): Promise<readonly Document[]>;
  /** In order of their numbers. */
  page(index: string, afterNumber: number, limit: number): Promise<readonly Document[]>;
  count(index: string): Promise<number>;
  /**
   * What `change` makes of the index, all or nothing; of two changes of an index one waits for the other. A document keeps
   * its number for as long as it is there.
   * @param change may run again: it does nothing but decide.
   * @returns the second half of what it returned, or `undefined` when there is no such index.
   */
  change<T>(
    index: string,
    ids: readonly string[],
    change: (state: IndexState) => readonly [IndexChange, T],
  ): Promise<T | undefined>;
}
