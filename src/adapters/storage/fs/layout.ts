import { join, sep } from "node:path";

/**
 * Where things lie below the storage's root. What is visible is at its own path; everything that is not yet (or no
 * longer) visible is inside one folder of the same file system, so that `rename` and `link` work. OCFL 1.1 §4.4 lets a
 * storage root hold extension folders, so the root stays a valid one at every moment.
 *
 *     extensions/longshore-staging/trees/<prefix>/…     the tree of a staged prefix: staged means this folder exists
 *     extensions/longshore-staging/notes/<prefix>/…     its notes
 *     extensions/longshore-staging/incoming/<pid>-…     one file on its way to its final name
 *     extensions/longshore-staging/discarded/…          moved here to vanish at once; removed afterwards
 *
 * Trees and notes are apart so that beginning, publishing and discarding a tree is one `mkdir` or `rename` each.
 */
export const STAGING = "extensions/longshore-staging";

export interface FsLayout {
  readonly root: string;
  readonly trees: string;
  readonly notes: string;
  readonly incoming: string;
  readonly discarded: string;
  /** @throws RangeError for the staging area itself, which is no part of what is visible, and for what is outside. */
  visible(path: string): string;
  tree(prefix: string): string;
  notesOf(prefix: string): string;
}

export function fsLayout(root: string): FsLayout {
  const inside = root.endsWith(sep) ? root : root + sep;
  const area = join(root, STAGING);
  const trees = join(area, "trees");
  const notes = join(area, "notes");
  return {
    root,
    trees,
    notes,
    incoming: join(area, "incoming"),
    discarded: join(area, "discarded"),
    visible(path) {
      if (isStaging(path)) throw new RangeError(`${STAGING} is not part of the stored files.`);
      const file = join(root, path);
      if (file !== root && !file.startsWith(inside)) throw new RangeError("The path leads out of the storage.");
      return file;
    },
    tree: (prefix) => join(trees, encodeName(prefix)),
    notesOf: (prefix) => join(notes, encodeName(prefix)),
  };
}

export function isStaging(path: string): boolean {
  return path === STAGING || path.startsWith(`${STAGING}/`);
}

/** Whether the staging area lies somewhere below `folder`. */
export function holdsStaging(folder: string): boolean {
  return folder === "" || STAGING.startsWith(`${folder}/`);
}

/** Most bytes a file system allows in one name (NAME_MAX of ext4, XFS, APFS and NTFS) less the continuation mark. */
const PIECE = 254;

/**
 * Any text as a path of safe names, reversible by {@link decodeName}: percent-encoded, and cut into nested folders
 * where one name would be too long. Every piece but the last ends in `+`, which percent-encoding never leaves in.
 */
export function encodeName(text: string): string {
  const encoded = encodeURIComponent(text);
  return (encoded.match(new RegExp(`.{1,${PIECE}}`, "g")) ?? [""]).join("+/");
}

export function decodeName(name: string): string {
  return decodeURIComponent(name.replaceAll("+/", ""));
}

/** Whether the folder is only a piece of a longer name. */
export function isPiece(name: string): boolean {
  return name.endsWith("+");
}
