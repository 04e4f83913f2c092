import { type Kysely, sql } from "kysely";
import { AppError } from "../../core/errors.ts";
import type { JobId } from "../../core/ids.ts";
import { FINISHED_STATES, JOB_STATES, type JobState } from "../../core/jobs/job.ts";
import type { JobFilter, JobStore, NewJob } from "../../core/jobs/job-store.ts";
import { POSTGRES_TIME } from "./database-time.ts";
import { grouped } from "./grouped.ts";
import { changeJobs, createJobs, type Dequeue, type Enqueue, inTrace, type JobUpdate, jobOf } from "./job-writes.ts";
import { isOneOf } from "./json-rows.ts";
import type { DialectName } from "./migrate.ts";
import { fromJson, type Tables } from "./tables.ts";
import { unsynced } from "./unsynced.ts";

/** PostgreSQL has a connection for each; SQLite writes one transaction after the other. */
const GROUPS_AT_ONCE: Readonly<Record<DialectName, number>> = { sqlite: 1, postgres: 3 };

/**
 * Jobs in SQLite or PostgreSQL. What is asked for at the same moment is done by the same statements in one transaction.
 * See docs/decisions/022-queue-measured.md.
 */
export function sqlJobStore(
  db: Kysely<Tables>,
  dialect: DialectName,
  queue: { readonly enqueue: Enqueue; readonly dequeue: Dequeue },
): JobStore {
  const atOnce = GROUPS_AT_ONCE[dialect];
  /** Anything else may have happened before a connection was lost. */
  const isUndone = (error: unknown) => !(error instanceof AppError);

  /**
   * `fedUntil` is told by one process and judged by another. Where these are on several machines it is kept by the clock of the
   * database, which they have in common.
   * @returns what must be added to a time of the process whose time is `now`.
   */
  const databaseAhead = async (): Promise<(now: number) => number> => {
    if (dialect === "sqlite") return () => 0;
    const { rows } = await sql<{ time: number }>`select ${POSTGRES_TIME} as time`.execute(db);
    const time = rows[0]?.time ?? 0;
    return (now) => time - now;
  };

  const create = grouped(
    async (jobs: readonly NewJob[]) => {
      const ahead = jobs.some(({ fedUntil }) => fedUntil !== null) ? await databaseAhead() : () => 0;
      const timed = jobs.map((job) =>
        job.fedUntil === null ? job : { ...job, fedUntil: job.fedUntil + ahead(job.now) },
      );
      return db.transaction().execute((tx) => createJobs(tx, queue.enqueue, timed));
    },
    // One by one with the same key, so that the later one is answered with the earlier.
    { atOnce, keyOf: ({ id, owner, idempotencyKey: key }) => (key === null ? id : `${owner}\n${key}`), isUndone },
  );

  const get = grouped(
    async (ids: readonly JobId[]) => {
      const rows = await db
        .selectFrom("jobs")
        .selectAll()
        .where(isOneOf(db, "id", ids))
        .execute();
      const jobs = new Map(rows.map((row) => [row.id, jobOf(row)]));
      return ids.map((id) => jobs.get(id));
    },
    { atOnce, isUndone },
  );

  const update = grouped(
    async (given: readonly JobUpdate[]) => {
      const ahead = given.some(({ change }) => change.fedUntil) ? await databaseAhead() : () => 0;
      const updates = given.map((one) => {
        const { fedUntil } = one.change;
        return fedUntil ? { ...one, change: { ...one.change, fedUntil: fedUntil + ahead(one.now) } } : one;
      });
      const [first] = updates;
      const isOneStatement = updates.length === 1 && first?.events.length === 0 && first.change.state === undefined;
      const together = (held: Kysely<Tables>) => held.transaction().execute((tx) => changeJobs(tx, queue, updates));
      // With PostgreSQL a worker outlives the database's power cut, and nobody else may begin what it works on.
      const mayBeUndone = dialect === "sqlite" && updates.every(({ change }) => change.state === "running");
      const changed = isOneStatement
        ? await changeJobs(db, queue, updates)
        : await (mayBeUndone ? unsynced(db, together) : together(db));
      return updates.map(({ id }) => changed.get(id)).map((row) => row && jobOf(row));
    },
    { atOnce, keyOf: ({ id }) => id, isUndone },
  );

  return {
    create: (job) => create(inTrace(job)),
    get,
    update: (id, from, change, now, events = [], attempts) => update({ id, from, change, now, events, attempts }),

    async list(filter) {
      const states = new Set(filter.states ?? JOB_STATES);
      const [first, ...others] = Array.from(states, (state) => newestIn(db, state, filter));
      if (!first) return [];
      const rows = await db
        .selectFrom("jobs")
        .selectAll()
        .where(
          "id",
          "in",
          others.reduce((ids, more) => ids.unionAll(more), first),
        )
        .orderBy("id", "desc")
        .limit(filter.limit)
        .execute();
      return rows.map(jobOf);
    },

    async countOpen() {
      const rows = await db
        .selectFrom("jobs")
        .select((row) => ["state", row.fn.countAll<number>().as("jobs")])
        .where(OPEN)
        .groupBy("state")
        .execute();
      const count = (state: JobState) => rows.find((row) => row.state === state)?.jobs ?? 0;
      return { queued: count("queued"), running: count("running") };
    },

    async oldestQueued() {
      const rows = await db
        .selectFrom("jobs")
        .select((row) => ["lane", row.fn.min("updatedAt").as("queuedAt")])
        .where("state", "=", "queued")
        .where(OPEN)
        .groupBy("lane")
        .execute();
      return Object.fromEntries(rows.map(({ lane, queuedAt }) => [lane, queuedAt]));
    },

    async queuedKinds() {
      return db
        .selectFrom("jobs")
        .select((row) => ["lane", "kind", row.fn.countAll<number>().as("jobs"), row.fn.min("updatedAt").as("queuedAt")])
        .where("state", "=", "queued")
        .where(OPEN)
        .groupBy(["lane", "kind"])
        .orderBy("lane")
        .orderBy("kind")
        .execute();
    },

    async listStarved(now, limit) {
      const ahead = await databaseAhead();
      const rows = await db
        .selectFrom("jobs")
        .selectAll()
        .where("fedUntil", "<=", now + ahead(now))
        .where("state", "=", "running")
        .orderBy("fedUntil")
        .limit(limit)
        .execute();
      return rows.map(jobOf);
    },

    async events(id, afterSeq, limit) {
      const rows = await db
        .selectFrom("jobEvents")
        .selectAll()
        .where("jobId", "=", id)
        .where("seq", ">", afterSeq)
        .orderBy("seq")
        .limit(limit)
        .execute();
      return rows.map((row) => ({ ...row, data: fromJson(row.data) }));
    },
  };
}

/** In the words of the indexes, which are for the one or for the other. */
const OPEN = sql<boolean>`state in ('queued', 'running')`;
const OVER = sql<boolean>`state in ('succeeded', 'failed', 'cancelled')`;

/**
 * The newest ids in one state; a page of history is the newest among those of all its states. The indexes of jobs that are
 * over are (state, …, id): whatever else is asked for, as many ids as the page has are read per state, straight from an index.
 * Those that are open have one index in which those of other owners and kinds are read past.
 */
function newestIn(db: Kysely<Tables>, state: JobState, { kind, owner, beforeId, limit }: JobFilter) {
  let ids = db
    .selectFrom("jobs")
    .select("id")
    .where("state", "=", state)
    .where(FINISHED_STATES.includes(state) ? OVER : OPEN)
    .orderBy("id", "desc")
    .limit(limit);
  if (kind !== undefined) ids = ids.where("kind", "=", kind);
  if (owner !== undefined) ids = ids.where("owner", "=", owner);
  if (beforeId !== undefined) ids = ids.where("id", "<", beforeId);
  // In parentheses, as it were: SQLite allows a limit only around a whole union.
  return db.selectFrom(ids.as("newest")).select("id");
}
