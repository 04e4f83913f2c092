import type { Readable } from "node:stream";

export interface RemoteFile {
  readonly sizeBytes: number;
  /** Epoch milliseconds. */
  readonly modifiedAt: number | null;
  /** Readable at once; otherwise it lies on tape, or is on its way from there. */
  readonly online: boolean;
}

/**
 * Another archive whose files can be put into carts. Every file is copied into the staging cache before the cart is ready.
 *
 * Adapter: `adapters/pacifica/archive.ts`, for a Pacifica archive interface.
 */
export interface RemoteArchive {
  /** Asks for a file to be made readable; asking again does no harm. @throws AppError file_unknown. */
  request(id: string, signal: AbortSignal): Promise<void>;
  /** @throws AppError file_unknown, remote_unavailable, remote_refused. */
  state(id: string, signal: AbortSignal): Promise<RemoteFile>;
  /** Breaks with an error when the connection ends before the file does. @throws as `state`. */
  open(id: string, signal: AbortSignal): Promise<Readable>;
}
