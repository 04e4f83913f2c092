import type { Kysely, Selectable } from "kysely";
import { CART_STATUSES, type Cart, type CartStatus } from "../../core/carts/cart.ts";
import type { CartChange, CartFilter, CartStore } from "../../core/carts/cart-store.ts";
import { AppError } from "../../core/errors.ts";
import { cartDownloads } from "./cart-downloads.ts";
import { cartEntries } from "./cart-entries.ts";
import { cartLayouts } from "./cart-layouts.ts";
import type { DialectName } from "./migrate.ts";
import { type CartRow, fromJson, type Tables, toJson } from "./tables.ts";

/** Rows that one sweep deletes: what SQLite holds the event loop for is then about 10 ms. */
const ROWS_PER_SWEEP = 2_000;

/** Carts in SQLite or PostgreSQL. A cart that was removed is there until it is swept, and no method sees it. */
export function sqlCartStore(db: Kysely<Tables>, dialect: DialectName): CartStore {
  const seen = () => db.selectFrom("carts").selectAll().where("removed", "=", 0);

  return {
    async create(cart, now) {
      const row = await db
        .insertInto("carts")
        .values({
          ...cart,
          status: "waiting",
          fileCount: 0,
          sizeBytes: 0,
          stagedFiles: 0,
          stagedBytes: 0,
          problems: toJson([]),
          problemCount: 0,
          downloads: 0,
          createdAt: now,
          updatedAt: now,
        })
        .returningAll()
        .executeTakeFirstOrThrow();
      return cartOf(row);
    },

    async get(id) {
      const row = await seen().where("id", "=", id).executeTakeFirst();
      return row && cartOf(row);
    },

    async newestOf(uid) {
      const row = await seen().where("uid", "=", uid).orderBy("number", "desc").limit(1).executeTakeFirst();
      return row && cartOf(row);
    },

    async allOf(uid) {
      return (await seen().where("uid", "=", uid).orderBy("number", "desc").execute()).map(cartOf);
    },

    async list({ before, ...filter }) {
      const last =
        before && (await db.selectFrom("carts").select("number").where("id", "=", before).executeTakeFirst());
      if (before !== undefined && !last) throw new AppError("cart_unknown", { id: before });
      const statuses = new Set(filter.statuses ?? CART_STATUSES);
      const [first, ...others] = Array.from(statuses, (status) => newestIn(db, status, filter, last?.number));
      if (!first) return [];
      const numbers = others.reduce((some, more) => some.unionAll(more), first);
      const page = db.selectFrom("carts").selectAll().where("number", "in", numbers);
      return (await page.orderBy("number", "desc").limit(filter.limit).execute()).map(cartOf);
    },

    async update(id, from, change, now) {
      const row = await db
        .updateTable("carts")
        .set({ ...changedColumns(change), updatedAt: now })
        .where("id", "=", id)
        .where("status", "in", from)
        .where("removed", "=", 0)
        .returningAll()
        .executeTakeFirst();
      return row && cartOf(row);
    },

    async remove(id) {
      const { numUpdatedRows } = await db
        .updateTable("carts")
        .set({ removed: 1, toSweep: 1 })
        .where("id", "=", id)
        .where("removed", "=", 0)
        .executeTakeFirstOrThrow();
      return numUpdatedRows > 0;
    },

    async due({ now, unusedSince, waitingSince, expiredSince }, limit) {
      const alive = () => seen().where("status", "<>", "expired").limit(limit);
      const pages = [
        alive().where("expiresAt", "<=", now),
        alive()
          .where("expiresAt", "is", null)
          .where((row) => row.fn.coalesce("lastUsedAt", "createdAt"), "<=", unusedSince),
        seen().where("status", "=", "waiting").where("updatedAt", "<", waitingSince).limit(limit),
        seen().where("status", "=", "expired").where("updatedAt", "<", expiredSince).limit(limit),
      ];
      const due = new Map<number, Selectable<CartRow>>();
      for (const page of pages) for (const row of await page.execute()) due.set(row.number, row);
      return Array.from(due.values(), cartOf).slice(0, limit);
    },

    async sweep() {
      return db.transaction().execute(async (tx) => {
        const cart = await tx
          .selectFrom("carts")
          .select(["number", "removed"])
          .where("toSweep", "=", 1)
          .whereRef("downloads", "<=", "tallied")
          .orderBy("number")
          .limit(1)
          .$if(dialect === "postgres", (select) => select.forUpdate().skipLocked())
          .executeTakeFirst();
        if (!cart) return false;
        if ((await deleteSome(tx, cart.number)) > 0) return true;
        if (cart.removed === 1) await tx.deleteFrom("carts").where("number", "=", cart.number).execute();
        else await tx.updateTable("carts").set({ toSweep: 0 }).where("number", "=", cart.number).execute();
        return true;
      });
    },

    ...cartEntries(db),
    ...cartLayouts(db),
    ...cartDownloads(db, dialect),
  };
}

