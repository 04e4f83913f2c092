import type { Listing, Source } from "../../core/crawl/source.ts";
import { mapInOrder } from "../../core/streams.ts";
import { folderQueue } from "./folder-queue.ts";

export interface PagedWalkParts<Page> {
  readonly asked: Parameters<Source["walk"]>[0];
  readonly foldersAtOnce: number;
  /** Of a folder; asked for ahead, for some folders at once. */
  firstPage(folder: string, signal: AbortSignal): Promise<Page>;
  /** What the first page has, and then those that follow, each as it is wanted. */
  listings(folder: string, first: Page, signal: AbortSignal): AsyncIterable<Listing>;
}

/** A breadth-first walk of a store that answers page by page. */
export async function* pagedWalk<Page>(
  { asked: { folders, isDone, signal: wanted }, foldersAtOnce, firstPage, listings }: PagedWalkParts<Page>,
  closing: AbortSignal,
): AsyncGenerator<Listing> {
  const signal = AbortSignal.any([wanted, closing]);
  const queue = folderQueue(folders, isDone);
  for (let next = queue.take(foldersAtOnce); next.length > 0; next = queue.take(foldersAtOnce)) {
    signal.throwIfAborted();
    const firsts = mapInOrder(next, foldersAtOnce, async (folder) => ({
      folder,
      first: await firstPage(folder, signal),
    }));
    for await (const { folder, first } of firsts) {
      for await (const listing of listings(folder, first, signal)) {
        for (const { kind, path } of listing.entries) if (kind === "folder") queue.add(path);
        yield listing;
        signal.throwIfAborted();
      }
    }
  }
}
