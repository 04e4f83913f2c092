import type { FileProblem, JobError, Json } from "./types.ts";

/** The wire API's values of crawls and extractions. Times are ISO 8601 in UTC; `openapi.json` has every field. */

/** `partial`: it came to its end, and something could not be listed or read: the problems say what. */
export type CrawlStatus = "initializing" | "crawling" | "complete" | "partial" | "failed" | "cancelled";

export type GrouperName = "file_is_group" | "extension" | "directory" | "matio" | "stem" | "sequence" | "regex";

/** A store that was walked, and how. */
export interface CrawledEndpoint {
  readonly url: string;
  /** Below the address; `""` is all of it. */
  readonly folders: readonly string[];
  readonly grouper: string;
  readonly pattern: string | null;
  readonly hidden: boolean;
}

export interface Crawl {
  readonly id: string;
  readonly owner: string;
  readonly status: CrawlStatus;
  readonly endpoints: readonly CrawledEndpoint[];
  /** They rise while it runs. */
  readonly counts: {
    readonly directories: number;
    readonly files: number;
    readonly bytes: number;
    readonly groups: number;
    readonly families: number;
    /** Links, sockets, devices and pipes: listed, never followed or read. */
    readonly others: number;
    readonly errors: number;
  };
  /** The crawl that this one is compared with. */
  readonly previous: string | null;
  readonly changes: {
    readonly new: number;
    readonly changed: number;
    readonly same: number;
    readonly gone: number;
  } | null;
  readonly job: number;
  readonly error: JobError | null;
  readonly createdAt: string;
  readonly startedAt: string | null;
  readonly finishedAt: string | null;
}

export interface CrawlDetail extends Crawl {
  /** Newest first. */
  readonly extractions: readonly Extraction[];
}

/** Something that could not be listed or read. */
export interface CrawlProblem extends FileProblem {
  /** Which of the crawl's endpoints, counted from 0. */
  readonly endpoint: number;
}

/** A file as the crawl found it. */
export interface CrawledFile {
  /** Which of the crawl's endpoints, counted from 0. */
  readonly endpoint: number;
  /** Below the endpoint's address. */
  readonly path: string;
  /** A UUID; this and the next ones are `null` of a file that is gone. */
  readonly file: string | null;
  /** Files of one family travel together. */
  readonly family: string | null;
  readonly sizeBytes: number | null;
  /** `null`, too, where the store does not say. */
  readonly modifiedAt: string | null;
  /** Permissions of a local file, in octal digits. */
  readonly mode: string | null;
  /** Against the previous crawl; `null` without one. */
  readonly change: "new" | "changed" | "same" | "gone" | null;
  readonly crawledAt: string;
}

export type ExtractionStatus = "waiting" | "extracting" | "complete" | "failed" | "cancelled";

export interface Extraction {
  readonly id: string;
  readonly crawl: string;
  readonly owner: string;
  readonly status: ExtractionStatus;
  /** Names; `null` for all that are known. */
  readonly extractors: readonly string[] | null;
  /** Folder of the server that records are also written to. */
  readonly recordsFolder: string | null;
  /** They rise while it runs. At any time, `toSchedule` is the sum of `success`, `failed`, `pending` and `unknown`. */
  readonly counts: {
    readonly pulled: number;
    readonly toSchedule: number;
    readonly success: number;
    readonly failed: number;
    readonly pending: number;
    readonly unknown: number;
  };
  readonly job: number;
  readonly error: JobError | null;
  readonly createdAt: string;
  readonly finishedAt: string | null;
}

/** What an extractor said of a group of files, or why it said nothing. */
export interface ExtractionRecord {
  /** Counted from 1 in each extraction. */
  readonly number: number;
  readonly extraction: string;
  readonly crawl: string;
  readonly family: string;
  /** Which group of its family, counted from 0. */
  readonly group: number;
  readonly groupKind: string;
  readonly extractor: string;
  readonly version: string;
  readonly files: readonly { readonly endpoint: number; readonly path: string; readonly sizeBytes: number }[];
  /** By the extractor's schema; `null` when it failed. */
  readonly data: Readonly<Record<string, Json>> | null;
  readonly problems: readonly FileProblem[];
  /** Why there is no data. */
  readonly failure: { readonly reason: string; readonly message: string } | null;
  readonly durationMs: number;
  readonly createdAt: string;
}

export interface Extractor {
  readonly name: string;
  readonly version: string;
  readonly takes: { readonly mediaTypes: readonly string[]; readonly extensions: readonly string[] };
  /** JSON Schema of its records' data; `null` when a registered one says nothing. */
  readonly schema: Readonly<Record<string, Json>> | null;
  readonly isBuiltIn: boolean;
}
