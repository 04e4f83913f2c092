/** Distinct paths that are told apart; a file may have as many as it has values. */
const MAX_PATHS = 2000;
const MAX_NAME_CHARS = 200;

/** A place in documents of one structure: all places with the same names above them are one. */
export interface PathNode {
  /** As a JSON pointer (RFC 6901); `*` stands for any item of a list. */
  readonly path: string;
  count: number;
  /** How often, by type. */
  readonly types: Map<string, number>;
  /** The node's own, so that names of the file are never those of an object's prototype. */
  readonly children: Map<string, PathNode>;
}

export interface PathTree {
  readonly root: PathNode;
  /** In the order in which they first came; without the root. */
  readonly nodes: readonly PathNode[];
  /** Whether there were more paths than are told apart. */
  isFull(): boolean;
  /** The place below another; `undefined` beyond what is told apart. */
  below(node: PathNode | undefined, name: string): PathNode | undefined;
}

export function pathTree(): PathTree {
  const nodes: PathNode[] = [];
  let isFull = false;
  return {
    root: { path: "", count: 0, types: new Map(), children: new Map() },
    nodes,
    isFull: () => isFull,
    below(node, name) {
      if (node === undefined) return undefined;
      const key = name.slice(0, MAX_NAME_CHARS);
      const known = node.children.get(key);
      if (known) return known;
      // The path's length is bounded with it: else each level of a deep file would repeat all above it.
      if (nodes.length === MAX_PATHS || node.path.length > 16 * MAX_NAME_CHARS) {
        isFull = true;
        return undefined;
      }
      const path = `${node.path}/${key.replaceAll("~", "~0").replaceAll("/", "~1")}`;
      const fresh: PathNode = { path, count: 0, types: new Map(), children: new Map() };
      node.children.set(key, fresh);
      nodes.push(fresh);
      return fresh;
    },
  };
}

/** Counts one more of a type at a place. */
export function countAt(node: PathNode | undefined, type: string): void {
  if (node === undefined) return;
  node.count += 1;
  node.types.set(type, (node.types.get(type) ?? 0) + 1);
}
