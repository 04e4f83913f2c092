import type { Readable } from "node:stream";
import type { DigestName, Digests, StreamFacts } from "../digest.ts";

/** What is known of a file once its bytes have been written through a {@link TreeWriter}. */
export interface WrittenFile {
  /** Path inside the tree, as given to `begin`. */
  readonly path: string;
  readonly sizeBytes: number;
  readonly digests: Digests;
  /** CRC-32 (ISO 3309), unsigned. */
  readonly crc32: number;
}

export interface ByteRange {
  /** First byte wanted, 0-based. */
  readonly start: number;
  /** Last byte wanted, inclusive; to the end when left out. */
  readonly end?: number;
}

export interface StoredFile {
  readonly path: string;
  readonly sizeBytes: number;
}

export interface FactsOptions {
  readonly signal: AbortSignal;
  /** Told of bytes that have been read, at intervals; in the end of all. */
  onRead(bytes: number): void;
}

/** Bytes of one file, and where they go in the buffer they are gathered in. */
export interface GatherPart {
  readonly path: string;
  /** First byte wanted of the file, 0-based. */
  readonly start: number;
  /** At least 1; all within the file. */
  readonly sizeBytes: number;
  /** Offset in the buffer. */
  readonly at: number;
  /** Whether its CRC-32 is wanted, which costs more than reading it from memory. */
  readonly crc: boolean;
}

export interface Gathered {
  readonly buffer: Uint8Array<ArrayBuffer>;
  /** CRC-32 (ISO 3309), unsigned, of each part for which it was wanted. */
  readonly crcs: readonly (number | undefined)[];
}

/** Whether a file can be read, where some are kept where they cannot be read at once. */
export type Availability =
  | { readonly online: true }
  | {
      readonly online: false;
      /** On its way already. */
      readonly restoring: boolean;
      /** Epoch milliseconds at which it is expected, when the storage says so. */
      readonly readyAt?: number;
    };

/** Something in the storage that is no file. */
export interface Oddity {
  readonly path: string;
  /** In words: "a symbolic link". */
  readonly what: string;
}

/**
 * Where archived bytes live. Paths are relative, `/`-separated and plainly safe: the caller (`ocfl.ts`) computes every
 * one. What has been published is never overwritten.
 *
 * Adapters: `adapters/storage/{fs,s3,memory}.ts`. Contract: `test/conformance/object-storage.ts`.
 * Nothing here assumes a rename: an adapter without one writes to the final place at once and holds back the files named
 * in `publish`.
 */
export interface ObjectStorage {
  /**
   * Begins the tree that will be visible under `prefix`. Written is not visible: until `publish` neither `open`, `stat`
   * nor `list` finds anything of it. A tree left behind by a dead process is found again by {@link reopen}.
   * @throws AppError object_exists when `prefix` is already visible or already staged.
   */
  stage(prefix: string): Promise<StagedTree>;
  /** The tree staged for `prefix`, if there is one: by this process or an earlier one. */
  reopen(prefix: string): Promise<StagedTree | undefined>;
  /** Every prefix that has been staged and neither published nor discarded. */
  staged(): AsyncIterable<string>;
  /** Writes one small file durably under its final name. @throws AppError object_exists. */
  put(path: string, bytes: Uint8Array): Promise<void>;
  /**
   * The stream breaks with an error when the file turns out shorter than its size. A range that reaches past the last
   * byte ends there; one that starts right behind it is empty.
   * @throws AppError object_missing; range_not_satisfiable when the range starts further out.
   */
  open(path: string, range?: ByteRange): Promise<Readable>;
  /**
   * What a file's bytes are, read to their end beside the caller's thread. Absent where reading `open` is as good.
   * @throws as the stream of `open`; the reason of an abort.
   */
  facts?(path: string, algorithms: readonly DigestName[], options: FactsOptions): Promise<StreamFacts>;
  /** `undefined` when absent: absence is an answer here, not an error. */
  stat(path: string): Promise<StoredFile | undefined>;
  /** Sizes of many files at once, in order; `undefined` for those that are absent. Absent where it is `stat` in a loop. */
  sizes?(paths: readonly string[]): Promise<readonly (number | undefined)[]>;
  /**
   * Reads parts of many files into one buffer beside the caller's thread: many small files cost little more than one
   * large one. What no part covers stays as it is. The buffer must not be touched before the answer, which holds it anew:
   * the one that was given may be detached. Absent where reading `open` part by part is as good.
   * @throws AppError object_missing; object_corrupt when a file ends before its part does.
   */
  gather?(buffer: Uint8Array<ArrayBuffer>, parts: readonly GatherPart[]): Promise<Gathered>;
  /** Where files may be offline, as in cold storage; absent where every file can be read at once. */
  readonly restore?: {
    /** @throws AppError object_missing. */
    state(path: string): Promise<Availability>;
    /** Asks for a file to be made readable; asking again does no harm. @throws AppError object_missing. */
    request(path: string): Promise<void>;
  };
  /** All visible files below `prefix` (a folder; `""` for everything), depth first, names in code-unit order. */
  list(prefix: string): AsyncIterable<StoredFile>;
  /**
   * What lies below `prefix` and is no file, hence not in `list`: links, devices, folders with nothing in them. Absent
   * from storage that holds nothing but files.
   */
  oddities?(prefix: string): AsyncIterable<Oddity>;
  /** Removes everything visible below `prefix`; nothing there is no error. Used by tests and repair, never by ingest. */
  remove(prefix: string): Promise<void>;
  /** Bytes that can still be written, when the storage can tell. */
  freeBytes(): Promise<number | undefined>;
  close(): Promise<void>;
}

