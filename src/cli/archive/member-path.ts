/** Names that are devices on Windows, with any extension. */
const DEVICES = /^(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?$/i;
const MAX_PART_BYTES = 255;

/**
 * Whether a path from an archive leads to a place below the folder it is put in, and to nothing but a file, on every file
 * system: relative, no dot segments or empty parts, no drive letters, streams, devices or separators of other systems,
 * and no names that lose their end on the way. The server makes names so; one that is not so was not made by it.
 */
export function isSafePath(path: string): boolean {
  return path.split("/").every(isSafePart);
}

export function isSafePart(part: string): boolean {
  return (
    part !== "" &&
    !/[\p{Cc}/\\:]|[. ]$/u.test(part) && // "." and ".." end in a dot, too
    !DEVICES.test(part) &&
    part.isWellFormed() &&
    Buffer.byteLength(part) <= MAX_PART_BYTES
  );
}

/** Equal for paths that some file systems take for one and the same. */
export function foldedPath(path: string): string {
  return path.normalize("NFC").toLowerCase();
}
