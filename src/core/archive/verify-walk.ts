import type { ObjectStorage, StoredFile } from "./object-storage.ts";
import { OBJECT_DECLARATION, objectFolderOf } from "./ocfl.ts";

/** A folder of the archive that holds, or should hold, one OCFL object. */
export interface ObjectFolder {
  readonly path: string;
  /** Path inside the folder → size in bytes. */
  readonly files: ReadonlyMap<string, number>;
}

export type Found = ObjectFolder | StoredFile;

export function isFolder(found: Found): found is ObjectFolder {
  return "files" in found;
}

/**
 * Everything in the archive in one walk: object folders as they are completed, and the files that lie in none. A folder
 * is an object's when its place in the layout says so, or a declaration in it. Memory: the file names of one object.
 * @param after a path: what the walk meets up to it is passed over.
 */
export async function* walkArchive(storage: ObjectStorage, after = ""): AsyncGenerator<Found> {
  const start = walkKey(after);
  const isNew = (path: string) => start === "" || walkKey(path) > start;
  let folder: { readonly path: string; readonly files: Map<string, number> } | undefined;
  for await (const file of storage.list("")) {
    if (folder && !file.path.startsWith(`${folder.path}/`)) {
      if (isNew(folder.path)) yield folder;
      folder = undefined;
    }
    const path: string | undefined = folder?.path ?? objectFolderOf(file.path) ?? declaredFolder(file.path);
    if (path === undefined) {
      if (isNew(file.path)) yield file;
      continue;
    }
    folder ??= { path, files: new Map() };
    folder.files.set(file.path.slice(path.length + 1), file.sizeBytes);
  }
  if (folder && isNew(folder.path)) yield folder;
}

/** One object's folder; without files when there is none. */
export async function objectFolder(storage: ObjectStorage, path: string): Promise<ObjectFolder> {
  const files = new Map<string, number>();
  for await (const file of storage.list(path)) files.set(file.path.slice(path.length + 1), file.sizeBytes);
  return { path, files };
}

export async function hasFiles(storage: ObjectStorage, folder: string): Promise<boolean> {
  for await (const _ of storage.list(folder)) return true;
  return false;
}

/** The declaration's name comes before most others: in a misplaced object, what comes earlier counts as a stray file. */
function declaredFolder(path: string): string | undefined {
  return path.endsWith(`/${OBJECT_DECLARATION.path}`) ? path.slice(0, path.lastIndexOf("/")) : undefined;
}

/** Sorts as the walk goes: folder by folder, where `/` comes before every other character. */
function walkKey(path: string): string {
  return path.replaceAll("/", "\0");
}
