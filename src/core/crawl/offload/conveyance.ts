import type { Problem } from "../../errors.ts";
import type { SourceEntry } from "../source.ts";

/** A file to be copied. */
export interface Freight {
  /** As the source lists it. */
  readonly entry: SourceEntry;
  /** Below the target's root. */
  readonly to: string;
}

/** What was found to be the same at both ends. */
export interface Proof {
  readonly sizeBytes: number;
  /** `null` where the stores compared it themselves. */
  readonly sha256: string | null;
}

/** A copy that is proven, or why there is none. */
export type Outcome = { readonly proof: Proof } | { readonly problem: Problem };

/**
 * A way for files from one store into another.
 *
 * Through this process: `through-here.ts`. Without: `adapters/source/{globus,s3}/conveyance.ts`.
 */
export interface Conveyance {
  /** How many files one call takes at most. */
  readonly filesAtOnce: number;
  /** Waits until nothing is under way any more that a process began which has died since. */
  settle(signal: AbortSignal): Promise<void>;
  /**
   * Copies files, and proves that the copies are the same. What is there already and is the same is not copied again; what
   * is there and is another is a problem, and stays.
   * @returns what became of each, in their order.
   * @throws AppError of kind `unavailable` when a store does not work for the moment; the signal's reason.
   */
  copy(files: readonly Freight[], signal: AbortSignal): Promise<readonly Outcome[]>;
  /**
   * Removes files at the source that are still what was copied, and folders that become empty by it.
   * @returns what hindered it, of those that stay.
   * @throws as `copy` does.
   */
  remove(files: readonly Proven[], signal: AbortSignal): Promise<readonly Problem[]>;
  /** Removes these folders of the source if they are empty: a process died between their last file and them. */
  prune(folders: Iterable<string>): Promise<void>;
  close(): Promise<void>;
}

export interface Proven {
  readonly file: Freight;
  readonly proof: Proof;
}
