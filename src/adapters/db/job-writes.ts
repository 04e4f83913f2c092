import { type Kysely, sql } from "kysely";
import type { JobId } from "../../core/ids.ts";
import type { Job, JobEvent, JobState, Lane } from "../../core/jobs/job.ts";
import type { JobChange, NewJob } from "../../core/jobs/job-store.ts";
import { currentTrace } from "../../core/tracing.ts";
import { withoutTrace, withTrace } from "./carried-trace.ts";
import { type ColumnType, type ColumnValue, isPostgres, jsonRows } from "./json-rows.ts";
import { fromJson, type JobRow, type Tables, toJson } from "./tables.ts";

/** A job as the queue sees it. */
export interface QueueEntry {
  readonly jobId: JobId;
  readonly kind: string;
  readonly lane: Lane;
  readonly owner: string;
  readonly priority: number;
  /** Epoch milliseconds: not delivered sooner. */
  readonly dueAt: number;
}

/** Puts jobs into the database's queue as part of `tx`: claimable when that has committed, whether or not delivered before. */
export type Enqueue = (
  tx: Kysely<Tables>,
  entries: readonly QueueEntry[],
  /** Whether it has never seen these jobs. */
  options?: { readonly areNew?: boolean },
) => Promise<void>;
/** Takes jobs out of it as part of `tx`, whoever holds them. */
export type Dequeue = (tx: Kysely<Tables>, jobs: readonly Pick<QueueEntry, "jobId" | "lane">[]) => Promise<void>;

/** One call of `JobStore.update`. */
export interface JobUpdate {
  readonly id: JobId;
  readonly from: readonly JobState[];
  readonly change: JobChange;
  readonly now: number;
  readonly events: readonly Pick<JobEvent, "type" | "data">[];
  readonly attempts: number | undefined;
}

type Created = { readonly job: Job; readonly created: boolean };

/** As part of what the running code is part of: others, whose jobs are written by the same statement, are part of theirs. */
export const inTrace = (job: NewJob): NewJob => ({ trace: currentTrace() ?? null, ...job });

/** {@link createJobs} for one. */
export async function createJob(tx: Kysely<Tables>, enqueue: Enqueue, job: NewJob): Promise<Created> {
  const [created] = await createJobs(tx, enqueue, [inTrace(job)]);
  return created as Created;
}

/** `JobStore.create` of many as part of `tx`, which must be undone when it throws. @returns an answer for each, in their order. */
export async function createJobs(
  tx: Kysely<Tables>,
  enqueue: Enqueue,
  jobs: readonly NewJob[],
): Promise<readonly Created[]> {
  const answers = new Map<JobId, Created>();
  for (let left = jobs; left.length > 0; left = left.filter(({ id }) => !answers.has(id))) {
    const given = jsonRows(
      tx,
      NEW_COLUMNS,
      left.map(newRow).map((row) => NEW_FIELDS.map((field) => row[field])),
    );
    // `where true`: SQLite takes the conflict's `on` for that of a join.
    const { rows } = await sql<JobRow>`insert into jobs (${NEW_NAMES}) select ${NEW_NAMES} from ${given} where true
      on conflict (owner, idempotency_key) where idempotency_key is not null do nothing
      returning *`.execute(tx);
    for (const row of rows) answers.set(row.id, { job: jobOf(row), created: true });
    const created = left.filter(({ id }) => answers.has(id));
    await append(
      tx,
      created.map(({ id, now, fedUntil }) => ({
        jobId: id,
        at: now,
        type: "state",
        data: { state: stateOf(fedUntil) },
      })),
    );
    const queued = created.filter(({ fedUntil }) => fedUntil === null);
    if (queued.length > 0)
      await enqueue(
        tx,
        queued.map(({ id, now, priority = 0, ...job }) => ({ ...job, jobId: id, priority, dueAt: now })),
        { areNew: true },
      );
    for (const { id, owner, idempotencyKey } of left.filter(({ id }) => !answers.has(id))) {
      const earlier = await tx
        .selectFrom("jobs")
        .selectAll()
        .where("owner", "=", owner)
        .where("idempotencyKey", "=", idempotencyKey)
        .executeTakeFirst();
      // If not: the earlier job gave its key up between the two statements, and the key is free.
      if (earlier) answers.set(id, { job: jobOf(earlier), created: false });
    }
  }
  return jobs.map(({ id }) => answers.get(id) as Created);
}

/** The columns that a change can set, and their types. */
const COLUMNS = {
  state: "text",
  priority: "bigint",
  tasks: "text",
  attempts: "bigint",
  error: "text",
  warnings: "text",
  checkpoint: "text",
  result: "text",
  cancelRequested: "bigint",
  idempotencyKey: "text",
  fedUntil: "bigint",
  startedAt: "bigint",
  finishedAt: "bigint",
} as const satisfies Partial<Record<keyof JobRow, ColumnType>>;

