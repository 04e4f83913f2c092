import { type Kysely, sql } from "kysely";
import { CLOSED_STATES, type Delivery, type DropStore } from "../../core/drop/drop.ts";
import { putMessages } from "./outbox.ts";
import type { Tables } from "./tables.ts";

/** Rows that one statement writes: SQLite takes 32,766 variables. */
const BATCH = 500;

/** Drop folders and deliveries in SQLite or PostgreSQL: no statement differs. */
export function sqlDropStore(db: Kysely<Tables>): DropStore {
  return {
    async declarations() {
      const rows = await db.selectFrom("drops").selectAll().orderBy("name").execute();
      return new Map(rows.map(({ name, declaration }) => [name, declaration]));
    },

    async putDeclaration(name, declaration) {
      await db
        .insertInto("drops")
        .values({ name, declaration })
        .onConflict((conflict) => conflict.column("name").doUpdateSet({ declaration }))
        .execute();
    },

    async removeDeclaration(name) {
      const { numDeletedRows } = await db.deleteFrom("drops").where("name", "=", name).executeTakeFirstOrThrow();
      return numDeletedRows > 0n;
    },

    async open(drop) {
      const rows = await db
        .selectFrom("deliveries")
        .selectAll()
        .where("dropName", "=", drop)
        .where("closed", "=", 0)
        .orderBy("id")
        .execute();
      return rows.map(deliveryOf);
    },

    async list({ drop, state, beforeId, limit }) {
      let query = db.selectFrom("deliveries").selectAll().where("dropName", "=", drop);
      if (state !== undefined) query = query.where("state", "=", state);
      if (beforeId !== undefined) query = query.where("id", "<", beforeId);
      return (await query.orderBy("id", "desc").limit(limit).execute()).map(deliveryOf);
    },

    async get(id) {
      const row = await db.selectFrom("deliveries").selectAll().where("id", "=", id).executeTakeFirst();
      return row && deliveryOf(row);
    },

    async add(deliveries, now) {
      for (let at = 0; at < deliveries.length; at += BATCH)
        await db
          .insertInto("deliveries")
          .values(
            deliveries.slice(at, at + BATCH).map(({ drop, ...delivery }) => ({
              ...delivery,
              dropName: drop,
              state: "arriving" as const,
              closed: 0,
              job: null,
              transactionId: null,
              permittedBy: null,
              removalJob: null,
              version: 1,
              createdAt: now,
              updatedAt: now,
            })),
          )
          .onConflict((conflict) => conflict.doNothing())
          .execute();
    },

    change: ({ id, version }, change, now, messages = []) =>
      db.transaction().execute(async (tx) => {
        const row = await tx
          .updateTable("deliveries")
          .set({
            ...change,
            ...(change.state !== undefined && { closed: CLOSED_STATES.includes(change.state) ? 1 : 0 }),
            version: version + 1,
            updatedAt: now,
          })
          .where("id", "=", id)
          .where("version", "=", version)
          .returningAll()
          .executeTakeFirst();
        if (row) await putMessages(tx, messages, now);
        return row && deliveryOf(row);
      }),

    async beginLook(drop, now, everyMs) {
      const begun = await db
        .insertInto("dropLooks")
        .values({ dropName: drop, at: now, trouble: null })
        .onConflict((conflict) =>
          conflict
            .column("dropName")
            .doUpdateSet({ at: now })
            .where(sql.ref<number>("drop_looks.at"), "<=", now - everyMs),
        )
        .returning("at")
        .executeTakeFirst();
      return begun !== undefined;
    },

    async endLook(drop, trouble) {
      await db.updateTable("dropLooks").set({ trouble }).where("dropName", "=", drop).execute();
    },

    async lastLook(drop) {
      return db.selectFrom("dropLooks").select(["at", "trouble"]).where("dropName", "=", drop).executeTakeFirst();
    },
  };
}

function deliveryOf({
  dropName: drop,
  closed: _,
  ...row
}: Omit<Tables["deliveries"], "id"> & { id: number }): Delivery {
  return { ...row, drop };
}
