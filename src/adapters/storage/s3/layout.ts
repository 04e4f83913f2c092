import { STAGING } from "../fs/layout.ts";

/**
 * Where things lie below the store's prefix. A bucket has no rename, so files of a tree are written where they will be
 * read, and are hidden until the tree is published. What would make others take the folder for an object is held back
 * beside the tree until then. OCFL 1.1 §4.4 lets a storage root hold extension folders.
 *
 *     <prefix>/…                                            files of the tree
 *     extensions/longshore-staging/trees/<name>/staged      the tree is under way: nobody begins it again, nobody sees it
 *     extensions/longshore-staging/trees/<name>/published   it is visible: whoever wrote this one has published it
 *     extensions/longshore-staging/beside/<name>/held/…     files that are held back
 *     extensions/longshore-staging/beside/<name>/notes/…    notes
 *
 * All that a server must know is to write an object only where none is (`If-None-Match: *`). Publishing removes `staged`
 * before `published`: at no moment is a tree that is visible taken for one under way.
 */
export const TREES = `${STAGING}/trees/`;

export interface TreeKeys {
  readonly staged: string;
  readonly published: string;
  /** What lies beside the tree begins with this. */
  readonly beside: string;
  held(path: string): string;
  note(name: string): string;
}

export function treeKeys(prefix: string): TreeKeys {
  const name = encodeURIComponent(prefix);
  const beside = `${STAGING}/beside/${name}/`;
  return {
    staged: `${TREES}${name}/staged`,
    published: `${TREES}${name}/published`,
    beside,
    held: (path) => `${beside}held/${path}`,
    note: (name) => `${beside}notes/${name}`,
  };
}

/** Which tree a key below {@link TREES} is about, and what it says of it. */
export function markerOf(key: string): { readonly prefix: string; readonly state: string } {
  const [name = "", state = ""] = key.slice(TREES.length).split("/");
  return { prefix: decodeURIComponent(name), state };
}

/** `a/b/c` → `a`, `a/b`. */
export function foldersOf(path: string): readonly string[] {
  const names = path.split("/").slice(0, -1);
  return names.map((_, i) => names.slice(0, i + 1).join("/"));
}
