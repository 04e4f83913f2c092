import { type Kysely, sql } from "kysely";
import type { Clock } from "../../core/clock.ts";
import type { JobId } from "../../core/ids.ts";
import { LANES, type Lane } from "../../core/jobs/job.ts";
import type { Delivery, JobQueue } from "../../core/jobs/job-queue.ts";
import { grouped } from "../db/grouped.ts";
import type { Dequeue, Enqueue, QueueEntry } from "../db/job-writes.ts";
import { optionalDriver } from "../db/optional-driver.ts";
import { translate } from "../db/postgres.ts";
import type { Tables } from "../db/tables.ts";
import { takeTurns } from "./turns.ts";
import { pollingWakes } from "./wakes.ts";

/** The shortest that pg-boss allows. */
const LEASE_SECONDS = 10;
/** How often one of the processes looks for deliveries whose lease has run out: they are taken over within 13 s. */
const SUPERVISE_SECONDS = 2;
/** pg-boss counts with 32 bits. A line that was never empty for two thousand million turns is served by age from then on. */
const LAST_RANK = -(2 ** 31);
const CHANNEL = "longshore_queue";

/**
 * What pg-boss would give up must not be lost: whether a job has failed is for the job store to say. So it may be
 * delivered any number of times and wait for ten years. Only the time that one delivery may last is limited by pg-boss,
 * to a day; a job that takes longer goes on from its checkpoint in another delivery.
 */
const NEVER_GIVE_UP = {
  retryLimit: 1_000_000,
  retryDelay: 0,
  retentionSeconds: 10 * 365 * 86_400,
  expireInSeconds: 86_400,
  heartbeatSeconds: LEASE_SECONDS,
} as const;

/**
 * pg-boss (schema `pgboss`), one queue per lane. The policy `exclusive` with the job's id as key allows one entry per
 * job, waiting or delivered: a unique index says so, whatever races. An entry lives until the delivery is done and is
 * then deleted, so nothing piles up.
 *
 * A receipt is the entry and how often it was delivered; pg-boss leaves alone what has been delivered again since. Only the
 * database's clock matters. Measured in docs/decisions/022-queue-measured.md.
 * @throws AppError driver_missing.
 */
