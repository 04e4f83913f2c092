import type { Kysely } from "kysely";
import type { Agreements } from "../../core/nodes/agreements.ts";
import type { Tables } from "./tables.ts";

export function sqlAgreements(db: Kysely<Tables>): Agreements {
  return {
    async agree(subject, value) {
      await db
        .insertInto("agreements")
        .values({ subject, value })
        .onConflict((conflict) => conflict.column("subject").doNothing())
        .execute();
      const kept = await db
        .selectFrom("agreements")
        .select("value")
        .where("subject", "=", subject)
        .executeTakeFirstOrThrow();
      return kept.value;
    },
  };
}
