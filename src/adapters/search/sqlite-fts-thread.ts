import { workerData } from "node:worker_threads";
import type { SearchDocument, SearchRequest } from "../../core/catalogue/search-index.ts";
import { AppError, type ErrorRecord, errorRecord } from "../../core/errors.ts";
import { doDuties } from "../storage/fs/thread-duties.ts";
import { openSearchFile, removeSearchFile, type SearchFile } from "./search-file.ts";

/*
 * A thread behind `sqlite-fts.ts`: it has one index open, to read, to write, or to build.
 */

export interface FileOfThread {
  readonly path: string;
  readonly use: "read" | "write" | "build";
}

/** An error of ours would lose its fields on the way to another thread. */
export type Answered<T> = { readonly answer: T } | { readonly failure: ErrorRecord };

const { path, use } = workerData as FileOfThread;
let opened: SearchFile | undefined;
let isBuilding = use === "build";
/** Of an index being built: what has been put or removed since, and is newer than whatever the builder brings. */
const changed = new Set<string>();

function answered<T>(work: (file: SearchFile) => T): Answered<T> {
  try {
    opened ??= openSearchFile(path, use);
    return { answer: work(opened) };
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    return { failure: errorRecord(error) };
  }
}

const duties = {
  put: (documents: readonly SearchDocument[]) =>
    answered((file) => {
      file.put(documents);
      if (isBuilding) for (const { key } of documents) changed.add(key);
    }),
  remove: (keys: readonly string[]) =>
    answered((file) => {
      file.remove(keys);
      if (isBuilding) for (const key of keys) changed.add(key);
    }),
  /** What the builder brings, which may be older than what is there. */
  fill: (documents: readonly SearchDocument[]) => answered((file) => file.put(documents, changed)),
  complete: () =>
    answered((file) => {
      file.complete();
      isBuilding = false;
      changed.clear();
    }),
  search: (request: SearchRequest) => answered((file) => file.search(request)),
  suggest: ({ field, prefix, owner, limit }: SuggestRequest) =>
    answered((file) => file.suggest(field, prefix, owner, limit)),
  counts: () => answered((file) => file.counts()),
  isFilled: () => answered((file) => file.isFilled()),
  /** Comes after everything that was asked for before. */
  close: ({ isRemoved }: { readonly isRemoved: boolean }) => {
    opened?.close();
    opened = undefined;
    if (isRemoved) removeSearchFile(path);
  },
};
export type SearchDuties = typeof duties;
doDuties(duties);

export interface SuggestRequest {
  readonly field: string;
  readonly prefix: string;
  readonly owner: string | undefined;
  readonly limit: number;
}