const snakeCase = (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/** Those that every job begins with. */
const BEGINNING = {
  id: "bigint",
  kind: "text",
  lane: "text",
  owner: "text",
  input: "text",
  createdAt: "bigint",
  updatedAt: "bigint",
} as const satisfies Partial<Record<keyof JobRow, ColumnType>>;

const NEW_FIELDS = [...Object.keys(BEGINNING), ...Object.keys(COLUMNS)] as (keyof JobRow)[];
const NEW_COLUMNS = Object.fromEntries(
  Object.entries({ ...BEGINNING, ...COLUMNS }).map(([field, type]) => [snakeCase(field), type] as const),
);
const NEW_NAMES = sql.raw(Object.keys(NEW_COLUMNS).join(", "));

/** Qualified: SQLite has no `jobs.*` in RETURNING, and `*` alone is more than that in PostgreSQL. */
const ALL_COLUMNS = sql.raw(
  Object.keys(NEW_COLUMNS)
    .map((column) => `jobs.${column}`)
    .join(", "),
);

/**
 * `JobStore.update` of many, each of another job, as part of `tx`: one statement for all that change the same columns.
 * @returns the changed jobs' rows.
 */
export async function changeJobs(
  tx: Kysely<Tables>,
  queue: { readonly enqueue: Enqueue; readonly dequeue: Dequeue },
  updates: readonly JobUpdate[],
): Promise<ReadonlyMap<JobId, JobRow>> {
  const changed = new Map<JobId, JobRow>();
  for (const alike of Map.groupBy(updates, shapeOf).values())
    for (const row of await changeAlike(tx, alike)) changed.set(row.id, row);
  const done = updates.filter(({ id }) => changed.has(id));
  // After the rows, whose locks make a job's changes wait for each other: its events become visible in `seq` order.
  await append(
    tx,
    done.flatMap(({ id, now, events }) => events.map((event) => ({ ...event, jobId: id, at: now }))),
  );
  const queued = done.flatMap(({ id, change, now }) => {
    const row = changed.get(id);
    return row && change.state === "queued" ? [{ ...row, jobId: id, dueAt: change.dueAt ?? now }] : [];
  });
  if (queued.length > 0) await queue.enqueue(tx, queued);
  const over = [...changed.values()].filter(({ state }) => state === "succeeded");
  if (over.length > 0)
    await queue.dequeue(
      tx,
      over.map(({ id, lane }) => ({ jobId: id, lane })),
    );
  return changed;
}

const columnsOf = (change: JobChange) =>
  (Object.keys(COLUMNS) as (keyof typeof COLUMNS)[]).filter((column) => change[column] !== undefined);

/** What the statement's text depends on. */
function shapeOf({ from, change, attempts }: JobUpdate): string {
  return [from, columnsOf(change), attempts === undefined].join(";");
}

async function changeAlike(tx: Kysely<Tables>, alike: readonly JobUpdate[]): Promise<readonly JobRow[]> {
  const [first] = alike;
  if (!first || first.from.length === 0) return [];
  const fields = columnsOf(first.change);
  const columns = fields.map((field) => [snakeCase(field), COLUMNS[field]] as const);
  const given = jsonRows(
    tx,
    { id: "bigint", run: "bigint", updated_at: "bigint", ...Object.fromEntries(columns) },
    alike.map(({ id, change, now, attempts = 0 }) => [
      id,
      attempts,
      now,
      ...fields.map((field) => writtenValue(change, field)),
    ]),
  );
  const assigned = ["updated_at", ...columns.map(([name]) => name)].map((name) => `${name} = given.${name}`).join(", ");
  // Neither is to read all jobs of a state for those that are given: the state is hidden in an expression, and PostgreSQL, which
  // expects a hundred rows of any JSON, is told how many ids there are.
  const ids = isPostgres(tx) ? sql`jobs.id = any(${alike.map(({ id }) => id)}) and` : sql``;
  const { rows } = await sql<JobRow>`update jobs set ${sql.raw(assigned)} from ${given}
    where ${ids} jobs.id = given.id and coalesce(jobs.state in (${sql.join(first.from)}), false)
    ${first.attempts === undefined ? sql`` : sql`and jobs.attempts = given.run`}
    returning ${ALL_COLUMNS}`.execute(tx);
  return rows;
}

function writtenValue(change: JobChange, column: keyof typeof COLUMNS): ColumnValue {
  const value = change[column];
  if (value === null || value === undefined) return null;
  if (typeof value === "object") return toJson<unknown>(value);
  return typeof value === "boolean" ? Number(value) : value;
}

async function append(tx: Kysely<Tables>, events: readonly Omit<JobEvent, "seq">[]): Promise<void> {
  if (events.length === 0) return;
  const given = jsonRows(
    tx,
    { job_id: "bigint", at: "bigint", type: "text", data: "text" },
    events.map(({ jobId, at, type, data }) => [jobId, at, type, toJson(data)]),
  );
  await sql`insert into job_events (job_id, at, type, data) select job_id, at, type, data from ${given}`.execute(tx);
}

const stateOf = (fedUntil: number | null): JobState => (fedUntil === null ? "queued" : "running");

function newRow({ now, input, fedUntil, trace = null, priority = 0, ...given }: NewJob): JobRow {
  return {
    ...given,
    priority,
    state: stateOf(fedUntil),
    tasks: toJson([]),
    attempts: 0,
    error: null,
    warnings: toJson([]),
    input: toJson(withTrace(input, trace)),
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

export function jobOf(row: JobRow): Job {
  const { fields: input, ...trace } = withoutTrace(fromJson(row.input));
  return {
    ...row,
    ...trace,
    input,
    tasks: fromJson(row.tasks),
    error: row.error && fromJson(row.error),
    warnings: fromJson(row.warnings),
    checkpoint: fromJson(row.checkpoint),
    result: fromJson(row.result),
    cancelRequested: row.cancelRequested === 1,
  };
}
