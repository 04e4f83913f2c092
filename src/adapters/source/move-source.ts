import { type BigIntStats, constants } from "node:fs";
import { access, open, realpath, stat, unlink } from "node:fs/promises";
import { dirname, isAbsolute, relative, resolve } from "node:path";
import { Readable } from "node:stream";
import { AppError } from "../../core/errors.ts";
import type { MoveSource } from "../../core/ingest/move-source.ts";
import { ABSENT, ignoring, systemCode } from "../storage/fs/errors.ts";

const REFUSED = ["EACCES", "EPERM", "EROFS", "ELOOP"];

/**
 * Files below `roots`, on this machine. What counts is where a path leads once all links in it are resolved, for files
 * and roots alike; a root that does not exist holds nothing.
 *
 * Who can write below the roots can exchange files and folders at any moment. A file is therefore opened without
 * following a link, and read only if it is the very file that was found. For `remove`, a moment remains between the
 * look and the deed, in which a folder could be exchanged for a link; nothing portable closes it.
 */
export function fsMoveSource({ roots }: { readonly roots: readonly string[] }): MoveSource {
  /** Where `path` leads. @throws AppError source_missing, source_outside_roots. */
  async function locate(path: string): Promise<string> {
    if (roots.length === 0) throw outside(path, "LONGSHORE_MOVE_ROOTS names no folder");
    if (!isAbsolute(path) || path.includes("\0")) throw outside(path, "give an absolute path");
    const resolved = await realpath(path).catch(ignoring(...ABSENT, ...REFUSED));
    const resolvedRoots = await Promise.all(roots.map((root) => realpath(root).catch(ignoring(...ABSENT))));
    if (resolved !== undefined) {
      if (resolvedRoots.some((root) => root !== undefined && isBelow(root, resolved))) return resolved;
      throw outside(path);
    }
    // Of what lies elsewhere we do not tell whether it exists.
    const isOurs = [...roots, ...resolvedRoots].some((root) => root !== undefined && isBelow(root, resolve(path)));
    throw isOurs ? new AppError("source_missing", { path }) : outside(path);
  }

  /** @throws AppError source_unsuitable. */
  async function examine(resolved: string, path: string): Promise<BigIntStats> {
    const stats = await stat(resolved, { bigint: true });
    if (!stats.isFile()) throw unsuitable(path, stats.isDirectory() ? "it is a folder" : "it is a special file");
    await access(resolved, constants.R_OK).catch(refusing(path, "the server may not read it"));
    // Found out now, and not after it is archived.
    await access(dirname(resolved), constants.W_OK).catch(
      refusing(path, "the server may not remove files from its folder"),
    );
    return stats;
  }

  return {
    async find(path) {
      const resolved = await locate(path);
      const found = await examine(resolved, path).catch(vanished(path));
      return {
        path: resolved,
        sizeBytes: Number(found.size),
        modifiedAt: Number(found.mtimeMs),
        identity: [found.dev, found.ino, found.birthtimeNs, found.size, found.mtimeNs].join(":"),
        open: () => Readable.from(bytesOf(resolved, path, found), { objectMode: false }),
      };
    },

    async remove(path) {
      try {
        const resolved = await locate(path);
        await examine(resolved, path);
        await unlink(resolved);
      } catch (error) {
        const isGone = isAbsence(error) || (error instanceof AppError && error.code === "source_missing");
        if (!isGone) throw error;
      }
    },
  };
}

const MOST_READ_BYTES = 1024 * 1024;

/** Not blocking: should a named pipe have taken the file's place, opening it would wait for a writer. */
const OPEN_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

async function* bytesOf(resolved: string, path: string, found: BigIntStats): AsyncGenerator<Buffer> {
  const handle = await open(resolved, OPEN_FLAGS)
    .catch(refusing(path, "it became a link, or the server may not read it"))
    .catch(vanished(path));
  try {
    if (!isSame(await handle.stat({ bigint: true }), found))
      throw unsuitable(path, "it is another file than a moment ago");
    // By hand: a stream for each of many small files takes several times as long.
    for (;;) {
      const buffer = Buffer.allocUnsafe(Math.min(Number(found.size) + 1, MOST_READ_BYTES));
      const { bytesRead } = await handle.read(buffer);
      if (bytesRead === 0) return;
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    await handle.close();
  }
}

/** A file's number alone is given to the next file once it is gone. */
function isSame(a: BigIntStats, b: BigIntStats): boolean {
  return a.isFile() && a.dev === b.dev && a.ino === b.ino && a.birthtimeNs === b.birthtimeNs;
}

function isBelow(root: string, path: string): boolean {
  const way = relative(root, path);
  return way !== "" && way !== ".." && !way.startsWith("../") && !isAbsolute(way);
}

function outside(path: string, hint?: string): AppError {
  return new AppError("source_outside_roots", { path, ...(hint === undefined ? {} : { hint }) });
}

function unsuitable(path: string, hint: string, cause?: unknown): AppError {
  return new AppError("source_unsuitable", { path, hint }, { cause });
}

/** For `catch`: what the operating system refuses makes the source unsuitable; any other failure goes on. */
function refusing(path: string, hint: string): (error: unknown) => never {
  return (error) => {
    throw REFUSED.includes(systemCode(error) ?? "") ? unsuitable(path, hint, error) : error;
  };
}

/** For `catch`: the file went away after it was located. */
function vanished(path: string): (error: unknown) => never {
  return (error) => {
    throw isAbsence(error) ? new AppError("source_missing", { path }, { cause: error }) : error;
  };
}

function isAbsence(error: unknown): boolean {
  return ABSENT.some((code) => code === systemCode(error));
}
