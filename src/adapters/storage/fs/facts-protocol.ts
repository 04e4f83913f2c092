import type { DigestName, StreamFacts } from "../../../core/digest.ts";

/** What a reading thread is asked for; it does one thing after the other. */
export interface FactsRequest {
  readonly id: number;
  /** On disk. */
  readonly file: string;
  readonly algorithms: readonly DigestName[];
  /** Not 0: give up. One `Int32`. */
  readonly stop: SharedArrayBuffer;
}

/** Any number with `read`, then one with either of the others. */
export interface FactsAnswer {
  readonly id: number;
  /** Bytes read since the last answer. */
  readonly read?: number;
  readonly facts?: StreamFacts;
  readonly failure?: {
    readonly message: string;
    /** Of the operating system; or `NOT_A_FILE`, `SHORT`, `STOPPED`. */
    readonly code: string | undefined;
  };
}

export const NOT_A_FILE = "not a regular file";
export const SHORT = "shorter than its size";
export const STOPPED = "stopped";
