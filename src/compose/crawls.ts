import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { Stores } from "../adapters/db/stores.ts";
import { builtInExtractors } from "../adapters/sandbox/built-in.ts";
import { scratchFolder } from "../adapters/sandbox/scratch-folder.ts";
import { fsTarget, requireNoLink } from "../adapters/source/fs-target.ts";
import type { ObjectStorage } from "../core/archive/object-storage.ts";
import type { Clock } from "../core/clock.ts";
import { CRAWL_JOB, crawlJob } from "../core/crawl/crawl-job.ts";
import { type Crawls, crawlService } from "../core/crawl/crawls.ts";
import { OFFLOAD_JOB, offloadJob } from "../core/crawl/offload/offload-job.ts";
import { type Offloads, offloadService } from "../core/crawl/offloads.ts";
import { EXTRACT_JOB, type Extractions, extractionService } from "../core/extract/extractions.ts";
import { extractJob } from "../core/extract/job/extract-job.ts";
import { extractorRegistry, type RegisteredExtractors } from "../core/extract/registry.ts";
import type { SandboxLimits } from "../core/extract/sandbox.ts";
import type { WithoutRoom } from "../core/extract/without-room.ts";
import type { JobId } from "../core/ids.ts";
import type { Jobs } from "../core/jobs/jobs.ts";
import type { JobHandler } from "../core/jobs/worker.ts";
import type { Fetch } from "../core/outbound/fetch.ts";
import type { Origins } from "../core/outbound/origins.ts";
import type { Config } from "../settings/config.ts";
import type { S3Watch } from "./s3.ts";
import { composeStores } from "./stores.ts";

/** Of all groups that a process is given at once, beside what one of them may take. */
const RUN_TIMES_LONGER = 10;

export interface CrawlingParts {
  readonly stores: Stores;
  readonly storage: ObjectStorage;
  readonly fetch: Fetch;
  /** The same that `fetch` is guarded by. */
  readonly origins: Origins;
  readonly clock: Clock;
  readonly nextJobId: () => Promise<JobId>;
  readonly watch?: S3Watch;
}

/** Crawls, extractions and offloads: what the settings open, the jobs' handlers, and the services on top of them. */
export interface Crawling {
  readonly handlers: Readonly<Record<string, JobHandler>>;
  /** Told, from now on, of extractors that cannot be taken up. */
  reportTo(trouble: (error: unknown, during: string) => void): void;
  services(jobs: Jobs): {
    readonly crawls: Crawls;
    readonly extractions: Extractions;
    readonly offloads: Offloads;
  };
  /** Ends the extractors' processes. */
  close(): Promise<void>;
}

export async function composeCrawling(config: Config, parts: CrawlingParts): Promise<Crawling> {
  const { stores, storage, fetch, origins, clock, nextJobId, watch } = parts;
  const { recordRoots } = config;
  const { catalogue, extractions } = stores;
  const opened = composeStores(config, { catalogue, extractions, storage, fetch, origins, clock, watch });
  const { crawled: endpoints, targets } = opened;
  const scratch = join(config.dataDir, "scratch");
  const limits: SandboxLimits = {
    silenceMs: config.extractMs,
    totalMs: config.extractMs * RUN_TIMES_LONGER,
    memoryBytes: config.extractMemoryBytes,
    outputBytes: config.extractOutputBytes,
  };
  const processes = config.extractProcesses;
  // A process that may read a folder that is not there yet may not read what comes to lie in it (Node's permission model).
  await mkdir(scratch, { recursive: true, mode: 0o700 });
  const builtIn = builtInExtractors({ readable: [...config.crawlRoots, scratch], limits, processes });
  let report: Parameters<Crawling["reportTo"]>[0] | undefined;
  const extractors = extractorRegistry(builtIn, await registered());
  const { crawls: store } = stores;
  const withoutRoom: WithoutRoom = new Map();

  /** What reads and checks them is loaded when there is a folder for them. */
  async function registered(): Promise<RegisteredExtractors | undefined> {
    const { extractorsDir: folder, containerEnvironment } = config;
    if (folder === undefined) return undefined;
    const { registeredExtractors } = await import("../adapters/sandbox/registered.ts");
    return registeredExtractors({
      folder,
      limits,
      processes,
      containerEnvironment,
      reserved: async () => (await builtIn.facts()).map(({ name }) => name),
      onInvalid: (error) => report?.(error, "the extractors"),
    });
  }

  return {
    handlers: {
      [CRAWL_JOB]: crawlJob({ store, endpoints, clock }),
      [EXTRACT_JOB]: extractJob({
        crawls: store,
        extractions,
        extractors,
        endpoints,
        scratch: scratchFolder({ root: scratch }),
        clock,
        recordRoots,
        recordTarget: (root) => fsTarget({ root }),
        familyBytes: config.extractFamilyBytes,
        withoutRoom,
      }),
      [OFFLOAD_JOB]: offloadJob({ endpoints: opened.offloaded, targets, clock }),
    },
    reportTo(trouble) {
      report = trouble;
    },
    services: (jobs) => ({
      crawls: crawlService({ store, extractions, endpoints, jobs, clock, nextJobId }),
      extractions: extractionService({
        crawls: store,
        store: extractions,
        jobs,
        registry: extractors,
        clock,
        nextJobId,
        recordRoots,
        checkRecordsFolder: ({ root, path }) => requireNoLink(root, path),
        withoutRoom,
      }),
      offloads: offloadService({ endpoints: opened.offloaded, targets, jobs, clock }),
    }),
    close: () => extractors.sandbox.close(),
  };
}
