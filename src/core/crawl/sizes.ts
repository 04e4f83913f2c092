import type { CrawlBatch } from "./crawl.ts";

/** Files, and their bytes together. */
export interface Sum {
  readonly files: number;
  readonly bytes: number;
}

/** What lies in a folder of an endpoint, with all that is below it. */
export interface FolderSum extends Sum {
  readonly endpoint: number;
  readonly folder: string;
}

/** In lower case and without its dot; empty for names without one. */
export interface TypeSum extends Sum {
  readonly ending: string;
}

/** A folder with the largest of those in it, and the largest types of the whole crawl. */
export interface CrawlSizes extends Sum {
  readonly folders: readonly FolderSum[];
  readonly types: readonly TypeSum[];
}

/** Deeper folders are counted as part of the one that is so deep: a path of thousands of names is thousands of sums. */
const MAX_DEPTH = 32;
/** What looks like a number is one of a sequence and no type, so that a million of them are not a million types. */
const ENDING = /[^/]\.(?=[\p{L}\p{N}_-]*\p{L})([\p{L}\p{N}_-]{1,16})$/u;

/** Of each folder with files, and of all above it: how much these batches add to it. */
export function folderSums(
  batches: readonly Pick<CrawlBatch, "endpoint" | "folder" | "files">[],
): readonly FolderSum[] {
  const sums = new Map<string, FolderSum>();
  for (const { endpoint, folder, files } of batches) {
    if (files.length === 0) continue;
    const bytes = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    for (const above of withParents(folder.toWellFormed())) {
      const key = `${endpoint}/${above}`;
      const known = sums.get(key);
      sums.set(key, {
        endpoint,
        folder: above,
        files: (known?.files ?? 0) + files.length,
        bytes: (known?.bytes ?? 0) + bytes,
      });
    }
  }
  return [...sums.values()];
}

export function typeSums(batches: readonly Pick<CrawlBatch, "files">[]): readonly TypeSum[] {
  const sums = new Map<string, TypeSum>();
  for (const { files } of batches)
    for (const { name, sizeBytes } of files) {
      const ending = endingOf(name);
      const known = sums.get(ending);
      sums.set(ending, { ending, files: (known?.files ?? 0) + 1, bytes: (known?.bytes ?? 0) + sizeBytes });
    }
  return [...sums.values()];
}

export function endingOf(name: string): string {
  return ENDING.exec(name)?.[1]?.toLowerCase() ?? "";
}

/** `undefined` of an endpoint's own folder. */
export function parentOf(folder: string): string | undefined {
  return folder === "" ? undefined : folder.slice(0, Math.max(0, folder.lastIndexOf("/")));
}

function* withParents(folder: string): Generator<string> {
  yield "";
  for (let end = folder === "" ? -1 : folder.indexOf("/"), depth = 1; depth <= MAX_DEPTH && folder !== ""; depth += 1) {
    yield end < 0 ? folder : folder.slice(0, end);
    if (end < 0) return;
    end = folder.indexOf("/", end + 1);
  }
}
