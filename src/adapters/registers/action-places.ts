import { constants } from "node:fs";
import { access, link, mkdir, rm, statfs, unlink } from "node:fs/promises";
import { dirname, isAbsolute, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { AppError } from "../../core/errors.ts";
import type { ActionPlaces, FoundFile, SourceFolder, WorkFolder } from "../../core/registers/actions/action-places.ts";
import { fsSource } from "../source/fs.ts";
import { folderTargets } from "../source/open-target.ts";
import { makeFolder, syncPath } from "../storage/fs/durability.ts";
import { ABSENT, ignoring } from "../storage/fs/errors.ts";

export interface ActionPlacesParts {
  readonly recordRoots: readonly string[];
  readonly moveRoots: readonly string[];
  /** Where programs are looked for, folders separated by colons. */
  readonly path: string;
}

/** Folders of this machine: below the roots, when all links on the way are followed. */
export function actionPlaces({ recordRoots, moveRoots, path: programs }: ActionPlacesParts): ActionPlaces {
  // Who owns what is for those who ask; actions are declared by whoever runs the server.
  const targets = folderTargets({ writable: recordRoots, removable: moveRoots, owned: async () => [] });

  /** @returns the folder without links, as far as it is there. */
  async function within(path: string, roots: readonly string[], use: "write" | "remove"): Promise<URL> {
    const url = pathToFileURL(resolve(roots[0] ?? "/", path));
    await targets.open(url, use);
    return url;
  }

  return {
    async work(path): Promise<WorkFolder> {
      if (isAbsolute(path) || recordRoots[0] !== undefined) {
        const url = await within(path, recordRoots, "write");
        return workFolder(fileURLToPath(url), await targets.open(url, "write"));
      }
      throw new AppError("endpoint_refused", { path, hint: "LONGSHORE_RECORD_ROOTS names no folder" });
    },

    async source(path): Promise<SourceFolder> {
      if (moveRoots.length === 0)
        throw new AppError("source_outside_roots", { path, hint: "LONGSHORE_MOVE_ROOTS names no folder" });
      const folder = resolve(moveRoots[0] ?? "/", path);
      return { files: (signal) => filesBelow(folder, path, signal), prune: () => prune(folder) };
    },

    async hasProgram(name) {
      const places = name.includes("/") ? [resolve(name)] : programs.split(":").map((folder) => join(folder, name));
      for (const place of places)
        if (await access(place, constants.X_OK).then(() => true, ignoring(...ABSENT, "EACCES"))) return true;
      return false;
    },
  };

  async function prune(folder: string): Promise<void> {
    const target = await targets.open(pathToFileURL(dirname(folder)), "remove");
    try {
      for (const below of (await foldersBelow(folder)).toSorted((a, b) => b.length - a.length))
        await target.prune?.(below.slice(dirname(folder).length + 1));
    } finally {
      await target.close();
    }
  }
}

function workFolder(path: string, target: WorkFolder["target"]): WorkFolder {
  return {
    path,
    target,
    async freeBytes() {
      let place = path;
      for (;;) {
        const found = await statfs(place).catch(ignoring(...ABSENT));
        if (found) return found.bavail * found.bsize;
        if (place === dirname(place)) return undefined;
        place = dirname(place);
      }
    },
    async workshop(name) {
      const folder = join(path, `.${name}`);
      await rm(folder, { recursive: true, force: true });
      await mkdir(folder, { recursive: true });
      return folder;
    },
    async place(from, to) {
      const there = join(path, to);
      await makeFolder(dirname(there));
      await syncPath(from);
      // A link is made only where nothing is.
      const isMade = await link(from, there).then(() => true, ignoring("EEXIST"));
      if (!isMade) return false;
      await unlink(from);
      await syncPath(dirname(there));
      return true;
    },
    clear: (name) => rm(join(path, `.${name}`), { recursive: true, force: true }),
  };
}

/** @throws AppError source_missing, action_failed. */
async function filesBelow(folder: string, shown: string, signal: AbortSignal): Promise<readonly FoundFile[]> {
  const source = fsSource({ root: folder });
  const found: FoundFile[] = [];
  try {
    for await (const { entries, problems } of source.walk({
      folders: [""],
      hidden: true,
      isDone: () => false,
      signal,
    })) {
      const odd = problems[0]?.message ?? entries.find(({ kind }) => kind === "link" || kind === "other")?.path;
      if (odd !== undefined) throw new AppError("action_failed", { expected: "files alone", found: odd });
      for (const { kind, path } of entries) if (kind === "file") found.push({ path, source: join(folder, path) });
    }
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== "endpoint_unreachable") throw error;
    throw new AppError("source_missing", { path: shown }, { cause: error });
  } finally {
    await source.close();
  }
  return found.toSorted((a, b) => (a.path < b.path ? -1 : 1));
}

/** With itself; none when it is gone. */
async function foldersBelow(folder: string): Promise<readonly string[]> {
  const source = fsSource({ root: folder });
  const found = [folder];
  try {
    const { signal } = new AbortController();
    for await (const { entries } of source.walk({ folders: [""], hidden: true, isDone: () => false, signal }))
      for (const { kind, path } of entries) if (kind === "folder") found.push(join(folder, path));
    return found;
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== "endpoint_unreachable") throw error;
    return [];
  } finally {
    await source.close();
  }
}