/** Rows of a cart, in an order that leaves none without what it refers to. @returns how many; 0 when none is left. */
async function deleteSome(tx: Kysely<Tables>, cart: number): Promise<number> {
  const entries = await tx
    .deleteFrom("cartEntries")
    .where("cart", "=", cart)
    .where("seq", "in", (some) =>
      some.selectFrom("cartEntries").select("seq").where("cart", "=", cart).orderBy("seq").limit(ROWS_PER_SWEEP),
    )
    .executeTakeFirstOrThrow();
  if (entries.numDeletedRows > 0) return Number(entries.numDeletedRows);
  const credits = await tx
    .deleteFrom("cartTransactions")
    .where("cart", "=", cart)
    .where("transactionId", "in", (some) =>
      some.selectFrom("cartTransactions").select("transactionId").where("cart", "=", cart).limit(ROWS_PER_SWEEP),
    )
    .executeTakeFirstOrThrow();
  if (credits.numDeletedRows > 0) return Number(credits.numDeletedRows);
  const [layout] = await tx.selectFrom("cartLayouts").select("number").where("cart", "=", cart).limit(1).execute();
  if (!layout) return 0;
  await tx.deleteFrom("cartCheckpoints").where("layout", "=", layout.number).execute();
  await tx.deleteFrom("cartLayouts").where("number", "=", layout.number).execute();
  return 1;
}

/** The newest numbers in one status; a page is the newest among those of all its statuses. */
function newestIn(
  db: Kysely<Tables>,
  status: CartStatus,
  { owner, limit }: Omit<CartFilter, "before">,
  before: number | undefined,
) {
  let numbers = db
    .selectFrom("carts")
    .select("number")
    .where("status", "=", status)
    .where("removed", "=", 0)
    .orderBy("number", "desc")
    .limit(limit);
  if (owner !== undefined) numbers = numbers.where("owner", "=", owner);
  if (before !== undefined) numbers = numbers.where("number", "<", before);
  // In parentheses, as it were: SQLite allows a limit only around a whole union.
  return db.selectFrom(numbers.as("newest")).select("number");
}

/** Kysely leaves out columns whose value is `undefined`. */
function changedColumns({ problems, ...plain }: CartChange) {
  return {
    ...plain,
    problems: problems && toJson(problems),
    toSweep: plain.status === "expired" ? 1 : undefined,
  };
}

function cartOf(row: Selectable<CartRow>): Cart {
  return {
    id: row.id,
    uid: row.uid,
    name: row.name,
    owner: row.owner,
    status: row.status,
    fileCount: row.fileCount,
    sizeBytes: row.sizeBytes,
    algorithm: row.algorithm,
    stagedFiles: row.stagedFiles,
    stagedBytes: row.stagedBytes,
    readyAt: row.readyAt,
    stageJob: row.stageJob,
    problems: fromJson(row.problems),
    problemCount: row.problemCount,
    downloads: row.downloads,
    lastUsedAt: row.lastUsedAt,
    expiresAt: row.expiresAt,
    createdAt: row.createdAt,
    updatedAt: row.updatedAt,
  };
}
