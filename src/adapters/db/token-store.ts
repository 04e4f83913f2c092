import type { Kysely } from "kysely";
import type { TokenStore } from "../../core/access/access-stores.ts";
import { fromJson, type Tables, toJson } from "./tables.ts";

export function sqlTokenStore(db: Kysely<Tables>): TokenStore {
  return {
    async insert(token) {
      await db
        .insertInto("tokens")
        .values({ ...token, scopes: toJson(token.scopes) })
        .execute();
    },

    async get(id) {
      const row = await db.selectFrom("tokens").selectAll().where("id", "=", id).executeTakeFirst();
      return row && { ...row, scopes: fromJson(row.scopes) };
    },

    async list() {
      const rows = await db.selectFrom("tokens").selectAll().orderBy("createdAt").orderBy("id").execute();
      return rows.map((row) => ({ ...row, scopes: fromJson(row.scopes) }));
    },

    async revoke(id, now) {
      const found = await db
        .updateTable("tokens")
        .set((row) => ({ revokedAt: row.fn.coalesce("revokedAt", row.val(now)) }))
        .where("id", "=", id)
        .returning("id")
        .executeTakeFirst();
      return found !== undefined;
    },

    async touch(id, now) {
      await db.updateTable("tokens").set({ lastUsedAt: now }).where("id", "=", id).execute();
    },

    async anyActive(now) {
      const active = await db
        .selectFrom("tokens")
        .select("id")
        .where("revokedAt", "is", null)
        .where((row) => row.or([row("expiresAt", "is", null), row("expiresAt", ">", now)]))
        .limit(1)
        .executeTakeFirst();
      return active !== undefined;
    },
  };
}
