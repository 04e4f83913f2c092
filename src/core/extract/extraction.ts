import type { ErrorRecord, Problem } from "../errors.ts";
import type { CrawlId, ExtractionId, JobId } from "../ids.ts";
import type { RecordData } from "./extractor.ts";
import type { ExtractFailureReason } from "./sandbox.ts";

/** `waiting`: nothing is described yet. `complete`: all that the crawl found is described, or has failed with a reason. */
export const EXTRACTION_STATUSES = ["waiting", "extracting", "complete", "failed", "cancelled"] as const;
export type ExtractionStatus = (typeof EXTRACTION_STATUSES)[number];

/**
 * A task is one group for one extractor, or a group that no extractor takes. `toSchedule` is the sum of `success`, `failed`,
 * `pending` and `unknown`, and not kept by itself.
 */
export interface ExtractionCounts {
  /** Families whose groups have been looked at. */
  readonly pulled: number;
  readonly toSchedule: number;
  readonly success: number;
  /** Those whose record says why there is none. */
  readonly failed: number;
  readonly pending: number;
  /** Groups that no extractor takes. */
  readonly unknown: number;
}

/** Describing what a crawl found, while it still runs or after. A crawl may be extracted several times. */
export interface Extraction {
  readonly id: ExtractionId;
  readonly crawl: CrawlId;
  readonly owner: string;
  readonly status: ExtractionStatus;
  /** Names; `null` for all that are known. */
  readonly extractors: readonly string[] | null;
  /** Folder of this machine that records are also written to as files, one per family; `null` for none. */
  readonly recordsFolder: string | null;
  readonly counts: ExtractionCounts;
  /** The last batch of the crawl that is done with. */
  readonly doneSeq: number;
  /** The `extract` job. */
  readonly job: JobId;
  /** Why it failed; while it goes on, what it waits for: storage_full. */
  readonly error: ErrorRecord | null;
  readonly createdAt: number;
  readonly finishedAt: number | null;
}

/** What an extractor said of a group, or why it said nothing. */
export interface ExtractionRecord {
  /** Counts from 1 in each extraction. */
  readonly number: number;
  readonly extraction: ExtractionId;
  readonly crawl: CrawlId;
  /** Its id: see `crawl/identities.ts`. */
  readonly family: string;
  /** Which group of its family. */
  readonly group: number;
  readonly groupKind: string;
  readonly extractor: string;
  readonly version: string;
  readonly files: readonly RecordedFile[];
  /** `null` when there is no record. */
  readonly data: RecordData | null;
  readonly problems: readonly Problem[];
  /** Why there is no record. */
  readonly failure: { readonly reason: ExtractFailureReason | "unreadable"; readonly message: string } | null;
  readonly durationMs: number;
  readonly createdAt: number;
}

export interface RecordedFile {
  readonly endpoint: number;
  /** Below the endpoint's URL. */
  readonly path: string;
  readonly sizeBytes: number;
}
