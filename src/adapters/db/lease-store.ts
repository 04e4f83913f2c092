import type { Kysely } from "kysely";
import type { Clock } from "../../core/clock.ts";
import type { LeaseStore } from "../../core/nodes/leases.ts";
import { databaseTime } from "./database-time.ts";
import type { DialectName } from "./migrate.ts";
import type { Tables } from "./tables.ts";

/** Leases in SQLite or PostgreSQL. */
export function sqlLeaseStore(db: Kysely<Tables>, dialect: DialectName, clock: Clock): LeaseStore {
  const now = () => databaseTime(dialect, clock);

  return {
    async take(duty, holder, forMs) {
      // Most who ask are refused: they write nothing, and wait for nobody.
      const other = await db
        .selectFrom("leases")
        .select("holder")
        .where("duty", "=", duty)
        .where("holder", "!=", holder)
        .where("until", ">", now())
        .executeTakeFirst();
      if (other) return false;
      const taken = await db
        .insertInto("leases")
        .values((row) => ({ duty, holder, since: now(), until: row(now(), "+", forMs) }))
        .onConflict((conflict) =>
          conflict
            .column("duty")
            .doUpdateSet((row) => ({
              holder,
              // Without a gap, it is had since it was first taken.
              since: row
                .case()
                .when("leases.holder", "=", holder)
                .then(row.ref("leases.since"))
                .else(row.ref("excluded.since"))
                .end(),
              until: row.ref("excluded.until"),
            }))
            .where((row) => row.or([row("leases.holder", "=", holder), row("leases.until", "<=", now())])),
        )
        .returning("duty")
        .executeTakeFirst();
      return taken !== undefined;
    },

    async release(duty, holder) {
      await db.deleteFrom("leases").where("duty", "=", duty).where("holder", "=", holder).execute();
    },

    held: () =>
      db.selectFrom("leases").select(["duty", "holder", "since"]).where("until", ">", now()).orderBy("duty").execute(),
  };
}
