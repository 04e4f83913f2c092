import { type Kysely, sql } from "kysely";
import {
  DAY_MS,
  type DayTotals,
  type ErrorEntry,
  EVERYTHING,
  type RequestEntry,
  type StatisticsStore,
  type Totals,
} from "../../core/packages/statistics.ts";
import type { Tables } from "./tables.ts";

/** The row that holds what those of all days add up to. */
const IN_ALL = -1;
const NOTHING: Totals = { emails: 0, requests: 0, errors: 0, bytes: 0, rows: 0 };

/** Adds an entry and counts it, as part of `tx`; an order that is logged already is passed over. */
export async function logRequest(tx: Kysely<Tables>, { order, ...entry }: RequestEntry): Promise<void> {
  const logged = await tx
    .insertInto("packageRequests")
    .values({ orderId: order, ...entry })
    .onConflict((conflict) => conflict.column("orderId").doNothing())
    .executeTakeFirstOrThrow();
  if (logged.numInsertedOrUpdatedRows === 0n) return;
  const { resourceId, email, at } = entry;
  for (const counted of [EVERYTHING, resourceId]) {
    const emails = email === null ? 0 : await firstSeen(tx, counted, email);
    const added = { ...NOTHING, emails, requests: 1, bytes: entry.sizeBytes, rows: entry.rowCount };
    await add(tx, counted, at, added);
  }
}

/** As {@link logRequest}. */
export async function logError(tx: Kysely<Tables>, { order, ...entry }: ErrorEntry): Promise<void> {
  const logged = await tx
    .insertInto("packageErrors")
    .values({ orderId: order, ...entry })
    .onConflict((conflict) => conflict.column("orderId").doNothing())
    .executeTakeFirstOrThrow();
  if (logged.numInsertedOrUpdatedRows === 0n) return;
  for (const counted of [EVERYTHING, entry.resourceId]) await add(tx, counted, entry.at, { ...NOTHING, errors: 1 });
}

/** What is counted of packages, in SQLite or PostgreSQL: no statement differs. */
export function sqlStatisticsStore(db: Kysely<Tables>): StatisticsStore {
  return {
    addRequest: (entry) => db.transaction().execute((tx) => logRequest(tx, entry)),
    addError: (entry) => db.transaction().execute((tx) => logError(tx, entry)),

    async totals(resourceId) {
      const rows = await db
        .selectFrom("packageCounts")
        .select(["resourceId", ...COUNTED])
        .where("day", "=", sql.lit(IN_ALL))
        .$if(resourceId !== undefined, (some) => some.where("resourceId", "=", resourceId ?? ""))
        .orderBy("resourceId")
        .execute();
      return Object.fromEntries(rows.map(({ resourceId: name, ...totals }) => [name, totals]));
    },

    async requests(filter) {
      const rows = await db
        .selectFrom("packageRequests")
        .select(["orderId", "at", "resourceId", "email", "domain", "count", "sizeBytes", "rowCount"])
        .$if(filter.resourceId !== undefined, (some) => some.where("resourceId", "=", filter.resourceId ?? ""))
        .$if(filter.email !== undefined, (some) => some.where("email", "=", filter.email ?? ""))
        .orderBy("at", "desc")
        .orderBy("number", "desc")
        .limit(filter.limit)
        .offset(filter.offset)
        .execute();
      return rows.map(({ orderId, ...entry }) => ({ order: orderId, ...entry }));
    },

    async errors(filter) {
      const rows = await db
        .selectFrom("packageErrors")
        .select(["orderId", "at", "resourceId", "email", "message"])
        .$if(filter.resourceId !== undefined, (some) => some.where("resourceId", "=", filter.resourceId ?? ""))
        .$if(filter.email !== undefined, (some) => some.where("email", "=", filter.email ?? ""))
        .orderBy("at", "desc")
        .orderBy("number", "desc")
        .limit(filter.limit)
        .offset(filter.offset)
        .execute();
      return rows.map(({ orderId, ...entry }) => ({ order: orderId, ...entry }));
    },

    days({ resourceId = EVERYTHING, from, until }): Promise<readonly DayTotals[]> {
      return db
        .selectFrom("packageCounts")
        .select(["day", ...COUNTED])
        .where("resourceId", "=", resourceId)
        .where("day", ">=", Math.max(0, from))
        .where("day", "<", until)
        .orderBy("day")
        .execute();
    },
  };
}

const COUNTED = ["emails", "requests", "errors", "bytes", "rows"] as const;

/** @returns 1 when the address was never seen with it, else 0. */
async function firstSeen(tx: Kysely<Tables>, resourceId: string, email: string): Promise<number> {
  const { numInsertedOrUpdatedRows } = await tx
    .insertInto("packageRequesters")
    .values({ resourceId, email })
    .onConflict((conflict) => conflict.columns(["resourceId", "email"]).doNothing())
    .executeTakeFirstOrThrow();
  return Number(numInsertedOrUpdatedRows ?? 0);
}

async function add(tx: Kysely<Tables>, resourceId: string, at: number, added: Totals): Promise<void> {
  const day = Math.floor(at / DAY_MS) * DAY_MS;
  await tx
    .insertInto("packageCounts")
    .values([
      { resourceId, day: IN_ALL, ...added },
      { resourceId, day, ...added },
    ])
    .onConflict((conflict) =>
      conflict.columns(["resourceId", "day"]).doUpdateSet((row) => ({
        emails: row("packageCounts.emails", "+", row.ref("excluded.emails")),
        requests: row("packageCounts.requests", "+", row.ref("excluded.requests")),
        errors: row("packageCounts.errors", "+", row.ref("excluded.errors")),
        bytes: row("packageCounts.bytes", "+", row.ref("excluded.bytes")),
        rows: row("packageCounts.rows", "+", row.ref("excluded.rows")),
      })),
    )
    .execute();
}
