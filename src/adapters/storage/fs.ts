import { link, mkdir, readdir, rm } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { dirname, join, resolve } from "node:path";
import type { ObjectStorage } from "../../core/archive/object-storage.ts";
import { AppError } from "../../core/errors.ts";
import { makeFolder, syncFolders, writeAside } from "./fs/durability.ts";
import { ignoring, refusals, systemCode } from "./fs/errors.ts";
import { factsThreads } from "./fs/facts.ts";
import { freeBytesAt } from "./fs/free-bytes.ts";
import { gatherThreads } from "./fs/gather.ts";
import { decodeName, fsLayout, holdsStaging, isPiece, isStaging } from "./fs/layout.ts";
import { isThere, openFile, sizeOf, walkFiles, walkOddities } from "./fs/read.ts";
import { pruneFolders, removeTree, vanish } from "./fs/remove.ts";
import { fsStagedTree, removeNotes } from "./fs/staged-tree.ts";
import { slabs } from "./fs/writer.ts";
import { writerThreads } from "./fs/writer-threads.ts";

/**
 * The archive as plain files below `root`, which is made when it does not exist. All processes that write to one root
 * run on one machine. See `fs/layout.ts` for what lies where.
 */
export function fsObjectStorage({ root }: { readonly root: string }): ObjectStorage {
  const layout = fsLayout(resolve(root));
  // One per core, as each takes 30 MiB. Ten writers of 2,000 small files each, on two cores that were busy otherwise:
  // 2.1 s with one thread, 1.3 s with two, 1.6 s with four (medians of 3, 2026-11-22).
  const threads = writerThreads(Math.min(4, availableParallelism()));
  const readers = factsThreads(Math.min(4, availableParallelism()));
  const gatherers = gatherThreads(layout.root, Math.min(4, availableParallelism()));
  const memory = slabs();

  async function* stagedPrefixes(folder: string, base = ""): AsyncGenerator<string> {
    for (const name of await namesIn(folder)) {
      if (isPiece(name)) yield* stagedPrefixes(join(folder, name), `${base}${name}/`);
      else yield decodeName(base + name);
    }
  }

  /**
   * For a prefix without a tree. The process that published it may have died before the names were durable and the notes
   * gone: what is visible is about to be taken for safe.
   */
  async function settle(prefix: string): Promise<void> {
    const visible = layout.visible(prefix);
    if (await isThere(visible)) await syncFolders(layout.root, dirname(visible));
    await removeNotes(layout, prefix);
  }

  /** Removes what processes that died have left between two steps. */
  async function sweep(): Promise<void> {
    for (const name of await namesIn(layout.discarded)) {
      await removeTree(join(layout.discarded, name));
    }
    for (const name of await namesIn(layout.incoming)) {
      if (!isRunning(Number.parseInt(name, 10))) await rm(join(layout.incoming, name), { force: true });
    }
    for await (const prefix of stagedPrefixes(layout.notes)) {
      if (!(await isThere(layout.tree(prefix)))) await settle(prefix);
    }
  }

  let swept: Promise<void> | undefined;
  /** Once, before the first tree is worked on: who only reads changes nothing. */
  function tidy(): Promise<void> {
    swept ??= sweep().catch((error: unknown) => {
      swept = undefined;
      throw error;
    });
    return swept;
  }

  return {
    stage: (prefix) =>
      refusals(async () => {
        await makeFolder(layout.root);
        await tidy();
        const tree = layout.tree(prefix);
        if ((await isThere(layout.visible(prefix))) || (await isThere(tree))) throw exists(prefix);
        await removeNotes(layout, prefix);
        await mkdir(dirname(tree), { recursive: true });
        // Made now, as a full disk, which is when a tree is discarded, may have no room for a folder.
        await mkdir(layout.discarded, { recursive: true });
        await mkdir(tree).catch((error: unknown) => {
          throw systemCode(error) === "EEXIST" ? exists(prefix) : error;
        });
        return fsStagedTree(layout, threads, memory, prefix, true);
      }),
    reopen: (prefix) =>
      refusals(async () => {
        await tidy();
        if (await isThere(layout.tree(prefix))) return fsStagedTree(layout, threads, memory, prefix, false);
        await settle(prefix);
        return undefined;
      }),
    staged: () => stagedPrefixes(layout.trees),
    put: (path, bytes) =>
      refusals(async () => {
        await makeFolder(layout.root);
        const final = layout.visible(path);
        await mkdir(dirname(final), { recursive: true });
        await writeAside(layout, bytes, true, async (file) => {
          // Unlike rename, link refuses a name that is taken.
          await link(file, final).catch((error: unknown) => {
            throw systemCode(error) === "EEXIST" ? exists(path) : error;
          });
        });
        await syncFolders(layout.root, dirname(final));
      }),
    open: (path, range) =>
      refusals(async () => {
        const stream = isStaging(path) ? undefined : await openFile(layout.visible(path), path, range);
        if (!stream) throw new AppError("object_missing", { path });
        return stream;
      }),
    async facts(path, algorithms, options) {
      if (isStaging(path)) throw new AppError("object_missing", { path });
      return readers.facts(layout.visible(path), path, algorithms, options);
    },
    stat: (path) =>
      refusals(async () => {
        const sizeBytes = isStaging(path) ? undefined : await sizeOf(layout.visible(path));
        return sizeBytes === undefined ? undefined : { path, sizeBytes };
      }),
    sizes: (paths) => gatherers.sizes(paths),
    gather: (buffer, parts) => gatherers.gather(buffer, parts),
    list: (prefix) => walkFiles(join(layout.root, prefix), prefix, isStaging),
    oddities: (prefix) => walkOddities(join(layout.root, prefix), prefix, isStaging),
    remove: (prefix) =>
      refusals(async () => {
        if (!holdsStaging(prefix)) {
          await vanish(layout, layout.visible(prefix));
          await pruneFolders(layout.root, dirname(layout.visible(prefix)));
          return;
        }
        for await (const { path } of walkFiles(join(layout.root, prefix), prefix, isStaging)) {
          await rm(layout.visible(path), { force: true });
          await pruneFolders(layout.root, dirname(layout.visible(path)));
        }
      }),
    freeBytes: () =>
      refusals(async () => {
        await makeFolder(layout.root);
        return freeBytesAt(layout.root);
      }),
    async close() {
      await Promise.all([threads.close(), readers.close(), gatherers.close()]);
    },
  };
}

async function namesIn(folder: string): Promise<readonly string[]> {
  return (await refusals(() => readdir(folder).catch(ignoring("ENOENT")))) ?? [];
}

function exists(path: string): AppError {
  return new AppError("object_exists", { path });
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return systemCode(error) === "EPERM";
  }
}
