import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { mkdtemp, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { TestContext } from "node:test";
import { openSqlite, type Stores } from "../../src/adapters/db/stores.ts";
import { folderEndpoints, openEndpoints } from "../../src/adapters/source/open-endpoint.ts";
import { systemClock } from "../../src/adapters/system-clock.ts";
import type { Principal } from "../../src/core/access/access.ts";
import type { Clock } from "../../src/core/clock.ts";
import { type Crawl, FINISHED_CRAWLS } from "../../src/core/crawl/crawl.ts";
import { CRAWL_JOB, crawlJob } from "../../src/core/crawl/crawl-job.ts";
import { type Crawls, crawlService, type FeedItem } from "../../src/core/crawl/crawls.ts";
import type { Endpoints } from "../../src/core/crawl/endpoints.ts";
import { type CrawlId, jobId } from "../../src/core/ids.ts";
import { type Jobs, jobService } from "../../src/core/jobs/jobs.ts";
import { startWorker, type Worker } from "../../src/core/jobs/worker.ts";
import { until } from "./until.ts";

export const ADA: Principal = { name: "ada", scopes: ["deposit", "read"], via: "token" };
export const BOB: Principal = { ...ADA, name: "bob" };
export const OPERATOR: Principal = { name: "olga", scopes: ["operate"], via: "token" };

export interface CrawlServices {
  readonly stores: Stores;
  readonly jobs: Jobs;
  readonly crawls: Crawls;
  /** What went wrong around jobs. */
  readonly troubles: unknown[];
  work(): Worker;
}

export interface CrawlServicesOptions {
  /** Of the SQLite file. */
  readonly path: string;
  readonly endpoints: Endpoints;
  readonly clock?: Clock;
  readonly leaseMs?: number;
}

/** The crawl service, its job and a worker, over a SQLite file that may be another process's as well. */
export async function openCrawlServices(options: CrawlServicesOptions): Promise<CrawlServices> {
  const { path, endpoints, clock = systemClock, leaseMs = 10_000 } = options;
  const stores = await openSqlite({ path, clock, leaseMs });
  const handlers = { [CRAWL_JOB]: crawlJob({ store: stores.crawls, endpoints, clock }) };
  const nextJobId = async () => jobId(await stores.sequences.reserve("upload_job", 1));
  const jobs = jobService(stores.jobs, nextJobId, clock, handlers);
  const troubles: unknown[] = [];
  return {
    stores,
    jobs,
    crawls: crawlService({ store: stores.crawls, extractions: stores.extractions, endpoints, jobs, clock, nextJobId }),
    troubles,
    work: () =>
      startWorker(jobs, stores.queue, handlers, clock, {
        name: `worker ${process.pid}`,
        concurrency: { fast: 1, slow: 2 },
        onTrouble: (error) => troubles.push(error),
      }),
  };
}

export interface Crawling extends CrawlServices {
  /** A new folder that may be crawled, without links on its way. */
  readonly root: string;
  /** Of the SQLite file. */
  readonly path: string;
  /** Waits for the end of a crawl. */
  ended(id: CrawlId): Promise<Crawl>;
  /** Crawls the root, as Ada, to its end. */
  crawl(request?: Partial<Parameters<Crawls["start"]>[1]>): Promise<Crawl>;
}

/** @param endpoints instead of the folder's. */
export async function openCrawling(
  t: TestContext,
  { endpoints, ...options }: Partial<Omit<CrawlServicesOptions, "path">> = {},
): Promise<Crawling> {
  const base = await realpath(await mkdtemp(join(tmpdir(), "longshore-crawl-")));
  const root = join(base, "root");
  mkdirSync(root);
  const path = join(base, "crawls.sqlite");
  const services = await openCrawlServices({
    path,
    endpoints: endpoints ?? openEndpoints({ file: folderEndpoints({ roots: [root] }) }),
    ...options,
  });
  const { crawls, stores } = services;
  const workers: Worker[] = [];
  t.after(async () => {
    for (const worker of workers) await worker.stop();
    await stores.close();
    await rm(base, { recursive: true });
  });
  const work = () => {
    const worker = services.work();
    workers.push(worker);
    return worker;
  };
  async function ended(id: CrawlId): Promise<Crawl> {
    const isOver = async () => FINISHED_CRAWLS.includes((await crawls.get(OPERATOR, id)).status);
    await until(`crawl ${id} ends`, isOver);
    return crawls.get(OPERATOR, id);
  }
  return {
    ...services,
    root,
    path,
    work,
    ended,
    async crawl(request = {}) {
      const { id } = await crawls.start(ADA, { endpoints: [{ url: root }], ...request });
      const worker = work();
      const crawl = await ended(id);
      await worker.stop();
      return crawl;
    },
  };
}

/** The feed as far as it goes, page by page, as Ada. */
export async function feedOf(crawls: Crawls, id: CrawlId, limit = 1_000): Promise<readonly FeedItem[]> {
  const items: FeedItem[] = [];
  for (let cursor: string | undefined; ; ) {
    const page = await crawls.files(ADA, id, cursor, limit);
    items.push(...page.items);
    if (page.items.length < limit) return items;
    ({ cursor } = page);
  }
}

/** Files by their paths below a folder. */
export function fill(root: string, files: Readonly<Record<string, string>>): void {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), content);
  }
}

export interface FoundEntry {
  readonly type: string;
  readonly path: string;
  readonly sizeBytes: number;
  /** Whole milliseconds. */
  readonly modifiedAt: number;
}

/** What find(1) sees below a folder, the folder itself included. */
export function find(root: string): readonly FoundEntry[] {
  const lines = execFileSync("find", [root, "-printf", "%y\\t%s\\t%T@\\t%P\\0"], {
    encoding: "utf8",
    maxBuffer: 2 ** 30,
  });
  return lines
    .split("\0")
    .slice(0, -1)
    .map((line) => {
      const [type = "", size, time = "", ...path] = line.split("\t");
      // Digits behind the point are of nanoseconds: as text, to lose nothing.
      const [seconds = "", fraction = ""] = time.split(".");
      const modifiedAt = Number(seconds + fraction.slice(0, 3).padEnd(3, "0"));
      return { type, path: path.join("\t"), sizeBytes: Number(size), modifiedAt };
    });
}

/** Counts of a crawl, as find(1) has them. */
export function findCounts(root: string) {
  const entries = find(root);
  const files = entries.filter(({ type }) => type === "f");
  return {
    directories: entries.filter(({ type }) => type === "d").length,
    files: files.length,
    bytes: files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    others: entries.filter(({ type }) => type !== "f" && type !== "d").length,
  };
}

/** Compares long lists in no order, telling the first differences only: a whole one would take hours to print. */
export function assertSamePaths(told: readonly string[], expected: readonly string[]): void {
  const [seen, wanted] = [new Set<string>(), new Set(expected)];
  const differences: string[] = [];
  for (const path of told) {
    if (seen.has(path)) differences.push(`twice: ${path}`);
    if (!wanted.has(path)) differences.push(`not there: ${path}`);
    seen.add(path);
  }
  for (const path of expected) if (!seen.has(path)) differences.push(`missing: ${path}`);
  assert.deepEqual(differences.slice(0, 10), []);
}
