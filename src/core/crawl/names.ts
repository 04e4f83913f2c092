/** The last part of a path. */
export function nameOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** What follows the last dot, in lower case; `""` without one. A dot at the beginning begins a hidden name, no ending. */
export function extensionOf(name: string): string {
  const dot = name.lastIndexOf(".");
  return dot > 0 ? name.slice(dot + 1).toLowerCase() : "";
}

const COMPRESSED = /(?<=.)\.(gz|bz2|xz|zst|z)$/i;

/** The name without the ending of a compressed file. */
export function uncompressedName(name: string): string {
  return name.replace(COMPRESSED, "");
}

/** The name without its ending; of a compressed file without both. */
export function stemOf(name: string): string {
  const plain = uncompressedName(name);
  const dot = plain.lastIndexOf(".");
  return dot > 0 ? plain.slice(0, dot) : plain;
}
