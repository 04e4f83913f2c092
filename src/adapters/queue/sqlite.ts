import { type Kysely, sql } from "kysely";
import type { Clock } from "../../core/clock.ts";
import type { Lane } from "../../core/jobs/job.ts";
import type { Delivery, JobQueue } from "../../core/jobs/job-queue.ts";
import { grouped } from "../db/grouped.ts";
import type { Dequeue, Enqueue } from "../db/job-writes.ts";
import type { Tables } from "../db/tables.ts";
import { unsynced } from "../db/unsynced.ts";
import { takeTurns } from "./turns.ts";
import { pollingWakes } from "./wakes.ts";

/** `due_at` of what can be claimed at once: in an index it stands together, in order of rank. */
const NOW = 0;
/** `kind` of what the release before has queued. */
const UNKNOWN_KIND = "";

/**
 * The queue as a table beside the jobs: an id waits (no receipt) or is delivered (receipt and lease). Every change is one
 * statement, hence atomic, also between processes; a lease that ran out makes its row claimable again with the next claim.
 * Measured in docs/decisions/022-queue-measured.md.
 */
export function sqliteJobQueue(
  db: Kysely<Tables>,
  clock: Clock,
  leaseMs = 10_000,
): { readonly queue: JobQueue; readonly enqueue: Enqueue; readonly dequeue: Dequeue } {
  const wakes = pollingWakes();
  const free = { worker: null, receipt: null, leasedUntil: null };

  /** Lets go what nobody holds any more, and what has become due; as a rule there is nothing, and nothing is written. */
  async function refresh(held: Kysely<Tables>, lane: Lane, now: number): Promise<void> {
    await held.updateTable("jobQueue").set(free).where("leasedUntil", "<=", now).execute();
    await held
      .updateTable("jobQueue")
      .set({ dueAt: NOW })
      .where("lane", "=", lane)
      .where("dueAt", ">", NOW)
      .where("dueAt", "<=", now)
      .where("receipt", "is", null)
      .execute();
  }

  const waiting = (lane: Lane) =>
    sql`select 1 from job_queue where lane = ${lane} and due_at = ${NOW} and receipt is null`;

  const finish = grouped(
    async (deliveries: readonly Delivery[]) => {
      const receipts = deliveries.map(({ receipt }) => receipt);
      const ids = deliveries.map(({ jobId }) => jobId);
      await db.deleteFrom("jobQueue").where("jobId", "in", ids).where("receipt", "in", receipts).execute();
      return deliveries.map(() => undefined);
    },
    { atOnce: 1, keyOf: ({ receipt }) => receipt, isUndone: () => false },
  );

  const queue: JobQueue = {
    leaseMs,

    async claim(worker, lane, limit, kinds) {
      const now = clock.now();
      // Lost, it is delivered again.
      const rows = await unsynced(db, async (held) => {
        await refresh(held, lane, now);
        return held
          .updateTable("jobQueue")
          .set({ worker, receipt: sql<string>`lower(hex(randomblob(16)))`, leasedUntil: now + leaseMs })
          .where("jobId", "in", (claimable) =>
            claimable
              .selectFrom("jobQueue")
              .select("jobId")
              .where("lane", "=", lane)
              .where("dueAt", "=", NOW)
              .where("receipt", "is", null)
              .$if(kinds !== undefined, (some) => some.where("kind", "in", [...(kinds ?? []), UNKNOWN_KIND]))
              .orderBy("rank")
              .orderBy("jobId")
              .limit(limit),
          )
          .returning(["jobId", "receipt", "rank"])
          .$narrowType<{ receipt: string }>()
          .execute();
      });
      return rows // RETURNING promises no order
        .sort((a, b) => a.rank - b.rank || a.jobId - b.jobId)
        .map(({ jobId, receipt }) => ({ jobId, lane, receipt }));
    },

    async heartbeat(deliveries) {
      if (deliveries.length === 0) return [];
      const rows = await db
        .updateTable("jobQueue")
        .set({ leasedUntil: clock.now() + leaseMs })
        .where(
          "jobId",
          "in",
          deliveries.map(({ jobId }) => jobId),
        )
        .where(
          "receipt",
          "in",
          deliveries.map(({ receipt }) => receipt),
        )
        .returning("receipt")
        .execute();
      const held = new Set(rows.map(({ receipt }) => receipt));
      return deliveries.filter(({ receipt }) => held.has(receipt));
    },

    done: finish,

    async release({ jobId, receipt }, delayMs) {
      await db.transaction().execute(async (tx) => {
        const row = await tx
          .selectFrom("jobQueue")
          .innerJoin("jobs", "jobs.id", "jobQueue.jobId")
          .select(["jobs.kind", "jobs.lane", "jobs.owner", "jobs.priority"])
          .where("jobId", "=", jobId)
          .where("receipt", "=", receipt)
          .executeTakeFirst();
        if (row) await enqueue(tx, [{ ...row, jobId, dueAt: clock.now() + delayMs }]);
      });
    },

    onAvailable: wakes.add,

    async depth() {
      const rows = await db
        .selectFrom("jobQueue")
        .select((row) => ["lane", row.fn.countAll<number>().as("ids")])
        .where((row) => row.or([row("leasedUntil", "is", null), row("leasedUntil", "<=", clock.now())]))
        .groupBy("lane")
        .execute();
      const ids = (lane: string) => rows.find((row) => row.lane === lane)?.ids ?? 0;
      return { fast: ids("fast"), slow: ids("slow"), run: ids("run") };
    },

    async close() {
      wakes.close();
    },
  };

  const enqueue: Enqueue = async (tx, entries) => {
    const now = clock.now();
    const ranks = await takeTurns(tx, entries, waiting);
    const rows = entries.map(({ jobId, lane, kind, dueAt }, i) => ({
      jobId,
      lane,
      kind,
      dueAt: dueAt <= now ? NOW : dueAt,
      rank: ranks[i] ?? 0,
      ...free,
    }));
    await tx
      .insertInto("jobQueue")
      .values(rows)
      // Still there from an earlier delivery: losing its receipt, that delivery can no longer end this one.
      .onConflict((conflict) =>
        conflict.column("jobId").doUpdateSet((row) => ({
          lane: row.ref("excluded.lane"),
          kind: row.ref("excluded.kind"),
          dueAt: row.ref("excluded.dueAt"),
          rank: row.ref("excluded.rank"),
          ...free,
        })),
      )
      .execute();
    // Not committed yet, but whoever claims now waits for this transaction: there is one connection.
    if (rows.some(({ dueAt }) => dueAt === NOW)) wakes.wakeAll();
  };

  return {
    queue,
    enqueue,
    async dequeue(tx, jobs) {
      const ids = jobs.map(({ jobId }) => jobId);
      await tx.deleteFrom("jobQueue").where("jobId", "in", ids).execute();
    },
  };
}
