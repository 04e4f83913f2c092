import type { CrawlId } from "../../ids.ts";
import type { CrawledFile } from "../crawl.ts";
import type { CrawlStore } from "../crawl-store.ts";

/** Folders that are read with one query, and batches of theirs: 64,000 files at most are held until their turn comes. */
const FOLDERS_AT_ONCE = 64;
const BATCHES_AT_ONCE = 128;

/** What a crawl found in the folders of one endpoint. */
export interface EarlierFiles {
  /** Tells that a folder's turn will come after those told before: it is read with them. */
  expect(folder: string): void;
  /** By name, for the caller to keep. Asked once for each folder. */
  of(folder: string): Promise<Map<string, CrawledFile>>;
}

/**
 * Reads many folders with one query: most have few files, and a query for each would take as long as everything else that is
 * done for them. Memory: folders that are expected, and some ten thousand files.
 */
export function earlierFiles(
  store: Pick<CrawlStore, "batchesOf" | "firstBatchesOf">,
  crawl: CrawlId,
  endpoint: number,
): EarlierFiles {
  const expected = new Set<string>();
  const read = new Map<string, Map<string, CrawledFile>>();

  async function readAhead(folder: string): Promise<void> {
    const folders = [folder, ...expected.keys().take(FOLDERS_AT_ONCE - 1)];
    const batches = await store.firstBatchesOf(crawl, endpoint, folders, BATCHES_AT_ONCE);
    const found = Map.groupBy(batches, (batch) => batch.folder);
    const isAll = batches.length < BATCHES_AT_ONCE;
    const last = batches.at(-1)?.folder;
    for (const one of folders) {
      const own = found.get(one);
      if (!isAll && (own === undefined || one === last)) continue;
      read.set(one, new Map((own ?? []).flatMap(({ files }) => files.map((file) => [file.name, file] as const))));
      expected.delete(one);
    }
  }

  async function readAlone(folder: string): Promise<Map<string, CrawledFile>> {
    const files = new Map<string, CrawledFile>();
    for await (const batch of store.batchesOf(crawl, { endpoint, folder }))
      for (const file of batch.files) files.set(file.name, file);
    return files;
  }

  return {
    expect(folder) {
      expected.add(folder);
    },
    async of(folder) {
      expected.delete(folder);
      if (!read.has(folder)) await readAhead(folder);
      const files = read.get(folder) ?? (await readAlone(folder));
      read.delete(folder);
      return files;
    },
  };
}
