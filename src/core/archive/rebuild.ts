import type { CatalogueStore, SequenceStore, Transaction } from "../catalogue/catalogue-store.ts";
import type { Clock } from "../clock.ts";
import { AppError, type Problem, problem } from "../errors.ts";
import { jobId, type TransactionId, transactionId } from "../ids.ts";
import type { JobStore } from "../jobs/job-store.ts";
import { type Archive, type ReadTransaction, receiptOf } from "./archive.ts";
import { objectPath } from "./ocfl.ts";
import { ingestionFacts, noteAlgorithms } from "./premis-events.ts";
import { TRANSACTION_DOCUMENT } from "./transaction-document.ts";
import { catalogueDifferences, isUnderWay } from "./verify-catalogue.ts";
import { type ContentReader, contentReader, unreadable } from "./verify-content.ts";
import { openObject } from "./verify-object.ts";
import { isFolder, type ObjectFolder, walkArchive } from "./verify-walk.ts";

export interface RebuildParts {
  readonly archive: Archive;
  readonly catalogue: CatalogueStore;
  readonly jobs: JobStore;
  readonly sequences: SequenceStore;
  readonly clock: Clock;
  /** For events: name/version. */
  readonly software: string;
}

export interface RebuildOptions {
  /** Looks at everything and writes nothing. */
  readonly dryRun: boolean;
  readonly signal: AbortSignal;
}

/**
 * `added`: the database did not know it. `corrected`: it said something else. `known`: nothing to do. `under way`: left to
 * the job that is at work on it. `unreadable`: the object does not say reliably what it is. `refused`: the database does not
 * take it, because its files have ids that another transaction's files have.
 */
export type RebuildOutcome = "added" | "corrected" | "known" | "under way" | "unreadable" | "refused";

export interface Rebuilt {
  readonly outcome: RebuildOutcome;
  /** Of the object. */
  readonly path: string;
  readonly transactionId?: TransactionId;
  readonly files: number;
  readonly bytes: number;
  /** Why it is unreadable or refused; empty otherwise. */
  readonly problems: readonly Problem[];
}

/**
 * Enters the archive's transactions into a database that is empty or knows some of them: transactions, files and
 * key-values with the ids and dates they had, a finished job for each, and sequences that go on behind them. What the
 * database knows beyond the archive stays. Idempotent; interrupted anywhere, it can be run again.
 *
 * Payload is not read: that is what a verification is for. An object counts when its inventory is the one that its
 * sidecar vouches for and its transaction document the one that the inventory names.
 *
 * Yields objects as they are done. Memory: one inventory.
 * @throws what the database throws: it does not go on without one.
 */
export async function* rebuildCatalogue(parts: RebuildParts, options: RebuildOptions): AsyncGenerator<Rebuilt> {
  const { archive, jobs, clock } = parts;
  const { dryRun, signal } = options;
  const read = contentReader(archive.storage, clock, { parallel: 1, signal, onRead: () => {} });
  const ids = usedIds(parts);

  for await (const folder of walkArchive(archive.storage)) {
    if (!isFolder(folder)) continue;
    signal.throwIfAborted();
    const problems: Problem[] = [];
    const found = await readObject(archive, read, folder, problems);
    if (!found) {
      yield { outcome: "unreadable", path: folder.path, files: 0, bytes: 0, problems };
      continue;
    }
    const { id, fileCount: files, sizeBytes: bytes } = found.transaction;
    const about = { path: folder.path, transactionId: id, files, bytes, problems: [] };
    if (await isUnderWay(jobs, id)) {
      yield { outcome: "under way", ...about };
      continue;
    }
    // First of all: whatever happens next, nobody is handed an id that the archive has used.
    if (!dryRun) await ids.used(id, found.lastFileId);
    try {
      const outcome = await enter(parts, found, dryRun);
      if (!dryRun) await restoreJob(parts, found.transaction);
      yield { outcome, ...about };
    } catch (error) {
      if (!(error instanceof AppError) || error.retryable) throw error;
      yield { outcome: "refused", ...about, problems: [unreadable(folder.path, error)] };
    }
  }
  if (!dryRun) await ids.skipStaged();
}

type ReadObject = ReadTransaction & { readonly lastFileId: number };

