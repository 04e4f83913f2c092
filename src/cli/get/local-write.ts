import { statfsSync } from "node:fs";
import { LongshoreError } from "../../sdk/index.ts";
import { bytesText } from "../amounts.ts";

/** For `catch`: names the file that cannot be written. */
export const unwritable =
  (path: string) =>
  (cause: unknown): never => {
    throw localTrouble(path, cause instanceof Error ? cause.message : String(cause), cause);
  };

/** Runs a file system call; what it throws names the file. */
export function attempt<T>(path: string, call: (path: string) => T): T {
  try {
    return call(path);
  } catch (error) {
    return unwritable(path)(error);
  }
}

export function localTrouble(path: string, reason: string, cause?: unknown): LongshoreError {
  return new LongshoreError("local_file_unusable", `${path} cannot be written: ${reason}`, {
    details: { path, reason },
    cause,
  });
}

/** Better now than after hours. @param folder an existing one. @throws LongshoreError local_file_unusable. */
export function requireSpace(folder: string, path: string, neededBytes: number): void {
  const { bavail, bsize } = statfsSync(folder);
  if (bavail * bsize >= neededBytes) return;
  const [needed, free] = [bytesText(neededBytes), bytesText(bavail * bsize)];
  throw localTrouble(path, `it takes ${needed} more, and the disk has ${free} left.`);
}
