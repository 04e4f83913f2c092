import type { Kysely, Transaction } from "kysely";
import { AppError } from "../../core/errors.ts";
import type { OrderId } from "../../core/ids.ts";
import type { NewPackage, Ordered, OrderFilter, PackageStore, Tell } from "../../core/packages/package-store.ts";
import { createJob, type Enqueue } from "./job-writes.ts";
import type { DialectName } from "./migrate.ts";
import { putMessages } from "./outbox.ts";
import { keepUntil, packageKeeping } from "./package-keeping.ts";
import { LIVE, orderOf, packageOf, type SomeOrder, type SomePackage } from "./package-rows.ts";
import { logError, logRequest } from "./package-statistics.ts";
import { type Tables, toJson } from "./tables.ts";

/** Orders that are told with one statement: SQLite takes 32,766 values in one. */
const TOLD_AT_ONCE = 1_000;

/**
 * Packages in SQLite or PostgreSQL. Whatever depends on how a package stands locks its row first (SQLite has a single
 * writer): an order comes either before the package is ready, and is told with the others, or after.
 */
export function sqlPackageStore(db: Kysely<Tables>, dialect: DialectName, enqueue: Enqueue): PackageStore {
  const isPostgres = dialect === "postgres";

  /** The live package of a key that can be shared, locked; one that cannot is live no more. */
  async function shared(tx: Kysely<Tables>, cacheKey: string, now: number): Promise<SomePackage | undefined> {
    const found = await tx
      .selectFrom("packages")
      .selectAll()
      .where("cacheKey", "=", cacheKey)
      .where("live", "=", LIVE)
      .$if(isPostgres, (select) => select.forUpdate())
      .executeTakeFirst();
    if (!found || (await isShareable(tx, found, now))) return found;
    await tx.updateTable("packages").set({ live: 0 }).where("number", "=", found.number).execute();
    return undefined;
  }

  /** @returns `undefined` when another has entered one for this key meanwhile. */
  async function entered(
    tx: Transaction<Tables>,
    candidate: NewPackage,
    now: number,
  ): Promise<SomePackage | undefined> {
    const { job, recipe, ...given } = candidate;
    const row = await tx
      .insertInto("packages")
      .values({
        ...given,
        recipe: toJson(recipe),
        status: "building",
        job: job.id,
        fileName: null,
        sizeBytes: null,
        digest: null,
        rowCount: null,
        members: toJson([]),
        error: null,
        freshUntil: null,
        keepUntil: null,
        live: 1,
        createdAt: now,
        finishedAt: null,
        lastUsedAt: now,
      })
      .onConflict((conflict) => conflict.column("cacheKey").where("live", "=", LIVE).doNothing())
      .returningAll()
      .executeTakeFirst();
    if (row) await createJob(tx, enqueue, job);
    return row;
  }

  async function consequences(
    tx: Kysely<Tables>,
    of: SomePackage,
    orders: readonly SomeOrder[],
    now: number,
    tell: Tell,
  ): Promise<void> {
    const made = packageOf(of);
    const all = orders.map((order) => tell(orderOf(order, made.id), made));
    const messages = all.flatMap((one) => one.messages);
    for (let at = 0; at < messages.length; at += TOLD_AT_ONCE)
      await putMessages(tx, messages.slice(at, at + TOLD_AT_ONCE), now);
    for (const { request, error } of all) {
      if (request) await logRequest(tx, request);
      if (error) await logError(tx, error);
    }
  }

  const ordersOf = (tx: Kysely<Tables>, { number }: SomePackage) =>
    tx.selectFrom("packageOrders").selectAll().where("package", "=", number).orderBy("number").execute();

  async function get(id: OrderId, from: Kysely<Tables> = db): Promise<Ordered | undefined> {
    const order = await from.selectFrom("packageOrders").selectAll().where("id", "=", id).executeTakeFirst();
    return order && ordered(from, order);
  }

  async function ordered(from: Kysely<Tables>, order: SomeOrder): Promise<Ordered> {
    const made = packageOf(
      await from.selectFrom("packages").selectAll().where("number", "=", order.package).executeTakeFirstOrThrow(),
    );
    return { order: orderOf(order, made.id), package: made };
  }

  return {
    order: (wish, candidate, linkExpiresAt, now, tell) =>
      db.transaction().execute(async (tx) => {
        let found: SomePackage | undefined;
        while (!found) found = (await shared(tx, candidate.cacheKey, now)) ?? (await entered(tx, candidate, now));
        const isReady = found.status === "ready";
        const { door, ...given } = wish;
        const order = await tx
          .insertInto("packageOrders")
          .values({
            ...given,
            door: Number(door),
            package: found.number,
            linkExpiresAt: isReady ? linkExpiresAt : null,
            linkGeneration: 0,
            downloads: 0,
            createdAt: now,
            toldAt: null,
            refused: null,
          })
          .returningAll()
          .executeTakeFirstOrThrow();
        if (isReady) {
          await keepUntil(tx, found.id, linkExpiresAt, now);
          await consequences(tx, found, [order], now, tell);
        }
        return ordered(tx, order);
      }),

    get: (id) => get(id),

    async list({ owner, before, limit }: OrderFilter) {
      const last =
        before && (await db.selectFrom("packageOrders").select("number").where("id", "=", before).executeTakeFirst());
      if (before !== undefined && !last) throw new AppError("package_unknown", { id: before });
      const orders = await db
        .selectFrom("packageOrders")
        .selectAll()
        .$if(owner !== undefined, (some) => some.where("owner", "=", owner ?? ""))
        .$if(last !== undefined, (some) => some.where("number", "<", last?.number ?? 0))
        .orderBy("number", "desc")
        .limit(limit)
        .execute();
      if (orders.length === 0) return [];
      const numbers = [...new Set(orders.map((order) => order.package))];
      const rows = await db.selectFrom("packages").selectAll().where("number", "in", numbers).execute();
      const packages = new Map(rows.map((row) => [row.number, packageOf(row)]));
      return orders.flatMap((order) => {
        const of = packages.get(order.package);
        return of ? [{ order: orderOf(order, of.id), package: of }] : [];
      });
    },

    async live(cacheKey, now) {
      const found = await db
        .selectFrom("packages")
        .selectAll()
        .where("cacheKey", "=", cacheKey)
        .where("live", "=", LIVE)
        .executeTakeFirst();
      return found && (await isShareable(db, found, now)) ? packageOf(found) : undefined;
    },

    async package(id) {
      const row = await db.selectFrom("packages").selectAll().where("id", "=", id).executeTakeFirst();
      return row && packageOf(row);
    },

    async sealedKey(id) {
      const row = await db.selectFrom("packages").select("sealedKey").where("id", "=", id).executeTakeFirst();
      return row?.sealedKey ?? null;
    },

    ready: (id, attempts, made, now, tell) =>
      db.transaction().execute(async (tx) => {
        const { linkExpiresAt, members, ...facts } = made;
        const lease = await tx
          .selectFrom("jobs")
          .innerJoin("packages", "packages.job", "jobs.id")
          .select("jobs.id")
          .where("packages.id", "=", id)
          .where("jobs.attempts", "=", attempts)
          .where("jobs.state", "=", "running")
          // Nobody takes the job over before this has committed.
          .$if(isPostgres, (select) => select.forShare("jobs"))
          .executeTakeFirst();
        if (!lease) return false;
        const row = await tx
          .updateTable("packages")
          .set({
            ...facts,
            members: toJson(members),
            status: "ready",
            sealedKey: null,
            keepUntil: linkExpiresAt,
            finishedAt: now,
            lastUsedAt: now,
          })
          .where("id", "=", id)
          .where("status", "=", "building")
          .returningAll()
          .executeTakeFirst();
        if (!row) return false;
        await tx.updateTable("packageOrders").set({ linkExpiresAt }).where("package", "=", row.number).execute();
        await consequences(tx, row, await ordersOf(tx, row), now, tell);
        return true;
      }),

    fail: (id, error, now, tell) =>
      db.transaction().execute(async (tx) => {
        const row = await tx
          .updateTable("packages")
          .set({
            status: "failed",
            error: toJson(error),
            live: 0,
            sealedKey: null,
            keepUntil: now,
            finishedAt: now,
          })
          .where("id", "=", id)
          .where("status", "=", "building")
          .returningAll()
          .executeTakeFirst();
        if (!row) return false;
        await consequences(tx, row, await ordersOf(tx, row), now, tell);
        return true;
      }),

    async told(id, refused, now) {
      await db
        .updateTable("packageOrders")
        .set(refused === null ? { toldAt: now } : { refused: toJson(refused) })
        .where("id", "=", id)
        .execute();
    },

    renew: (id, linkExpiresAt, now) =>
      db.transaction().execute(async (tx) => {
        const found = await get(id, tx);
        if (!found || !(await keepUntil(tx, found.package.id, linkExpiresAt, now))) return undefined;
        await tx.updateTable("packageOrders").set({ linkExpiresAt }).where("id", "=", id).execute();
        return get(id, tx);
      }),

    async revoke(id) {
      const order = await db
        .updateTable("packageOrders")
        .set((row) => ({ linkExpiresAt: null, linkGeneration: row("linkGeneration", "+", 1) }))
        .where("id", "=", id)
        .returningAll()
        .executeTakeFirst();
      return order && ordered(db, order);
    },

    async countDownload(id, now) {
      await db.transaction().execute(async (tx) => {
        const order = await tx
          .updateTable("packageOrders")
          .set((row) => ({ downloads: row("downloads", "+", 1) }))
          .where("id", "=", id)
          .returning("package")
          .executeTakeFirst();
        if (order)
          await tx.updateTable("packages").set({ lastUsedAt: now }).where("number", "=", order.package).execute();
      });
    },

    ...packageKeeping(db, dialect),
  };
}

/** Fresh; or being made, by a job that may come to its end. */
async function isShareable(db: Kysely<Tables>, row: SomePackage, now: number): Promise<boolean> {
  if (row.status === "ready") return row.freshUntil !== null && now < row.freshUntil;
  const job = await db
    .selectFrom("jobs")
    .select("id")
    .where("id", "=", row.job)
    .where("state", "in", ["queued", "running"])
    .where("cancelRequested", "=", 0)
    .executeTakeFirst();
  return job !== undefined;
}
