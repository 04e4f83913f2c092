import { type BigIntStats, constants } from "node:fs";
import { access, lstat, mkdir, open, readdir, rename, rmdir, stat, writeFile } from "node:fs/promises";
import type { DropEntry, DropFiles } from "../../core/drop/drop.ts";
import { AppError } from "../../core/errors.ts";
import { ABSENT, ignoring, systemCode } from "../storage/fs/errors.ts";
import { nameOf, rawName } from "./names.ts";

/** No link is followed; should a named pipe have taken a file's place, opening it does not wait for a writer. */
const OPEN_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
const REFUSED = ["EACCES", "EPERM", "EROFS", "EIO", "ESTALE", "ENOSPC", "EDQUOT", "EXDEV", ...ABSENT];
const REASON = "reason.txt";
const SLASH = Buffer.from("/");
const MOST_READ_BYTES = 1024 * 1024;
/** Entries that the operating system is asked about together. */
const AT_A_TIME = 64;

/** Drop folders on this machine. Names are bytes to the file system, and are kept as such until they prove to be text. */
export function fsDropFiles(): DropFiles {
  /** @throws AppError drop_unreadable for what the operating system refuses. */
  async function usable<T>(path: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      const reason = systemCode(error) ?? "";
      throw REFUSED.includes(reason) ? new AppError("drop_unreadable", { path, reason }, { cause: error }) : error;
    }
  }

  async function entryAt(folder: string, raw: Buffer): Promise<DropEntry | undefined> {
    const stats = await lstat(join(folder, raw), { bigint: true }).catch(ignoring("ENOENT", "ENOTDIR"));
    return stats && { path: nameOf(raw), ...factsOf(stats) };
  }

  async function* inside(folder: string, raw: Buffer): AsyncGenerator<DropEntry> {
    const names = await readdir(join(folder, raw), { encoding: "buffer" }).catch(ignoring("ENOENT", "ENOTDIR"));
    const paths = (names ?? []).map((name) => Buffer.concat([raw, SLASH, name]));
    for (let at = 0; at < paths.length; at += AT_A_TIME)
      for (const entry of await Promise.all(paths.slice(at, at + AT_A_TIME).map((path) => entryAt(folder, path)))) {
        if (!entry) continue;
        yield entry;
        if (entry.kind === "folder") yield* inside(folder, rawName(entry.path));
      }
  }

  async function* walk(folder: string, { path }: DropEntry): AsyncGenerator<DropEntry> {
    const now = await entryAt(folder, rawName(path));
    if (!now) return;
    yield now;
    if (now.kind === "folder") yield* inside(folder, rawName(path));
  }

  return {
    list: (folder) =>
      usable(folder, async () => {
        const entries: DropEntry[] = [];
        for (const name of await readdir(folder, { encoding: "buffer" })) {
          const entry = await entryAt(folder, name);
          if (entry) entries.push(entry);
        }
        return entries;
      }),

    async *walk(folder, entry) {
      const walking = walk(folder, entry);
      for (;;) {
        const { done, value } = await usable(`${folder}/${entry.path}`, () => walking.next());
        if (done) return;
        yield value;
      }
    },

    async *open(folder, path) {
      const handle = await open(join(folder, rawName(path)), OPEN_FLAGS).catch((cause: unknown) => {
        const code = systemCode(cause) ?? "";
        if (ABSENT.some((absent) => absent === code)) throw new AppError("source_missing", { path }, { cause });
        if (!["EACCES", "EPERM", "ELOOP", "ENXIO"].includes(code)) throw cause;
        throw new AppError("source_unsuitable", { path, hint: "it is a link, or may not be read" }, { cause });
      });
      try {
        const stats = await handle.stat();
        if (!stats.isFile()) throw new AppError("source_unsuitable", { path, hint: "it is no regular file" });
        // By hand: a stream for each of many small files takes several times as long.
        for (;;) {
          const buffer = Buffer.allocUnsafe(Math.min(stats.size + 1, MOST_READ_BYTES));
          const { bytesRead } = await handle.read(buffer);
          if (bytesRead === 0) return;
          yield buffer.subarray(0, bytesRead);
        }
      } finally {
        await handle.close();
      }
    },

    quarantine: ({ folder, quarantine }, paths, place, reason) =>
      usable(quarantine, async () => {
        const target = `${quarantine}/${place}`;
        await mkdir(target, { recursive: true });
        // The reason first: whatever lies there has one.
        await writeFile(`${target}/${REASON}`, reason, { flush: true });
        for (const path of paths) {
          const raw = rawName(path);
          if (await lstat(join(target, raw)).catch(ignoring("ENOENT"))) continue;
          await rename(join(folder, raw), join(target, raw)).catch(ignoring("ENOENT"));
        }
        await Promise.all([target, quarantine, folder].map(sync));
      }),

    async removeEmpty(folder, path) {
      const raw = join(folder, rawName(path));
      await removeEmpty(raw);
    },

    async check({ name, folder, quarantine }) {
      const refuse = (found: string, expected: string, cause?: unknown) =>
        new AppError("drop_invalid", { drop: name, expected, found }, { cause });
      const watched = await stat(folder).catch((cause: unknown) => {
        throw refuse(folder, "a folder that is there", cause);
      });
      if (!watched.isDirectory()) throw refuse(folder, "a folder");
      await access(folder, constants.R_OK | constants.W_OK | constants.X_OK).catch((cause: unknown) => {
        throw refuse(folder, "a folder that the server may read and write", cause);
      });
      await mkdir(quarantine, { recursive: true }).catch((cause: unknown) => {
        throw refuse(quarantine, "a folder that the server may make", cause);
      });
      if ((await stat(quarantine)).dev !== watched.dev)
        throw refuse(quarantine, "a quarantine on the file system of the folder");
    },
  };
}

const join = (folder: string | Buffer, raw: Buffer) => Buffer.concat([Buffer.from(folder), SLASH, raw]);

function factsOf(stats: BigIntStats): Omit<DropEntry, "path"> {
  return {
    kind: stats.isFile() ? "file" : stats.isDirectory() ? "folder" : "other",
    sizeBytes: stats.isFile() ? Number(stats.size) : 0,
    modified: String(stats.mtimeNs),
    modifiedAt: Number(stats.mtimeMs),
  };
}

async function sync(path: string): Promise<void> {
  await using folder = await open(path);
  await folder.sync();
}

async function removeEmpty(path: Buffer): Promise<void> {
  const stats = await lstat(path).catch(ignoring("ENOENT"));
  if (!stats?.isDirectory()) return;
  const names = await readdir(path, { encoding: "buffer" }).catch(ignoring("ENOENT"));
  for (const name of names ?? []) await removeEmpty(Buffer.concat([path, SLASH, name]));
  await rmdir(path).catch(ignoring("ENOTEMPTY", "EEXIST", "ENOENT"));
}
