import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openSqlite, type Stores } from "../../src/adapters/db/stores.ts";
import { localCommands } from "../../src/adapters/run/local-commands.ts";
import { runOutputs } from "../../src/adapters/run/run-outputs.ts";
import { systemClock } from "../../src/adapters/system-clock.ts";
import type { Principal } from "../../src/core/access/access.ts";
import { SCOPES } from "../../src/core/access/access-stores.ts";
import type { Clock } from "../../src/core/clock.ts";
import { AppError } from "../../src/core/errors.ts";
import { jobId, scheduleId } from "../../src/core/ids.ts";
import { type Jobs, jobService } from "../../src/core/jobs/jobs.ts";
import { startWorker } from "../../src/core/jobs/worker.ts";
import type { BuiltIns } from "../../src/core/schedules/built-in.ts";
import type { Machine } from "../../src/core/schedules/conditions.ts";
import { runJob } from "../../src/core/schedules/run-job.ts";
import { runNotices } from "../../src/core/schedules/run-notices.ts";
import type { RunOutputs } from "../../src/core/schedules/run-outputs.ts";
import {
  NO_CONDITIONS,
  RUN_JOB,
  type Run,
  type Schedule,
  type ScheduleDefinition,
} from "../../src/core/schedules/schedule.ts";
import type { ScheduleStore } from "../../src/core/schedules/schedule-store.ts";
import { type Scheduler, type SchedulerParts, startScheduler } from "../../src/core/schedules/scheduler.ts";
import { type Schedules, scheduleService } from "../../src/core/schedules/schedules.ts";
import { until } from "./until.ts";

export const ADA: Principal = { name: "ada", scopes: SCOPES, via: "token" };

export const definition: ScheduleDefinition = {
  name: "daily",
  expression: "@daily",
  timeZone: "UTC",
  action: { kind: "shell", command: "true", stdin: null, user: null },
  environment: {},
  required: [],
  overlap: "skip",
  lock: null,
  misfire: "none",
  timeoutMs: null,
  deadManMs: null,
  conditions: NO_CONDITIONS,
  notify: { to: null, when: "failure" },
  rerun: false,
};

export const daily: Schedule = {
  ...definition,
  id: scheduleId("daily"),
  owner: "ada",
  paused: false,
  nextDueAt: null,
  plannedAt: 1_000,
  silentAt: null,
  silentSince: null,
  createdAt: 1_000,
  changedAt: 1_000,
};

/** A command for the shell, as an action. */
export function shell(command: string): ScheduleDefinition["action"] {
  return { kind: "shell", command, stdin: null, user: null };
}

export interface SchedulingOptions {
  /** Of a SQLite database; a fresh one, removed afterwards, when left out. */
  readonly path?: string;
  readonly outputs?: string;
  readonly clock?: Clock;
  readonly leaseMs?: number;
  readonly machine?: Partial<Machine>;
  readonly builtIns?: BuiltIns;
  /** Instead of SQLite. */
  readonly open?: () => Promise<Stores>;
  /** Stands before the store. */
  readonly wrap?: (stores: Stores) => Stores;
  readonly boot?: string;
}

/** Schedules with their loop and workers, as one process has them. */
export interface Scheduling {
  readonly stores: Stores;
  readonly store: ScheduleStore;
  readonly jobs: Jobs;
  readonly schedules: Schedules;
  readonly outputs: RunOutputs;
  readonly troubles: unknown[];
  /** What a loop of this process is made of. */
  readonly loop: SchedulerParts;
  create(given: Partial<ScheduleDefinition>): Promise<Schedule>;
  /** Runs jobs from now on. @returns what stops it. */
  work(): { stop(): Promise<void> };
  fire(): Scheduler;
  /** Waits until the run is over. */
  ended(run: Pick<Run, "number">): Promise<Run>;
  begun(run: Pick<Run, "number">): Promise<void>;
  close(): Promise<void>;
}

export async function openScheduling(options: SchedulingOptions = {}): Promise<Scheduling> {
  const { clock = systemClock, leaseMs = 2_000, wrap = (stores: Stores) => stores, boot = "boot" } = options;
  // Whoever is to be killed is given both places: nobody would remove this folder.
  const isOwn = options.path === undefined || options.outputs === undefined;
  const folder = isOwn ? await mkdtemp(join(tmpdir(), "longshore-schedules-")) : "";
  const path = options.path ?? join(folder, "schedules.sqlite");
  const stores = wrap(await (options.open?.() ?? openSqlite({ path, clock, leaseMs })));
  const store = stores.schedules;
  const outputs = runOutputs({ root: options.outputs ?? join(folder, "runs"), segmentBytes: 4_096 });
  const runner = localCommands({ graceMs: 500 });
  const notices = runNotices("Longshore <longshore@example.org>");
  const nextJobId = async () => jobId(await stores.sequences.reserve("upload_job", 1));
  const machine: Machine = { load: () => 0, freeBytes: async () => 0, isThere: async () => false, ...options.machine };
  const { builtIns = {} } = options;
  const mayRun = async () => true;
  const handler = runJob({
    store,
    outputs,
    runner,
    machine,
    notices,
    clock,
    mayRun,
    builtIns: () => builtIns,
    jobs: () => jobs,
    fetch: () => Promise.reject(new AppError("fetch_refused")),
    resolve: async ({ required }) => Object.fromEntries(required.map((name) => [name, `value of ${name}`])),
  });
  const jobs: Jobs = jobService(stores.jobs, nextJobId, clock, { [RUN_JOB]: handler });
  const schedules = scheduleService({
    store,
    outputs,
    runner,
    builtIns: () => builtIns,
    jobs,
    clock,
    nextJobId,
    boot: async () => boot,
    canMail: true,
    forget: async () => {},
  });
  const troubles: unknown[] = [];
  const loop: SchedulerParts = {
    store,
    notices,
    clock,
    nextJobId,
    boot: async () => boot,
    mayRun,
    onTrouble: (error) => troubles.push(error),
  };
  const running: { stop(): Promise<void> }[] = [];
  const kept = <T extends { stop(): Promise<void> }>(one: T): T => {
    running.push(one);
    return one;
  };

  return {
    stores,
    store,
    jobs,
    schedules,
    outputs,
    troubles,
    loop,
    create: (given) => schedules.create(ADA, { ...definition, ...given }),
    work: () =>
      kept(
        startWorker(jobs, stores.queue, { [RUN_JOB]: handler }, clock, {
          name: "worker",
          concurrency: { run: 8 },
          onTrouble: (error) => troubles.push(error),
        }),
      ),
    fire: () => kept(startScheduler(loop)),
    async ended({ number }) {
      let run: Run | undefined;
      await until(`run ${number} is over`, async () => {
        run = await store.run(number);
        return run?.finishedAt != null;
      });
      if (!run) throw new Error("It was over a moment ago.");
      return run;
    },
    async begun({ number }) {
      await until(`run ${number} has begun`, async () => (await store.run(number))?.startedAt != null);
    },
    async close() {
      for (const one of running) await one.stop();
      await stores.close();
      if (isOwn) await rm(folder, { recursive: true });
    },
  };
}

export async function textOf(chunks: AsyncIterable<Uint8Array> | undefined): Promise<string> {
  return chunks === undefined ? "" : Buffer.concat(await Array.fromAsync(chunks)).toString("utf8");
}
