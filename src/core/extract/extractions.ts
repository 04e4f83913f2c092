import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { maySee, type Principal, requireScope } from "../access/access.ts";
import type { Clock } from "../clock.ts";
import type { Crawl } from "../crawl/crawl.ts";
import type { CrawlStore } from "../crawl/crawl-store.ts";
import { AppError } from "../errors.ts";
import { type CrawlId, type ExtractionId, extractionId, type JobId } from "../ids.ts";
import type { Jobs } from "../jobs/jobs.ts";
import { awaitedExtractors } from "./awaited.ts";
import { chosenExtractors } from "./choose.ts";
import type { Extraction, ExtractionRecord } from "./extraction.ts";
import type { ExtractionStore } from "./extraction-store.ts";
import type { RecordData, Takes } from "./extractor.ts";
import { type RecordsFolder, recordsFolder } from "./job/record-files.ts";
import type { Registry } from "./registry.ts";
import { type WithoutRoom, withRoomTold } from "./without-room.ts";

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
  /** While the crawl is still running, or after. @throws AppError crawl_unknown, extractor_unknown, endpoint_refused for a folder outside the roots, or behind a link. */
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

export interface ExtractionParts {
  readonly crawls: Pick<CrawlStore, "get">;
  readonly store: ExtractionStore;
  readonly jobs: Pick<Jobs, "cancel">;
  readonly registry: Registry;
  readonly clock: Clock;
  readonly nextJobId: () => Promise<JobId>;
  /** Folders that records may be written to, absolute. */
  readonly recordRoots: readonly string[];
  /** @throws AppError endpoint_refused when a link lies on the way to it. */
  checkRecordsFolder(folder: RecordsFolder): Promise<void>;
  /** Told by the jobs of this process. */
  readonly withoutRoom: WithoutRoom;
}

/** What jobs of this kind read as their input: `{ extraction }`, and what `awaitedExtractors` makes when none were named. */
export const EXTRACT_JOB = "extract";

export function extractionService(parts: ExtractionParts): Extractions {
  const { crawls, store, jobs, registry, clock, recordRoots, withoutRoom } = parts;

  async function seen(principal: Principal, id: ExtractionId): Promise<Extraction> {
    const found = await store.get(id);
    if (!found || !maySee(principal, found.owner)) throw new AppError("extraction_unknown", { id });
    return withRoomTold(withoutRoom, found);
  }

  async function seenCrawl(principal: Principal, id: CrawlId): Promise<Crawl> {
    const found = await crawls.get(id);
    if (!found || !maySee(principal, found.owner)) throw new AppError("crawl_unknown", { id });
    return found;
  }

  return {
    async start(principal, crawl, { extractors, recordsFolder: asked }) {
      const { owner } = await seenCrawl(principal, crawl);
      const names = extractors === undefined ? null : [...new Set(extractors)];
      const chosen = chosenExtractors(await registry.facts(), names);
      const folder = asked === undefined ? undefined : recordsFolder(asked, recordRoots);
      if (folder) await parts.checkRecordsFolder(folder);
      return store.create({
        id: extractionId(randomUUID()),
        crawl,
        owner,
        extractors: names,
        recordsFolder: folder === undefined ? null : join(folder.root, folder.path),
        job: {
          id: await parts.nextJobId(),
          kind: EXTRACT_JOB,
          lane: "slow",
          // Those that were named are asked for by their names.
          ...(names === null ? { input: awaitedExtractors(chosen) } : {}),
        },
        now: clock.now(),
      });
    },

    get: seen,

    async ofCrawl(principal, crawl) {
      await seenCrawl(principal, crawl);
      return (await store.ofCrawl(crawl)).map((one) => withRoomTold(withoutRoom, one));
    },

    async cancel(principal, id) {
      const { job, status } = await seen(principal, id);
      try {
        await jobs.cancel(job, principal.name);
      } catch (error) {
        if (!(error instanceof AppError) || error.code !== "job_state_conflict") throw error;
        throw new AppError("crawl_state_conflict", { id, found: status }, { cause: error });
      }
      return seen(principal, id);
    },

    async records(principal, id, afterNumber, limit) {
      await seen(principal, id);
      return store.records(id, afterNumber, limit);
    },

    async record(principal, id, number) {
      await seen(principal, id);
      const found = await store.record(id, number);
      if (!found) throw new AppError("record_unknown", { extraction: id, number });
      return found;
    },

    extractors: () => registry.facts(),

    async register(principal, folder) {
      requireScope(principal, "operate");
      return registry.register(folder);
    },
  };
}
