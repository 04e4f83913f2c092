import type { CrawlBatch, CrawledFamily, CrawledFile } from "../crawl.ts";
import { familiesOf, splitFamily } from "../grouping/families.ts";
import type { Family, Group, Grouper } from "../grouping/groups.ts";
import { nameOf } from "../names.ts";
import type { SourceEntry } from "../source.ts";

/**
 * Files of a batch, unless one family has more. What describes files goes on from the end of a batch: this is how much it
 * does again at most, and how often its counts move.
 */
const BATCH_FILES = 500;
/** Families that are larger are split where their groups allow it: what travels together is fetched at once. */
const FAMILY_BYTES = 4 * 1024 ** 3;

export type BatchContent = Pick<CrawlBatch, "files" | "families">;

/** Batches of files each of which is a family by itself. */
export function batchesOfSingles(files: readonly SourceEntry[]): readonly BatchContent[] {
  return chunksOf(files, BATCH_FILES).map((chunk) => ({ files: chunk.map(crawledFile), families: null }));
}

/**
 * Groups the files of a whole folder, and cuts between families. What shares files is never in two batches, so each file is
 * in one: a batch is as large as its largest family at least.
 */
export async function batchesByFamily(
  files: readonly SourceEntry[],
  grouper: Grouper,
): Promise<readonly BatchContent[]> {
  const groups = await grouper(files);
  const sizes = files.map(({ sizeBytes }) => sizeBytes);
  const whole = familiesOf(groups, sizes);
  const families = whole.flatMap((family) => splitFamily(family, groups, sizes, FAMILY_BYTES));
  // Parts of a family that was split may share files still.
  const inseparable =
    families.length === whole.length
      ? families.map(({ files: shared }, at) => ({ groups: [at], files: shared }))
      : familiesOf(
          families.map((family) => ({ files: family.files, kind: "" })),
          sizes,
        );
  const batches: BatchContent[] = [];
  const places = new Uint32Array(files.length);
  let waiting: Family[] = [];
  let fileCount = 0;
  const cut = () => {
    if (waiting.length > 0) batches.push(batchOf(waiting, groups, files, places));
    waiting = [];
    fileCount = 0;
  };
  for (const { groups: members, files: shared } of inseparable) {
    if (fileCount + shared.length > BATCH_FILES) cut();
    for (const member of members) waiting.push(families[member] ?? { groups: [], files: [], sizeBytes: 0 });
    fileCount += shared.length;
  }
  cut();
  return batches;
}

/** @param places where each of the folder's files is in its batch, counted from 1; 0 of those that are in none yet. */
function batchOf(
  families: readonly Family[],
  groups: readonly Group[],
  files: readonly SourceEntry[],
  places: Uint32Array,
): BatchContent {
  const crawled: CrawledFile[] = [];
  for (const family of families) {
    for (const at of family.files) {
      const file = files[at];
      if (file && places[at] === 0) places[at] = crawled.push(crawledFile(file));
    }
  }
  const told = families.map(
    (family): CrawledFamily => ({
      groups: family.groups.map((at) => {
        const { files: members, ...group } = groups[at] ?? { files: [], kind: "" };
        return { ...group, files: members.map((file) => (places[file] ?? 1) - 1) };
      }),
    }),
  );
  return { files: crawled, families: told.every(isSingle) ? null : told };
}

/** Places are given in the order of families: the n-th of singles has the n-th file. */
function isSingle({ groups }: CrawledFamily): boolean {
  const [group, more] = groups;
  return more === undefined && group?.files.length === 1 && group.kind === "file" && group.details === undefined;
}

function crawledFile({ path, sizeBytes, modifiedAt, mode }: SourceEntry): CrawledFile {
  return { name: nameOf(path), sizeBytes, modifiedAt, mode };
}

/** At least one, if there is anything. */
export function chunksOf<T>(items: readonly T[], size: number): readonly (readonly T[])[] {
  if (items.length === 0) return [];
  if (items.length <= size) return [items];
  return Array.from({ length: Math.ceil(items.length / size) }, (_, at) => items.slice(at * size, (at + 1) * size));
}
