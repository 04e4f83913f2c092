import type { Archive } from "../archive/archive.ts";
import { objectPath } from "../archive/ocfl.ts";
import { catalogueDifferences, isUnderWay, missingObject } from "../archive/verify-catalogue.ts";
import { type ContentReader, unreadable } from "../archive/verify-content.ts";
import { checkContent, openObject } from "../archive/verify-object.ts";
import { objectFolder } from "../archive/verify-walk.ts";
import type { ArchivedFile, CatalogueStore } from "../catalogue/catalogue-store.ts";
import type { Problem } from "../errors.ts";
import type { TransactionId } from "../ids.ts";
import type { JobStore } from "../jobs/job-store.ts";
import type { CheckProgress } from "./fixity-store.ts";

/** Problems that are kept one by one; all of them are counted. */
export const KEPT_PROBLEMS = 100;
export const NOTHING_CHECKED: CheckProgress = { reached: 0, files: 0, bytes: 0, problemCount: 0, problems: [] };

export interface CheckParts {
  readonly archive: Archive;
  readonly catalogue: CatalogueStore;
  readonly jobs: Pick<JobStore, "get">;
}

export interface Slice {
  /** What earlier slices of this check have done. */
  readonly from: CheckProgress;
  /** Whether there is no room for another file, when so many bytes of payload were read in this slice. */
  isSpent(bytes: number): boolean;
}

export interface SliceResult {
  readonly progress: CheckProgress;
  /** Whether this was the last slice. */
  readonly isOver: boolean;
}

/**
 * Checks as much of a transaction's object as one slice has room for, and at least one file: everything about it but
 * content in each slice, and the content of each file in one of them. A file that has begun is read to its end.
 */
export async function checkSlice(
  { archive, catalogue, jobs }: CheckParts,
  read: ContentReader,
  id: TransactionId,
  { from, isSpent }: Slice,
): Promise<SliceResult> {
  const found = problemList(from);
  let { reached } = from;
  let files = 0;
  let bytes = 0;
  let isOver = true;

  function reads(file: ArchivedFile | undefined): boolean {
    if (!file) return isOver; // what is not payload is little, and comes last
    if (file.id <= from.reached) return false;
    if (isOver && files > 0 && isSpent(bytes)) isOver = false;
    if (!isOver) return false;
    files++;
    bytes += file.sizeBytes;
    reached = file.id;
    return true;
  }

  const folder = await objectFolder(archive.storage, objectPath(id));
  if (folder.files.size === 0) found.add(missingObject(id));
  const object = folder.files.size > 0 ? await openObject(read, folder, found.add) : undefined;
  if (object) {
    const { documented } = await checkContent(archive.storage, read, object, reads, found.add);
    if (isOver && documented && object.transactionId === id && !(await isUnderWay(jobs, id)))
      try {
        const transaction = await archive.read(id);
        if (transaction) for await (const one of catalogueDifferences(catalogue, transaction)) found.add(one);
      } catch (error) {
        found.add(unreadable(folder.path, error));
      }
  }
  return { progress: { reached, files: from.files + files, bytes: from.bytes + bytes, ...found.list() }, isOver };
}

/** Each problem once: what is wrong with an object as a whole shows in every slice. */
function problemList({ problems, problemCount }: CheckProgress) {
  const keyOf = ({ code, path, expected, found }: Problem) => JSON.stringify([code, path, expected, found]);
  const known = new Set(problems.map(keyOf));
  const kept = [...problems];
  let count = problemCount;
  return {
    add(one: Problem): void {
      const key = keyOf(one);
      if (known.has(key)) return;
      known.add(key);
      count++;
      if (kept.length < KEPT_PROBLEMS) kept.push(one);
    },
    list: (): Pick<CheckProgress, "problems" | "problemCount"> => ({ problems: kept, problemCount: count }),
  };
}
