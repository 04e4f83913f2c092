import type { DetailValue, Problem } from "../errors.ts";

/** A file as an extractor sees it: on this machine, to be read and nothing else. */
export interface ExtractFile {
  /** Absolute. */
  readonly localPath: string;
  /** As the store names it; its ending may say what it is. */
  readonly name: string;
  readonly sizeBytes: number;
}

/** JSON-safe; described by the extractor's schema. */
export type RecordData = { readonly [key: string]: DetailValue };

export interface ExtractResult {
  readonly data: RecordData;
  /** What of the file could not be read, though the rest could. */
  readonly problems: readonly Problem[];
}

/** What an extractor says it takes. */
export interface Takes {
  /** By content: `image/png`, `text/*`. */
  readonly mediaTypes: readonly string[];
  /** In lower case, without the dot; looked at where content says no more than text or bytes. */
  readonly extensions: readonly string[];
}

/**
 * Describes a group of files. Runs in a child process: it may take memory and time up to its limits, loop, or die.
 * Built-in ones lie in `core/extract/extractors/`; each is a module of its own, loaded in the child alone.
 */
export interface Extractor {
  /** Lower-case letters, digits and `-`. */
  readonly name: string;
  /** Raised whenever the same file would give another record. */
  readonly version: string;
  readonly takes: Takes;
  /** JSON Schema (2020-12) of {@link ExtractResult.data}. */
  readonly schema: RecordData;
  /** @throws anything: the file is recorded as failed, with the reason. */
  extract(files: readonly ExtractFile[]): Promise<ExtractResult>;
}
