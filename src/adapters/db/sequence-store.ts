import type { Kysely } from "kysely";
import type { SequenceStore } from "../../core/catalogue/catalogue-store.ts";
import type { Tables } from "./tables.ts";

/** Each change is one statement, whose row lock keeps the reservations apart. */
export function sqlSequenceStore(db: Kysely<Tables>): SequenceStore {
  return {
    async reserve(name, count) {
      const { last } = await db
        .insertInto("sequences")
        .values({ name, last: count })
        .onConflict((conflict) =>
          conflict
            .column("name")
            .doUpdateSet((row) => ({ last: row("sequences.last", "+", row.ref("excluded.last")) })),
        )
        .returning("last")
        .executeTakeFirstOrThrow();
      return last - count + 1;
    },

    async raise(name, used) {
      await db
        .insertInto("sequences")
        .values({ name, last: used })
        .onConflict((conflict) =>
          conflict
            .column("name")
            .doUpdateSet((row) => ({ last: row.ref("excluded.last") }))
            .whereRef("excluded.last", ">", "sequences.last"),
        )
        .execute();
    },
  };
}
