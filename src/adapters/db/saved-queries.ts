import type { Kysely } from "kysely";
import type { SavedQueries, SavedQuery } from "../../core/catalogue/saved-queries.ts";
import { AppError } from "../../core/errors.ts";
import { fromJson, type Tables, toJson } from "./tables.ts";

/** Queries in SQLite or PostgreSQL: no statement differs. */
export function sqlSavedQueries(db: Kysely<Tables>): SavedQueries {
  return {
    async create(saved) {
      await db
        .insertInto("savedQueries")
        .values({ ...saved, types: toJson(saved.types) })
        .execute()
        .catch(translate);
    },

    async get(id) {
      const row = await db.selectFrom("savedQueries").selectAll().where("id", "=", id).executeTakeFirst();
      return row && savedOf(row);
    },

    async list(owner) {
      const rows = await db.selectFrom("savedQueries").selectAll().where("owner", "=", owner).execute();
      // By our own order: each PostgreSQL may have another.
      return rows.map(savedOf).sort((a, b) => (a.name < b.name ? -1 : 1));
    },

    async replace(id, { types, ...plain }) {
      const row = await db
        .updateTable("savedQueries")
        // Kysely leaves out columns whose value is `undefined`; the id is there for those who change nothing.
        .set({ id, ...plain, types: types && toJson(types) })
        .where("id", "=", id)
        .returningAll()
        .executeTakeFirst()
        .catch(translate);
      return row && savedOf(row);
    },

    async remove(id) {
      const { numDeletedRows } = await db.deleteFrom("savedQueries").where("id", "=", id).executeTakeFirstOrThrow();
      return numDeletedRows > 0n;
    },
  };
}

function savedOf(row: Tables["savedQueries"]): SavedQuery {
  return { ...row, types: fromJson(row.types) };
}

/** SQLITE_CONSTRAINT_UNIQUE (sqlite.org/rescode.html), and `unique_violation` in appendix A of PostgreSQL's documentation. */
function translate(error: unknown): never {
  const isTaken =
    error instanceof Error &&
    (("errcode" in error && error.errcode === 2067) || ("code" in error && error.code === "23505"));
  throw isTaken ? new AppError("saved_query_exists", {}, { cause: error }) : error;
}
