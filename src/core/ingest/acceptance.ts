import { type Archive, type ReadTransaction, receiptOf } from "../archive/archive.ts";
import type { StagedTree } from "../archive/object-storage.ts";
import { ingestionFacts, noteAlgorithms, type PreservationEvents } from "../archive/premis-events.ts";
import type { ArchivedFile, CatalogueStore, OutboxMessage, Transaction } from "../catalogue/catalogue-store.ts";
import type { Digests } from "../digest.ts";
import { AppError, CODES, type Details, type Problem, problem } from "../errors.ts";
import { fileId, type TransactionId, transactionOf } from "../ids.ts";
import type { Job } from "../jobs/job.ts";
import type { TaskTracker } from "../jobs/task-tracker.ts";
import type { JobContext } from "../jobs/worker.ts";
import { METADATA_CONTENT_PATH, METADATA_PATH } from "./bundle/bundle.ts";
import type { IdSource } from "./id-source.ts";
import { type BundleMetadata, type DeclaredFile, readMetadata } from "./metadata.ts";
import type { Policy } from "./policy/policy.ts";
import { refusal } from "./refusal.ts";

/** The steps every deposit goes through on its way into the archive, whether it was uploaded or moved. */
export interface AcceptanceParts {
  readonly archive: Archive;
  readonly catalogue: CatalogueStore;
  readonly ids: IdSource;
  readonly policy: Policy;
  /** What others are told of an accepted transaction. */
  announce(transaction: Transaction): readonly OutboxMessage[];
  readonly events: PreservationEvents;
  /** What does all this, for events: name/version. */
  readonly software: string;
}

/** A file of the object before it has an id. */
export type SettledFile = Omit<ArchivedFile, "transactionId" | "id">;

/** Reads and judges what the depositor declares. @throws AppError listing every problem. */
export async function declaration(
  parts: AcceptanceParts,
  tree: StagedTree,
  wanted: "bundle" | "move",
  { job, tasks, signal }: JobContext,
): Promise<BundleMetadata> {
  signal.throwIfAborted();
  await tasks.begin("metadata");
  const { metadata, problems } = await readMetadata(await tree.open(METADATA_CONTENT_PATH), wanted);
  if (problems.length > 0) throw refusal(problems);
  if (metadata.files.length === 0) throw new AppError("bundle_empty");

  await tasks.begin("policy");
  const document = () => tree.open(METADATA_CONTENT_PATH);
  const objections = await parts.policy.judge({ owner: job.owner, metadata, document }, signal);
  if (objections.length > 0) throw refusal(objections);
  return metadata;
}

/** What speaks against a file being the one that was declared; its size is judged first. */
export function mismatch(
  { path, sizeBytes, digest }: DeclaredFile,
  found: { readonly sizeBytes: number; readonly digests: Digests },
): Problem | undefined {
  if (sizeBytes !== null && sizeBytes !== found.sizeBytes)
    return problem("file_size_mismatch", { path, expected: sizeBytes, found: found.sizeBytes });
  const value = found.digests[digest.algorithm] ?? "";
  if (value === digest.value) return undefined;
  return problem("file_digest_mismatch", {
    path,
    expected: `${digest.algorithm}:${digest.value}`,
    found: `${digest.algorithm}:${value}`,
  });
}

/** A declared file together with what its bytes turned out to be. */
export function settledFile(
  declared: DeclaredFile,
  found: {
    readonly contentPath: string;
    readonly sizeBytes: number;
    readonly digests: Digests;
    readonly crc32: number;
  },
  modifiedAtMs: number,
): SettledFile {
  return {
    path: declared.path,
    contentPath: found.contentPath,
    sizeBytes: found.sizeBytes,
    modifiedAt: declared.modifiedAt ?? timeOrNull(modifiedAtMs),
    changedAt: declared.changedAt,
    mediaType: declared.mediaType ?? "application/octet-stream",
    digests: found.digests,
    crc32: found.crc32,
    declared: declared.digest,
  };
}

