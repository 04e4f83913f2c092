import { AppError, type Code } from "../../../core/errors.ts";

/** What the operating system refuses, in the archive's words. Anything else is a defect and passes as it is. */
const REFUSALS: Readonly<Record<string, Code>> = {
  ENOSPC: "storage_full",
  EDQUOT: "storage_full",
  EACCES: "storage_unavailable",
  EPERM: "storage_unavailable",
  EROFS: "storage_unavailable",
  EIO: "storage_unavailable",
  // Linux's EBADMSG, ESTALE and EUCLEAN, with which file systems report their own damage: libuv has no names for them.
  "Unknown system error -74": "storage_unavailable",
  "Unknown system error -116": "storage_unavailable",
  "Unknown system error -117": "storage_unavailable",
};

/** @param path what it is about, as the archive names it. */
export function storageError(error: unknown, path?: string): unknown {
  const reason = systemCode(error) ?? "";
  const code = REFUSALS[reason];
  return code ? new AppError(code, { ...(path === undefined ? {} : { path }), reason }, { cause: error }) : error;
}

/** Runs `work` and translates what the operating system refuses. */
export async function refusals<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw storageError(error);
  }
}

/** `ENOENT` and the like, for errors that come from a system call. */
export function systemCode(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}

/** For `catch`: a failure with one of `codes` is an answer, `undefined`; any other goes on. */
export function ignoring(...codes: readonly string[]): (error: unknown) => undefined {
  return (error) => {
    if (!codes.includes(systemCode(error) ?? "")) throw error;
  };
}

/** Nothing can be at such a path: no entry, a file where a folder is needed, a name no file can have. */
export const ABSENT = ["ENOENT", "ENOTDIR", "ENAMETOOLONG"] as const;
