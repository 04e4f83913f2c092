import type { Kysely } from "kysely";
import type { SwitchStore } from "../../core/switches/switch.ts";
import type { Tables } from "./tables.ts";

/** Pauses in SQLite or PostgreSQL: no statement differs. */
export function sqlSwitchStore(db: Kysely<Tables>): SwitchStore {
  return {
    list: () => db.selectFrom("switches").selectAll().orderBy("subject").execute(),

    async put(pause) {
      const { subject, ...changed } = pause;
      await db
        .insertInto("switches")
        .values(pause)
        .onConflict((conflict) => conflict.column("subject").doUpdateSet(changed))
        .execute();
    },

    async remove(subject) {
      const { numDeletedRows } = await db
        .deleteFrom("switches")
        .where("subject", "=", subject)
        .executeTakeFirstOrThrow();
      return numDeletedRows > 0n;
    },
  };
}
