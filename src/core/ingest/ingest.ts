import type { Readable } from "node:stream";
import type { Archive } from "../archive/archive.ts";
import type { StagedTree } from "../archive/object-storage.ts";
import type { DigestName } from "../digest.ts";
import { AppError, type Code, type Details } from "../errors.ts";
import { type FileId, transactionOf } from "../ids.ts";
import type { FedJob } from "../jobs/fed-job.ts";
import type { Job, Lane } from "../jobs/job.ts";
import type { Jobs } from "../jobs/jobs.ts";
import { openEnded } from "../streams.ts";
import {
  METADATA_CONTENT_PATH,
  type ReceivedBundle,
  type ReceiveOptions,
  receiveBundle,
  TAR_FAULT,
} from "./bundle/bundle.ts";
import { type LoneFile, receiveLoneFile } from "./lone-file.ts";

export interface BundleRequest {
  /** The principal that deposits. */
  readonly owner: string;
  readonly idempotencyKey?: string;
  /** Length of the body when it was announced. */
  readonly sizeBytes?: number;
  /** Digests of the whole body that the client promised (RFC 9530). */
  readonly expected?: Readonly<Partial<Record<DigestName, string>>>;
  /** The id of its one file, when the sender numbers files: `numbered-files.ts` sees to it that no other gets it. */
  readonly fileId?: FileId;
}

/** Takes bundles in. What happens to them afterwards is the `ingest` job's handler: `ingest-job.ts`. */
export interface Ingest {
  /**
   * Reads a bundle to its end, hashing and staging while it arrives. On return the bytes are durable and the job is
   * queued; or it has failed already (not a tar, broken off …) and the job says why. Consumes `bytes` in every case
   * but a client that went away. Memory: bounded by the storage's writer plus one record per member.
   * @param bytes destroyed with the reason when the job is cancelled meanwhile.
   * @throws AppError upload_interrupted when `bytes` breaks off; digest_mismatch when the body is not what `expected`
   * promised; storage_full, storage_unavailable (in all these cases a job has failed with the same);
   * idempotency_conflict.
   */
  receive(bytes: Readable, request: BundleRequest): Promise<Job>;
  /** Queues the ingest of an upload that lies complete in the spool; once per upload. */
  receiveSpooled(uploadId: string, request: BundleRequest): Promise<Job>;
  /** Takes in one file that comes without a bundle around it. As `receive`, of which it differs in nothing else. */
  receiveFile(bytes: Readable, file: LoneFile, request: BundleRequest): Promise<Job>;
  /** Queues the move of files that lie on this server; `document` is a metadata array whose files carry `source`. */
  move(document: Uint8Array, request: BundleRequest): Promise<Job>;
}

/** Computed for every file while it passes, beside the archive's own: what Pacifica depositors declare by default. */
export const DEPOSITOR_DIGEST: DigestName = "sha1";
/** Bigger than this goes to the slow lane, so that small deposits need not wait behind it. */
const SLOW_FROM_BYTES = 4 * 1024 ** 3;

export function ingestService(jobs: Jobs, archive: Archive): Ingest {
  /** Runs `fill` on a tree of its own while the request is open, then hands the job to the workers. */
  async function fed(
    kind: "ingest" | "move",
    request: BundleRequest,
    fill: (tree: StagedTree, fed: FedJob) => Promise<Details>,
    left: { drain(): Promise<void> },
  ): Promise<Job> {
    const feeding = await jobs.feed({
      kind,
      lane: laneOf(request.sizeBytes),
      owner: request.owner,
      input: request.fileId === undefined ? {} : { fileId: request.fileId },
      ...(request.idempotencyKey === undefined ? {} : { idempotencyKey: request.idempotencyKey }),
    });
    if ("earlier" in feeding) {
      await left.drain();
      return feeding.earlier;
    }
    try {
      const tree = await archive.stage(transactionOf(feeding.job.id));
      await feeding.tasks.begin("receive", request.sizeBytes === undefined ? {} : { bytes: request.sizeBytes });
      return await feeding.handOver({ received: await fill(tree, feeding) });
    } catch (error) {
      const isInterrupted = error instanceof AppError && error.code === "upload_interrupted";
      try {
        // They belong to the step after the receipt: Pacifica clients know it as `open tar`.
        if (error instanceof AppError && TAR_FAULT.test(error.code)) await feeding.tasks.begin("open");
        const job = await feeding.fail(error, isAnswerable(error));
        if (isAnswerable(error)) return job;
        throw error instanceof AppError
          ? new AppError(error.code, { ...error.details, jobId: job.id }, { cause: error })
          : error;
      } finally {
        if (!isInterrupted) await left.drain();
      }
    }
  }

  /** @param read what the body is taken for. */
  function fromBody(
    source: Readable,
    request: BundleRequest,
    read: (body: AsyncIterable<Uint8Array>, tree: StagedTree, options: ReceiveOptions) => Promise<ReceivedBundle>,
  ): Promise<Job> {
    const body = openEnded(arriving(source));
    return fed(
      "ingest",
      request,
      async (tree, { tasks, signal }) => {
        signal.throwIfAborted();
        signal.addEventListener("abort", () => source.destroy(signal.reason), { once: true });
        const received = await read(body.values, tree, {
          algorithms: [archive.algorithm, DEPOSITOR_DIGEST],
          expected: request.expected ?? {},
          onBytes: (bytes) => tasks.advance({ bytes }),
          signal,
        });
        for (const member of received.passedOver) tasks.warn(member);
        return { members: received.memberCount, bytes: received.sizeBytes };
      },
      body,
    );
  }

  return {
    receive: (source, request) => fromBody(source, request, receiveBundle),

    receiveFile: (source, file, request) =>
      fromBody(source, request, (body, tree, options) => receiveLoneFile(body, file, tree, options)),

    receiveSpooled(uploadId, request) {
      return jobs.submit({
        kind: "ingest",
        lane: laneOf(request.sizeBytes),
        owner: request.owner,
        input: { uploadId, ...(request.sizeBytes === undefined ? {} : { sizeBytes: request.sizeBytes }) },
        idempotencyKey: `upload:${uploadId}`,
      });
    },

    move(document, request) {
      return fed(
        "move",
        { ...request, sizeBytes: document.length },
        async (tree) => {
          await tree.put(METADATA_CONTENT_PATH, document);
          await tree.sync();
          return { bytes: document.length };
        },
        { drain: async () => {} },
      );
    },
  };
}

/** Whatever a request's stream throws means that the upload broke off, but for the reason we destroyed it with. */
async function* arriving(source: Readable): AsyncGenerator<Uint8Array> {
  try {
    yield* source;
  } catch (error) {
    throw error instanceof AppError ? error : new AppError("upload_interrupted", {}, { cause: error });
  }
}

function laneOf(sizeBytes: number | undefined): Lane {
  return sizeBytes !== undefined && sizeBytes >= SLOW_FROM_BYTES ? "slow" : "fast";
}

const OF_THE_REQUEST: readonly Code[] = ["upload_interrupted", "digest_mismatch"];

/** The bundle itself is at fault, so its failed job is the answer; anything else is the request's or the server's fault. */
function isAnswerable(error: unknown): boolean {
  if (!(error instanceof AppError) || OF_THE_REQUEST.includes(error.code)) return false;
  return error.kind !== "unavailable" && error.kind !== "internal";
}
