import type { Kysely } from "kysely";
import type { PackageId } from "../../core/ids.ts";
import type { PackageStore } from "../../core/packages/package-store.ts";
import type { DialectName } from "./migrate.ts";
import { LIVE, OVER, packageOf, READY } from "./package-rows.ts";
import type { Tables } from "./tables.ts";

/** Packages that one call forgets. */
const FORGOTTEN_AT_ONCE = 100;

type KeepingMethods = Pick<
  PackageStore,
  "due" | "leastUsed" | "usedBytes" | "keep" | "expire" | "retireAll" | "holds" | "forget"
>;

/** Which packages stay, and which go. */
export function packageKeeping(db: Kysely<Tables>, dialect: DialectName): KeepingMethods {
  return {
    async due(now, limit) {
      const rows = await db
        .selectFrom("packages")
        .selectAll()
        .where("status", "=", READY)
        .where("keepUntil", "<=", now)
        .orderBy("keepUntil")
        .limit(limit)
        .execute();
      return rows.map(packageOf);
    },

    async leastUsed(limit) {
      const rows = await db
        .selectFrom("packages")
        .selectAll()
        .where("status", "=", READY)
        .orderBy("lastUsedAt")
        .limit(limit)
        .execute();
      return rows.map(packageOf);
    },

    async usedBytes() {
      const { bytes } = await db
        .selectFrom("packages")
        .select((row) => row.fn.sum<number | string | null>("sizeBytes").as("bytes"))
        .where("status", "=", READY)
        .executeTakeFirstOrThrow();
      return Number(bytes ?? 0); // PostgreSQL adds bigints up to a numeric, which comes as text
    },

    async keep(id, until, now) {
      await keepUntil(db, id, until, now);
    },

    async expire(id, now, onlyDue) {
      const { numUpdatedRows } = await db
        .updateTable("packages")
        .set({ status: "expired", live: 0, keepUntil: now })
        .where("id", "=", id)
        .where("status", "=", READY)
        .$if(onlyDue, (some) => some.where("keepUntil", "<=", now))
        .executeTakeFirstOrThrow();
      return numUpdatedRows > 0n;
    },

    async retireAll() {
      await db.updateTable("packages").set({ live: 0 }).where("live", "=", LIVE).execute();
    },

    async holds(fileName) {
      const row = await db
        .selectFrom("packages")
        .select("id")
        .where("fileName", "=", fileName)
        .where("status", "=", READY)
        .executeTakeFirst();
      return row !== undefined;
    },

    forget: (before) =>
      db.transaction().execute(async (tx) => {
        const over = await tx
          .selectFrom("packages")
          .select("number")
          .where("status", "in", OVER)
          .where("keepUntil", "<", before)
          .orderBy("keepUntil")
          .limit(FORGOTTEN_AT_ONCE)
          .$if(dialect === "postgres", (select) => select.forUpdate().skipLocked())
          .execute();
        if (over.length === 0) return false;
        const numbers = over.map(({ number }) => number);
        await tx.deleteFrom("packageOrders").where("package", "in", numbers).execute();
        await tx.deleteFrom("packages").where("number", "in", numbers).execute();
        return over.length === FORGOTTEN_AT_ONCE;
      }),
  };
}

/** @returns false when the package is not ready. */
export async function keepUntil(db: Kysely<Tables>, id: PackageId, until: number, now: number): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable("packages")
    .set((row) => ({
      keepUntil: row.case().when("keepUntil", ">", until).then(row.ref("keepUntil")).else(until).end(),
      lastUsedAt: now,
    }))
    .where("id", "=", id)
    .where("status", "=", READY)
    .executeTakeFirstOrThrow();
  return numUpdatedRows > 0n;
}
