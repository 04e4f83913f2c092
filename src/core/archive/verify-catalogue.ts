import type { ArchivedFile, CatalogueStore, KeyValue, Transaction } from "../catalogue/catalogue-store.ts";
import { type Problem, problem } from "../errors.ts";
import { jobId, type TransactionId } from "../ids.ts";
import { FINISHED_STATES } from "../jobs/job.ts";
import type { JobStore } from "../jobs/job-store.ts";
import type { ReadTransaction } from "./archive.ts";
import type { ObjectStorage } from "./object-storage.ts";
import { INVENTORY, objectPath } from "./ocfl.ts";
import { hasFiles } from "./verify-walk.ts";

const PAGE = 1000;

/** Whether a job is still at work on the transaction: what is published already may not be catalogued yet. */
export async function isUnderWay(jobs: Pick<JobStore, "get">, id: TransactionId): Promise<boolean> {
  const job = await jobs.get(jobId(id));
  return job !== undefined && !FINISHED_STATES.includes(job.state);
}

/**
 * Where the catalogue says something else than the archive, about one transaction. Files are compared as they come, in
 * id order: memory is one page. @throws what reading the archive throws.
 */
export async function* catalogueDifferences(
  catalogue: CatalogueStore,
  { transaction, keyValues, files }: ReadTransaction,
): AsyncGenerator<Problem> {
  const { id } = transaction;
  const known = await catalogue.transaction(id);
  if (!known) {
    yield problem("catalogue_mismatch", { path: nameOf(id), expected: "a transaction", found: "none" });
    return;
  }
  yield* differences(nameOf(id), columnsOf(transaction), columnsOf(known));
  yield* keyValueDifferences(id, keyValues, await catalogue.keyValues(id));

  const rows = filesOf(catalogue, id);
  let row = await rows.next();
  for await (const file of files()) {
    for (; !row.done && row.value.id < file.id; row = await rows.next()) yield superfluous(row.value);
    if (row.done || row.value.id !== file.id) {
      yield problem("catalogue_mismatch", { path: fileName(file), expected: file.path, found: "no such file" });
      continue;
    }
    yield* differences(fileName(file), fileColumns(file), fileColumns(row.value));
    row = await rows.next();
  }
  for (; !row.done; row = await rows.next()) yield superfluous(row.value);
}

/** Transactions of the catalogue that the archive has nothing of. */
export async function* missingObjects(
  catalogue: CatalogueStore,
  storage: ObjectStorage,
  signal: AbortSignal,
): AsyncGenerator<Problem> {
  for await (const { id } of transactionsOf(catalogue)) {
    signal.throwIfAborted();
    const place = objectPath(id);
    const isThere = (await storage.stat(`${place}/${INVENTORY}`)) ?? (await hasFiles(storage, place));
    if (!isThere) yield missingObject(id);
  }
}

export function missingObject(id: TransactionId): Problem {
  return problem("object_missing", { path: objectPath(id), expected: `the object of ${nameOf(id)}`, found: "nothing" });
}

/** How problems name a row, as the API's paths do. */
const nameOf = (id: TransactionId) => `transactions/${id}`;
const fileName = ({ id }: ArchivedFile) => `files/${id}`;

function superfluous(file: ArchivedFile): Problem {
  return problem("catalogue_mismatch", { path: fileName(file), expected: "no such file", found: file.path });
}

type Columns = Readonly<Record<string, string | number | null>>;

function columnsOf(transaction: Transaction): Columns {
  return { ...transaction };
}

function fileColumns({ digests, declared, ...plain }: ArchivedFile): Columns {
  return { ...plain, ...digests, declared: `${declared.algorithm}:${declared.value}` };
}

function* differences(path: string, archived: Columns, known: Columns): Generator<Problem> {
  for (const name of new Set([...Object.keys(archived), ...Object.keys(known)])) {
    const [expected, found] = [archived[name] ?? null, known[name] ?? null];
    if (expected !== found)
      yield problem("catalogue_mismatch", { path, expected: `${name} ${expected}`, found: `${name} ${found}` });
  }
}

function* keyValueDifferences(
  id: TransactionId,
  archived: readonly KeyValue[],
  known: readonly KeyValue[],
): Generator<Problem> {
  const shown = (one: KeyValue | undefined) =>
    one ? `${one.key}=${one.value}${one.fileId === null ? "" : ` of files/${one.fileId}`}` : "none";
  for (let at = 0; at < Math.max(archived.length, known.length); at++) {
    const [expected, found] = [shown(archived[at]), shown(known[at])];
    if (expected !== found)
      yield problem("catalogue_mismatch", { path: `${nameOf(id)}, key-value ${at + 1}`, expected, found });
  }
}

/** All files of a transaction, in id order. Memory: one page. */
export async function* filesOf(catalogue: CatalogueStore, id: TransactionId): AsyncGenerator<ArchivedFile> {
  for (let page = await catalogue.listFiles(id, { limit: PAGE }); ; ) {
    yield* page;
    const last = page.at(-1);
    if (!last || page.length < PAGE) return;
    page = await catalogue.listFiles(id, { afterId: last.id, limit: PAGE });
  }
}

/** Newest first. */
async function* transactionsOf(catalogue: CatalogueStore): AsyncGenerator<Transaction> {
  for (let page = await catalogue.listTransactions({ limit: PAGE }); ; ) {
    yield* page;
    const last = page.at(-1);
    if (!last || page.length < PAGE) return;
    page = await catalogue.listTransactions({ beforeId: last.id, limit: PAGE });
  }
}
