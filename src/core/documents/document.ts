import type { Principal } from "../access/access.ts";
import type { AppError } from "../errors.ts";
import type { Mapping } from "./mapping.ts";

/** A JSON document of an index. */
export interface Document {
  readonly id: string;
  /** A JSON object, as text: as it was sent, to the order of its members. */
  readonly source: string;
  /** 1, and one more with every change. */
  readonly version: number;
  /** Which change of its index was its last: whoever names it changes nothing that has changed since. */
  readonly seqNo: number;
  /** Its place in the order of the index, for as long as it is there. */
  readonly number: number;
}

export type DocumentWrite =
  | {
      readonly op: "index" | "create";
      /** One is made up when there is none. */
      readonly id?: string | undefined;
      readonly source: string;
      readonly ifSeqNo?: number | undefined;
    }
  | {
      readonly op: "update";
      readonly id: string;
      /** Members that take the place of the document's own, or are added to them. */
      readonly doc: string;
      /** The document when there is none yet. */
      readonly upsert?: string | undefined;
      readonly ifSeqNo?: number | undefined;
    }
  | { readonly op: "delete"; readonly id: string; readonly ifSeqNo?: number | undefined };

export type DocumentOutcome =
  | (Pick<Document, "id" | "version" | "seqNo"> & {
      readonly result: "created" | "updated" | "deleted" | "noop" | "not_found";
    })
  | { readonly id: string; readonly error: AppError };

/** How exact a caller wants it to be. */
export interface Exactness {
  /** Dates in the index's own formats alone; otherwise those with a space in the middle as well. */
  readonly strict: boolean;
}

/** What documents of an answer must have, as far as an index can make use of it: at least one of each field's values. */
export type Narrowing = ReadonlyMap<string, readonly string[]>;

/** Documents under a name: a script's own, or another part of Longshore seen as documents. */
export interface DocumentIndex {
  readonly name: string;
  readonly mapping: Mapping;
  /** Epoch milliseconds; `null`: it is not something that was made. */
  readonly createdAt: number | null;
  /** @param ids some thousand at most. @returns those that are there and that the caller may see, in no order. */
  documents(principal: Principal, ids: readonly string[]): Promise<readonly Document[]>;
  /** All that the caller may see, in order, in batches; may leave out what `narrowing` rules out. */
  scan(principal: Principal, narrowing: Narrowing): AsyncIterable<readonly Document[]>;
  count(principal: Principal): Promise<number>;
  /**
   * In turn, each by itself; durable on return. An index without it cannot be changed by documents.
   * @returns an outcome for each write.
   */
  write?(
    principal: Principal,
    writes: readonly DocumentWrite[],
    exactness: Exactness,
  ): Promise<readonly DocumentOutcome[]>;
}

/** Where indices come from. */
export interface IndexSource {
  find(name: string): Promise<DocumentIndex | undefined>;
  list(): Promise<readonly DocumentIndex[]>;
}
