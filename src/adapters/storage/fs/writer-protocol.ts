import type { DigestName, Digests } from "../../../core/digest.ts";

/** A string begins the file with that path, a number takes that many of the slab's next bytes, `null` ends the file. */
export type Step = string | number | null;

/** What the main thread asks of a lane: steps in order, over bytes that lie in one slab. */
export interface Batch {
  readonly algorithms: readonly DigestName[];
  readonly steps: readonly Step[];
  /** Shared with the other lane of the writer: nobody writes to it before both have answered. */
  readonly slab: SharedArrayBuffer | undefined;
  /** The lane's last batch: after it the thread forgets the lane and closes a file that is still open. */
  readonly last: boolean;
}

/** A thread serves many lanes, each with its own file under way. */
export interface Message extends Batch {
  readonly lane: number;
  /** Absolute path of the folder to write the files to; a lane without one only hashes. */
  readonly folder: string | undefined;
}

/** One per batch, in the lane's order. */
export interface Answer {
  readonly lane: number;
  /** Files that ended in this batch. */
  readonly files: readonly LaneFile[];
  /** The first failure of the lane, repeated with every batch after it: none of them is carried out. */
  readonly failure: Failure | undefined;
}

/** What one lane knows of a file; which one it is follows from the order. */
export interface LaneFile {
  readonly sizeBytes: number;
  /** 0 from a lane that only hashes. */
  readonly crc32: number;
  readonly digests: Digests;
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
