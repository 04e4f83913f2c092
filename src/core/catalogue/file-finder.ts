import type { FileId, TransactionId } from "../ids.ts";
import type { ArchivedFile, CatalogueStore } from "./catalogue-store.ts";

const PAGE = 2_000;

/** Files of one transaction by their paths. */
export interface FileFinder {
  /** Those that are there, by path. */
  find(paths: ReadonlySet<string>): Promise<ReadonlyMap<string, ArchivedFile>>;
}

/**
 * The catalogue knows files by id and has no index of paths. But files that lie in one folder mostly follow each other, and
 * are mostly asked for together: each search goes on where the one before ended, once around at most. So asking for all
 * files of a transaction, folder by folder, reads it about twice.
 */
export function fileFinder(catalogue: Pick<CatalogueStore, "listFiles">, transaction: TransactionId): FileFinder {
  let at: FileId | undefined;

  return {
    async find(paths) {
      const found = new Map<string, ArchivedFile>();
      const begin = at;
      let isAround = false;
      while (found.size < paths.size) {
        const page = await catalogue.listFiles(transaction, {
          limit: PAGE,
          ...(at === undefined ? {} : { afterId: at }),
        });
        for (const file of page) {
          if (isAround && begin !== undefined && file.id > begin) return found;
          if (paths.has(file.path)) found.set(file.path, file);
          at = file.id;
          if (found.size === paths.size) return found;
        }
        if (page.length === PAGE) continue;
        if (isAround || begin === undefined) break;
        at = undefined;
        isAround = true;
      }
      return found;
    },
  };
}
