import type { Kysely } from "kysely";
import type { CartStore } from "../../core/carts/cart-store.ts";
import type { CartId } from "../../core/ids.ts";
import { fromJson, type Tables, toJson } from "./tables.ts";

const ROWS_PER_STATEMENT = 500;

/**
 * The layouts of carts. A cart of a million entries has about 2,000 checkpoints: they are written with their layout in one
 * transaction.
 */
export function cartLayouts(db: Kysely<Tables>): Pick<CartStore, "addLayout" | "layout" | "checkpoint"> {
  const kept = (id: CartId, key: string) =>
    db
      .selectFrom("cartLayouts")
      .innerJoin("carts", "carts.number", "cartLayouts.cart")
      .where("carts.id", "=", id)
      .where("carts.removed", "=", 0)
      .where("cartLayouts.key", "=", key);

  return {
    addLayout: (id, key, layout, checkpoints) =>
      db.transaction().execute(async (tx) => {
        const added = await tx
          .insertInto("cartLayouts")
          .columns(["cart", "key", "layout"])
          .expression((row) =>
            row
              .selectFrom("carts")
              .select(["number", row.val(key).as("key"), row.val(toJson(layout)).as("layout")])
              .where("id", "=", id)
              .where("removed", "=", 0),
          )
          .onConflict((conflict) => conflict.columns(["cart", "key"]).doNothing())
          .returning("number")
          .executeTakeFirst();
        if (!added) return;
        const rows = checkpoints.map(({ seq, offsets }) => ({ layout: added.number, seq, ...offsets }));
        for (let at = 0; at < rows.length; at += ROWS_PER_STATEMENT)
          await tx
            .insertInto("cartCheckpoints")
            .values(rows.slice(at, at + ROWS_PER_STATEMENT))
            .execute();
      }),

    async layout(id, key) {
      const row = await kept(id, key).select("layout").executeTakeFirst();
      return row && fromJson(row.layout);
    },

    async checkpoint(id, key, region, offset) {
      const row = await kept(id, key)
        .innerJoin("cartCheckpoints", "cartCheckpoints.layout", "cartLayouts.number")
        .select(["seq", "members", "directory", "manifest"])
        .where(region, "<=", offset)
        .orderBy(region, "desc")
        .orderBy("seq", "desc")
        .limit(1)
        .executeTakeFirst();
      if (!row) return undefined;
      const { seq, ...offsets } = row;
      return { seq, offsets };
    },
  };
}
