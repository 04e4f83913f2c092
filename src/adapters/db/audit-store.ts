import { type Kysely, sql } from "kysely";
import type { AuditStore } from "../../core/access/access-stores.ts";
import type { DialectName } from "./migrate.ts";
import { fromJson, type Tables, toJson } from "./tables.ts";

export function sqlAuditStore(db: Kysely<Tables>, dialect: DialectName): AuditStore {
  return {
    append: (make) =>
      db.transaction().execute(async (tx) => {
        // Appends wait for each other; readers do not. On SQLite the transaction has the write lock already.
        if (dialect === "postgres") await sql`lock table audit in share row exclusive mode`.execute(tx);
        const last = await tx.selectFrom("audit").selectAll().orderBy("seq", "desc").limit(1).executeTakeFirst();
        const entry = make(last && { ...last, details: fromJson(last.details) });
        await tx
          .insertInto("audit")
          .values({ ...entry, details: toJson(entry.details) })
          .execute();
        return entry;
      }),

    async list(afterSeq, limit) {
      const rows = await db
        .selectFrom("audit")
        .selectAll()
        .where("seq", ">", afterSeq)
        .orderBy("seq")
        .limit(limit)
        .execute();
      return rows.map((row) => ({ ...row, details: fromJson(row.details) }));
    },
  };
}
