import { AppError } from "../errors.ts";
import { type Crawl, type CrawlBatch, FINISHED_CRAWLS } from "./crawl.ts";
import type { CrawlStore, FeedPosition } from "./crawl-store.ts";
import type { FeedItem, FeedPage } from "./crawls.ts";
import { identityOf } from "./identities.ts";

/** Batches that are read at once, when those before were small. */
const MOST_BATCHES = 32;

export const FEED_START: FeedPosition = { seq: 0, files: 0 };

/** A page, and the position behind it. */
export interface FeedPart extends FeedPage {
  readonly position: FeedPosition;
}

/**
 * The next items of a crawl: of each batch its files, then, when asked for, the names that are gone.
 * @param crawl read before: it says whether more is to come.
 */
export async function feedFrom(
  store: Pick<CrawlStore, "batches">,
  crawl: Crawl,
  from: FeedPosition,
  limit: number,
  withGone: boolean,
): Promise<FeedPart> {
  const items: FeedItem[] = [];
  let position = from;
  let isEnd = false;
  for (let atOnce = 1; items.length < limit && !isEnd; atOnce = Math.min(MOST_BATCHES, 2 * atOnce)) {
    const batches = await store.batches(crawl.id, Math.max(0, position.seq - 1), atOnce);
    for (const batch of batches) {
      const begun = batch.seq === position.seq ? position.files : 0;
      const wanted = itemsOf(crawl, batch, begun, limit - items.length, withGone);
      items.push(...wanted.items);
      position = wanted.isLast ? { seq: batch.seq + 1, files: 0 } : { seq: batch.seq, files: wanted.until };
      if (!wanted.isLast) break;
    }
    isEnd = batches.length < atOnce && items.length < limit;
  }
  // A full page does not show whether there is more behind it.
  const isRead = isEnd || (await store.batches(crawl.id, Math.max(0, position.seq - 1), 1)).length === 0;
  const isDrained = isRead && FINISHED_CRAWLS.includes(crawl.status);
  return { items, position, cursor: `${position.seq}.${position.files}`, isDrained };
}

function itemsOf(crawl: Crawl, batch: CrawlBatch, begun: number, limit: number, withGone: boolean) {
  const { files, gone } = batch;
  const all = files.length + (withGone ? gone.length : 0);
  const until = Math.min(all, begun + limit);
  const families = familyPlaces(batch);
  const marks = changeMarks(batch);
  const prefix = batch.folder === "" ? "" : `${batch.folder}/`;
  const common = { endpoint: batch.endpoint, crawledAt: crawl.startedAt ?? crawl.createdAt };
  const items: FeedItem[] = [];
  for (let at = begun; at < until; at++) {
    const file = files[at];
    if (file) {
      const { name, ...facts } = file;
      const ids = {
        file: identityOf(crawl.id, batch.seq, "file", at),
        family: identityOf(crawl.id, batch.seq, "family", families?.get(at) ?? at),
      };
      items.push({ ...ids, ...common, path: prefix + name, ...facts, change: marks?.get(at) ?? (marks && "same") });
    } else {
      const path = prefix + (gone[at - files.length] ?? "");
      const nothing = { file: null, family: null, sizeBytes: null, modifiedAt: null, mode: null };
      items.push({ ...nothing, ...common, path, change: "gone" });
    }
  }
  return { items, until, isLast: until >= all };
}

/** The first family of each file, by its place; `null` when each file has its own. */
function familyPlaces({ families }: CrawlBatch): ReadonlyMap<number, number> | null {
  if (!families) return null;
  const places = new Map<number, number>();
  for (const [place, { groups }] of families.entries())
    for (const { files } of groups) for (const file of files) if (!places.has(file)) places.set(file, place);
  return places;
}

function changeMarks({ changes }: CrawlBatch): ReadonlyMap<number, "new" | "changed"> | null {
  if (!changes) return null;
  const changed = changes.changed.map((file) => [file, "changed"] as const);
  return new Map([...changes.new.map((file) => [file, "new"] as const), ...changed]);
}

/** @throws AppError request_invalid. */
export function positionAt(cursor: string | undefined): FeedPosition {
  if (cursor === undefined) return FEED_START;
  const [, seq, files] = /^(\d{1,15})\.(\d{1,15})$/.exec(cursor) ?? [];
  if (seq === undefined) throw new AppError("request_invalid", { cursor, expected: "a cursor from an earlier page" });
  return { seq: Number(seq), files: Number(files) };
}
