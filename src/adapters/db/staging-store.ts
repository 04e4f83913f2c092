import type { Kysely, Transaction } from "kysely";
import type { StagedFile, StagingStore, StagingUsage } from "../../core/carts/staging/staging-store.ts";
import { fromJson, type Tables, toJson } from "./tables.ts";

type Row = Tables["stagedFiles"];

/** How many files are looked at a time when room is made: mostly one is enough. */
const CANDIDATES = 200;

/**
 * The staging cache's books in SQLite or PostgreSQL: no statement differs. What all rows add up to is kept in a row of
 * its own: to add up 100,000 files for each that is reserved would take longer than to copy it.
 */
export function sqlStagingStore(db: Kysely<Tables>): StagingStore {
  /** Decides about space. The lock of the row with the sums is held to the end, so decisions follow each other. */
  const decide = <T>(work: (tx: Transaction<Tables>, usage: StagingUsage) => Promise<T>): Promise<T> =>
    db.transaction().execute(async (tx) => {
      const usage = await tx
        .updateTable("stagingUsage")
        .set((row) => ({ files: row.ref("files") }))
        .returning(["files", "bytes", "reservedBytes"])
        .executeTakeFirstOrThrow();
      return work(tx, usage);
    });

  return {
    reserve: ({ key, path, sizeBytes }, { capacityBytes, protectedSince, deadBefore }, now) =>
      decide(async (tx, usage) => {
        const found = await tx.selectFrom("stagedFiles").selectAll().where("key", "=", key).executeTakeFirst();
        if (found?.state === "present") {
          await tx.updateTable("stagedFiles").set({ lastUsedAt: now }).where("key", "=", key).execute();
          return { outcome: "present", file: fileOf({ ...found, lastUsedAt: now }) };
        }
        if (found && found.lastUsedAt >= deadBefore) return { outcome: "busy" };

        const abandoned = await tx
          .selectFrom("stagedFiles")
          .selectAll()
          .where("state", "=", "reserved")
          .where("lastUsedAt", "<", deadBefore)
          .execute();
        await drop(tx, abandoned);
        const reservedBytes = usage.reservedBytes - bytesOf(abandoned);
        let freeBytes = capacityBytes - usage.bytes - reservedBytes;
        const dropped: Row[] = [];
        for await (const file of droppable(tx, protectedSince)) {
          if (freeBytes >= sizeBytes) break;
          dropped.push(file);
          freeBytes += file.sizeBytes;
        }
        if (freeBytes < sizeBytes) {
          const evicted = abandoned.map(fileOf);
          return { outcome: "full", evicted, freeBytes: Math.max(0, freeBytes), capacityBytes, reservedBytes };
        }
        await drop(tx, dropped);
        const row = { key, path, sizeBytes, state: "reserved", crc32: null, lastUsedAt: now } as const;
        await tx
          .insertInto("stagedFiles")
          .values({ ...row, digests: toJson({}) })
          .execute();
        await account(tx, { reservedBytes: sizeBytes });
        return { outcome: "reserved", file: { ...row, digests: {} }, evicted: [...abandoned, ...dropped].map(fileOf) };
      }),

    async renew(key, path, now) {
      const renewed = await db
        .updateTable("stagedFiles")
        .set({ lastUsedAt: now })
        .where("key", "=", key)
        .where("path", "=", path)
        .returning("key")
        .executeTakeFirst();
      return renewed !== undefined;
    },

    complete: (key, path, { crc32, digests }, now) =>
      decide(async (tx) => {
        const completed = await tx
          .updateTable("stagedFiles")
          .set({ state: "present", crc32, digests: toJson(digests), lastUsedAt: now })
          .where("key", "=", key)
          .where("path", "=", path)
          .where("state", "=", "reserved")
          .returning("sizeBytes")
          .executeTakeFirst();
        if (!completed) return false;
        const { sizeBytes } = completed;
        await account(tx, { files: 1, bytes: sizeBytes, reservedBytes: -sizeBytes });
        return true;
      }),

    release: (key, path) =>
      decide(async (tx) => {
        const released = tx.selectFrom("stagedFiles").selectAll().where("key", "=", key).where("path", "=", path);
        const rows = await released.execute();
        await drop(tx, rows);
        return rows.length > 0;
      }),

    async get(key) {
      const row = await db.selectFrom("stagedFiles").selectAll().where("key", "=", key).executeTakeFirst();
      return row && fileOf(row);
    },

    async touch(keys, now) {
      if (keys.length === 0) return new Set();
      const touched = await db
        .updateTable("stagedFiles")
        .set({ lastUsedAt: now })
        .where("key", "in", keys)
        .where("state", "=", "present")
        .returning("key")
        .execute();
      return new Set(touched.map(({ key }) => key));
    },

    async known(paths) {
      if (paths.length === 0) return new Set();
      const rows = await db.selectFrom("stagedFiles").select("path").where("path", "in", paths).execute();
      return new Set(rows.map(({ path }) => path));
    },

    usage: () => db.selectFrom("stagingUsage").select(["files", "bytes", "reservedBytes"]).executeTakeFirstOrThrow(),
  };
}

/** Files that make room, least recently used first. The holder of a file is looked up by the key in its entry. */
async function* droppable(tx: Transaction<Tables>, protectedSince: number): AsyncGenerator<Row> {
  for (let offset = 0; ; offset += CANDIDATES) {
    const page = await tx
      .selectFrom("stagedFiles")
      .selectAll()
      .where("state", "=", "present")
      .where("lastUsedAt", "<", protectedSince)
      .where((row) =>
        row.not(
          row.exists(
            row
              .selectFrom("cartEntries")
              .innerJoin("carts", "carts.number", "cartEntries.cart")
              .select("carts.number")
              .where("location", "=", "staged")
              .whereRef("locatedAt", "=", "stagedFiles.key")
              .where("status", "=", "staging")
              .where("removed", "=", 0),
          ),
        ),
      )
      .orderBy("lastUsedAt")
      .orderBy("key")
      .limit(CANDIDATES)
      .offset(offset)
      .execute();
    yield* page;
    if (page.length < CANDIDATES) return;
  }
}

async function drop(tx: Transaction<Tables>, rows: readonly Row[]): Promise<void> {
  if (rows.length === 0) return;
  for (let at = 0; at < rows.length; at += CANDIDATES) {
    const keys = rows.slice(at, at + CANDIDATES).map(({ key }) => key);
    await tx.deleteFrom("stagedFiles").where("key", "in", keys).execute();
  }
  const present = rows.filter(({ state }) => state === "present");
  const bytes = bytesOf(present);
  await account(tx, { files: -present.length, bytes: -bytes, reservedBytes: bytes - bytesOf(rows) });
}

async function account(tx: Transaction<Tables>, change: Partial<StagingUsage>): Promise<void> {
  const { files = 0, bytes = 0, reservedBytes = 0 } = change;
  await tx
    .updateTable("stagingUsage")
    .set((row) => ({
      files: row("files", "+", files),
      bytes: row("bytes", "+", bytes),
      reservedBytes: row("reservedBytes", "+", reservedBytes),
    }))
    .execute();
}

const bytesOf = (rows: readonly Row[]) => rows.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);

function fileOf({ digests, ...row }: Row): StagedFile {
  return { ...row, digests: fromJson(digests) };
}
