import type { ErrorRecord, Problem } from "../errors.ts";
import type { CrawlId, JobId } from "../ids.ts";
import type { Crawl, CrawlBatch, CrawlChanges, CrawlCounts, CrawlStatus } from "./crawl.ts";
import type { CrawlSizes } from "./sizes.ts";

export interface NewCrawl extends Pick<Crawl, "id" | "owner" | "endpoints" | "previous"> {
  /** Queued in the transaction that saves the crawl, with `{ crawl: id }` as input. The first one is the `crawl` job. */
  readonly jobs: readonly [CrawlJob, ...CrawlJob[]];
  readonly now: number;
}

export interface CrawlJob {
  readonly id: JobId;
  readonly kind: string;
  readonly lane: "fast" | "slow";
}

/** What a walk has found since it last told. */
export interface Found {
  /** Of these, `seq` is given when they are kept. */
  readonly batches: readonly Omit<CrawlBatch, "seq">[];
  /** Folders that are to be listed. One that is known already stays as it is. */
  readonly folders: readonly FolderOf[];
  /** Folders that have been listed to their end: all their files are in batches kept before or now. */
  readonly listed: readonly FolderOf[];
  readonly problems: readonly EndpointProblem[];
  /** Added to the crawl's counts. */
  readonly counts: CrawlCounts;
  readonly changes: CrawlChanges | null;
}

export interface FolderOf {
  readonly endpoint: number;
  readonly folder: string;
}

export interface EndpointProblem extends Problem {
  readonly endpoint: number;
}

export interface CrawlFilter {
  readonly owner?: string;
  /** Those made before this one. */
  readonly before?: CrawlId;
  readonly limit: number;
}

/**
 * Crawls and what they found.
 *
 * Adapters: `adapters/db/crawl-store.ts` over SQLite and PostgreSQL. Contract: `test/conformance/crawl-store.ts`.
 */
export interface CrawlStore {
  /** Saves a crawl in the status `initializing`, the folders it begins with, and its jobs. */
  create(crawl: NewCrawl): Promise<Crawl>;
  get(id: CrawlId): Promise<Crawl | undefined>;
  /** Newest first. @throws AppError crawl_unknown when `before` is not known, or has been gone for a while. */
  list(filter: CrawlFilter): Promise<readonly Crawl[]>;
  /** Compare-and-set. @returns the crawl as it is now, or `undefined` when its status was none of `from`. */
  update(
    id: CrawlId,
    from: readonly CrawlStatus[],
    change: {
      readonly status?: CrawlStatus;
      readonly error?: ErrorRecord | null;
      readonly startedAt?: number;
      readonly finishedAt?: number;
    },
  ): Promise<Crawl | undefined>;
  /**
   * Keeps what was found, all or nothing, if the crawl is `crawling` still.
   * @param attempts only while its job has been begun this often: a worker from whom the job was taken keeps nothing more.
   * @returns the crawl as it is now, or `undefined`.
   */
  keep(id: CrawlId, attempts: number, found: Found): Promise<Crawl | undefined>;
  /** Folders that are known and have not been listed to their end; after the one given, in the order in which they became known. */
  unlisted(id: CrawlId, limit: number, after?: number): Promise<readonly (FolderOf & { readonly number: number })[]>;
  /** Batches with a larger `seq`, in order. */
  batches(id: CrawlId, afterSeq: number, limit: number): Promise<readonly CrawlBatch[]>;
  /** All batches of one folder, in order. */
  batchesOf(id: CrawlId, folder: FolderOf): AsyncIterable<CrawlBatch>;
  /**
   * The first batches of these folders: all of one after all of another, those of each in order. When there are fewer than
   * the limit, they are all; else the last folder may have more, and others that have none here, too.
   */
  firstBatchesOf(
    id: CrawlId,
    endpoint: number,
    folders: readonly string[],
    limit: number,
  ): Promise<readonly CrawlBatch[]>;
  /**
   * A folder and the largest of those in it, and the largest types of the crawl, as far as has been kept; `undefined` where
   * nothing lies. Folders below 32 others are counted as part of the 32nd.
   */
  sizes(id: CrawlId, of: FolderOf, limit: number): Promise<CrawlSizes | undefined>;
  /** Folders that `previous` listed to their end and this crawl does not know. Memory: one page. */
  goneFolders(id: CrawlId, previous: CrawlId): AsyncIterable<FolderOf>;
  /** Oldest first; `number` is the cursor. */
  problems(
    id: CrawlId,
    afterNumber: number,
    limit: number,
  ): Promise<readonly (EndpointProblem & { readonly number: number })[]>;
  /**
   * Where a consumer of the feed is: which batch and how many of its files it has had. `{ seq: 0, files: 0 }` for one who
   * never asked.
   */
  position(id: CrawlId, consumer: string): Promise<FeedPosition>;
  /** Moves a consumer on if it still is where the caller read it. @returns whether it was. */
  advance(id: CrawlId, consumer: string, from: FeedPosition, to: FeedPosition, now: number): Promise<boolean>;
  /**
   * Forgets a finished crawl: no method here, nor one of its extractions and records, knows it any more, and search is told.
   * What belongs to it goes by {@link sweep}.
   * @returns false when there is no such crawl, or it or an extraction of it is under way still.
   */
  remove(id: CrawlId): Promise<boolean>;
  /** Deletes some of what removed crawls leave behind. @returns whether there may be more. */
  sweep(): Promise<boolean>;
}

/** Of the batch `seq`, the first `files` files are taken, and all batches before it. */
export interface FeedPosition {
  readonly seq: number;
  readonly files: number;
}
