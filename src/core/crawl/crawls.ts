import { randomUUID } from "node:crypto";
import { hasScope, maySee, type Principal } from "../access/access.ts";
import type { Clock } from "../clock.ts";
import { AppError } from "../errors.ts";
import type { ExtractionStore } from "../extract/extraction-store.ts";
import { type CrawlId, crawlId, type JobId } from "../ids.ts";
import { FINISHED_STATES } from "../jobs/job.ts";
import type { Jobs } from "../jobs/jobs.ts";
import { type Crawl, type Endpoint, FINISHED_CRAWLS } from "./crawl.ts";
import { CRAWL_JOB } from "./crawl-job.ts";
import type { CrawlStore, EndpointProblem, FolderOf } from "./crawl-store.ts";
import { type Endpoints, endpointOf } from "./endpoints.ts";
import { feedFrom, positionAt } from "./feed.ts";
import type { CrawlSizes } from "./sizes.ts";

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
  /**
   * @throws AppError request_invalid, endpoint_refused for a store or folder no setting opens, endpoint_unreachable;
   * of the earlier crawl crawl_unknown, crawl_state_conflict while it is under way.
   */
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
  /** How large a folder, those in it and each type are; see `CrawlStore.sizes`. */
  sizes(principal: Principal, id: CrawlId, of: FolderOf, limit: number): Promise<CrawlSizes | undefined>;
  /** Files in the order in which they were found, also those that are gone; nothing is used up. @throws AppError request_invalid for a bad cursor. */
  files(principal: Principal, id: CrawlId, cursor: string | undefined, limit: number): Promise<FeedPage>;
  /**
   * The next files for this consumer, each file once: what has been given out is not given again. Durable. Files that are
   * gone are not given.
   */
  flush(principal: Principal, id: CrawlId, consumer: string, limit: number): Promise<FeedPage>;
}

export interface CrawlParts {
  readonly store: CrawlStore;
  readonly extractions: Pick<ExtractionStore, "ofCrawl">;
  readonly endpoints: Pick<Endpoints, "check">;
  readonly jobs: Pick<Jobs, "cancel" | "get">;
  readonly clock: Clock;
  readonly nextJobId: () => Promise<JobId>;
}

const MOST_ENDPOINTS = 100;
/** Files of one page. */
const MOST_FILES = 10_000;

export function crawlService({ store, extractions, endpoints, jobs, clock, nextJobId }: CrawlParts): Crawls {
  async function seen(principal: Principal, id: CrawlId): Promise<Crawl> {
    const crawl = await store.get(id);
    if (!crawl || !maySee(principal, crawl.owner)) throw new AppError("crawl_unknown", { id });
    return crawl;
  }

  /** Only a crawl that looked for the same says that something is gone. */
  async function requirePrevious(principal: Principal, id: CrawlId, asked: readonly Endpoint[]): Promise<void> {
    const previous = await seen(principal, id);
    if (!FINISHED_CRAWLS.includes(previous.status)) throw conflict(previous, "a crawl that has ended");
    const isOwn = previous.owner === principal.name;
    if (!isOwn || asked.map(scopeOf).join() !== previous.endpoints.map(scopeOf).join())
      throw new AppError("request_invalid", { previous: id, expected: "an own crawl of the same endpoints" });
  }

  return {
    async start(principal, request) {
      const { length } = request.endpoints;
      if (length === 0 || length > MOST_ENDPOINTS)
        throw new AppError("request_invalid", { expected: `1 to ${MOST_ENDPOINTS} endpoints`, found: length });
      const asked: Endpoint[] = [];
      for (const one of request.endpoints) {
        const endpoint = endpointOf(one);
        asked.push({ ...endpoint, url: await endpoints.check(endpoint.url, principal) });
      }
      if (request.previous !== undefined) await requirePrevious(principal, request.previous, asked);
      return store.create({
        id: crawlId(randomUUID()),
        owner: principal.name,
        endpoints: asked,
        previous: request.previous ?? null,
        jobs: [{ id: await nextJobId(), kind: CRAWL_JOB, lane: "slow" }],
        now: clock.now(),
      });
    },

    get: seen,

    list: (principal, page) =>
      store.list({ ...page, ...(hasScope(principal, "operate") ? {} : { owner: principal.name }) }),

    async cancel(principal, id) {
      const crawl = await seen(principal, id);
      if (FINISHED_CRAWLS.includes(crawl.status)) throw conflict(crawl, "initializing or crawling");
      const { state } = await jobs.get(crawl.job);
      // An operator may have ended the job by hand.
      if (FINISHED_STATES.includes(state))
        await store.update(id, [crawl.status], { status: "cancelled", finishedAt: clock.now() });
      else await jobs.cancel(crawl.job, principal.name);
      return seen(principal, id);
    },

    async remove(principal, id) {
      const crawl = await seen(principal, id);
      if (!FINISHED_CRAWLS.includes(crawl.status)) throw conflict(crawl, "a crawl that has ended");
      const busy = (await extractions.ofCrawl(id)).find(
        ({ status }) => status === "waiting" || status === "extracting",
      );
      if (busy) throw new AppError("crawl_state_conflict", { id, extraction: busy.id, found: busy.status });
      await store.remove(id);
    },

    async problems(principal, id, afterNumber, limit) {
      await seen(principal, id);
      return store.problems(id, afterNumber, limit);
    },

    async sizes(principal, id, of, limit) {
      await seen(principal, id);
      return store.sizes(id, of, limit);
    },

    async files(principal, id, cursor, limit) {
      const from = positionAt(cursor);
      const { position: _, ...page } = await feedFrom(store, await seen(principal, id), from, bounded(limit), true);
      return page;
    },

    async flush(principal, id, consumer, limit) {
      if (!/^[^\p{C}]{1,200}$/u.test(consumer))
        throw new AppError("request_invalid", { consumer, expected: "a name of 1 to 200 characters" });
      // Whoever is not the first to move on, reads on from where the other has moved to.
      for (;;) {
        const crawl = await seen(principal, id);
        const from = await store.position(id, consumer);
        const { position, ...page } = await feedFrom(store, crawl, from, bounded(limit), false);
        const isSame = position.seq === from.seq && position.files === from.files;
        if (isSame || (await store.advance(id, consumer, from, position, clock.now()))) return page;
      }
    },
  };
}

const bounded = (limit: number) => Math.max(1, Math.min(MOST_FILES, limit));

function conflict({ id, status }: Crawl, expected: string): AppError {
  return new AppError("crawl_state_conflict", { id, expected, found: status });
}

const scopeOf = ({ url, folders, hidden }: Endpoint) => JSON.stringify([url, [...folders].sort(), hidden]);