/** A tar can hold times that no calendar of ours can. */
function timeOrNull(epochMs: number): string | null {
  const time = new Date(epochMs);
  return Number.isNaN(time.getTime()) ? null : time.toISOString();
}

/**
 * What is published of a job's transaction: by an earlier worker, else by `accept` now. When that fails it looks once
 * more: a worker that was taken for dead may have come back to life and published it.
 */
export async function published(
  archive: Archive,
  id: TransactionId,
  accept: () => Promise<ReadTransaction>,
): Promise<ReadTransaction> {
  const earlier = await archive.read(id);
  if (earlier) return earlier;
  try {
    return await accept();
  } catch (error) {
    const other = await archive.read(id);
    if (other) return other;
    throw error;
  }
}

/**
 * Gives the files their ids, in the order of the metadata, and publishes the object.
 * @param files one for each that the metadata declares; gone through several times.
 */
export async function publish(
  parts: AcceptanceParts,
  context: JobContext,
  tree: StagedTree,
  metadata: BundleMetadata,
  files: Iterable<SettledFile>,
  metadataDigests: Digests,
): Promise<ReadTransaction> {
  const { job } = context;
  const transactionId = transactionOf(job.id);
  const firstId = await firstFileId(parts, context, metadata.files.length);
  const numbered = {
    *[Symbol.iterator]() {
      let id = firstId;
      for (const file of files) yield { id: fileId(id++), ...file };
    },
  };
  const keyValues = metadata.keyValues.map((pair) => ({ fileId: null, ...pair }));
  const { submitter, project, instrument } = metadata;
  const transaction = await parts.archive.publish(tree, {
    head: { id: transactionId, submitter, project, instrument, owner: job.owner, createdAt: job.createdAt, keyValues },
    files: numbered,
    others: [{ logicalPath: METADATA_PATH, contentPath: METADATA_CONTENT_PATH, digests: metadataDigests }],
  });
  return {
    transaction,
    keyValues,
    async *files() {
      for (const file of numbered) yield { ...file, transactionId };
    },
  };
}

/**
 * The ids a job's files get are saved before they are used: whoever continues the job writes the same document again,
 * and a worker that has lost it stops here, before anything is published.
 */
async function firstFileId(parts: AcceptanceParts, { job, checkpoint }: JobContext, count: number): Promise<number> {
  const { fileId: given } = job.input;
  const saved = typeof given === "number" ? await stillFree(parts.catalogue, given) : job.checkpoint.firstFileId;
  const firstId = typeof saved === "number" ? saved : await parts.ids.reserve("file", count);
  await checkpoint({ received: true, ...job.checkpoint, firstFileId: firstId });
  return firstId;
}

/** An id that a sender chose may have been given away since: a failed job can be begun again at any time. */
async function stillFree(catalogue: CatalogueStore, id: number): Promise<number> {
  if (await catalogue.file(fileId(id))) throw new AppError("object_exists", { fileId: id });
  return id;
}

/** Enters a published transaction into the catalogue, once. @returns the job's result. */
export async function catalogued(
  parts: AcceptanceParts,
  tasks: TaskTracker,
  { transaction, files, keyValues }: ReadTransaction,
  now: number,
): Promise<Details> {
  await tasks.begin("catalogue", { files: transaction.fileCount });
  const { catalogue, software } = parts;
  const passing = noteAlgorithms(files());
  await catalogue.add(transaction, passing.files, keyValues, parts.announce(transaction), now, () =>
    ingestionFacts(transaction, passing.algorithms(), { software, now }),
  );
  return receiptOf(transaction);
}

/** Whether a job failed through no fault of its bundle: then its bytes are kept, so that it can be retried. */
export function failedThroughServer(job: Job): boolean {
  const kind = job.error === null ? undefined : CODES[job.error.code][0];
  return job.state === "failed" && (kind === "unavailable" || kind === "internal");
}
