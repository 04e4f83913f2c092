import type { Kysely, Transaction } from "kysely";
import type { JobId } from "../../core/ids.ts";
import { JOB_STATES, type Job, type JobEvent, type JobState, type Lane } from "../../core/jobs/job.ts";
import type { JobChange, JobFilter, JobStore, NewJob } from "../../core/jobs/job-store.ts";
import { fromJson, type JobRow, type Tables, toJson } from "./tables.ts";

/**
 * Puts an id into the database's queue as part of `tx`: claimable from `dueAt` (epoch milliseconds) on when that has
 * committed, whether or not it was delivered before.
 */
export type Enqueue = (tx: Transaction<Tables>, id: JobId, lane: Lane, dueAt: number) => Promise<void>;

/** Jobs in SQLite or PostgreSQL: no statement differs. */
export function sqlJobStore(db: Kysely<Tables>, enqueue: Enqueue): JobStore {
  return {
    create: (job) => db.transaction().execute((tx) => createJob(tx, enqueue, job)),

    async get(id) {
      const row = await db.selectFrom("jobs").selectAll().where("id", "=", id).executeTakeFirst();
      return row && jobOf(row);
    },

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
        .where("state", "in", ["queued", "running"])
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
        .groupBy("lane")
        .execute();
      return Object.fromEntries(rows.map(({ lane, queuedAt }) => [lane, queuedAt]));
    },

    async update(id, from, change, now, events = [], attempts) {
      const write = async (tx: Kysely<Tables>) => {
        const row = await tx
          .updateTable("jobs")
          .set({ ...changedColumns(change), updatedAt: now })
          .where("id", "=", id)
          .where("state", "in", from)
          .$if(attempts !== undefined, (update) => update.where("attempts", "=", attempts ?? 0))
          .returningAll()
          .executeTakeFirst();
        // After the row, whose lock makes the job's changes wait for each other: its events become visible in `seq` order.
        if (row) await append(tx, id, now, events);
        return row;
      };
      const row =
        change.state === "queued"
          ? await db.transaction().execute(async (tx) => {
              const queued = await write(tx);
              if (queued) await enqueue(tx, id, queued.lane, change.dueAt ?? now);
              return queued;
            })
          : events.length > 0
            ? await db.transaction().execute(write)
            : await write(db);
      return row && jobOf(row);
    },

    async listStarved(now, limit) {
      const rows = await db
        .selectFrom("jobs")
        .selectAll()
        .where("fedUntil", "<=", now)
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

/** {@link JobStore.create} as part of `tx`. */
export async function createJob(
  tx: Transaction<Tables>,
  enqueue: Enqueue,
  job: NewJob,
): Promise<{ readonly job: Job; readonly created: boolean }> {
  for (;;) {
    const row = await tx
      .insertInto("jobs")
      .values(newRow(job))
      .onConflict((conflict) =>
        conflict.columns(["owner", "idempotencyKey"]).where("idempotencyKey", "is not", null).doNothing(),
      )
      .returningAll()
      .executeTakeFirst();
    if (row) {
      await append(tx, job.id, job.now, [{ type: "state", data: { state: row.state } }]);
      if (row.state === "queued") await enqueue(tx, job.id, job.lane, job.now);
      return { job: jobOf(row), created: true };
    }
    const earlier = await tx
      .selectFrom("jobs")
      .selectAll()
      .where("owner", "=", job.owner)
      .where("idempotencyKey", "=", job.idempotencyKey)
      .executeTakeFirst();
    if (earlier) return { job: jobOf(earlier), created: false };
    // The earlier job gave its key up between the two statements: the key is free.
  }
}

/**
 * The newest ids in one state; a page of history is the newest among those of all its states. Every index of `jobs` is
 * (state, …, id), so whatever else is asked for, as many ids as the page has are read per state, straight from an index.
 */
function newestIn(db: Kysely<Tables>, state: JobState, { kind, owner, beforeId, limit }: JobFilter) {
  let ids = db.selectFrom("jobs").select("id").where("state", "=", state).orderBy("id", "desc").limit(limit);
  if (kind !== undefined) ids = ids.where("kind", "=", kind);
  if (owner !== undefined) ids = ids.where("owner", "=", owner);
  if (beforeId !== undefined) ids = ids.where("id", "<", beforeId);
  // In parentheses, as it were: SQLite allows a limit only around a whole union.
  return db.selectFrom(ids.as("newest")).select("id");
}

async function append(
  tx: Kysely<Tables>,
  jobId: JobId,
  at: number,
  events: readonly Pick<JobEvent, "type" | "data">[],
): Promise<void> {
  if (events.length === 0) return;
  const rows = events.map(({ type, data }) => ({ jobId, at, type, data: toJson(data) }));
  await tx.insertInto("jobEvents").values(rows).execute();
}

function newRow(job: NewJob): JobRow {
  const { now, input, fedUntil, ...given } = job;
  return {
    ...given,
    state: fedUntil === null ? "queued" : "running",
    tasks: toJson([]),
    attempts: 0,
    error: null,
    warnings: toJson([]),
    input: toJson(input),
    checkpoint: toJson({}),
    result: toJson({}),
    cancelRequested: 0,
    fedUntil,
    createdAt: now,
    updatedAt: now,
    startedAt: fedUntil === null ? null : now,
    finishedAt: null,
  };
}

/** Kysely leaves out columns whose value is `undefined`. */
function changedColumns(change: JobChange) {
  const { dueAt: _, tasks, error, warnings, checkpoint, result, cancelRequested, ...plain } = change;
  return {
    ...plain,
    tasks: tasks && toJson(tasks),
    error: error && toJson(error),
    warnings: warnings && toJson(warnings),
    checkpoint: checkpoint && toJson(checkpoint),
    result: result && toJson(result),
    cancelRequested: cancelRequested === undefined ? undefined : Number(cancelRequested),
  };
}

function jobOf(row: JobRow): Job {
  return {
    ...row,
    tasks: fromJson(row.tasks),
    error: row.error && fromJson(row.error),
    warnings: fromJson(row.warnings),
    input: fromJson(row.input),
    checkpoint: fromJson(row.checkpoint),
    result: fromJson(row.result),
    cancelRequested: row.cancelRequested === 1,
  };
}
