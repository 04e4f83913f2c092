import { mkdir, mkdtemp, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { Readable } from "node:stream";
import type { TestContext } from "node:test";
import { openSqlite, type Stores } from "../../src/adapters/db/stores.ts";
import { builtInExtractors } from "../../src/adapters/sandbox/built-in.ts";
import { scratchFolder } from "../../src/adapters/sandbox/scratch-folder.ts";
import { fsTarget, requireNoLink } from "../../src/adapters/source/fs-target.ts";
import { folderEndpoints, openEndpoints } from "../../src/adapters/source/open-endpoint.ts";
import { systemClock } from "../../src/adapters/system-clock.ts";
import type { Principal } from "../../src/core/access/access.ts";
import type { Clock } from "../../src/core/clock.ts";
import { type Crawl, FINISHED_CRAWLS } from "../../src/core/crawl/crawl.ts";
import { crawlJob } from "../../src/core/crawl/crawl-job.ts";
import { type Crawls, crawlService, type EndpointRequest } from "../../src/core/crawl/crawls.ts";
import type { Endpoints } from "../../src/core/crawl/endpoints.ts";
import type { Source } from "../../src/core/crawl/source.ts";
import type { Extraction, ExtractionRecord } from "../../src/core/extract/extraction.ts";
import { type ExtractionRequest, type Extractions, extractionService } from "../../src/core/extract/extractions.ts";
import { extractJob } from "../../src/core/extract/job/extract-job.ts";
import { extractorRegistry, type RegisteredExtractors } from "../../src/core/extract/registry.ts";
import type { SandboxLimits } from "../../src/core/extract/sandbox.ts";
import type { WithoutRoom } from "../../src/core/extract/without-room.ts";
import { jobId } from "../../src/core/ids.ts";
import { type Jobs, jobService } from "../../src/core/jobs/jobs.ts";
import { type JobHandler, startWorker, type Worker } from "../../src/core/jobs/worker.ts";
import { until } from "./until.ts";

export const ADA: Principal = { name: "ada", scopes: ["read", "crawl"], via: "token" };
export const OPERATOR: Principal = { name: "olga", scopes: ["operate"], via: "token" };

const MIB = 1024 * 1024;
export const LIMITS: SandboxLimits = {
  silenceMs: 60_000,
  totalMs: 600_000,
  memoryBytes: 512 * MIB,
  outputBytes: 4 * MIB,
};
/** How soon another takes over when a worker dies. */
const LEASE_MS = 2_000;

export interface ExtractingOptions {
  readonly limits?: Partial<SandboxLimits>;
  readonly processes?: number;
  readonly familyBytes?: number;
  readonly registered?: (folder: string, reserved: () => Promise<readonly string[]>) => RegisteredExtractors;
  /** What stores are opened with, instead of what they really are. */
  readonly endpoints?: (real: Endpoints) => Endpoints;
  readonly clock?: Clock;
  /** Instead of a folder of its own: one that stays. */
  readonly folder?: string;
}

export interface Extracting {
  readonly folder: string;
  /** What is crawled; without links. */
  readonly store: string;
  readonly records: string;
  readonly stores: Stores;
  readonly jobs: Jobs;
  readonly crawls: Crawls;
  readonly extractions: Extractions;
  readonly handlers: Readonly<Record<string, JobHandler>>;
  readonly troubles: unknown[];
  worker(): Worker;
  /** Writes files into the store. */
  write(files: Readonly<Record<string, string | Uint8Array>>): Promise<void>;
  crawl(endpoint?: Partial<EndpointRequest>): Promise<Crawl>;
  /** Until it has ended. */
  crawled(endpoint?: Partial<EndpointRequest>): Promise<Crawl>;
  extracted(crawl: Crawl, request?: ExtractionRequest, limitMs?: number): Promise<Extraction>;
  ended(extraction: Extraction, limitMs?: number): Promise<Extraction>;
  allRecords(extraction: Extraction): Promise<readonly ExtractionRecord[]>;
  close(): Promise<void>;
}

/** Crawls and extractions on a real SQLite file, over a folder of real files. */
export async function openExtracting(options: ExtractingOptions = {}): Promise<Extracting> {
  const { clock = systemClock } = options;
  const folder = await realpath(options.folder ?? (await mkdtemp(join(tmpdir(), "longshore-extracting-"))));
  const store = join(folder, "store");
  const records = join(folder, "records");
  const scratch = join(folder, "scratch");
  await mkdir(store, { recursive: true });

  const stores = await openSqlite({ path: join(folder, "db.sqlite"), clock, leaseMs: LEASE_MS });
  const nextJobId = async () => jobId(await stores.sequences.reserve("upload_job", 1));
  const real = openEndpoints({ file: folderEndpoints({ roots: [store] }) });
  const endpoints = options.endpoints?.(real) ?? real;
  const builtIn = builtInExtractors({
    readable: [store, scratch],
    limits: { ...LIMITS, ...options.limits },
    processes: options.processes ?? 2,
  });
  const reserved = async () => (await builtIn.facts()).map(({ name }) => name);
  const registry = extractorRegistry(builtIn, options.registered?.(join(folder, "extractors"), reserved));
  const recordRoots = [records];
  const withoutRoom: WithoutRoom = new Map();
  const handlers = {
    crawl: crawlJob({ store: stores.crawls, endpoints, clock }),
    extract: extractJob({
      crawls: stores.crawls,
      extractions: stores.extractions,
      extractors: registry,
      endpoints,
      scratch: scratchFolder({ root: scratch }),
      clock,
      recordRoots,
      recordTarget: (root) => fsTarget({ root }),
      familyBytes: options.familyBytes ?? 64 * MIB,
      withoutRoom,
    }),
  };
  const jobs = jobService(stores.jobs, nextJobId, clock, handlers);
  const crawls = crawlService({
    store: stores.crawls,
    extractions: stores.extractions,
    endpoints,
    jobs,
    clock,
    nextJobId,
  });
  const extractions = extractionService({
    crawls: stores.crawls,
    store: stores.extractions,
    jobs,
    registry,
    clock,
    nextJobId,
    recordRoots,
    checkRecordsFolder: ({ root, path }) => requireNoLink(root, path),
    withoutRoom,
  });
  const workers: Worker[] = [];
  const troubles: unknown[] = [];

  const ended: Extracting["ended"] = async ({ id }, limitMs) => {
    const over = ["complete", "failed", "cancelled"];
    await until(
      `extraction ${id} has ended`,
      async () => over.includes((await stores.extractions.get(id))?.status ?? ""),
      limitMs,
    );
    return extractions.get(ADA, id);
  };
  const crawl: Extracting["crawl"] = (endpoint = {}) => crawls.start(ADA, { endpoints: [{ url: store, ...endpoint }] });

  return {
    folder,
    store,
    records,
    stores,
    jobs,
    crawls,
    extractions,
    handlers,
    troubles,
    worker() {
      const worker = startWorker(jobs, stores.queue, handlers, clock, {
        name: "worker",
        concurrency: { fast: 1, slow: 2 },
        onTrouble: (error) => troubles.push(error),
      });
      workers.push(worker);
      return worker;
    },
    async write(files) {
      for (const [path, content] of Object.entries(files)) {
        await mkdir(dirname(join(store, path)), { recursive: true });
        await writeFile(join(store, path), content);
      }
    },
    crawl,
    async crawled(endpoint) {
      const { id } = await crawl(endpoint);
      await until(`crawl ${id} has ended`, async () =>
        FINISHED_CRAWLS.includes((await stores.crawls.get(id))?.status ?? "initializing"),
      );
      return crawls.get(ADA, id);
    },
    extracted: async ({ id }, request = {}, limitMs) => ended(await extractions.start(ADA, id, request), limitMs),
    ended,
    async allRecords({ id }) {
      const all: ExtractionRecord[] = [];
      for (let page = await stores.extractions.records(id, 0, 1_000); page.length > 0; ) {
        all.push(...page);
        page = await stores.extractions.records(id, all.length, 1_000);
      }
      return all;
    },
    async close() {
      for (const worker of workers) await worker.stop();
      await registry.sandbox.close();
      await stores.close();
      if (options.folder === undefined) await rm(folder, { recursive: true });
    },
  };
}

/** For `endpoints`: the folder as if it were a store elsewhere: nothing of it lies on this machine. */
export const elsewhere = (open?: (source: Source, path: string) => Promise<Readable>) => (real: Endpoints) => ({
  check: real.check,
  open: async (endpoint: { readonly url: string }): Promise<Source> => {
    const { walk, close, ...source } = await real.open(endpoint);
    return { walk, close, open: (path) => open?.({ walk, close, ...source }, path) ?? source.open(path) };
  },
});

/** The same, closed and removed after the test, with a worker running. */
export async function extracting(t: TestContext, options: ExtractingOptions = {}): Promise<Extracting> {
  const opened = await openExtracting(options);
  t.after(opened.close);
  opened.worker();
  return opened;
}
