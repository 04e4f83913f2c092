import type { Details, ErrorRecord } from "../errors.ts";
import type { CrawlId, JobId } from "../ids.ts";
import type { GrouperName } from "./grouping/groups.ts";

/**
 * `initializing`: accepted, nothing listed yet. `crawling`: folders are being listed. `complete`: everything was listed.
 * `partial`: it came to its end, and something could not be listed or read: the problems say what. `failed`: it could not go
 * on; what had been found until then stays.
 */
export const CRAWL_STATUSES = ["initializing", "crawling", "complete", "partial", "failed", "cancelled"] as const;
export type CrawlStatus = (typeof CRAWL_STATUSES)[number];
/** What can no longer change. */
export const FINISHED_CRAWLS: readonly CrawlStatus[] = ["complete", "partial", "failed", "cancelled"];

/** A store to walk, and how. */
export interface Endpoint {
  /** Where it is: `file:///folder`, `https://host/index/`, `archive:`, `s3://bucket/prefix`, `globus://collection/folder`. */
  readonly url: string;
  /** Below the URL, `""` for all of it. Never empty. */
  readonly folders: readonly string[];
  readonly grouper: GrouperName;
  /** Of the grouper `regex`. */
  readonly pattern: string | null;
  /** Whether names that begin with a dot are crawled. */
  readonly hidden: boolean;
}

/** Rise while the crawl runs, and are exact at any time: they change in the transaction that keeps what they count. */
export interface CrawlCounts {
  /** Listed to the end. */
  readonly directories: number;
  readonly files: number;
  readonly bytes: number;
  readonly groups: number;
  readonly families: number;
  /** Symbolic links, sockets, devices and pipes: listed and never followed or read. */
  readonly others: number;
  /** Problems kept. */
  readonly errors: number;
}

/** Where counting begins. */
export const NO_COUNTS: CrawlCounts = {
  directories: 0,
  files: 0,
  bytes: 0,
  groups: 0,
  families: 0,
  others: 0,
  errors: 0,
};

/** Against an earlier crawl of the same endpoints. */
export interface CrawlChanges {
  readonly new: number;
  /** Another size or time. */
  readonly changed: number;
  readonly same: number;
  readonly gone: number;
}

/** One walk over one or more endpoints. */
export interface Crawl {
  readonly id: CrawlId;
  readonly owner: string;
  readonly status: CrawlStatus;
  readonly endpoints: readonly Endpoint[];
  readonly counts: CrawlCounts;
  /** The crawl that this one is compared with. */
  readonly previous: CrawlId | null;
  /** `null` without an earlier crawl. */
  readonly changes: CrawlChanges | null;
  /** The `crawl` job. */
  readonly job: JobId;
  readonly error: ErrorRecord | null;
  readonly createdAt: number;
  readonly startedAt: number | null;
  readonly finishedAt: number | null;
}

/** A file as the crawl found it. */
export interface CrawledFile {
  /** In its folder. */
  readonly name: string;
  readonly sizeBytes: number;
  readonly modifiedAt: number | null;
  readonly mode: number | null;
}

/** Of one folder, some of its files with the groups and families that they make: a family is never in two batches. */
export interface CrawlBatch {
  /** Counts from 1 in each crawl, without gaps, in the order in which batches were kept. */
  readonly seq: number;
  /** Which of the crawl's endpoints. */
  readonly endpoint: number;
  /** Below the endpoint's URL. */
  readonly folder: string;
  readonly files: readonly CrawledFile[];
  /** `null`: each file is a family by itself, of one group of the kind `file`. */
  readonly families: readonly CrawledFamily[] | null;
  /** Indexes of files that were not there in the previous crawl, or were otherwise; `null` without one. */
  readonly changes: { readonly new: readonly number[]; readonly changed: readonly number[] } | null;
  /** Names of this folder that were there in the previous crawl and no longer are. Such a batch may have no files. */
  readonly gone: readonly string[];
}

export interface CrawledFamily {
  readonly groups: readonly CrawledGroup[];
}

export interface CrawledGroup {
  /** Indexes into the batch's files. */
  readonly files: readonly number[];
  readonly kind: string;
  readonly details?: Details;
}
