import type { Readable } from "node:stream";

/** Bundles uploaded in pieces (tus), complete and durable, waiting for a worker. */
export interface UploadSpool {
  /** @throws AppError upload_unknown. */
  open(uploadId: string): Promise<{ readonly bytes: Readable; readonly sizeBytes: number }>;
  has(uploadId: string): Promise<boolean>;
  /** Idempotent. */
  remove(uploadId: string): Promise<void>;
}
