import { type Kysely, sql } from "kysely";
import { jobId } from "../../core/ids.ts";
import type { HistoryStore } from "../../core/jobs/history-store.ts";
import { FINISHED_STATES } from "../../core/jobs/job.ts";
import { type DialectName, lockSchema } from "./migrate.ts";
import type { Tables } from "./tables.ts";

const JOBS_AT_ONCE = 500;
/** As migration 13 says. */
const JOBS_PER_PART = 1_000_000;
/** `lock_not_available` in appendix A of PostgreSQL's documentation. */
const LOCKED = "55P03";

/**
 * The history of jobs. On PostgreSQL it lies in parts of a million jobs each, `job_events_<number of the million>`, and what
 * none was made for in `job_events_others`: ids that another service gives out may leap. A part whose jobs are all long over is
 * emptied at once; jobs among younger ones lose their lines one by one, as on SQLite.
 */
export function sqlHistoryStore(db: Kysely<Tables>, dialect: DialectName): HistoryStore {
  const isPostgres = dialect === "postgres";

  return {
    async prepare() {
      if (!isPostgres) return;
      const newest = await db.selectFrom("jobs").select("id").orderBy("id", "desc").limit(1).executeTakeFirst();
      const million = Math.floor((newest?.id ?? 0) / JOBS_PER_PART);
      const parts = new Set(await partsOf(db));
      for (const part of [million, million + 1]) if (!parts.has(part)) await makePart(db, part);
    },

    async forgetEvents(endedBefore, after) {
      if (isPostgres && after === undefined)
        for (const part of await partsOf(db)) await emptyPart(db, part, endedBefore);
      const first = await db
        .selectFrom("jobEvents")
        .select("jobId")
        .$if(after !== undefined, (event) => event.where("jobId", ">", after ?? jobId(1)))
        .orderBy("jobId")
        .limit(1)
        .executeTakeFirst();
      if (!first) return undefined;
      const jobs = await db
        .selectFrom("jobs")
        .select(["id", "state", "finishedAt"])
        .where("id", ">=", first.jobId)
        .orderBy("id")
        .limit(JOBS_AT_ONCE)
        .execute();
      const over = jobs.filter(
        ({ state, finishedAt }) => FINISHED_STATES.includes(state) && finishedAt !== null && finishedAt < endedBefore,
      );
      if (over.length > 0)
        await db
          .deleteFrom("jobEvents")
          .where(
            "jobId",
            "in",
            over.map(({ id }) => id),
          )
          .execute();
      return jobs.at(-1)?.id;
    },
  };
}

/** The millions that there are parts for. */
async function partsOf(db: Kysely<Tables>): Promise<readonly number[]> {
  const { rows } = await sql<{ name: string }>`
    select relid::text as name from pg_partition_tree('job_events') where isleaf`.execute(db);
  return rows.flatMap(({ name }) => /_(\d+)$/.exec(name)?.[1] ?? []).map(Number);
}

/** Whoever writes waits for this, and this waits for whoever writes: not longer than a second, or it is left for later. */
const hurry = (tx: Kysely<Tables>) => sql`set local lock_timeout = '1s'`.execute(tx);

async function makePart(db: Kysely<Tables>, part: number): Promise<void> {
  const [from, to] = [part * JOBS_PER_PART, (part + 1) * JOBS_PER_PART];
  await db.transaction().execute(async (tx) => {
    await lockSchema(tx);
    await hurry(tx);
    // What has begun to lie there goes on lying there: nothing could be made around it without moving it.
    const { rows } = await sql`
      select 1 from job_events_others where job_id >= ${from} and job_id < ${to} limit 1`.execute(tx);
    if (rows.length > 0) return;
    await sql
      .raw(`create table if not exists job_events_${part} partition of job_events for values from (${from}) to (${to})`)
      .execute(tx);
  });
}

/** When nobody's lines in it are to be kept. A job that is begun anew meanwhile loses what it would have lost anyway. */
async function emptyPart(db: Kysely<Tables>, part: number, endedBefore: number): Promise<void> {
  const table = sql.table(`job_events_${part}`);
  const { rows } = await sql`select 1 from ${table} limit 1`.execute(db);
  if (rows.length === 0) return;
  const kept = await db
    .selectFrom("jobs")
    .select("id")
    .where("id", ">=", jobId(Math.max(1, part * JOBS_PER_PART)))
    .where("id", "<", jobId((part + 1) * JOBS_PER_PART))
    .where((job) => job.or([job("finishedAt", "is", null), job("finishedAt", ">=", endedBefore)]))
    .limit(1)
    .executeTakeFirst();
  if (kept) return;
  try {
    await db.transaction().execute(async (tx) => {
      await hurry(tx);
      await sql`truncate ${table}`.execute(tx);
    });
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === LOCKED)) throw error;
  }
}
