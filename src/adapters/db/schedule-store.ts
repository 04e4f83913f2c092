import type { Kysely, Transaction } from "kysely";
import { AppError } from "../../core/errors.ts";
import type { ScheduleId } from "../../core/ids.ts";
import { OPEN_RUNS, RUN_JOB, type Run, type Schedule } from "../../core/schedules/schedule.ts";
import type { NewRun, ScheduleStore } from "../../core/schedules/schedule-store.ts";
import { createJob, type Enqueue } from "./job-writes.ts";
import type { DialectName } from "./migrate.ts";
import { putMessages } from "./outbox.ts";
import { isAtBoot, lockKeys, scheduleOf, scheduleRow } from "./schedule-rows.ts";
import type { Tables } from "./tables.ts";

/**
 * Schedules in SQLite or PostgreSQL. Whatever decides something about a schedule changes a row whose lock the others wait
 * for: its own when it fires, those of `schedule_locks` when it runs.
 */
export function sqlScheduleStore(db: Kysely<Tables>, dialect: DialectName, enqueue: Enqueue): ScheduleStore {
  const find = async (tx: Kysely<Tables>, id: ScheduleId) => {
    const row = await tx.selectFrom("schedules").selectAll().where("id", "=", id).executeTakeFirst();
    return row && scheduleOf(row);
  };
  const active = () => db.selectFrom("schedules").selectAll().where("paused", "=", 0);
  const runOf = (tx: Kysely<Tables>, number: number) =>
    tx.selectFrom("scheduleRuns").selectAll().where("number", "=", number);

  /** Those of the schedule that have waited longer, the eldest first. */
  const waitingBefore = (tx: Kysely<Tables>, { schedule, number }: Run) =>
    tx
      .selectFrom("scheduleRuns")
      .selectAll()
      .where("schedule", "=", schedule)
      .where("state", "=", "waiting")
      .where("number", "<", number)
      .orderBy("number");

  async function addRun(tx: Transaction<Tables>, schedule: Pick<Schedule, "id" | "owner">, run: NewRun, now: number) {
    const isDone = run.job === null;
    const row = await tx
      .insertInto("scheduleRuns")
      .values({
        schedule: schedule.id,
        job: run.job,
        cause: run.cause,
        askedBy: run.askedBy,
        dueAt: run.dueAt,
        overlap: run.overlap,
        state: isDone ? run.state : "waiting",
        reason: isDone ? run.reason : null,
        exitCode: null,
        signal: null,
        outputBytes: 0,
        createdAt: now,
        startedAt: null,
        finishedAt: isDone ? now : null,
      })
      .returningAll()
      .executeTakeFirstOrThrow();
    if (run.job !== null)
      await createJob(tx, enqueue, {
        id: run.job,
        kind: RUN_JOB,
        lane: "run",
        owner: run.askedBy ?? schedule.owner,
        input: { run: row.number },
        idempotencyKey: null,
        fedUntil: null,
        now,
      });
    return row;
  }

  async function noteBoot(tx: Kysely<Tables>, schedule: ScheduleId, boot: string): Promise<boolean> {
    const row = await tx
      .insertInto("scheduleBoots")
      .values({ schedule, boot })
      .onConflict((conflict) => conflict.doNothing())
      .returning("boot")
      .executeTakeFirst();
    return row !== undefined;
  }

  return {
    put: (schedules, boot, replace = false) =>
      db.transaction().execute(async (tx) => {
        const kept: Schedule[] = [];
        for (const schedule of schedules) {
          const { id, owner: _, createdAt: __, ...changed } = scheduleRow(schedule);
          const row = await tx
            .insertInto("schedules")
            .values(scheduleRow(schedule))
            .onConflict((conflict) =>
              replace ? conflict.column("name").doUpdateSet(changed) : conflict.column("name").doNothing(),
            )
            .returningAll()
            .executeTakeFirst();
          if (!row) throw new AppError("schedule_exists", { name: schedule.name });
          if (row.id === id || row.atBoot === 1) await noteBoot(tx, row.id, boot);
          kept.push(scheduleOf(row));
        }
        return kept;
      }),

    get: (id) => find(db, id),

    async list({ name, after, limit }) {
      const rows = await db
        .selectFrom("schedules")
        .selectAll()
        .$if(name !== undefined, (select) => select.where("name", "=", name ?? ""))
        .$if(after !== undefined, (select) => select.where("name", ">", after ?? ""))
        .orderBy("name")
        .limit(limit)
        .execute();
      const newest = await Promise.all(
        rows.map(({ id }) =>
          db
            .selectFrom("scheduleRuns")
            .selectAll()
            .where("schedule", "=", id)
            .orderBy("number", "desc")
            .limit(1)
            .executeTakeFirst(),
        ),
      );
      return rows.map((row, index) => ({ ...scheduleOf(row), lastRun: newest[index] ?? null }));
    },

    change: (id, change, boot, now) =>
      db
        .transaction()
        .execute(async (tx) => {
          const row = await tx
            .selectFrom("schedules")
            .selectAll()
            .where("id", "=", id)
            .$if(dialect === "postgres", (select) => select.forUpdate())
            .executeTakeFirst();
          if (!row) return undefined;
          const changed = { ...scheduleOf(row), ...change, changedAt: now };
          const { id: _, ...columns } = scheduleRow(changed);
          await tx.updateTable("schedules").set(columns).where("id", "=", id).execute();
          if (isAtBoot(changed)) await noteBoot(tx, id, boot);
          return changed;
        })
        .catch(translate(change.name)),

    remove: (id) =>
      db.transaction().execute(async (tx) => {
        const open = await tx
          .selectFrom("scheduleRuns")
          .select("number")
          .where("schedule", "=", id)
          .where("state", "in", OPEN_RUNS)
          .limit(1)
          .executeTakeFirst();
        if (open) return false;
        const { numDeletedRows } = await tx.deleteFrom("schedules").where("id", "=", id).executeTakeFirstOrThrow();
        return numDeletedRows > 0n;
      }),

    async due(now, limit) {
      const rows = await active().where("nextDueAt", "<=", now).orderBy("nextDueAt").limit(limit).execute();
      return rows.map(scheduleOf);
    },

    async plannedAfter(at, limit) {
      const rows = await active()
        .where("plannedAt", ">", at)
        .where("nextDueAt", "is not", null)
        .orderBy("plannedAt", "desc")
        .limit(limit)
        .execute();
      return rows.map(scheduleOf);
    },

    async atBoot() {
      return (await active().where("atBoot", "=", 1).orderBy("name").execute()).map(scheduleOf);
    },

    fire: (id, fired, nextDueAt, runs, now) =>
      db.transaction().execute(async (tx) => {
        const row =
          "boot" in fired
            ? (await noteBoot(tx, id, fired.boot)) && (await find(tx, id))
            : await tx
                .updateTable("schedules")
                .set({ nextDueAt, plannedAt: now })
                .where("id", "=", id)
                .where("nextDueAt", "=", fired.dueAt)
                .where("paused", "=", 0)
                .returning(["id", "owner"])
                .executeTakeFirst();
        if (!row) return false;
        for (const run of runs) await addRun(tx, row, run, now);
        return true;
      }),

    add: (id, run, now) =>
      db.transaction().execute(async (tx) => {
        const schedule = await find(tx, id);
        if (!schedule) throw new AppError("schedule_unknown", { id });
        return addRun(tx, schedule, run, now);
      }),

    async silent(now, limit) {
      const rows = await active().where("silentAt", "<=", now).orderBy("silentAt").limit(limit).execute();
      return rows.map(scheduleOf);
    },

    toldSilence: (id, silentAt, messages, now) =>
      db.transaction().execute(async (tx) => {
        const row = await tx
          .updateTable("schedules")
          .set({ silentAt: null, silentSince: now })
          .where("id", "=", id)
          .where("silentAt", "=", silentAt)
          .returning("id")
          .executeTakeFirst();
        if (!row) return false;
        await putMessages(tx, messages, now);
        return true;
      }),

    run: (number) => runOf(db, number).executeTakeFirst(),

    runs: (id, { before, states, limit }) =>
      db
        .selectFrom("scheduleRuns")
        .selectAll()
        .where("schedule", "=", id)
        .$if(before !== undefined, (select) => select.where("number", "<", before ?? 0))
        .$if(states !== undefined, (select) => select.where("state", "in", states ?? []))
        .orderBy("number", "desc")
        .limit(limit)
        .execute(),

    begin: (number, now) =>
      db.transaction().execute(async (tx) => {
        const run = await runOf(tx, number)
          .$if(dialect === "postgres", (select) => select.forUpdate())
          .executeTakeFirst();
        if (!run) return { kind: "gone" };
        if (!OPEN_RUNS.includes(run.state)) return { kind: "over", run };
        const schedule = await find(tx, run.schedule);
        if (!schedule) return { kind: "gone" };
        if (run.state === "running") return { kind: "running", run, schedule, again: true };

        const keys = lockKeys(schedule);
        // One after the other, in their order: who waits for a key holds none that comes after it.
        let taken = 0;
        for (const key of keys) {
          const lock = await tx
            .insertInto("scheduleLocks")
            .values({ key, run: number })
            .onConflict((conflict) => conflict.doNothing())
            .returning("key")
            .executeTakeFirst();
          if (lock) taken++;
        }
        const ahead = await waitingBefore(tx, run).execute();
        const [eldest] = ahead;
        const isItsTurn = run.overlap !== "queue" || eldest === undefined;
        if (taken === keys.length && isItsTurn) {
          const begun = await tx
            .updateTable("scheduleRuns")
            .set({ state: "running", startedAt: now })
            .where("number", "=", number)
            .returningAll()
            .executeTakeFirstOrThrow();
          return { kind: "running", run: begun, schedule, again: false };
        }
        await tx.deleteFrom("scheduleLocks").where("run", "=", number).execute();
        const holder = await tx
          .selectFrom("scheduleLocks")
          .innerJoin("scheduleRuns", "scheduleRuns.number", "scheduleLocks.run")
          .innerJoin("schedules", "schedules.id", "scheduleRuns.schedule")
          .selectAll("scheduleRuns")
          .select("schedules.name as holderName")
          .where("scheduleLocks.key", "in", keys)
          .orderBy("scheduleLocks.key", "desc")
          .limit(1)
          .executeTakeFirst();
        const held = { kind: "held", run, schedule, ahead: ahead.length } as const;
        if (!holder) return { ...held, holder: eldest ?? run, holderName: schedule.name };
        const { holderName, ...holding } = holder;
        return { ...held, holder: holding, holderName };
      }),

    async isHeld(number) {
      const run = await runOf(db, number).executeTakeFirst();
      const schedule = run && (await find(db, run.schedule));
      if (!run || !schedule) return false;
      const lock = await db
        .selectFrom("scheduleLocks")
        .select("key")
        .where("key", "in", lockKeys(schedule))
        .limit(1)
        .executeTakeFirst();
      return lock !== undefined || (await waitingBefore(db, run).limit(1).executeTakeFirst()) !== undefined;
    },

    finish: (number, outcome, messages, now) =>
      db.transaction().execute(async (tx) => {
        const run = await tx
          .updateTable("scheduleRuns")
          .set({ ...outcome, finishedAt: now })
          .where("number", "=", number)
          .where("state", "in", OPEN_RUNS)
          .returningAll()
          .executeTakeFirst();
        if (!run) return undefined;
        await tx.deleteFrom("scheduleLocks").where("run", "=", number).execute();
        await putMessages(tx, messages, now);
        if (run.state === "succeeded" && run.cause !== "test") await hasSucceeded(tx, run, now);
        return run;
      }),

    surplus: (keep, limit) =>
      db
        .with("ranked", (query) =>
          query.selectFrom("scheduleRuns").select((row) => [
            "number",
            "state",
            row.fn
              .agg<number>("row_number")
              .over((over) => over.partitionBy("schedule").orderBy("number", "desc"))
              .as("place"),
          ]),
        )
        .selectFrom("scheduleRuns")
        .innerJoin("ranked", "ranked.number", "scheduleRuns.number")
        .selectAll("scheduleRuns")
        .where("ranked.place", ">", keep)
        .where("scheduleRuns.state", "not in", OPEN_RUNS)
        .orderBy("scheduleRuns.number")
        .limit(limit)
        .execute(),

    async forget(numbers) {
      if (numbers.length === 0) return;
      await db.deleteFrom("scheduleRuns").where("number", "in", numbers).where("state", "not in", OPEN_RUNS).execute();
    },
  };

  /** Its silence begins anew. */
  async function hasSucceeded(tx: Kysely<Tables>, { schedule: id }: Run, now: number): Promise<void> {
    const schedule = await find(tx, id);
    if (!schedule || schedule.deadManMs === null || schedule.paused) return;
    await tx
      .updateTable("schedules")
      .set({ silentAt: now + schedule.deadManMs, silentSince: null })
      .where("id", "=", id)
      .execute();
  }
}

/** SQLITE_CONSTRAINT_UNIQUE (sqlite.org/rescode.html), and `unique_violation` in appendix A of PostgreSQL's documentation. */
function translate(name: string | undefined) {
  return (error: unknown): never => {
    const isTaken =
      error instanceof Error &&
      (("errcode" in error && error.errcode === 2067) || ("code" in error && error.code === "23505"));
    throw isTaken ? new AppError("schedule_exists", { name: name ?? "" }, { cause: error }) : error;
  };
}
