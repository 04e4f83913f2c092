import { z } from "zod";
import { SCOPES } from "../../core/access/access-stores.ts";
import { CART_STATUSES, type Cart, type CartEntry } from "../../core/carts/cart.ts";
import type { DownloadCount } from "../../core/carts/cart-store.ts";
import type { ArchivedFile, KeyValue, Transaction } from "../../core/catalogue/catalogue-store.ts";
import { isoTime } from "../../core/clock.ts";
import type { DigestName } from "../../core/digest.ts";
import { cartId, fileId, jobId, transactionId } from "../../core/ids.ts";
import { JOB_STATES, type Job, LANES, type TaskProgress } from "../../core/jobs/job.ts";

/** The wire API's values, each with the function that makes it from ours. */

const Time = z.iso.datetime().describe("ISO 8601 in UTC.");
const Id = z.int().positive();
/** Not an enumeration: jobs outlive the version that wrote their error. */
const CodeName = z.string().describe("Stable; explained at /docs/errors.");

const idParam = z.coerce.number().int().positive().max(Number.MAX_SAFE_INTEGER);
export const JobParams = z.strictObject({ id: idParam.transform(jobId).describe("The job's id.") });
export const TransactionParams = z.strictObject({
  id: idParam.transform(transactionId).describe("The transaction's id."),
});
export const FileParams = z.strictObject({ id: idParam.transform(fileId).describe("The file's id.") });
export const CartParams = z.strictObject({
  id: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,64}$/, "is not the id of a cart")
    .transform(cartId)
    .describe("The cart's id."),
});
/** For routes that take no query parameters: any is refused by name. */
export const NoQuery = z.strictObject({});

export const ProblemSchema = z
  .object({
    type: z.string().describe("Where the code is explained."),
    title: z.string().describe("The code's sentence."),
    status: z.int(),
    code: CodeName,
    detail: z.string().describe("The sentence with this occurrence's facts."),
    details: z.record(z.string(), z.unknown()).describe("The facts by themselves."),
    requestId: z.string().describe("Finds the cause in the server's log."),
  })
  .meta({ id: "Problem", description: "What went wrong (RFC 9457)." });

/** What every route answers when it does not answer what it promises. */
export const problems = {
  default: { description: "A problem.", content: { "application/problem+json": { schema: ProblemSchema } } },
};

const TaskSchema = z
  .object({
    name: z.string(),
    percent: z.number().min(0).max(100),
    doneFiles: z.int().optional(),
    totalFiles: z.int().optional(),
    doneBytes: z.int().optional(),
    totalBytes: z.int().optional(),
    doneRows: z.int().optional(),
    totalRows: z.int().optional(),
    startedAt: Time,
    finishedAt: Time.nullable(),
  })
  .meta({ id: "Task", description: "A named step of a job. Totals are absent while they are not known." });

export const FileProblemSchema = z
  .object({
    code: CodeName,
    message: z.string(),
    path: z.string().optional(),
    expected: z.union([z.string(), z.number()]).optional(),
    found: z.union([z.string(), z.number()]).optional(),
  })
  .meta({ id: "FileProblem", description: "One thing wrong, or worth knowing, about one file." });

export const JobSchema = z
  .object({
    id: Id,
    kind: z.string().describe("What work it is: ingest, move, …"),
    lane: z.enum(LANES),
    state: z.enum(JOB_STATES),
    owner: z.string().describe("Who asked for it."),
    priority: z.int().describe("Higher is begun sooner; 0 as a rule."),
    task: TaskSchema.pick({ name: true, percent: true }).nullable().describe("The current one of `tasks`."),
    tasks: z.array(TaskSchema).describe("In the order they were begun."),
    attempts: z.int().describe("How often a worker has begun it."),
    error: z
      .object({ code: CodeName, message: z.string(), details: z.record(z.string(), z.unknown()) })
      .nullable()
      .describe("Why it failed; `details.problems` lists every single trouble where there are several."),
    warnings: z.array(FileProblemSchema),
    result: z
      .record(z.string(), z.unknown())
      .nullable()
      .describe(
        "Of a succeeded job. For ingest and move: transactionId, files, bytes, objectPath, inventoryDigest; null before.",
      ),
    cancelRequested: z.boolean().describe("Somebody cancelled it and the worker has not stopped yet."),
    createdAt: Time,
    updatedAt: Time,
    startedAt: Time.nullable(),
    finishedAt: Time.nullable(),
  })
  .meta({ id: "Job", description: "Work that outlives the request that asked for it." });

