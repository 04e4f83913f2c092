import { createHash } from "node:crypto";
import { lstatSync, mkdirSync, renameSync, type Stats } from "node:fs";
import { open } from "node:fs/promises";
import { dirname, join } from "node:path";
import { attempt, localTrouble } from "./local-write.ts";

const READ_BYTES = 1024 * 1024;

/**
 * The folder that files are unpacked into. Nothing below it is read or written through a symbolic link: every folder on the
 * way to a file is looked at, once.
 */
export interface UnpackTarget {
  /** What lies at a path: nothing, a regular file of this size, or something else. */
  look(
    path: string,
  ): { readonly found: "nothing" | "something else" } | { readonly found: "file"; readonly sizeBytes: number };
  /** Of a regular file. @throws the signal's reason when it aborts. */
  digest(path: string, algorithm: string, signal: AbortSignal): Promise<string>;
  /** Moves a finished file to its path, making folders on the way; replaces whatever file or link lies there. */
  place(finished: string, path: string): void;
}

export function unpackTarget(root: string): UnpackTarget {
  const folders = new Map<string, boolean>([[".", true]]);

  /** Whether a folder is there. @throws LongshoreError local_file_unusable when something else is. */
  function isThere(folder: string): boolean {
    const known = folders.get(folder);
    if (known !== undefined) return known;
    const stats = isThere(dirname(folder)) ? lstat(folder) : undefined;
    if (stats && !stats.isDirectory())
      throw localTrouble(
        join(root, folder),
        stats.isSymbolicLink() ? "it is a symbolic link, and nothing is written through one." : "it is not a folder.",
      );
    folders.set(folder, stats !== undefined);
    return stats !== undefined;
  }

  const lstat = (path: string): Stats | undefined => lstatSync(join(root, path), { throwIfNoEntry: false });

  function make(folder: string): void {
    if (isThere(folder)) return;
    make(dirname(folder));
    attempt(join(root, folder), (path) => mkdirSync(path));
    folders.set(folder, true);
  }

  return {
    look(path) {
      const stats = isThere(dirname(path)) ? lstat(path) : undefined;
      if (!stats) return { found: "nothing" };
      return stats.isFile() ? { found: "file", sizeBytes: stats.size } : { found: "something else" };
    },
    async digest(path, algorithm, signal) {
      const hash = createHash(algorithm);
      await using file = await open(join(root, path));
      const buffer = Buffer.allocUnsafe(READ_BYTES);
      for (;;) {
        signal.throwIfAborted();
        const { bytesRead } = await file.read(buffer);
        if (bytesRead === 0) return hash.digest("hex");
        hash.update(buffer.subarray(0, bytesRead));
      }
    },
    place(finished, path) {
      make(dirname(path));
      attempt(join(root, path), (full) => renameSync(finished, full));
    },
  };
}
