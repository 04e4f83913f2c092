import { mkdirSync } from "node:fs";
import { mkdtemp, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { openSqlite, type Stores } from "../../src/adapters/db/stores.ts";
import { folderEndpoints, openEndpoints } from "../../src/adapters/source/open-endpoint.ts";
import { folderTargets, openTargets } from "../../src/adapters/source/open-target.ts";
import { systemClock } from "../../src/adapters/system-clock.ts";
import type { Clock } from "../../src/core/clock.ts";
import type { Endpoints } from "../../src/core/crawl/endpoints.ts";
import { OFFLOAD_JOB, offloadJob } from "../../src/core/crawl/offload/offload-job.ts";
import { type OffloadRequest, type Offloads, offloadService } from "../../src/core/crawl/offloads.ts";
import type { Source } from "../../src/core/crawl/source.ts";
import type { Target } from "../../src/core/crawl/target.ts";
import type { Targets } from "../../src/core/crawl/targets.ts";
import type { RecordsFolderOf } from "../../src/core/extract/extraction-store.ts";
import { type JobId, jobId } from "../../src/core/ids.ts";
import { FINISHED_STATES, type Job } from "../../src/core/jobs/job.ts";
import { type Jobs, jobService } from "../../src/core/jobs/jobs.ts";
import { startWorker, type Worker } from "../../src/core/jobs/worker.ts";
import { ADA } from "./crawling.ts";
import { until } from "./until.ts";

export interface OffloadStores {
  readonly endpoints: Endpoints;
  readonly targets: Targets;
}

/** Openers of other schemes. */
export interface StoresElsewhere {
  readonly endpoints: Parameters<typeof openEndpoints>[0];
  readonly targets: Parameters<typeof openTargets>[0];
}

/**
 * Folders of this machine, which all may be crawled: from `scratch` files may be moved, `shelf` may be written; and stores
 * elsewhere.
 */
export function localStores(
  base: string,
  elsewhere?: StoresElsewhere,
  owned: readonly RecordsFolderOf[] = [],
): OffloadStores {
  const [crawl = "", scratch = "", shelf = ""] = ["crawl", "scratch", "shelf"].map((name) => join(base, name));
  return {
    endpoints: openEndpoints({ ...elsewhere?.endpoints, file: folderEndpoints({ roots: [crawl, scratch, shelf] }) }),
    targets: openTargets({
      ...elsewhere?.targets,
      file: folderTargets({
        writable: [shelf],
        removable: [scratch],
        owned: async () => owned.map(({ owner, folder }) => ({ owner, folder: join(base, folder) })),
      }),
    }),
  };
}

/** The same stores, but for what tests put between. */
export function wrapped(
  { endpoints, targets }: OffloadStores,
  wrap: { source?(source: Source): Source; target?(target: Target, use: "write" | "remove"): Target },
): OffloadStores {
  return {
    endpoints: {
      ...endpoints,
      async open(endpoint) {
        const source = await endpoints.open(endpoint);
        return wrap.source?.(source) ?? source;
      },
    },
    targets: {
      ...targets,
      async open(url, use) {
        const target = await targets.open(url, use);
        return wrap.target?.(target, use) ?? target;
      },
    },
  };
}

export interface OffloadServicesOptions extends OffloadStores {
  /** Of the SQLite file. */
  readonly path: string;
  /** Of the offloads: jobs have the machine's. */
  readonly clock?: Clock;
  readonly leaseMs?: number;
}

export interface OffloadServices {
  readonly stores: Stores;
  readonly jobs: Jobs;
  readonly offloads: Offloads;
  work(): Worker;
}

export async function openOffloadServices(options: OffloadServicesOptions): Promise<OffloadServices> {
  const { path, endpoints, targets, clock = systemClock, leaseMs = 10_000 } = options;
  const stores = await openSqlite({ path, clock: systemClock, leaseMs });
  const handlers = { [OFFLOAD_JOB]: offloadJob({ endpoints, targets, clock }) };
  const nextJobId = async () => jobId(await stores.sequences.reserve("upload_job", 1));
  const jobs = jobService(stores.jobs, nextJobId, systemClock, handlers);
  return {
    stores,
    jobs,
    offloads: offloadService({ endpoints, targets, jobs, clock }),
    work: () =>
      startWorker(jobs, stores.queue, handlers, systemClock, {
        name: `worker ${process.pid}`,
        concurrency: { fast: 1, slow: 1 },
      }),
  };
}

export interface Offloading extends OffloadServices {
  /** Of the folders of {@link localStores}. */
  readonly base: string;
  readonly path: string;
  ended(id: JobId): Promise<Job>;
  /** Offloads, as Ada, to its end. @returns the job, and the folder the files are in. */
  offload(request: OffloadRequest): Promise<{ readonly job: Job; readonly folder: string }>;
}

/** @param change what is put between the stores and the offloads. */
export async function openOffloading(
  t: TestContext,
  change: (stores: OffloadStores) => OffloadStores = (stores) => stores,
  {
    elsewhere,
    owned,
    ...options
  }: Pick<OffloadServicesOptions, "clock" | "leaseMs"> & {
    readonly elsewhere?: StoresElsewhere;
    /** Whose records lie where, below `base`; asked with each offload. */
    readonly owned?: readonly RecordsFolderOf[];
  } = {},
): Promise<Offloading> {
  const base = await realpath(await mkdtemp(join(tmpdir(), "longshore-offload-")));
  for (const name of ["crawl", "scratch", "shelf"]) mkdirSync(join(base, name));
  const path = join(base, "jobs.sqlite");
  const services = await openOffloadServices({
    ...change(localStores(base, elsewhere, owned)),
    path,
    ...options,
  });
  const workers: Worker[] = [];
  t.after(async () => {
    for (const worker of workers) await worker.stop();
    await services.stores.close();
    await rm(base, { recursive: true });
  });
  const work = () => {
    const worker = services.work();
    workers.push(worker);
    return worker;
  };
  async function ended(id: JobId): Promise<Job> {
    const isOver = async () => FINISHED_STATES.includes((await services.jobs.get(id)).state);
    await until(`job ${id} ends`, isOver);
    return services.jobs.get(id);
  }
  return {
    ...services,
    base,
    path,
    work,
    ended,
    async offload(request) {
      const { job, folder } = await services.offloads.start(ADA, request);
      const worker = work();
      const over = await ended(job);
      await worker.stop();
      return { job: over, folder };
    },
  };
}