export function jobOnWire(job: Job): z.output<typeof JobSchema> {
  const current = job.tasks.at(-1);
  return {
    id: job.id,
    kind: job.kind,
    lane: job.lane,
    state: job.state,
    owner: job.owner,
    priority: job.priority,
    task: current ? { name: current.name, percent: current.percent } : null,
    tasks: job.tasks.map(taskOnWire),
    attempts: job.attempts,
    error: job.error,
    warnings: [...job.warnings],
    result: job.state === "succeeded" ? { ...job.result } : null,
    cancelRequested: job.cancelRequested,
    createdAt: isoTime(job.createdAt),
    updatedAt: isoTime(job.updatedAt),
    startedAt: timeOrNull(job.startedAt),
    finishedAt: timeOrNull(job.finishedAt),
  };
}

function taskOnWire({ startedAt, finishedAt, ...progress }: TaskProgress): z.output<typeof TaskSchema> {
  return { ...progress, startedAt: isoTime(startedAt), finishedAt: timeOrNull(finishedAt) };
}

export const TransactionSchema = z
  .object({
    id: Id.describe("Equals the id of the job that ingested it."),
    submitter: z.string().nullable(),
    project: z.string().nullable(),
    instrument: z.string().nullable(),
    owner: z.string().describe("The principal that deposited it."),
    files: z.int().describe("How many."),
    bytes: z.int().describe("Of all its files together."),
    objectPath: z.string().describe("Folder of its OCFL object in the archive."),
    inventoryDigest: z.string().describe("Digest of the object's inventory: it names the whole content."),
    createdAt: Time,
  })
  .meta({ id: "Transaction", description: "One accepted bundle." });

const KeyValueSchema = z
  .object({
    key: z.string(),
    value: z.string(),
    fileId: Id.nullable().describe("null: about the whole transaction."),
  })
  .meta({ id: "KeyValue" });

export const TransactionDetailSchema = TransactionSchema.extend({ keyValues: z.array(KeyValueSchema) }).meta({
  id: "TransactionDetail",
});

export function transactionOnWire(transaction: Transaction): z.output<typeof TransactionSchema> {
  const { fileCount, sizeBytes, createdAt, ...same } = transaction;
  return { ...same, files: fileCount, bytes: sizeBytes, createdAt: isoTime(createdAt) };
}

export function keyValueOnWire({ key, value, fileId }: KeyValue): z.output<typeof KeyValueSchema> {
  return { key, value, fileId };
}

export const FileSchema = z
  .object({
    id: Id,
    transactionId: Id,
    path: z.string().describe("Inside the transaction; begins with data/."),
    sizeBytes: z.int(),
    modifiedAt: z.string().nullable().describe("As declared: ISO 8601 in UTC where it could be read as a time."),
    changedAt: z.string().nullable().describe("Likewise."),
    mediaType: z.string(),
    digests: z.record(z.string(), z.string()).describe("Lower-case hex by algorithm."),
    crc32: z.string().describe("Eight hex digits."),
    declared: z
      .object({ algorithm: z.string(), value: z.string() })
      .describe("The digest that the depositor declared, and that was found equal."),
  })
  .meta({ id: "File", description: "One archived file." });

export function fileOnWire(file: ArchivedFile): z.output<typeof FileSchema> {
  const { contentPath: _, crc32, digests, ...same } = file;
  return { ...same, digests: { ...digests }, crc32: hex32(crc32) };
}

