import type { StreamFacts } from "../digest.ts";

/** Folders of this name hold what is not whole yet, and nothing that anybody asks for. */
export const INCOMING_FOLDER = ".longshore-incoming";

/**
 * A store that files can be put into: the other end of an offload, and where records are written as files.
 *
 * Adapters: `adapters/source/fs-target.ts`, `adapters/source/{s3,globus}/target.ts`. Contract: `test/conformance/target.ts`.
 */
export interface Target {
  /**
   * Writes one file; folders on the way are made. It is there whole and durable, in place of an earlier one, or not at all;
   * nothing else is left behind.
   * @param path below the target's root, plain: no empty, `.` or `..` parts.
   * @returns size and digest (SHA-256) of what was written, by the writer.
   * @throws AppError storage_full, storage_unavailable; endpoint_refused when a link leads elsewhere; the signal's reason.
   */
  put(path: string, bytes: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<StreamFacts>;
  /**
   * Puts small files together: each of them as `put` does, all durable when it resolves; when it throws, some are there and
   * some are not. Absent where that is no quicker than one after the other.
   */
  putAll?(files: readonly SmallFile[], signal: AbortSignal): Promise<void>;
  /** Reads a file back. @returns its size and SHA-256; `undefined` when it is not there. */
  facts(path: string, signal: AbortSignal): Promise<StreamFacts | undefined>;
  /** Removes a file if it is there, and folders that become empty by it, the root excepted. */
  remove(path: string): Promise<void>;
  /**
   * Removes a folder if it is there and empty, and folders above that are empty then, the root excepted. Absent where a folder
   * is only what paths have in common.
   */
  prune?(folder: string): Promise<void>;
  close(): Promise<void>;
}

export interface SmallFile {
  readonly path: string;
  readonly bytes: Uint8Array;
}
