import type { Kysely } from "kysely";
import type { CrawlStore } from "../../core/crawl/crawl-store.ts";
import type { CrawlId } from "../../core/ids.ts";
import { batchOf, folderColumns, NO } from "./crawl-rows.ts";
import { fromJson, type Tables } from "./tables.ts";

/** Batches of one folder that are read at once: some ten thousand files. */
const BATCHES_PER_PAGE = 10;

type ReadingMethods = Pick<
  CrawlStore,
  "batches" | "batchesOf" | "firstBatchesOf" | "problems" | "position" | "advance"
>;

/** What a crawl has found, and how far others have read it. */
export function crawlReading(db: Kysely<Tables>): ReadingMethods {
  const numberOf = (id: CrawlId) =>
    db.selectFrom("crawls").select("number").where("id", "=", id).where("removed", "=", NO);

  return {
    async batches(id, afterSeq, limit) {
      const rows = await db
        .selectFrom("crawlBatches")
        .selectAll()
        .where("crawl", "=", numberOf(id))
        .where("seq", ">", afterSeq)
        .orderBy("seq")
        .limit(limit)
        .execute();
      return rows.map(batchOf);
    },

    async *batchesOf(id, { endpoint, folder }) {
      for (let last = 0, isLast = false; !isLast; ) {
        const rows = await db
          .selectFrom("crawlBatches")
          .selectAll()
          .where("crawl", "=", numberOf(id))
          .where("endpoint", "=", endpoint)
          .where("folder", "=", folderColumns(folder).folder)
          .where("seq", ">", last)
          .orderBy("seq")
          .limit(BATCHES_PER_PAGE)
          .execute();
        for (const row of rows) yield batchOf(row);
        last = rows.at(-1)?.seq ?? last;
        isLast = rows.length < BATCHES_PER_PAGE;
      }
    },

    async firstBatchesOf(id, endpoint, folders, limit) {
      const names = folders.map((path) => folderColumns(path).folder);
      const rows = await db
        .selectFrom("crawlBatches")
        .selectAll()
        .where("crawl", "=", numberOf(id))
        .where("endpoint", "=", endpoint)
        .where("folder", "in", names)
        .orderBy("folder")
        .orderBy("seq")
        .limit(limit)
        .execute();
      return rows.map(batchOf);
    },

    async problems(id, afterNumber, limit) {
      const rows = await db
        .selectFrom("crawlProblems")
        .select(["number", "endpoint", "problem"])
        .where("crawl", "=", numberOf(id))
        .where("number", ">", afterNumber)
        .orderBy("number")
        .limit(limit)
        .execute();
      return rows.map(({ problem, ...row }) => ({ ...fromJson(problem), ...row }));
    },

    async position(id, consumer) {
      const found = await db
        .selectFrom("crawlConsumers")
        .select(["seq", "files"])
        .where("crawl", "=", numberOf(id))
        .where("consumer", "=", consumer)
        .executeTakeFirst();
      return found ?? { seq: 0, files: 0 };
    },

    async advance(id, consumer, from, to, now) {
      const moved = { seq: to.seq, files: to.files, updatedAt: now };
      if (from.seq === 0 && from.files === 0) {
        const { numInsertedOrUpdatedRows } = await db
          .insertInto("crawlConsumers")
          .columns(["crawl", "consumer", "seq", "files", "updatedAt"])
          .expression((row) =>
            numberOf(id).select([
              row.val(consumer).as("consumer"),
              row.val(to.seq).as("seq"),
              row.val(to.files).as("files"),
              row.val(now).as("updatedAt"),
            ]),
          )
          .onConflict((conflict) =>
            conflict
              .columns(["crawl", "consumer"])
              .doUpdateSet(moved)
              .where("crawlConsumers.seq", "=", 0)
              .where("crawlConsumers.files", "=", 0),
          )
          .executeTakeFirstOrThrow();
        return (numInsertedOrUpdatedRows ?? 0n) > 0n;
      }
      const { numUpdatedRows } = await db
        .updateTable("crawlConsumers")
        .set(moved)
        .where("crawl", "=", numberOf(id))
        .where("consumer", "=", consumer)
        .where("seq", "=", from.seq)
        .where("files", "=", from.files)
        .executeTakeFirstOrThrow();
      return numUpdatedRows > 0n;
    },
  };
}
