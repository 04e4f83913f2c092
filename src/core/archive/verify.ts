import { text } from "node:stream/consumers";
import type { CatalogueStore } from "../catalogue/catalogue-store.ts";
import type { Clock } from "../clock.ts";
import { type Problem, problem } from "../errors.ts";
import { type TransactionId, transactionOf } from "../ids.ts";
import type { JobStore } from "../jobs/job-store.ts";
import { mapInOrder } from "../streams.ts";
import type { Archive } from "./archive.ts";
import type { StoredFile } from "./object-storage.ts";
import { isRootFileText, objectPath, rootFiles } from "./ocfl.ts";
import { catalogueDifferences, isUnderWay, missingObject, missingObjects } from "./verify-catalogue.ts";
import { type ContentReader, contentReader, unreadable } from "./verify-content.ts";
import { checkContent, openObject } from "./verify-object.ts";
import { isFolder, type ObjectFolder, objectFolder, walkArchive } from "./verify-walk.ts";

export interface VerifyParts {
  readonly archive: Archive;
  readonly catalogue: CatalogueStore;
  readonly jobs: Pick<JobStore, "get" | "list">;
  readonly clock: Clock;
}

export interface VerifyOptions {
  /** Only these; everything when left out. */
  readonly transactions?: readonly TransactionId[] | undefined;
  /** Structure, inventories, sizes and catalogue: no content is read. */
  readonly quick?: boolean | undefined;
  /** An earlier verification got this far: the `path` of the last object it checked. */
  readonly after?: string | undefined;
  /** Files read at a time, and objects as far as they are small. */
  readonly parallel?: number | undefined;
  readonly bytesPerSecond?: number | undefined;
  readonly signal: AbortSignal;
  /** Told of bytes as they are read. */
  onRead?(bytes: number): void;
}

/** One part of the archive that has been checked. */
export interface Checked {
  /** An object's folder, a stray file, or what belongs to no single object. */
  readonly kind: "object" | "stray" | "root" | "folders" | "catalogue" | "staging";
  /** Where it lies; `""` for the archive as a whole. */
  readonly path: string;
  /** Payload of an object. */
  readonly files: number;
  readonly bytes: number;
  readonly problems: readonly Problem[];
  /** Worth knowing, and nothing wrong with what is archived. */
  readonly notes: readonly Problem[];
}

/** What verifications found together. */
export interface VerifyTotals {
  readonly objects: number;
  readonly files: number;
  readonly bytes: number;
  readonly problems: number;
}

export const NOTHING_VERIFIED: VerifyTotals = { objects: 0, files: 0, bytes: 0, problems: 0 };

export function withChecked(totals: VerifyTotals, checked: Checked): VerifyTotals {
  return {
    objects: totals.objects + (checked.kind === "object" ? 1 : 0),
    files: totals.files + checked.files,
    bytes: totals.bytes + checked.bytes,
    problems: totals.problems + checked.problems.length,
  };
}

/** Where a later verification can begin once this part is done; `undefined` when the part is not on the walk. */
export function resumePoint({ kind, path }: Checked): string | undefined {
  return kind === "object" || kind === "stray" ? path : undefined;
}

const PARALLEL = 4;
/** An object of so many files takes the place of a small one more. */
const FILES_PER_PLACE = 5_000;

/**
 * Checks the whole archive, or single transactions, against everything that is known of it: layout, inventories,
 * digests, transaction documents, catalogue. Reports whatever it finds and goes on; only aborting, or a database that
 * does not answer, ends it early. May run beside a server that is taking deposits in.
 *
 * Yields parts as they are done: objects in the order of the walk, so that the last one's path is where a later
 * verification can begin. Memory: one large object's inventory, or those of a few small ones.
 */
export async function* verifyArchive(parts: VerifyParts, options: VerifyOptions): AsyncGenerator<Checked> {
  const { storage } = parts.archive;
  const { signal, quick = false, parallel = PARALLEL } = options;
  const read = contentReader(storage, parts.clock, {
    parallel,
    signal,
    bytesPerSecond: options.bytesPerSecond,
    onRead: (bytes) => options.onRead?.(bytes),
  });
  const check = async (folder: ObjectFolder) => {
    const checked = await checkObject(parts, read, folder, quick);
    signal.throwIfAborted();
    return checked;
  };

  if (options.transactions) {
    for (const id of options.transactions) {
      const folder = await objectFolder(storage, objectPath(id));
      if (folder.files.size === 0) yield part("catalogue", folder.path, [missingObject(id)]);
      else yield await check(folder);
      yield* checkFolders(parts.archive, folder.path);
    }
    return;
  }

  yield await checkRoot(parts.archive);
  const broken: Problem[] = [];
  const walk = untilError(walkArchive(storage, options.after), broken);
  const weigh = (found: ObjectFolder | StoredFile) => (isFolder(found) ? 1 + found.files.size / FILES_PER_PLACE : 1);
  yield* mapInOrder(walk, parallel, async (found) => (isFolder(found) ? check(found) : checkStray(found)), weigh);
  if (broken.length > 0) yield part("folders", "", broken);
  else yield* checkFolders(parts.archive, "");
  for await (const found of missingObjects(parts.catalogue, storage, signal)) yield part("catalogue", "", [found]);
  yield await checkStaging(parts);
}

