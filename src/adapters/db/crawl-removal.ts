import type { Kysely } from "kysely";
import type { SearchSubject } from "../../core/catalogue/search-changes.ts";
import { FINISHED_CRAWLS } from "../../core/crawl/crawl.ts";
import type { CrawlStore } from "../../core/crawl/crawl-store.ts";
import type { ExtractionId } from "../../core/ids.ts";
import { NO, YES } from "./crawl-rows.ts";
import type { DialectName } from "./migrate.ts";
import { noteChanges } from "./search-changes.ts";
import type { Tables } from "./tables.ts";

/** Records that search is told of with one change, so that it can take them out in one go. */
const RECORDS_PER_CHANGE = 1_000;
/** Rows that one sweep deletes. Batches and records may be of some hundred kilobytes each. */
const ROWS_PER_SWEEP = 2_000;
const LARGE_ROWS_PER_SWEEP = 200;

/** A crawl that was removed is there until it is swept, and no method sees it. */
export function crawlRemoval(db: Kysely<Tables>, dialect: DialectName): Pick<CrawlStore, "remove" | "sweep"> {
  const isPostgres = dialect === "postgres";
  return {
    remove: (id) =>
      db.transaction().execute(async (tx) => {
        const crawl = await tx
          .selectFrom("crawls")
          .select("number")
          .where("id", "=", id)
          .where("status", "in", FINISHED_CRAWLS)
          .where("removed", "=", NO)
          // Nobody begins an extraction of it before this has committed.
          .$if(isPostgres, (select) => select.forUpdate())
          .executeTakeFirst();
        if (!crawl) return false;
        const ofCrawl = tx.selectFrom("extractions").select("id").where("crawl", "=", id);
        const open = await ofCrawl.where("status", "in", ["waiting", "extracting"]).executeTakeFirst();
        if (open) return false;
        await tx.updateTable("crawls").set({ removed: 1 }).where("number", "=", crawl.number).execute();
        const extractions = await tx
          .updateTable("extractions")
          .set({ removed: 1 })
          .where("crawl", "=", id)
          .returning(["id", "lastNumber"])
          .execute();
        for (const extraction of extractions) await noteChanges(tx, recordsOf(extraction.id, extraction.lastNumber));
        return true;
      }),

    sweep: () =>
      db.transaction().execute(async (tx) => {
        const crawl = await tx
          .selectFrom("crawls")
          .select(["number", "id"])
          .where("removed", "=", YES)
          .orderBy("number")
          .limit(1)
          .$if(isPostgres, (select) => select.forUpdate().skipLocked())
          .executeTakeFirst();
        if (!crawl) return false;
        const extraction = await tx
          .selectFrom("extractions")
          .select("number")
          .where("crawl", "=", crawl.id)
          .orderBy("number")
          .limit(1)
          .executeTakeFirst();
        if (extraction) {
          if ((await deleteRecords(tx, extraction.number)) === 0n)
            await tx.deleteFrom("extractions").where("number", "=", extraction.number).execute();
        } else if (!(await deleteSome(tx, crawl.number)))
          await tx.deleteFrom("crawls").where("number", "=", crawl.number).execute();
        return true;
      }),
  };
}

function recordsOf(extraction: ExtractionId, count: number): readonly SearchSubject[] {
  const length = Math.ceil(count / RECORDS_PER_CHANGE);
  return Array.from({ length }, (_, index) => ({
    extraction,
    from: index * RECORDS_PER_CHANGE + 1,
    until: Math.min((index + 1) * RECORDS_PER_CHANGE, count),
  }));
}

async function deleteRecords(tx: Kysely<Tables>, extraction: number): Promise<bigint> {
  const { numDeletedRows } = await tx
    .deleteFrom("extractionRecords")
    .where("id", "in", (some) =>
      some
        .selectFrom("extractionRecords")
        .select("id")
        .where("extraction", "=", extraction)
        .limit(LARGE_ROWS_PER_SWEEP),
    )
    .executeTakeFirstOrThrow();
  return numDeletedRows;
}

/** @returns whether there were any. */
async function deleteSome(tx: Kysely<Tables>, crawl: number): Promise<boolean> {
  for (const [table, limit] of [
    ["crawlBatches", LARGE_ROWS_PER_SWEEP],
    ["crawlProblems", ROWS_PER_SWEEP],
  ] as const) {
    const { numDeletedRows } = await tx
      .deleteFrom(table)
      .where("number", "in", (some) => some.selectFrom(table).select("number").where("crawl", "=", crawl).limit(limit))
      .executeTakeFirstOrThrow();
    if (numDeletedRows > 0n) return true;
  }
  for (const table of ["crawlFolders", "crawlSizes"] as const) {
    const { numDeletedRows } = await tx
      .deleteFrom(table)
      .where("crawl", "=", crawl)
      .where((row) =>
        row(row.refTuple("endpoint", "folder"), "in", (some) =>
          some
            .selectFrom(table)
            .select(["endpoint", "folder"])
            .where("crawl", "=", crawl)
            .limit(ROWS_PER_SWEEP)
            .$asTuple("endpoint", "folder"),
        ),
      )
      .executeTakeFirstOrThrow();
    if (numDeletedRows > 0n) return true;
  }
  await tx.deleteFrom("crawlTypes").where("crawl", "=", crawl).execute();
  await tx.deleteFrom("crawlConsumers").where("crawl", "=", crawl).execute();
  return false;
}
