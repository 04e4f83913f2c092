import { createHash } from "node:crypto";
import { type Selectable, sql } from "kysely";
import type { Crawl, CrawlBatch, CrawledFile } from "../../core/crawl/crawl.ts";
import { type CrawlBatchRow, type CrawlRow, type FileColumns, type FolderColumns, fromJson, toJson } from "./tables.ts";

/** Spelled out: an index of some rows is used only where the database sees the value, not a parameter. */
export const NO = sql.lit(0);
export const YES = sql.lit(1);

/** In UTF-16 units. Three bytes of UTF-8 each with a digest behind them fit into what an index of PostgreSQL takes. */
const LONGEST_INDEXED = 500;

/** Longer than any path that is indexed as it is, so that none can be taken for it. */
export function folderColumns(path: string): FolderColumns {
  if (path.length <= LONGEST_INDEXED) return { folder: path, longFolder: null };
  const digest = createHash("sha256").update(path).digest("hex");
  return { folder: `${path.slice(0, LONGEST_INDEXED).toWellFormed()}/${digest}`, longFolder: path };
}

export const folderOf = ({ folder, longFolder }: FolderColumns): string => longFolder ?? folder;

export function crawlOf(row: Selectable<CrawlRow>): Crawl {
  return {
    id: row.id,
    owner: row.owner,
    status: row.status,
    endpoints: fromJson(row.endpoints),
    counts: {
      directories: row.directories,
      files: row.files,
      bytes: row.bytes,
      groups: row.groups,
      families: row.families,
      others: row.others,
      errors: row.errors,
    },
    previous: row.previous,
    changes:
      row.previous === null
        ? null
        : { new: row.newFiles, changed: row.changedFiles, same: row.sameFiles, gone: row.goneFiles },
    job: row.job,
    error: row.error && fromJson(row.error),
    createdAt: row.createdAt,
    startedAt: row.startedAt,
    finishedAt: row.finishedAt,
  };
}

export function batchRow(crawl: number, seq: number, batch: Omit<CrawlBatch, "seq">): Omit<CrawlBatchRow, "number"> {
  return {
    crawl,
    seq,
    endpoint: batch.endpoint,
    ...folderColumns(batch.folder),
    files: toJson(columnsOf(batch.files)),
    families: batch.families && toJson(batch.families),
    changes: batch.changes && toJson(batch.changes),
    gone: toJson(batch.gone),
  };
}

export function batchOf(row: Selectable<CrawlBatchRow>): CrawlBatch {
  return {
    seq: row.seq,
    endpoint: row.endpoint,
    folder: folderOf(row),
    files: filesOf(fromJson(row.files)),
    families: row.families && fromJson(row.families),
    changes: row.changes && fromJson(row.changes),
    gone: fromJson(row.gone),
  };
}

function columnsOf(files: readonly CrawledFile[]): FileColumns {
  return {
    names: files.map(({ name }) => name),
    sizes: files.map(({ sizeBytes }) => sizeBytes),
    times: files.map(({ modifiedAt }) => modifiedAt),
    modes: files.map(({ mode }) => mode),
  };
}

function filesOf({ names, sizes, times, modes }: FileColumns): readonly CrawledFile[] {
  return names.map((name, at) => ({
    name,
    sizeBytes: sizes[at] ?? 0,
    modifiedAt: times[at] ?? null,
    mode: modes[at] ?? null,
  }));
}
