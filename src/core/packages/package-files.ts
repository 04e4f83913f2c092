import type { Readable } from "node:stream";
import type { ByteRange } from "../archive/object-storage.ts";

/**
 * Where finished packages lie, flat, and where they grow. Other programs may serve the folder: a name is visible only when
 * its file is whole and durable.
 *
 * Adapters: `adapters/packages/{folder,s3}.ts`. Contract: `test/conformance/package-files.ts`.
 */
export interface PackageFiles {
  /** A place for the files of one package while it grows; the same place for the same name, also after a crash, on the same machine at least. */
  workspace(name: string): Promise<Workspace>;
  /** Workspaces that exist, by name. */
  workspaces(): AsyncIterable<string>;
  /** @throws AppError object_missing, range_not_satisfiable. */
  open(fileName: string, range?: ByteRange): Promise<Readable>;
  stat(fileName: string): Promise<{ readonly sizeBytes: number; readonly modifiedAt: number } | undefined>;
  /** Every file that is visible, not only ours. */
  list(): AsyncIterable<{ readonly fileName: string; readonly sizeBytes: number; readonly modifiedAt: number }>;
  /** Names of visible files that a link in the same place points to: somebody wants them to stay. */
  linked(): AsyncIterable<string>;
  /** Idempotent. */
  remove(fileName: string): Promise<void>;
  freeBytes(): Promise<number | undefined>;
}

export interface Workspace {
  /**
   * Opens a file for appending, cut to `sizeBytes` first.
   * @throws AppError object_corrupt when it is shorter: what was said to be durable is not there.
   */
  append(name: string, sizeBytes: number): Promise<WorkFile>;
  /** `undefined` when there is no such file. */
  sizeOf(name: string): Promise<number | undefined>;
  remove(name: string): Promise<void>;
  /** Makes one of its files visible under `fileName`, durably, and ends the workspace. @throws AppError object_exists. */
  publish(name: string, fileName: string): Promise<void>;
  discard(): Promise<void>;
}

export interface WorkFile {
  readonly sizeBytes: number;
  /** Appends. @throws AppError storage_full. */
  write(...pieces: readonly Uint8Array[]): Promise<void>;
  /** Replaces what was written at `position`: as many bytes, none of them behind the end. */
  replace(position: number, bytes: Uint8Array): Promise<void>;
  /** What is in it, from `from` on, in pieces of about 1 MiB: each is there until the next is asked for. */
  read(from: number): AsyncIterable<Uint8Array>;
  /** On return, what was written survives a power cut. */
  sync(): Promise<void>;
  close(): Promise<void>;
}
