import type { Kysely } from "kysely";
import type { EnvironmentStore } from "../../core/environment/environment-store.ts";
import type { Tables } from "./tables.ts";

/** Variables in SQLite or PostgreSQL: no statement differs. */
export function sqlEnvironmentStore(db: Kysely<Tables>): EnvironmentStore {
  return {
    async put({ secret, ...plain }) {
      const row = { ...plain, secret: Number(secret) };
      await db
        .insertInto("environment")
        .values(row)
        .onConflict((conflict) => conflict.columns(["scope", "name"]).doUpdateSet(row))
        .execute();
    },

    async list(scopes) {
      if (scopes?.length === 0) return []; // SQL knows no empty list
      const rows = await db
        .selectFrom("environment")
        .selectAll()
        .$if(scopes !== undefined, (query) => query.where("scope", "in", scopes ?? []))
        .execute();
      // By our own order: each PostgreSQL may have another.
      const key = ({ scope, name }: (typeof rows)[number]) => `${scope}\n${name}`;
      return rows.toSorted((a, b) => (key(a) < key(b) ? -1 : 1)).map((row) => ({ ...row, secret: row.secret === 1 }));
    },

    async remove(scope, name, secret) {
      const { numDeletedRows } = await db
        .deleteFrom("environment")
        .where("scope", "=", scope)
        .where("name", "=", name)
        .where("secret", "=", Number(secret))
        .executeTakeFirstOrThrow();
      return numDeletedRows > 0n;
    },

    async removeScope(scope) {
      const { numDeletedRows } = await db
        .deleteFrom("environment")
        .where("scope", "=", scope)
        .executeTakeFirstOrThrow();
      return Number(numDeletedRows);
    },
  };
}
