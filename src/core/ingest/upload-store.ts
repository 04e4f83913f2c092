import type { DigestName } from "../digest.ts";
import type { JobId } from "../ids.ts";
import type { UploadSpool } from "./upload-spool.ts";

/** A bundle on its way in, in pieces. */
export interface Upload {
  readonly id: string;
  /** The principal that began it; nobody else may continue it. */
  readonly owner: string;
  /** `null` while the sender has not said. */
  readonly sizeBytes: number | null;
  /** How much has arrived and counts. */
  readonly offset: number;
  /** What the sender said about it; of no meaning to us. */
  readonly metadata: Readonly<Record<string, string | null>>;
  /** The job that ingests it; remembered after the bytes are gone. */
  readonly jobId: JobId | null;
  /** When it began or its last piece came, in epoch milliseconds. */
  readonly activeAt: number;
}

/** The digest that a piece must have. */
export interface PieceDigest {
  readonly algorithm: DigestName;
  /** Lower-case hex. */
  readonly value: string;
}

/**
 * Keeps uploads until they are ingested. Of several requests that go on with an upload at the same time, on whichever node,
 * one comes first, and the others are told that the offset is another by now.
 *
 * Adapters: `adapters/upload/{upload-store,s3}.ts`. Contract: `test/conformance/upload-store.ts`.
 */
export interface UploadStore extends UploadSpool {
  /** @throws AppError storage_full, storage_unavailable, as every method that writes. */
  create(upload: Pick<Upload, "id" | "owner" | "sizeBytes" | "metadata">): Promise<Upload>;
  /** `undefined` when absent: absence is an answer here, not an error. */
  get(id: string): Promise<Upload | undefined>;
  /** @throws AppError upload_unknown. */
  declareSize(id: string, sizeBytes: number): Promise<void>;
  /**
   * Writes a piece at the end. When `bytes` breaks off, what came is kept and the error thrown; with `expected` the piece
   * counts as a whole or not at all, even when the process dies over it.
   * @returns the new offset. @throws AppError digest_mismatch, upload_offset_mismatch, upload_unknown.
   */
  append(id: string, offset: number, bytes: AsyncIterable<Uint8Array>, expected?: PieceDigest): Promise<number>;
  /** Ends a complete upload: on return its bytes survive a power cut. It stays complete when its job takes them. */
  seal(id: string): Promise<void>;
  /** Notes which job ingests it; durable. */
  assign(id: string, jobId: JobId): Promise<void>;
  /** Forgets the upload with its bytes. Idempotent. */
  discard(id: string): Promise<void>;
  /** Every upload that is known, in no particular order. */
  list(): AsyncIterable<Upload>;
  /**
   * Forgets what has been silent since `before` (epoch milliseconds): uploads that are not complete, and those whose
   * bytes their job has taken. A complete upload waits for its job as long as that takes. @returns how many went.
   */
  removeExpired(before: number): Promise<number>;
}
