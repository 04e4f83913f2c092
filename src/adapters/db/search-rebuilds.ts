import type { Kysely } from "kysely";
import type { Rebuild } from "../../core/catalogue/indexing.ts";
import type { SearchRebuilds } from "../../core/catalogue/search-rebuilds.ts";
import { fromJson, type Tables, toJson } from "./tables.ts";

const ONLY = 1;

/** The last rebuild in SQLite or PostgreSQL: no statement differs. */
export function sqlSearchRebuilds(db: Kysely<Tables>): SearchRebuilds {
  return {
    async last() {
      const row = await db.selectFrom("searchRebuilds").selectAll().where("id", "=", ONLY).executeTakeFirst();
      if (!row) return null;
      const { startedAt, finishedAt, done, total, error } = row;
      return { startedAt, finishedAt, done, total, error: error === null ? null : fromJson(error) };
    },

    async ask(at) {
      const asked = { startedAt: at, finishedAt: null, done: 0, total: 0, error: null };
      await db
        .insertInto("searchRebuilds")
        .values({ id: ONLY, ...asked })
        .onConflict((conflict) =>
          conflict.column("id").doUpdateSet(asked).where("searchRebuilds.finishedAt", "is not", null),
        )
        .execute();
    },

    async note({ startedAt, finishedAt, done, total, error }: Rebuild) {
      const noted = { startedAt, finishedAt, done, total, error: error === null ? null : toJson(error) };
      await db
        .insertInto("searchRebuilds")
        .values({ id: ONLY, ...noted })
        .onConflict((conflict) => conflict.column("id").doUpdateSet(noted))
        .execute();
    },
  };
}
