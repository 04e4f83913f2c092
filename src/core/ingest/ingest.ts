import type { DigestName } from "../digest.ts";
import type { Job } from "../jobs/job.ts";

export interface BundleRequest {
  /** The principal that deposits. */
  readonly owner: string;
  readonly idempotencyKey?: string;
  /** Length of the body when it was announced. */
  readonly sizeBytes?: number;
  /** Digests of the whole body that the client promised (RFC 9530). */
  readonly expected?: Readonly<Partial<Record<DigestName, string>>>;
}

/** Takes bundles in. What happens to them afterwards is the `ingest` job's handler: `ingest-job.ts`. */
export interface Ingest {
  /**
   * Reads a bundle to its end, hashing and staging while it arrives. On return the bytes are durable and the job is
   * queued; or it has failed already (not a tar, broken off …) and the job says why. Consumes `bytes` in every case
   * but a client that went away. Memory: bounded by the storage's writer plus one record per member.
   * @throws AppError digest_mismatch when the body is not what `expected` promised (its job has failed with the same),
   * idempotency_conflict, storage_full, storage_unavailable.
   */
  receive(bytes: AsyncIterable<Uint8Array>, request: BundleRequest, signal: AbortSignal): Promise<Job>;
  /** Queues the ingest of an upload that lies complete in the spool; once per upload. */
  receiveSpooled(uploadId: string, request: BundleRequest): Promise<Job>;
  /** Queues the move of files that lie on this server; `document` is a metadata array whose files carry `source`. */
  move(document: Uint8Array, request: BundleRequest): Promise<Job>;
}