export const CartSchema = z
  .object({
    id: z.string(),
    name: z.string().describe("Top folder and file name of its downloads."),
    owner: z.string().describe("Who chose the files."),
    status: z.enum(CART_STATUSES),
    files: z.int().describe("How many."),
    bytes: z.int().describe("Of all its files together, without what the archive format adds."),
    algorithm: z.string().describe("Digest of its manifest."),
    staged: z.object({ files: z.int(), bytes: z.int() }).describe("What is online already."),
    readyAt: Time.nullable().describe("When cold storage expects the last file, if it says so."),
    job: Id.nullable().describe("The job that brings files online, when one is needed."),
    problems: z.array(FileProblemSchema).describe("What is wrong, by file: the first of `problemCount`."),
    problemCount: z.int(),
    downloads: z.int().describe("Begun with the first byte."),
    links: z.object({ tar: z.string(), zip: z.string(), manifest: z.string(), files: z.string() }),
    lastUsedAt: Time.nullable(),
    expiresAt: Time.nullable().describe("Later with every use, unless the cart was made with a time of its own."),
    createdAt: Time,
    updatedAt: Time,
  })
  .meta({
    id: "Cart",
    description: "A choice of files that is downloaded as one archive. Once ready, it never changes.",
  });

/** @param address of the cart, as a client sees it. */
export function cartOnWire(cart: Cart, address: string): z.output<typeof CartSchema> {
  return {
    id: cart.id,
    name: cart.name,
    owner: cart.owner,
    status: cart.status,
    files: cart.fileCount,
    bytes: cart.sizeBytes,
    algorithm: cart.algorithm,
    staged: { files: cart.stagedFiles, bytes: cart.stagedBytes },
    readyAt: timeOrNull(cart.readyAt),
    job: cart.stageJob,
    problems: [...cart.problems],
    problemCount: cart.problemCount,
    downloads: cart.downloads,
    links: {
      tar: `${address}/download.tar`,
      zip: `${address}/download.zip`,
      manifest: `${address}/manifest`,
      files: `${address}/files`,
    },
    lastUsedAt: timeOrNull(cart.lastUsedAt),
    expiresAt: timeOrNull(cart.expiresAt),
    createdAt: isoTime(cart.createdAt),
    updatedAt: isoTime(cart.updatedAt),
  };
}

export const CartFileSchema = z
  .object({
    seq: z.int().describe("0-based: its place in the download."),
    path: z.string().describe("In the download, below data/."),
    sizeBytes: z.int(),
    modifiedAt: Time.nullable(),
    digests: z.record(z.string(), z.string()).describe("Lower-case hex by algorithm; empty until it is known."),
    crc32: z.string().nullable().describe("Eight hex digits; null until it is known."),
    fileId: Id.nullable().describe("Set for files of this archive."),
    transactionId: Id.nullable(),
    state: z.enum(["archive", "staged", "remote"]).describe("Where its bytes are; remote: to be staged."),
  })
  .meta({ id: "CartFile", description: "One file of a cart." });

export function cartFileOnWire(entry: CartEntry, algorithm: DigestName): z.output<typeof CartFileSchema> {
  return {
    seq: entry.seq,
    path: entry.path,
    sizeBytes: entry.sizeBytes,
    modifiedAt: timeOrNull(entry.modifiedAt),
    digests: entry.digest === null ? {} : { [algorithm]: entry.digest },
    crc32: entry.crc32 === null ? null : hex32(entry.crc32),
    fileId: entry.fileId,
    transactionId: entry.transactionId,
    state: entry.location.at,
  };
}

export const DownloadsSchema = z
  .object({
    downloads: z.int().describe("By itself, and as a part of carts; those are counted in with a delay."),
    lastDownloadedAt: Time.nullable(),
  })
  .meta({ id: "Downloads", description: "How often something was downloaded from its first byte on." });

export function downloadsOnWire({ downloads, lastDownloadedAt }: DownloadCount): z.output<typeof DownloadsSchema> {
  return { downloads, lastDownloadedAt: timeOrNull(lastDownloadedAt) };
}

const hex32 = (value: number) => value.toString(16).padStart(8, "0");

export const ScopeSchema = z.enum(SCOPES);

export function timeOrNull(epochMs: number | null | undefined): string | null {
  return epochMs === null || epochMs === undefined ? null : isoTime(epochMs);
}
