import type { Readable } from "node:stream";
import { maySee, type Principal } from "../access/access.ts";
import type { ArchivedFile, CatalogueStore, SequenceStore } from "../catalogue/catalogue-store.ts";
import { isoTime } from "../clock.ts";
import { type ArchiveDigestName, type DigestName, factsOfStream } from "../digest.ts";
import { AppError } from "../errors.ts";
import type { FileId, JobId } from "../ids.ts";
import { FINISHED_STATES, type Job } from "../jobs/job.ts";
import type { Jobs } from "../jobs/jobs.ts";
import type { Ingest } from "./ingest.ts";
import { loneFileMetadata } from "./lone-file.ts";
import type { MoveSource } from "./move-source.ts";

/** Half of all integers stay for our own numbers, whatever ids others come with. */
const MAX_ID = 2 ** 52;
const PAGE = 1_000;

export interface PutRequest {
  readonly principal: Principal;
  /** ISO 8601 UTC. */
  readonly modifiedAt: string;
  /** When it was announced. */
  readonly sizeBytes?: number;
  /** Ends waiting for the archive; what has been received is archived all the same. */
  readonly signal: AbortSignal;
}

/**
 * Files that come one by one, under ids that others gave them: Longshore as the archive behind another system. Each
 * becomes a transaction of its own, by the same jobs as a bundle. On return it is published and catalogued.
 *
 * What is archived under an id stays: the same bytes once more are welcome, others are refused. That holds between the
 * servers of one database too, but for two that begin with the same id within the same few milliseconds: then the
 * later job fails, before it publishes or when it is catalogued.
 */
export interface NumberedFiles {
  /**
   * @throws AppError object_exists when the id has other bytes; request_invalid when it is too large; upload_interrupted;
   * server_unavailable when `signal` aborts first; what its job failed with.
   */
  put(id: FileId, bytes: Readable, request: PutRequest): Promise<ArchivedFile>;
  /** Takes the file over from where it lies on the server. @throws as `put`, and what {@link MoveSource.find} throws. */
  move(id: FileId, path: string, request: Pick<PutRequest, "principal" | "signal">): Promise<ArchivedFile>;
}

export interface NumberedFilesParts {
  readonly jobs: Jobs;
  readonly ingest: Ingest;
  readonly catalogue: CatalogueStore;
  readonly sequences: SequenceStore;
  readonly source: MoveSource;
  readonly algorithm: ArchiveDigestName;
}

export function numberedFiles(parts: NumberedFilesParts): NumberedFiles {
  const { jobs, ingest, catalogue, sequences, source, algorithm } = parts;
  const inTurn = turns<FileId>();

  /** What the id holds already, once nobody is at it any more; else the id is ours to fill. */
  async function claimed(id: FileId, signal: AbortSignal): Promise<ArchivedFile | undefined> {
    if (id > MAX_ID) throw new AppError("request_invalid", { expected: `an id of at most ${MAX_ID}`, found: id });
    for await (const job of openJobs(jobs)) if (job.input.fileId === id) await finished(job.id, signal);
    const known = await catalogue.file(id);
    if (!known) await sequences.raise("file", id);
    return known;
  }

  async function finished(id: JobId, signal: AbortSignal): Promise<Job> {
    for await (const news of jobs.watch(id, Number.MAX_SAFE_INTEGER, signal))
      if (news.type === "progress" && FINISHED_STATES.includes(news.job.state)) return news.job;
    throw new AppError("server_unavailable", { jobId: id, hint: "the server stops; the job goes on when it is back" });
  }

  async function archived(id: FileId, job: Job, signal: AbortSignal): Promise<ArchivedFile> {
    const { state, error } = await finished(job.id, signal);
    const file = await catalogue.file(id);
    if (state === "succeeded" && file) return file;
    throw new AppError(error?.code ?? "internal", { ...error?.details, jobId: job.id });
  }

  return {
    put: (id, bytes, { principal, modifiedAt, sizeBytes, signal }) =>
      inTurn(id, async () => {
        const known = await claimed(id, signal);
        if (known) {
          await requireVisible(catalogue, principal, known);
          if (sizeBytes !== undefined && sizeBytes !== known.sizeBytes) throw taken(id);
          return requireSame(known, bytes);
        }
        const job = await ingest.receiveFile(
          bytes,
          { name: String(id), modifiedAt },
          { owner: principal.name, fileId: id, ...(sizeBytes === undefined ? {} : { sizeBytes }) },
        );
        return archived(id, job, signal);
      }),

    move: (id, path, { principal, signal }) =>
      inTurn(id, async () => {
        if (await claimed(id, signal)) throw taken(id);
        const from = await source.find(path);
        // The sender says nothing of the bytes. What they are now is what the job must find.
        const { sizeBytes, digests } = await factsOfStream(from.open(), [algorithm], signal);
        const document = loneFileMetadata(
          { name: String(id), modifiedAt: isoTime(from.modifiedAt) },
          { sizeBytes, algorithm, value: digests[algorithm] ?? "" },
          path,
        );
        return archived(id, await ingest.move(document, { owner: principal.name, fileId: id }), signal);
      }),
  };
}

/** One after the other for each key, in the order of the calls. */
function turns<K>(): <T>(key: K, work: () => Promise<T>) => Promise<T> {
  const last = new Map<K, Promise<void>>();
  return async (key, work) => {
    const before = last.get(key);
    const { promise: mine, resolve: done } = Promise.withResolvers<void>();
    last.set(key, mine);
    try {
      await before;
      return await work();
    } finally {
      done();
      if (last.get(key) === mine) last.delete(key);
    }
  };
}

async function* openJobs(jobs: Jobs): AsyncGenerator<Job> {
  for (let beforeId: JobId | undefined; ; ) {
    const page = await jobs.list({
      states: ["queued", "running"],
      limit: PAGE,
      ...(beforeId === undefined ? {} : { beforeId }),
    });
    yield* page;
    beforeId = page.at(-1)?.id;
    if (page.length < PAGE) return;
  }
}

/** Whether somebody else's file has the same bytes is none of the sender's business. */
async function requireVisible(catalogue: CatalogueStore, principal: Principal, file: ArchivedFile): Promise<void> {
  const transaction = await catalogue.transaction(file.transactionId);
  if (!transaction || !maySee(principal, transaction.owner)) throw taken(file.id);
}

/** @throws AppError object_exists when these are not the file's bytes. */
async function requireSame(file: ArchivedFile, bytes: Readable): Promise<ArchivedFile> {
  const [algorithm] = Object.keys(file.digests) as DigestName[];
  const { sizeBytes, digests } = await factsOfStream(bytes, algorithm === undefined ? [] : [algorithm]);
  const isSame = algorithm !== undefined && digests[algorithm] === file.digests[algorithm];
  if (!isSame || sizeBytes !== file.sizeBytes) throw taken(file.id);
  return file;
}

const taken = (id: FileId) =>
  new AppError("object_exists", { fileId: id, expected: "an id without a file, or its bytes" });
