import type { Readable } from "node:stream";

/** A file on this server that a depositor asks to move into the archive. */
export interface SourceFile {
  /** Absolute, with all links resolved. */
  readonly path: string;
  readonly sizeBytes: number;
  /** Epoch milliseconds. */
  readonly modifiedAt: number;
  /** Differs when another file lies there, or the same one after it was written to. */
  readonly identity: string;
  /** The stream breaks with source_unsuitable when another file lies there by now. */
  open(): Readable;
}

/** Files on the server's disk, under the configured roots only. Adapter: `adapters/source/move-source.ts`. */
export interface MoveSource {
  /**
   * @throws AppError source_missing; source_outside_roots (also when a link leads out of the roots, and whether or not
   * something is there); source_unsuitable (not a regular file, or one that the server may not read and remove).
   */
  find(path: string): Promise<SourceFile>;
  /** Removes the file once it is archived. Idempotent. @throws AppError source_outside_roots, source_unsuitable. */
  remove(path: string): Promise<void>;
}
