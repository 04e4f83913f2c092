import type { Kysely, Transaction } from "kysely";
import type { CrawlStore, Found } from "../../core/crawl/crawl-store.ts";
import { folderSums, parentOf, typeSums } from "../../core/crawl/sizes.ts";
import { folderColumns, folderOf, NO } from "./crawl-rows.ts";
import { insertRows } from "./insert-rows.ts";
import type { Tables } from "./tables.ts";

const ROWS_PER_STATEMENT = 500;

/** Adds up folders and types as they are found, so that a page of a crawl of millions reads some rows of each. */
export async function enterSizes(tx: Transaction<Tables>, crawl: number, batches: Found["batches"]): Promise<void> {
  const folders = folderSums(batches).map(({ endpoint, folder, files, bytes }) => {
    const parent = parentOf(folder);
    const above = parent === undefined ? null : folderColumns(parent).folder;
    return { crawl, endpoint, ...folderColumns(folder), parent: above, files, bytes };
  });
  for (let at = 0; at < folders.length; at += ROWS_PER_STATEMENT)
    await insertRows(tx, "crawlSizes", folders.slice(at, at + ROWS_PER_STATEMENT))
      .onConflict((conflict) =>
        conflict.columns(["crawl", "endpoint", "folder"]).doUpdateSet(({ ref, eb }) => ({
          files: eb(ref("crawlSizes.files"), "+", ref("excluded.files")),
          bytes: eb(ref("crawlSizes.bytes"), "+", ref("excluded.bytes")),
        })),
      )
      .execute();
  const types = typeSums(batches).map((sum) => ({ crawl, ...sum }));
  for (let at = 0; at < types.length; at += ROWS_PER_STATEMENT)
    await insertRows(tx, "crawlTypes", types.slice(at, at + ROWS_PER_STATEMENT))
      .onConflict((conflict) =>
        conflict.columns(["crawl", "ending"]).doUpdateSet(({ ref, eb }) => ({
          files: eb(ref("crawlTypes.files"), "+", ref("excluded.files")),
          bytes: eb(ref("crawlTypes.bytes"), "+", ref("excluded.bytes")),
        })),
      )
      .execute();
}

export function crawlSizes(db: Kysely<Tables>): Pick<CrawlStore, "sizes"> {
  return {
    async sizes(id, { endpoint, folder }, limit) {
      const crawl = await db
        .selectFrom("crawls")
        .select("number")
        .where("id", "=", id)
        .where("removed", "=", NO)
        .executeTakeFirst();
      if (!crawl) return undefined;
      const key = folderColumns(folder).folder;
      const ofEndpoint = db.selectFrom("crawlSizes").where("crawl", "=", crawl.number).where("endpoint", "=", endpoint);
      const whole = await ofEndpoint.select(["files", "bytes"]).where("folder", "=", key).executeTakeFirst();
      if (!whole) return undefined;
      const folders = await ofEndpoint
        .select(["folder", "longFolder", "files", "bytes"])
        .where("parent", "=", key)
        .orderBy("bytes", "desc")
        .limit(limit)
        .execute();
      const types = await db
        .selectFrom("crawlTypes")
        .select(["ending", "files", "bytes"])
        .where("crawl", "=", crawl.number)
        .orderBy("bytes", "desc")
        .limit(limit)
        .execute();
      return {
        ...whole,
        folders: folders.map(({ files, bytes, ...columns }) => ({ endpoint, folder: folderOf(columns), files, bytes })),
        types,
      };
    },
  };
}
