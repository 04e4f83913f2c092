import type { Kysely, Transaction } from "kysely";
import type { CrawlStore, FolderOf } from "../../core/crawl/crawl-store.ts";
import { folderColumns, folderOf, NO, YES } from "./crawl-rows.ts";
import { insertRows } from "./insert-rows.ts";
import type { Tables } from "./tables.ts";

const ROWS_PER_STATEMENT = 500;
/** Folders of the previous crawl that are looked at with one statement: what SQLite holds the event loop for is then about 10 ms. */
const COMPARED_AT_ONCE = 2_000;

/** A folder that is to be entered: as one that has been listed, or is to be. */
export type EnteredFolder = FolderOf & { readonly listed: number };

/** Each folder once: listed if it is among those that have been. */
export function mergedFolders(known: readonly FolderOf[], listed: readonly FolderOf[]): readonly EnteredFolder[] {
  const folders = new Map<string, EnteredFolder>();
  for (const { endpoint, folder } of known) folders.set(`${endpoint}/${folder}`, { endpoint, folder, listed: 0 });
  for (const { endpoint, folder } of listed) folders.set(`${endpoint}/${folder}`, { endpoint, folder, listed: 1 });
  return [...folders.values()];
}

/** @param crawl whose `lastFolder` counts these already. */
export async function enterFolders(
  tx: Transaction<Tables>,
  crawl: { readonly number: number; readonly lastFolder: number },
  folders: readonly EnteredFolder[],
): Promise<void> {
  const before = crawl.lastFolder - folders.length;
  for (let at = 0; at < folders.length; at += ROWS_PER_STATEMENT) {
    const rows = folders.slice(at, at + ROWS_PER_STATEMENT).map(({ endpoint, folder, listed }, index) => ({
      crawl: crawl.number,
      endpoint,
      ...folderColumns(folder),
      number: before + at + index + 1,
      listed,
    }));
    await insertRows(tx, "crawlFolders", rows)
      .onConflict((conflict) =>
        conflict
          .columns(["crawl", "endpoint", "folder"])
          .doUpdateSet({ listed: YES })
          .where("excluded.listed", "=", YES),
      )
      .execute();
  }
}

/** Which folders of a crawl are known, and which are still to be listed. */
export function crawlFolders(db: Kysely<Tables>): Pick<CrawlStore, "unlisted" | "goneFolders"> {
  return {
    async unlisted(id, limit, after = 0) {
      const rows = await db
        .selectFrom("crawlFolders")
        .innerJoin("crawls", "crawls.number", "crawlFolders.crawl")
        .select(["endpoint", "folder", "longFolder", "crawlFolders.number"])
        .where("crawls.id", "=", id)
        .where("crawls.removed", "=", NO)
        .where("listed", "=", NO)
        .where("crawlFolders.number", ">", after)
        .orderBy("crawlFolders.number")
        .limit(limit)
        .execute();
      return rows.map(({ endpoint, number, ...columns }) => ({ endpoint, folder: folderOf(columns), number }));
    },

    async *goneFolders(id, previous) {
      const numbers = await db
        .selectFrom("crawls")
        .select(["id", "number"])
        .where("id", "in", [id, previous])
        .where("removed", "=", NO)
        .execute();
      const [now, then] = [id, previous].map((wanted) => numbers.find((crawl) => crawl.id === wanted)?.number);
      if (now === undefined || then === undefined) return;
      for (let last = { endpoint: -1, folder: "" }, isLast = false; !isLast; ) {
        const rows = await db
          .selectFrom("crawlFolders as old")
          .leftJoin("crawlFolders as own", (join) =>
            join
              .on("own.crawl", "=", now)
              .onRef("own.endpoint", "=", "old.endpoint")
              .onRef("own.folder", "=", "old.folder"),
          )
          .select(["old.endpoint", "old.folder", "old.longFolder", "old.listed", "own.number"])
          .where("old.crawl", "=", then)
          .where((row) => row(row.refTuple("old.endpoint", "old.folder"), ">", row.tuple(last.endpoint, last.folder)))
          .orderBy("old.endpoint")
          .orderBy("old.folder")
          .limit(COMPARED_AT_ONCE)
          .execute();
        for (const { endpoint, listed, number, ...columns } of rows)
          if (listed === 1 && number === null) yield { endpoint, folder: folderOf(columns) };
        last = rows.at(-1) ?? last;
        isLast = rows.length < COMPARED_AT_ONCE;
      }
    },
  };
}
