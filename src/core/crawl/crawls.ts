import type { Principal } from "../access/access.ts";
import type { CrawlId } from "../ids.ts";
import type { Crawl } from "./crawl.ts";
import type { EndpointProblem } from "./crawl-store.ts";

export interface CrawlRequest {
  readonly endpoints: readonly EndpointRequest[];
  /** An earlier crawl of the same endpoints, which this one is to be compared with. */
  readonly previous?: CrawlId | undefined;
}

export interface EndpointRequest {
  /** See `Endpoint.url`; a path that begins with `/` is a folder of the server. */
  readonly url: string;
  /** All of it, when left out. */
  readonly folders?: readonly string[] | undefined;
  /** `file_is_group` when left out. */
  readonly grouper?: string | undefined;
  readonly pattern?: string | undefined;
  /** `true` when left out. */
  readonly hidden?: boolean | undefined;
}

/** A file of a crawl as readers of the feed get it. */
export interface FeedItem {
  /** UUIDs; `null` of a file that is gone. */
  readonly file: string | null;
  readonly family: string | null;
  readonly endpoint: number;
  /** Below the endpoint's URL. */
  readonly path: string;
  /** These are `null` of a file that is gone. */
  readonly sizeBytes: number | null;
  readonly modifiedAt: number | null;
  readonly mode: number | null;
  /** Against the previous crawl; `null` without one. */
  readonly change: "new" | "changed" | "same" | "gone" | null;
  readonly crawledAt: number;
}

export interface FeedPage {
  readonly items: readonly FeedItem[];
  /** Where the next page begins, also when there is nothing there yet. */
  readonly cursor: string;
  /** The crawl has ended and everything it found has been read up to here. */
  readonly isDrained: boolean;
}

/**
 * Crawls, for those who may see them: their owner and operators. To others they do not exist (`crawl_unknown`).
 */
export interface Crawls {
  /** @throws AppError request_invalid, endpoint_refused for a store or folder no setting opens, crawl_unknown. */
  start(principal: Principal, request: CrawlRequest): Promise<Crawl>;
  get(principal: Principal, id: CrawlId): Promise<Crawl>;
  /** Newest first. */
  list(principal: Principal, page: { readonly before?: CrawlId; readonly limit: number }): Promise<readonly Crawl[]>;
  /** @throws AppError crawl_state_conflict when it has ended. */
  cancel(principal: Principal, id: CrawlId): Promise<Crawl>;
  /** @throws AppError crawl_state_conflict while it, or an extraction of it, is under way. */
  remove(principal: Principal, id: CrawlId): Promise<void>;
  problems(
    principal: Principal,
    id: CrawlId,
    afterNumber: number,
    limit: number,
  ): Promise<readonly (EndpointProblem & { readonly number: number })[]>;
  /** Files in the order in which they were found; nothing is used up. @throws AppError request_invalid for a bad cursor. */
  files(principal: Principal, id: CrawlId, cursor: string | undefined, limit: number): Promise<FeedPage>;
  /** The next files for this consumer, each file once: what has been given out is not given again. Durable. */
  flush(principal: Principal, id: CrawlId, consumer: string, limit: number): Promise<FeedPage>;
}
