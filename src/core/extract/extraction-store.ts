import type { Details, ErrorRecord } from "../errors.ts";
import type { CrawlId, ExtractionId, JobId } from "../ids.ts";
import type { Extraction, ExtractionCounts, ExtractionRecord, ExtractionStatus } from "./extraction.ts";

export interface NewExtraction extends Pick<Extraction, "id" | "crawl" | "owner" | "extractors" | "recordsFolder"> {
  /** Queued in the same transaction; its input is `{ extraction: id }` and what is given here. */
  readonly job: { readonly id: JobId; readonly kind: string; readonly lane: "fast" | "slow"; readonly input?: Details };
  readonly now: number;
}

/** All of one or more batches of a crawl, described. */
export interface Described {
  /** The last of the batches. */
  readonly seq: number;
  readonly records: readonly Omit<ExtractionRecord, "number" | "extraction" | "crawl" | "createdAt">[];
  /** Added to the counts. */
  readonly counts: Pick<ExtractionCounts, "pulled" | "success" | "failed" | "unknown">;
  /** Tasks of later batches that are under way. */
  readonly pending: number;
}

/**
 * Extractions and their records.
 *
 * Adapters: `adapters/db/extraction-store.ts` over SQLite and PostgreSQL. Contract: `test/conformance/extraction-store.ts`.
 */
export interface ExtractionStore {
  /** In the status `waiting`, with its job. @throws AppError crawl_unknown. */
  create(extraction: NewExtraction): Promise<Extraction>;
  get(id: ExtractionId): Promise<Extraction | undefined>;
  /** Newest first. */
  ofCrawl(crawl: CrawlId): Promise<readonly Extraction[]>;
  /**
   * Compare-and-set. In a status that is final no task is under way: `pending` is 0.
   * @returns the extraction as it is now, or `undefined` when its status was none of `from`.
   */
  update(
    id: ExtractionId,
    from: readonly ExtractionStatus[],
    change: {
      readonly status?: ExtractionStatus;
      readonly error?: ErrorRecord | null;
      readonly finishedAt?: number | null;
    },
  ): Promise<Extraction | undefined>;
  /** Says how many tasks are under way, of an extraction that has not ended; whoever takes the job over begins with 0. */
  pending(id: ExtractionId, tasks: number): Promise<void>;
  /**
   * Keeps records and moves on, all or nothing, if the extraction is `extracting` and stands at `afterSeq`; search is told
   * in the same transaction.
   * @returns whether it did.
   */
  keep(id: ExtractionId, afterSeq: number, described: Described, now: number): Promise<boolean>;
  /** With a larger number, in order. */
  records(id: ExtractionId, afterNumber: number, limit: number): Promise<readonly ExtractionRecord[]>;
  record(id: ExtractionId, number: number): Promise<ExtractionRecord | undefined>;
  /** All folders that records are written to as files, each once for each owner. */
  recordsFolders(): Promise<readonly RecordsFolderOf[]>;
}

export interface RecordsFolderOf {
  readonly owner: string;
  /** Absolute. */
  readonly folder: string;
}