/**
 * A tree of files on its way into the archive. One process at a time works on it: the lease of the ingest job says
 * which. Every path is relative to the tree.
 */
export interface StagedTree {
  readonly prefix: string;
  /** Writes files one after the other, hashing each with all `algorithms` and CRC-32 as the bytes pass. */
  writer(algorithms: readonly DigestName[]): TreeWriter;
  /** Writes (or replaces) one small file of the tree. */
  put(path: string, bytes: Uint8Array | AsyncIterable<Uint8Array>): Promise<void>;
  /**
   * Takes in a file that already lies on this machine, without copying where the storage can (a hard link); the source
   * stays. Absent from storage that is not on this machine.
   * @returns false when it cannot be linked (another file system, not a regular file): the caller copies instead.
   * @throws AppError object_exists; source_missing.
   */
  link?(path: string, localPath: string): Promise<boolean>;
  /** @throws AppError object_missing. */
  open(path: string): Promise<Readable>;
  remove(path: string): Promise<void>;
  /** All files written so far, in no particular order; notes are not among them. */
  list(): AsyncIterable<StoredFile>;
  /**
   * Notes stay beside the tree until it is published or discarded, and are never part of it: what a later process needs
   * to continue. Replaced as a whole and durable on return.
   */
  putNote(name: string, bytes: AsyncIterable<Uint8Array>): Promise<void>;
  /** `undefined` when there is no such note. */
  openNote(name: string): Promise<Readable | undefined>;
  /** On return, everything written so far survives a power cut. */
  sync(): Promise<void>;
  /**
   * Makes the tree visible, all of it or nothing, and durable on return. `last` names the files without which a
   * reader does not take the tree for complete (OCFL: the root inventory); storage without rename writes them last.
   * @throws AppError object_exists; stage_missing when the tree has been discarded.
   */
  publish(last: readonly string[]): Promise<void>;
  /** Removes the tree and its notes. Idempotent. */
  discard(): Promise<void>;
}

/**
 * A sequential sink for many files. Calls are cheap and do not wait for the disk: bytes are copied out of `chunk` before
 * `write` returns, and the caller only waits when the sink is behind. Memory is bounded by the adapter, not by file sizes.
 */
export interface TreeWriter {
  /** Starts the next file; folders appear as needed. A path the tree already has fails the writer with object_exists. */
  begin(path: string): void;
  /** A promise only when the sink is behind: await it before the next call. Rejects with what a previous write met. */
  write(chunk: Uint8Array): Promise<void> | undefined;
  end(): void;
  /** Facts of files that are complete, in order; each is told once. Who takes them as they come need not hold them all. */
  take(): readonly WrittenFile[];
  /** Waits for all files begun; the facts that were not taken, in order. The writer is closed afterwards. */
  finish(): Promise<readonly WrittenFile[]>;
  /** Stops and releases what the writer holds; safe after a failure and after `finish`. */
  abort(): Promise<void>;
}
