import { link, lstat, mkdir, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { StagedTree, TreeWriter, WrittenFile } from "../../../core/archive/object-storage.ts";
import { AppError } from "../../../core/errors.ts";
import { syncFiles, syncFolders, syncTree, writeAside } from "./durability.ts";
import { ABSENT, ignoring, refusals, systemCode } from "./errors.ts";
import { encodeName, type FsLayout } from "./layout.ts";
import { isThere, openFile, walkFiles } from "./read.ts";
import { pruneFolders, removeTree, vanish } from "./remove.ts";
import { fsTreeWriter, type Slabs } from "./writer.ts";
import type { WriterThreads } from "./writer-threads.ts";

/**
 * Up to this many files are synced one by one; more in one go, which is cheaper but waits for whatever else the disk is
 * about to write. Medians on an idle disk, 2026-11-22, fsync(2) of each against `sync -f`, ext4: 1 file 3 and 2 ms,
 * 64 files 12 and 3 ms, 1,024 files 84 and 17 ms, 10,000 files 780 and 74 ms.
 */
const SYNC_EACH = 64;

/**
 * A tree under the staging folder.
 * @param fresh false when an earlier process may have written to it, so that what needs syncing is not known.
 */
export function fsStagedTree(
  layout: FsLayout,
  threads: WriterThreads,
  slabs: Slabs,
  prefix: string,
  fresh: boolean,
): StagedTree {
  const tree = layout.tree(prefix);
  const notes = layout.notesOf(prefix);
  const fileOf = (path: string) => join(tree, path);
  const writers = new Set<TreeWriter>();
  const unsynced = unsyncedFiles(fresh);

  async function sync(): Promise<void> {
    const paths = unsynced.take();
    try {
      if (!paths) await syncAll();
      else if (paths.length > 0) await syncFiles(layout.root, tree, paths);
    } catch (error) {
      unsynced.lost(error);
      throw error;
    }
  }
  async function syncAll(): Promise<void> {
    await syncTree(layout.root, tree);
    await syncFolders(layout.root, tree);
  }
  async function place(path: string, put: (file: string) => Promise<void>): Promise<void> {
    await mkdir(dirname(fileOf(path)), { recursive: true });
    await put(fileOf(path));
    unsynced.add(path);
  }

  return {
    prefix,
    writer(algorithms) {
      const writer = fsTreeWriter(threads, slabs, tree, algorithms);
      writers.add(writer);
      function known(files: readonly WrittenFile[]): readonly WrittenFile[] {
        for (const { path } of files) unsynced.add(path);
        return files;
      }
      async function finish(): Promise<readonly WrittenFile[]> {
        try {
          return known(await writer.finish());
        } catch (error) {
          unsynced.addUnknown();
          throw error;
        } finally {
          writers.delete(writer);
        }
      }
      async function abort(): Promise<void> {
        if (writers.has(writer)) unsynced.addUnknown();
        await writer.abort();
        writers.delete(writer);
      }
      return { ...writer, take: () => known(writer.take()), finish, abort };
    },
    put: (path, bytes) =>
      refusals(() => writeAside(layout, bytes, false, (file) => place(path, (final) => rename(file, final)))),
    link: (path, localPath) =>
      refusals(async () => {
        const source = await lstat(localPath).catch(ignoring(...ABSENT));
        if (!source) throw new AppError("source_missing", { path });
        // link(2) would take a symbolic link for itself.
        if (!source.isFile()) return false;
        try {
          await place(path, (final) => link(localPath, final));
          return true;
        } catch (error) {
          if (systemCode(error) === "EEXIST") throw new AppError("object_exists", { path }, { cause: error });
          // Another file system, a source that may not be linked, or one that has too many links.
          if (["EXDEV", "EPERM", "EMLINK"].includes(systemCode(error) ?? "")) return false;
          throw error;
        }
      }),
    open: (path) => refusals(async () => (await openFile(fileOf(path), path)) ?? missing(path)),
    remove: (path) =>
      refusals(async () => {
        unsynced.delete(path);
        await rm(fileOf(path), { force: true });
        await pruneFolders(tree, dirname(fileOf(path)));
      }),
    list: () => walkFiles(tree),
    putNote: (name, bytes) =>
      refusals(async () => {
        await mkdir(notes, { recursive: true });
        await writeAside(layout, bytes, true, (file) => rename(file, join(notes, encodeName(name))));
        await syncFolders(layout.root, notes);
      }),
    openNote: (name) => refusals(() => openFile(join(notes, encodeName(name)), name)),
    sync: () => refusals(sync),
    publish: () =>
      refusals(async () => {
        if (writers.size > 0) throw new Error("publish: a writer of this tree is not finished.");
        const target = layout.visible(prefix);
        try {
          await sync();
          await mkdir(dirname(target), { recursive: true });
          // rename(2) replaces an empty folder without a word; one that is not empty, or a file, it refuses.
          if (await isThere(target)) throw new AppError("object_exists", { path: prefix });
          await rename(tree, target);
        } catch (error) {
          if (!["ENOENT", "ENOTEMPTY", "EEXIST", "ENOTDIR"].includes(systemCode(error) ?? "")) throw error;
          const code = (await isThere(target)) ? "object_exists" : "stage_missing";
          throw new AppError(code, { path: prefix }, { cause: error });
        }
        await syncFolders(layout.root, dirname(target));
        await syncFolders(layout.root, dirname(tree));
        await removeNotes(layout, prefix);
        await pruneFolders(layout.trees, dirname(tree));
      }),
    discard: () =>
      refusals(async () => {
        await Promise.all([...writers].map((writer) => writer.abort()));
        writers.clear();
        // Notes first: a tree without notes is started again, notes without a tree would speak for the next one.
        await removeNotes(layout, prefix);
        await vanish(layout, tree);
        await pruneFolders(layout.trees, dirname(tree));
      }),
  };
}

/** Notes of a prefix that is no longer staged, or never was. */
export async function removeNotes(layout: FsLayout, prefix: string): Promise<void> {
  const notes = layout.notesOf(prefix);
  await removeTree(notes);
  await pruneFolders(layout.notes, dirname(notes));
}

function missing(path: string): never {
  throw new AppError("object_missing", { path });
}

/** What `sync` has to make durable: a few paths, or too many (or unknown ones) to name. */
function unsyncedFiles(fresh: boolean) {
  const paths = new Set<string>();
  let all = !fresh;
  let failure: unknown;
  return {
    add(path: string): void {
      if (all) return;
      paths.add(path);
      if (paths.size <= SYNC_EACH) return;
      all = true;
      paths.clear();
    },
    addUnknown(): void {
      all = true;
    },
    delete: (path: string) => paths.delete(path),
    /** The paths, `undefined` for everything. What is added from now on belongs to the next sync. */
    take(): readonly string[] | undefined {
      if (failure) throw failure;
      const taken = all ? undefined : [...paths];
      all = false;
      paths.clear();
      return taken;
    },
    /** After a failed fsync(2) the kernel counts the lost pages as clean: asking again would succeed, and lie. */
    lost(error: unknown): void {
      failure ??= error;
    },
  };
}
