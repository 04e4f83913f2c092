import { type Kysely, sql } from "kysely";
import type { Outbox, OutboxMessage } from "../../core/catalogue/catalogue-store.ts";
import { withoutTrace, withTrace } from "./carried-trace.ts";
import type { DialectName } from "./migrate.ts";
import { fromJson, type Tables, toJson } from "./tables.ts";

/** Adds messages as part of `tx`; those whose key is there already are left as they are. */
export async function putMessages(tx: Kysely<Tables>, messages: readonly OutboxMessage[], now: number): Promise<void> {
  if (messages.length === 0) return;
  const rows = messages.map(({ payload, trace, ...message }) => ({
    ...message,
    payload: toJson(withTrace(payload, trace)),
    dueAt: now,
    lastReason: null,
    createdAt: now,
  }));
  await tx
    .insertInto("outbox")
    .values(rows)
    .onConflict((conflict) => conflict.column("key").doNothing())
    .execute();
}

/** Messages in SQLite or PostgreSQL. A claimed message is due again when its lease ends; each claim counts as an attempt. */
export function sqlOutbox(db: Kysely<Tables>, dialect: DialectName): Outbox {
  return {
    async claim(now, leaseMs, limit) {
      const rows = await db
        .with(
          // Materialized: PostgreSQL might otherwise run the subquery again for each row and hold more than `limit`.
          (cte) => cte("due").materialized(),
          (query) =>
            query
              .selectFrom("outbox")
              .select("key")
              .where("dueAt", "<=", now)
              .orderBy("dueAt")
              .orderBy("key")
              .limit(limit)
              // SQLite has a single writer, and no such clause.
              .$if(dialect === "postgres", (select) => select.forUpdate().skipLocked()),
        )
        .updateTable("outbox")
        .set({ dueAt: now + leaseMs, attempts: sql<number>`attempts + 1` })
        .where("key", "in", (query) => query.selectFrom("due").select("key"))
        .returning(["key", "channel", "target", "payload", "attempts", "createdAt"])
        .execute();
      return rows
        .sort((a, b) => a.createdAt - b.createdAt || (a.key < b.key ? -1 : 1))
        .map(({ createdAt: _, payload, ...message }) => {
          const { fields, ...trace } = withoutTrace(fromJson(payload));
          return { ...message, payload: fields, ...trace };
        });
    },

    async delivered(key) {
      await db.deleteFrom("outbox").where("key", "=", key).execute();
    },

    async failed(key, dueAt, reason) {
      await db.updateTable("outbox").set({ dueAt, lastReason: reason }).where("key", "=", key).execute();
    },

    async depth() {
      const { depth } = await db
        .selectFrom("outbox")
        .select((row) => row.fn.countAll<number>().as("depth"))
        .executeTakeFirstOrThrow();
      return depth;
    },

    async backlog() {
      return db
        .selectFrom("outbox")
        .select((row) => [
          row.fn.countAll<number>().as("messages"),
          row.fn.count<number>("lastReason").as("failing"),
          row.fn.min("createdAt").as("oldestAt"),
        ])
        .executeTakeFirstOrThrow();
    },
  };
}
