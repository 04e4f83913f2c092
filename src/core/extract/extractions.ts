import type { Principal } from "../access/access.ts";
import type { CrawlId, ExtractionId } from "../ids.ts";
import type { Extraction, ExtractionRecord } from "./extraction.ts";
import type { RecordData, Takes } from "./extractor.ts";

export interface ExtractionRequest {
  /** All that are registered, when left out. */
  readonly extractors?: readonly string[] | undefined;
  /** Absolute, or below the first folder that records may be written to. */
  readonly recordsFolder?: string | undefined;
}

/** What is known of an extractor without running it. */
export interface ExtractorFacts {
  readonly name: string;
  readonly version: string;
  readonly takes: Takes;
  /** JSON Schema of its records' data; `null` when a registered one says nothing. */
  readonly schema: RecordData | null;
  readonly isBuiltIn: boolean;
}

/** Extractions of crawls, for those who may see the crawls. */
export interface Extractions {
  /** While the crawl is still running, or after. @throws AppError crawl_unknown, extractor_unknown, endpoint_refused for a folder outside the roots. */
  start(principal: Principal, crawl: CrawlId, request: ExtractionRequest): Promise<Extraction>;
  /** @throws AppError extraction_unknown. */
  get(principal: Principal, id: ExtractionId): Promise<Extraction>;
  /** Newest first. */
  ofCrawl(principal: Principal, crawl: CrawlId): Promise<readonly Extraction[]>;
  /** @throws AppError crawl_state_conflict when it has ended. */
  cancel(principal: Principal, id: ExtractionId): Promise<Extraction>;
  records(
    principal: Principal,
    id: ExtractionId,
    afterNumber: number,
    limit: number,
  ): Promise<readonly ExtractionRecord[]>;
  /** @throws AppError record_unknown. */
  record(principal: Principal, id: ExtractionId, number: number): Promise<ExtractionRecord>;
  /** Built-in ones first. The first to ask waits about a second: they are asked in their sandbox what they are. */
  extractors(): Promise<readonly ExtractorFacts[]>;
  /**
   * Takes up an extractor that lies on the server, or takes it up again after it was changed, if it passes its checks.
   * @param folder of one extractor, below the folder of extractors; `""` for all that lie there.
   * @throws AppError scope_missing, for all but operators; extractor_invalid, which says what is wrong.
   */
  register(principal: Principal, folder: string): Promise<readonly ExtractorFacts[]>;
}