function part(
  kind: Checked["kind"],
  path: string,
  problems: readonly Problem[],
  notes: readonly Problem[] = [],
): Checked {
  return { kind, path, files: 0, bytes: 0, problems, notes };
}

/** Passes on what `values` yields, until an error of the archive's ends it as a problem. */
async function* untilError<T>(values: AsyncIterable<T>, problems: Problem[]): AsyncGenerator<T> {
  try {
    yield* values;
  } catch (error) {
    problems.push(unreadable("", error));
  }
}

async function checkObject(
  { archive, catalogue, jobs }: VerifyParts,
  read: ContentReader,
  folder: ObjectFolder,
  quick: boolean,
): Promise<Checked> {
  const problems: Problem[] = [];
  const report = (found: Problem) => problems.push(found);
  const object = await openObject(read, folder, report);
  if (!object) return { kind: "object", path: folder.path, files: 0, bytes: 0, problems, notes: [] };
  const { files, bytes, documented } = await checkContent(archive.storage, read, object, () => !quick, report);
  const id = object.transactionId;
  if (documented && id !== undefined && !(await isUnderWay(jobs, id))) {
    try {
      const transaction = await archive.read(id);
      if (transaction) for await (const found of catalogueDifferences(catalogue, transaction)) report(found);
    } catch (error) {
      report(unreadable(folder.path, error));
    }
  }
  return { kind: "object", path: folder.path, files, bytes, problems, notes: [] };
}

/** OCFL 1.1 §4.1, §4.2: declaration and layout. */
async function checkRoot({ storage }: Archive): Promise<Checked> {
  const problems: Problem[] = [];
  for (const { path } of rootFiles()) {
    try {
      if (!isRootFileText(path, await text(await storage.open(path))))
        problems.push(problem("object_corrupt", { path, expected: "what Longshore writes", found: "something else" }));
    } catch (error) {
      problems.push(unreadable(path, error));
    }
  }
  return part("root", "", problems);
}

/** OCFL 1.1 §4.1: the root itself may hold further files, its folders may not (§4.3); extensions are their own affair. */
function checkStray({ path }: StoredFile): Checked {
  if (rootFiles().some((file) => file.path === path) || /^extensions\/[^/]+\//.test(path))
    return part("stray", path, []);
  const found = problem("archive_stray", { path });
  return path.includes("/") ? part("stray", path, [found]) : part("stray", path, [], [found]);
}

async function* checkFolders({ storage }: Archive, prefix: string): AsyncGenerator<Checked> {
  if (!storage.oddities) return;
  const broken: Problem[] = [];
  for await (const { path, what } of untilError(storage.oddities(prefix), broken))
    yield part("folders", path, [problem("archive_stray", { path, found: what })]);
  yield part("folders", prefix, broken);
}

/**
 * Trees in staging that belong to no unfinished job. Nothing is wrong with them: the tree of a job that failed through
 * the server's fault waits to be retried.
 */
async function checkStaging({ archive, jobs }: VerifyParts): Promise<Checked> {
  const abandoned = new Set<string>();
  for await (const prefix of archive.storage.staged()) abandoned.add(prefix);
  if (abandoned.size === 0) return part("staging", "", []);
  // Read after the trees, whose jobs are older than they are: a tree whose job is not found here has none, or a
  // finished one.
  const states = ["queued", "running"] as const;
  for (let page = await jobs.list({ states, limit: 1000 }); ; ) {
    for (const { id } of page) abandoned.delete(objectPath(transactionOf(id)));
    const last = page.at(-1);
    if (!last) break;
    page = await jobs.list({ states, limit: 1000, beforeId: last.id });
  }
  const notes: Problem[] = [];
  // A job may have finished between the two readings, and its tree be gone with it.
  for (const path of abandoned)
    if (await archive.storage.reopen(path)) notes.push(problem("stage_abandoned", { path }));
  return part("staging", "", [], notes);
}
