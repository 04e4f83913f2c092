import { sleep } from "./backoff.ts";
import { type Connection, jsonBody, query } from "./connection.ts";
import type { Crawl, CrawlDetail, CrawledFile, CrawlProblem, GrouperName } from "./crawl-types.ts";
import type { NewExtraction } from "./extractions.ts";
import { type Listing, listing, type PageOptions } from "./pages.ts";
import type { Page } from "./types.ts";
import { type WatchOptions, watch } from "./watch.ts";

/** How long a reader of the feed waits for more of a crawl that still runs. */
const FEED_PAUSE_MS = 500;

export interface NewCrawl {
  readonly endpoints: readonly NewEndpoint[];
  /** An earlier crawl of the same endpoints: files are told apart as new, changed, same and gone. */
  readonly previous?: string;
  /** Has files described while the walk goes on. */
  readonly extract?: NewExtraction;
}

/** A store to walk, and how. */
export interface NewEndpoint {
  /** `file:///folder`, `/folder`, `https://host/index/`, `archive:`, `s3://bucket/prefix`, `globus://collection/folder`. */
  readonly url: string;
  /** Below the address; all of it when left out. */
  readonly folders?: readonly string[];
  /** `file_is_group` when left out. */
  readonly grouper?: GrouperName;
  /** Of the grouper `regex`: files whose named groups agree belong together. */
  readonly pattern?: string;
  /** Whether names that begin with a dot are crawled; they are when left out. */
  readonly hidden?: boolean;
}

export interface FlushOptions {
  /** Each consumer has a place in the feed of its own; `default` when left out. */
  readonly consumer?: string;
  /** Files at most, 1 to 1000. */
  readonly limit?: number;
  readonly signal?: AbortSignal | undefined;
}

export interface Flushed {
  readonly items: readonly CrawledFile[];
  /** The crawl has ended and this consumer has had everything. */
  readonly queueEmpty: boolean;
}

export type CrawlWaitOptions = WatchOptions<CrawlDetail>;

/** Walks over stores. */
export interface CrawlsApi {
  /** Nothing is listed before this returns. @throws LongshoreError request_invalid, endpoint_refused, extractor_unknown. */
  start(crawl: NewCrawl, signal?: AbortSignal): Promise<CrawlDetail>;
  get(id: string, signal?: AbortSignal): Promise<CrawlDetail>;
  /** Newest first. */
  list(options?: PageOptions): Listing<Crawl>;
  /** Waits until it has ended, however: look at `status`. Its extractions may still go on. */
  wait(id: string, options?: CrawlWaitOptions): Promise<CrawlDetail>;
  /** What it has found stays. @throws LongshoreError crawl_state_conflict when it has ended. */
  cancel(id: string): Promise<Crawl>;
  /** Forgets it with all it found, its extractions and records. */
  remove(id: string): Promise<void>;
  /** Oldest first. */
  problems(id: string, options?: PageOptions): Listing<CrawlProblem>;
  /** Files in the order in which they were found; a loop over a crawl that runs ends with the crawl. Uses nothing up. */
  files(id: string, options?: PageOptions): Listing<CrawledFile>;
  /** The next files for a consumer: what it has been given once, it is not given again. */
  flush(id: string, options?: FlushOptions): Promise<Flushed>;
}

export function crawlsApi(connection: Connection): CrawlsApi {
  const pathOf = (id: string) => `/crawls/${encodeURIComponent(id)}`;
  const get = (id: string, signal?: AbortSignal) => connection.json<CrawlDetail>(pathOf(id), { signal });

  return {
    start: (crawl, signal) => connection.json<CrawlDetail>("/crawls", jsonBody("POST", crawl, signal)),
    get,
    list: ({ signal, ...page } = {}) => listing<Crawl>(connection, "/crawls", page, signal),
    wait: (id, options = {}) =>
      watch(
        () => get(id, options.signal),
        ({ finishedAt }) => finishedAt !== null,
        options,
      ),
    cancel: (id) => connection.json<Crawl>(`${pathOf(id)}/cancel`, { method: "POST" }),
    async remove(id) {
      await connection.send(pathOf(id), { method: "DELETE" });
    },
    problems: (id, { signal, ...page } = {}) =>
      listing<CrawlProblem>(connection, `${pathOf(id)}/problems`, page, signal),
    files(id, { signal, ...options } = {}) {
      const page = (cursor?: string) =>
        connection.json<Page<CrawledFile>>(`${pathOf(id)}/files${query({ ...options, cursor })}`, { signal });
      return { page, [Symbol.asyncIterator]: () => followed(page, signal) };
    },
    flush: (id, { signal, ...options } = {}) =>
      connection.json<Flushed>(`${pathOf(id)}/flush`, jsonBody("POST", options, signal)),
  };
}

/** Pages of something that may still grow: one without items is asked for again, a little later. */
async function* followed<T>(page: (cursor?: string) => Promise<Page<T>>, signal: AbortSignal | undefined) {
  let cursor: string | undefined;
  do {
    const { items, next } = await page(cursor);
    yield* items;
    cursor = next ?? undefined;
    if (items.length === 0 && cursor !== undefined) await sleep(FEED_PAUSE_MS, signal);
  } while (cursor !== undefined);
}