export async function pgBossJobQueue(
  db: Kysely<Tables>,
  url: string,
  clock: Clock,
  onTrouble: (error: unknown) => void,
): Promise<{ readonly queue: JobQueue; readonly enqueue: Enqueue; readonly dequeue: Dequeue }> {
  const { PgBoss, fromKysely } = await optionalDriver("pg-boss", () => import("pg-boss"));
  const boss = new PgBoss({
    connectionString: url,
    application_name: "longshore",
    max: 2, // for its own upkeep: what follows runs on the connections of `db`
    schedule: false,
    superviseIntervalSeconds: SUPERVISE_SECONDS,
    monitorIntervalSeconds: SUPERVISE_SECONDS / 2,
  });
  let closing = false;
  boss.on("error", (error) => {
    if (!closing) onTrouble(error);
  });
  /** Kysely as pg-boss wants it; without plugins, which would rename its columns. */
  const through = (tx: Kysely<Tables>) => ({ db: fromKysely(tx.withoutPlugins()) });
  const wakes = pollingWakes();

  const start = async () => {
    await boss.start();
    for (const lane of LANES) await boss.createQueue(lane, { policy: "exclusive", ...NEVER_GIVE_UP });
    return await boss.getDb().listen?.(CHANNEL, wakes.wakeAll, wakes.wakeAll);
  };
  const stop = async () => {
    closing = true;
    await boss.stop({ graceful: false });
  };
  // Its upkeep has connections of its own.
  const listening = await start().catch(async (error: unknown) => {
    await stop();
    return translate(error);
  });

  const remove = (tx: Kysely<Tables>, lane: Lane, deliveries: readonly Delivery[]) =>
    settled(boss.deleteJob(lane, deliveries.map(attemptOf), through(tx)));

  /**
   * pg-boss's own `touch`, but for entries that somebody has locked: those are just being finished, as a rule by the worker that
   * asks. To wait for them, with others locked, would be a deadlock with whoever wants these in another order.
   * @returns the ids of those that are still delivered so.
   */
  async function touch(lane: Lane, attempts: readonly Attempt[]): Promise<readonly string[]> {
    const [ids, counts] = [attempts.map(({ id }) => id), attempts.map(({ retryCount }) => retryCount)];
    const { rows } = await sql<{ id: string }>`
      with held as materialized (
        select job.id from pgboss.job_common as job
        join unnest(${ids}::uuid[], ${counts}::int[]) as named (id, attempt) on named.id = job.id and attempt = retry_count
        where name = ${lane} and state = 'active'
      ), touched as (
        update pgboss.job_common set heartbeat_on = pgboss.job_now() where name = ${lane} and id in (
          select id from pgboss.job_common
          where name = ${lane} and id in (select id from held) for update skip locked)
      )
      select id from held`.execute(db);
    return rows.map(({ id }) => id);
  }

  const finish = grouped(
    async (deliveries: readonly Delivery[]) => {
      for (const [lane, ofLane] of Map.groupBy(deliveries, ({ lane }) => lane)) await remove(db, lane, ofLane);
      return deliveries.map(() => undefined);
    },
    { atOnce: 2, keyOf: ({ receipt }) => receipt, isUndone: () => false },
  );

  const waiting = (lane: Lane) => sql`select from pgboss.job
    where name = ${lane} and state < 'active' and not blocked and start_after <= pgboss.job_now()`;

  const dequeue: Dequeue = async (tx, jobs) => {
    for (const [lane, ofLane] of Map.groupBy(jobs, (job) => job.lane)) {
      const keys = ofLane.map(({ jobId }) => String(jobId));
      await sql`select dequeue_jobs(${lane}, ${keys})`.execute(tx);
    }
  };

  const enqueue: Enqueue = async (tx, entries, { areNew = false } = {}) => {
    // An entry that is there waits for another time, or is delivered to somebody who thereby loses it.
    if (!areNew) await dequeue(tx, entries);
    await insert(tx, entries);
  };

  /** Does nothing for a job that pg-boss has put back in between, as its holder was silent: then that entry is delivered. */
  async function insert(tx: Kysely<Tables>, entries: readonly QueueEntry[]): Promise<void> {
    const ranks = await takeTurns(tx, entries, waiting);
    const rankOf = new Map(entries.map((entry, i) => [entry, ranks[i] ?? 0]));
    // Relative, so that only the database's clock matters.
    const now = clock.now();
    for (const [lane, ofLane] of Map.groupBy(entries, (entry) => entry.lane))
      await boss.insert(
        lane,
        ofLane.map((entry) => ({
          data: { jobId: entry.jobId },
          singletonKey: String(entry.jobId),
          group: { id: entry.kind },
          priority: Math.max(LAST_RANK, -(rankOf.get(entry) ?? 0)),
          startAfter: Math.max(0, entry.dueAt - now) / 1000,
        })),
        through(tx),
      );
    if (entries.some(({ dueAt }) => dueAt <= now)) await sql`select pg_notify(${CHANNEL}, '')`.execute(tx);
  }

  const queue: JobQueue = {
    leaseMs: LEASE_SECONDS * 1000,

    async claim(_worker, lane, limit, kinds) {
      const wanted = kinds === undefined ? null : [...kinds];
      const { rows } = await sql<{ id: string; attempt: number; jobId: JobId }>`
        select id, attempt, job_id from claim_jobs(${lane}, ${limit}, ${wanted})`.execute(db);
      return rows.map(({ id, attempt, jobId }) => ({ jobId, lane, receipt: `${id}:${attempt}` }));
    },

    async heartbeat(deliveries) {
      // Of one entry a process that slept may hold two deliveries: the newest counts.
      const newest = new Map(deliveries.toSorted(byAttempt).map((delivery) => [attemptOf(delivery).id, delivery]));
      const held = new Set<Delivery | undefined>();
      for (const [lane, ofLane] of Map.groupBy(newest.values(), ({ lane }) => lane))
        for (const id of await touch(lane, ofLane.map(attemptOf))) held.add(newest.get(id));
      return deliveries.filter((delivery) => held.has(delivery));
    },

    done: finish,

    async release(delivery, delayMs) {
      await db.transaction().execute(async (tx) => {
        if ((await remove(tx, delivery.lane, [delivery])).length === 0) return;
        const job = await tx
          .selectFrom("jobs")
          .select(["kind", "lane", "owner", "priority"])
          .where("id", "=", delivery.jobId)
          .executeTakeFirst();
        if (job) await insert(tx, [{ ...job, jobId: delivery.jobId, dueAt: clock.now() + delayMs }]);
      });
    },

    onAvailable: wakes.add,

    async depth() {
      const { rows } = await sql<{ lane: Lane; ids: number }>`
        select name as lane, count(*) as ids from pgboss.job where state < 'active' group by name`.execute(db);
      const ids = (lane: Lane) => rows.find((row) => row.lane === lane)?.ids ?? 0;
      return { fast: ids("fast"), slow: ids("slow"), run: ids("run") };
    },

    async close() {
      wakes.close();
      await listening?.close();
      await stop();
    },
  };

  return { queue, enqueue, dequeue };
}

/** One delivery of an entry, as pg-boss names it. */
interface Attempt {
  readonly id: string;
  readonly retryCount: number;
}

function attemptOf({ receipt }: Delivery): Attempt {
  const [id = "", retryCount] = receipt.split(":");
  return { id, retryCount: Number(retryCount) };
}

const byAttempt = (a: Delivery, b: Delivery) => attemptOf(a).retryCount - attemptOf(b).retryCount;

/** Which entries a command changed: pg-boss says so, but leaves it out of its types. */
async function settled(answer: Promise<object>): Promise<readonly string[]> {
  const told: { settled?: readonly string[] } = await answer;
  return told.settled ?? [];
}
