import { AppError, type Details } from "../../../core/errors.ts";
import { ABSENT, storageError, systemCode } from "./errors.ts";

export const NOT_A_FILE = "not a regular file";
export const SHORT = "shorter than its size";
export const STOPPED = "stopped";

/** What a thread met while it read. Goes from thread to thread as these three: an error would lose its fields. */
export class ReadFailure extends Error {
  override readonly name = "ReadFailure";
  /** Of the operating system; or one of the above. */
  readonly code: string | undefined;
  /** `path` is the one the archive knows. */
  readonly details: Details;

  constructor(message: string, code: string | undefined, details: Details = {}) {
    super(message);
    this.code = code;
    this.details = details;
  }
}

/** Whatever was thrown, with `details` added to what it says itself. */
export function readFailure(error: unknown, details: Details = {}): ReadFailure {
  const own = error instanceof ReadFailure ? error.details : {};
  return new ReadFailure(error instanceof Error ? error.message : String(error), systemCode(error), {
    ...details,
    ...own,
  });
}

/** In the archive's words: object_missing, object_corrupt, storage_unavailable; other errors as they are. */
export function readError(error: unknown): unknown {
  if (!(error instanceof ReadFailure)) return error;
  const { code, details } = error;
  if (code === NOT_A_FILE || ABSENT.some((absent) => absent === code)) {
    return new AppError("object_missing", details, { cause: error });
  }
  if (code === SHORT) return new AppError("object_corrupt", details, { cause: error });
  return storageError(error, typeof details.path === "string" ? details.path : undefined);
}
