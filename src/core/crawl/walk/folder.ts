import type { Problem } from "../../errors.ts";
import { type CrawlBatch, type CrawlCounts, type CrawledFile, NO_COUNTS } from "../crawl.ts";
import type { EndpointProblem, FolderOf, Found } from "../crawl-store.ts";
import type { Grouper } from "../grouping/groups.ts";
import { nameOf } from "../names.ts";
import type { Listing, SourceEntry } from "../source.ts";
import { type BatchContent, batchesByFamily, batchesOfSingles, chunksOf } from "./batches.ts";

/** Gone names of one batch. */
const GONE_AT_ONCE = 4_000;
/** Problems of one folder that wait for its end. */
const PROBLEMS_HELD = 10_000;

/** What is known of a folder from earlier. */
export interface FolderHistory {
  /** Files that the previous crawl found in it, by name; emptied meanwhile. `null` without one. */
  readonly previous: Map<string, CrawledFile> | null;
  /** Names that this crawl has kept already, before it was interrupted in the middle of the folder. */
  readonly kept: ReadonlySet<string> | null;
}

/** One folder, as its listing comes in. */
export interface FolderWalk {
  /** @returns what is to be kept of this part, all or nothing. */
  take(part: Listing): Promise<Found>;
}

/**
 * Files are given out part by part when each is a family by itself, else when the folder is complete. Everything else that
 * is counted is told with the folder's end, so that it counts once, however often the folder is begun; problems only as far
 * as memory goes: of more than ten thousand in one folder, some may be told twice after an interruption.
 * @param grouper `null` when each file is a family by itself.
 */
export function folderWalk(
  at: FolderOf,
  grouper: Grouper | null,
  { previous, kept }: FolderHistory = { previous: null, kept: null },
): FolderWalk {
  let waiting: SourceEntry[] = [];
  let problems: EndpointProblem[] = [];
  let others = 0;
  /** Part of it could not be listed: then nothing can be said of what is missing. */
  let isUnreadable = false;

  /** A file is compared once. */
  function compared({ files, families }: BatchContent): Omit<CrawlBatch, "seq"> {
    const content = { ...at, files, families, gone: [] };
    if (!previous) return { ...content, changes: null };
    const changes = { new: [] as number[], changed: [] as number[] };
    for (const [index, { name, sizeBytes, modifiedAt }] of files.entries()) {
      const before = previous.get(name);
      if (!before) changes.new.push(index);
      else if (before.sizeBytes !== sizeBytes || before.modifiedAt !== modifiedAt) changes.changed.push(index);
      previous.delete(name);
    }
    return { ...content, changes };
  }

  function goneBatches(): readonly Omit<CrawlBatch, "seq">[] {
    return previous && !isUnreadable ? goneIn(at, [...previous.keys()]) : [];
  }

  return {
    async take({ folder, entries, problems: met, isLast }) {
      const files: SourceEntry[] = [];
      const folders: FolderOf[] = [];
      for (const entry of entries) {
        if (entry.kind === "folder") folders.push({ endpoint: at.endpoint, folder: entry.path });
        else if (entry.kind !== "file") others++;
        else if (kept?.has(nameOf(entry.path))) previous?.delete(nameOf(entry.path));
        else files.push(entry);
      }
      for (const one of met) {
        problems.push({ ...storable(one), endpoint: at.endpoint });
        if (one.path === undefined || one.path === folder) isUnreadable = true;
        // What cannot be read is there still, for all we know.
        else previous?.delete(nameOf(one.path));
      }

      let complete = files;
      if (grouper) {
        waiting = waiting.length === 0 ? files : waiting.concat(files);
        complete = isLast ? waiting : [];
      }
      const contents = grouper ? await batchesByFamily(complete, grouper) : batchesOfSingles(complete);
      const found = contents.map(compared);
      const gone = isLast ? goneBatches() : [];
      const told = isLast || problems.length > PROBLEMS_HELD ? problems : [];
      if (told.length > 0) problems = [];
      const changes = previous ? changesIn(found, gone) : null;
      const counts = {
        ...countsOf(found),
        directories: isLast ? 1 : 0,
        others: isLast ? others : 0,
        errors: told.length,
      };
      return { batches: [...found, ...gone], folders, listed: isLast ? [at] : [], problems: told, counts, changes };
    },
  };
}

/** Batches that say that these names of a folder are gone. */
export function goneIn(at: FolderOf, names: readonly string[]): readonly Omit<CrawlBatch, "seq">[] {
  const none = { files: [], families: null, changes: { new: [], changed: [] } };
  return chunksOf(names, GONE_AT_ONCE).map((gone) => ({ ...at, ...none, gone }));
}

/** Names are what stores say, and may have NUL, which PostgreSQL's text cannot hold. */
function storable({ message, path, ...one }: Problem): Problem {
  const shown = (text: string) => text.replaceAll("\0", "\uFFFD");
  return { ...one, message: shown(message), ...(path === undefined ? {} : { path: shown(path) }) };
}

function countsOf(batches: readonly BatchContent[]): CrawlCounts {
  let [files, bytes, groups, families] = [0, 0, 0, 0];
  for (const batch of batches) {
    files += batch.files.length;
    for (const { sizeBytes } of batch.files) bytes += sizeBytes;
    families += batch.families?.length ?? batch.files.length;
    groups += batch.families?.reduce((sum, family) => sum + family.groups.length, 0) ?? batch.files.length;
  }
  return { ...NO_COUNTS, files, bytes, groups, families };
}

function changesIn(found: readonly Omit<CrawlBatch, "seq">[], gone: readonly Omit<CrawlBatch, "seq">[]) {
  const sum = (batches: readonly Omit<CrawlBatch, "seq">[], count: (batch: Omit<CrawlBatch, "seq">) => number) =>
    batches.reduce((total, batch) => total + count(batch), 0);
  const isNew = sum(found, ({ changes }) => changes?.new.length ?? 0);
  const changed = sum(found, ({ changes }) => changes?.changed.length ?? 0);
  return {
    new: isNew,
    changed,
    same: sum(found, ({ files }) => files.length) - isNew - changed,
    gone: sum(gone, (batch) => batch.gone.length),
  };
}