/** Reads what an object says of itself; `undefined` when that is not to be relied on, which `problems` then explains. */
async function readObject(
  archive: Archive,
  read: ContentReader,
  folder: ObjectFolder,
  problems: Problem[],
): Promise<ReadObject | undefined> {
  const found: Problem[] = [];
  const object = await openObject(read, folder, (one) => found.push(one));
  const id = object?.transactionId;
  if (!object?.vouched || id === undefined) {
    problems.push(...found);
    return undefined;
  }
  const { inventory } = object;
  const document = `${folder.path}/${TRANSACTION_DOCUMENT.contentPath}`;
  try {
    const { digests } = await read.facts(document, [inventory.digestAlgorithm]);
    const digest = digests[inventory.digestAlgorithm];
    const expected = inventory.content.get(TRANSACTION_DOCUMENT.contentPath);
    if (digest !== expected) {
      problems.push(
        problem("digest_mismatch", {
          path: document,
          expected: expected ?? "a digest in the inventory",
          found: digest ?? "",
        }),
      );
      return undefined;
    }
    const transaction = await archive.read(id);
    if (!transaction) return undefined;
    let lastFileId = 0;
    for await (const file of transaction.files()) lastFileId = Math.max(lastFileId, file.id);
    return { ...transaction, lastFileId };
  } catch (error) {
    problems.push(unreadable(document, error));
    return undefined;
  }
}

/** Brings the catalogue's idea of one transaction to the archive's. */
async function enter(
  { catalogue, clock, software }: RebuildParts,
  found: ReadTransaction,
  dryRun: boolean,
): Promise<"known" | "added" | "corrected"> {
  const { transaction, keyValues } = found;
  if (!(await differs(catalogue, found))) return "known";
  const outcome = (await catalogue.transaction(transaction.id)) ? "corrected" : "added";
  if (dryRun) return outcome;
  if (outcome === "corrected") await catalogue.forget(transaction.id);
  // A database that was lost has taken the events with it: what is known of the ingestion is noted again.
  const passing = noteAlgorithms(found.files());
  const now = clock.now();
  await catalogue.add(transaction, passing.files, keyValues, [], now, () =>
    outcome === "added"
      ? ingestionFacts(transaction, passing.algorithms(), { software, now, recordedBy: "rebuild" })
      : [],
  );
  return outcome;
}

async function differs(catalogue: CatalogueStore, found: ReadTransaction): Promise<boolean> {
  for await (const _ of catalogueDifferences(catalogue, found)) return true;
  return false;
}

/**
 * Makes the job that deposited the transaction known and succeeded, so that clients which ask for it find it. When it
 * was done is not in the archive: the time of deposit stands for it. Dying between the two statements leaves a job whose
 * request fell silent, and the next worker finishes that one.
 */
async function restoreJob({ jobs, clock }: RebuildParts, transaction: Transaction): Promise<void> {
  const { owner, createdAt } = transaction;
  const id = jobId(transaction.id);
  const known = await jobs.get(id);
  if (known?.state === "succeeded") return;
  const at = known ? clock.now() : createdAt;
  if (!known)
    await jobs.create({
      id,
      kind: "ingest",
      lane: "fast",
      owner,
      input: {},
      idempotencyKey: null,
      fedUntil: at,
      now: at,
    });
  await jobs.update(
    id,
    ["running", "failed", "cancelled"],
    {
      state: "succeeded",
      tasks: [{ name: "catalogue", percent: 100, startedAt: at, finishedAt: at }],
      error: null,
      result: receiptOf(transaction),
      fedUntil: null,
      finishedAt: at,
    },
    at,
    [
      { type: "note", data: { text: "restored from the archive" } },
      { type: "state", data: { state: "succeeded" } },
    ],
  );
}

/** How far beyond the last known job a staged tree's id is looked for. */
const STAGED_AHEAD = 100_000;

/** Keeps the sequences ahead of every id that is in use. */
function usedIds({ archive, jobs, sequences }: RebuildParts) {
  const highest = { upload_job: 0, file: 0 };
  async function raise(sequence: keyof typeof highest, id: number): Promise<void> {
    if (id <= highest[sequence]) return;
    highest[sequence] = id;
    await sequences.raise(sequence, id);
  }
  return {
    async used(transaction: TransactionId, file: number): Promise<void> {
      await raise("upload_job", transaction);
      await raise("file", file);
    },
    /** A tree left in staging keeps its transaction's id from being used, but its name does not tell the id: look for it. */
    async skipStaged(): Promise<void> {
      const staged = new Set<string>();
      for await (const prefix of archive.storage.staged()) staged.add(prefix);
      const [newest] = await jobs.list({ limit: 1 });
      const last = Math.max(highest.upload_job, newest?.id ?? 0);
      for (let ahead = 1; staged.size > 0 && ahead <= STAGED_AHEAD; ahead++)
        if (staged.delete(objectPath(transactionId(last + ahead)))) await raise("upload_job", last + ahead);
    },
  };
}
