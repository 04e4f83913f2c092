import { link, opendir, readlink, rm, stat, statfs } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { AppError } from "../../core/errors.ts";
import type { PackageFiles } from "../../core/packages/package-files.ts";
import { syncPath } from "../storage/fs/durability.ts";
import { ABSENT, ignoring, refusals, systemCode } from "../storage/fs/errors.ts";
import { openFile } from "../storage/fs/read.ts";
import { localWorkspaces } from "./local-workspaces.ts";
import { requireFileName } from "./package-names.ts";

/** Hidden, so that whoever serves the folder to others does not serve what is not finished. */
const WORK = ".longshore";
const absent = ignoring(...ABSENT);

/**
 * Packages in one folder, flat. They grow in a folder beside them, on the same file system, and get their name by a link:
 * it is there with all its bytes or not at all, and never instead of another.
 */
export function packageFolder({ root }: { readonly root: string }): PackageFiles {
  const store = resolve(root);
  const pathOf = (fileName: string) => join(store, requireFileName(fileName));

  async function publish(path: string, fileName: string): Promise<void> {
    const target = pathOf(fileName);
    await syncPath(path);
    try {
      await link(path, target);
    } catch (error) {
      if (systemCode(error) === "EEXIST") throw new AppError("object_exists", { path: fileName });
      throw error;
    }
    await syncPath(store);
  }

  return {
    ...localWorkspaces(join(store, WORK), publish),

    async open(fileName, range) {
      const bytes = await openFile(pathOf(fileName), fileName, range);
      if (!bytes) throw new AppError("object_missing", { path: fileName });
      return bytes;
    },

    async stat(fileName) {
      const found = await stat(pathOf(fileName)).catch(absent);
      return found?.isFile() ? { sizeBytes: found.size, modifiedAt: Math.floor(found.mtimeMs) } : undefined;
    },

    async *list() {
      const folder = await opendir(store).catch(absent);
      for await (const entry of folder ?? []) {
        if (!entry.isFile() || entry.name.startsWith(".")) continue;
        const found = await stat(join(store, entry.name)).catch(absent);
        if (found) yield { fileName: entry.name, sizeBytes: found.size, modifiedAt: Math.floor(found.mtimeMs) };
      }
    },

    async *linked() {
      const folder = await opendir(store).catch(absent);
      for await (const entry of folder ?? []) {
        const target = entry.isSymbolicLink() ? await readlink(join(store, entry.name)).catch(absent) : undefined;
        if (target !== undefined && resolve(store, target) === join(store, basename(target))) yield basename(target);
      }
    },

    async remove(fileName) {
      await refusals(() => rm(pathOf(fileName), { force: true }));
    },

    async freeBytes() {
      const space = await statfs(store).catch(absent);
      return space && space.bavail * space.bsize;
    },
  };
}
