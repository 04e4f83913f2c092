import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { openSqlite, type Stores } from "../../src/adapters/db/stores.ts";
import { jobId } from "../../src/core/ids.ts";
import type { Job, JobState } from "../../src/core/jobs/job.ts";
import type { JobQueue } from "../../src/core/jobs/job-queue.ts";
import { type JobRequest, type Jobs, jobService } from "../../src/core/jobs/jobs.ts";
import { type JobHandler, startWorker, type Worker, type WorkerOptions } from "../../src/core/jobs/worker.ts";
import { type MovingClock, movingClock } from "./moving-clock.ts";
import { until } from "./until.ts";

export const LEASE_MS = 10_000;

/** One process's view of a database with jobs in it. */
export interface JobsProcess {
  readonly stores: Stores;
  readonly jobs: Jobs;
  /** Errors that workers of this process were troubled by. */
  readonly troubles: unknown[];
  worker(options?: Partial<WorkerOptions> & { readonly queue?: JobQueue }): Worker;
  /** Waits until the job is in one of these states. */
  reaches(job: Job, ...states: readonly JobState[]): Promise<Job>;
}

export interface JobsFixture extends JobsProcess {
  readonly clock: MovingClock;
  /**
   * What another process on the same database would be, but for the connection: two that wait for each other in one
   * process would wait in vain.
   */
  another(handlers?: Handlers): JobsProcess;
  /** Moves the clock until the condition holds: back-off, leases and polls need no waiting. */
  passUntil(what: string, condition: () => boolean | Promise<boolean>): Promise<void>;
}

type Handlers = Readonly<Record<string, JobHandler>>;

/** Jobs on a real SQLite file in a temporary folder, removed after the test; workers that still run are stopped. */
export async function openJobs(t: TestContext, handlers: Handlers = {}): Promise<JobsFixture> {
  const folder = await mkdtemp(join(tmpdir(), "jobs-"));
  const clock = movingClock();
  const closing: (() => Promise<void>)[] = [];
  t.after(async () => {
    for (const close of closing.reverse()) await close();
    await rm(folder, { recursive: true });
  });

  const stores = await openSqlite({ path: join(folder, "jobs.sqlite"), clock, leaseMs: LEASE_MS });
  closing.push(stores.close);

  function open(known: Handlers): JobsProcess {
    const nextId = async () => jobId(await stores.sequences.reserve("upload_job", 1));
    const jobs = jobService(stores.jobs, nextId, clock, known);
    const troubles: unknown[] = [];
    return {
      stores,
      jobs,
      troubles,
      worker({ queue = stores.queue, ...options } = {}) {
        const worker = startWorker(jobs, queue, known, clock, {
          name: "worker",
          concurrency: { fast: 2, slow: 1 },
          onTrouble: (error) => troubles.push(error),
          ...options,
        });
        closing.push(worker.stop);
        return worker;
      },
      async reaches(job, ...states) {
        await until(`job ${job.id} is ${states.join(" or ")}`, async () =>
          states.includes((await jobs.get(job.id)).state),
        );
        return jobs.get(job.id);
      },
    };
  }

  return {
    ...open(handlers),
    clock,
    another: (known = handlers) => open(known),
    passUntil: (what, condition) =>
      until(what, async () => {
        if (await condition()) return true;
        clock.pass(1_000);
        return false;
      }),
  };
}

export const request = (given: Partial<JobRequest> = {}): JobRequest => ({
  kind: "work",
  lane: "fast",
  owner: "ada",
  input: {},
  ...given,
});
