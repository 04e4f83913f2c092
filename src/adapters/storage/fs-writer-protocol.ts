import type { WrittenFile } from "../../core/archive/object-storage.ts";
import type { DigestName } from "../../core/digest.ts";

/** A string begins the file with that path, a number takes that many of the slab's next bytes, `null` ends the file. */
export type Step = string | number | null;

/** What the main thread asks of a writer thread: steps in order, over bytes that lie in one slab. */
export interface Batch {
  /** Which writer it belongs to; a thread serves many, each with its own file under way. */
  readonly writer: number;
  /** Absolute path of the folder that paths are relative to. */
  readonly folder: string;
  readonly algorithms: readonly DigestName[];
  readonly steps: readonly Step[];
  /** Moved, not copied, to the thread and back. */
  readonly slab: ArrayBuffer | undefined;
  /** The writer's last batch: after it the thread forgets the writer, closing a file that is still open. */
  readonly last: boolean;
}

/** One per batch, in the writer's order. */
export interface Answer {
  readonly writer: number;
  readonly slab: ArrayBuffer | undefined;
  /** Files that ended in this batch. */
  readonly files: readonly WrittenFile[];
  /** The first failure of the writer, repeated with every batch after it: none of them is carried out. */
  readonly failure: Failure | undefined;
}

/** What the way between threads would strip from an error. */
export interface Failure {
  readonly message: string;
  readonly code: string | undefined;
  /** The file it is about, as given to `begin`. */
  readonly path: string | undefined;
}

/** Archived files are never changed in place, not even by mistake. */
export const FILE_MODE = 0o444;
