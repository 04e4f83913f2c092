/** Where payload lies inside an OCFL object; see docs/formats/archive.md. */
const CONTENT = "v1/content";
/** For files whose logical path is not safe to use as a path on every file system. */
const RENAMED = `${CONTENT}/renamed`;
const MAX_PART_BYTES = 255;
/** Of 1024 in all, which is what a key in S3 may have: the rest is for where the archive and the object lie. */
const MAX_PATH_BYTES = 800;

/** Where a plainly safe logical path lies. */
export const contentPathOf = (logicalPath: string) => `${CONTENT}/${logicalPath}`;

/** Names Windows keeps for devices, with any extension. */
export const RESERVED = /^(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?$/i;
/** Letters, marks and digits of any script, and the ASCII punctuation no common file system treats specially. */
const PORTABLE = /^[\p{L}\p{M}\p{N} !#$%&'()+,\-.=@[\]^_`{}~;]+$/u;

/**
 * Chooses content paths for one object: the logical path itself when it is plainly safe, a generated name otherwise.
 * What the logical path was is in the inventory in either case (OCFL 1.1 §3.5.2 "Manifest", §3.5.3 "Versions").
 * Safe means: portable characters in NFC, parts of at most 255 bytes, and no clash with an earlier path of the same object
 * on a file system that ignores case or normalisation.
 */
export interface ContentPaths {
  /** @param logicalPath relative, without dot segments or empty parts: the tar reader has seen to that. */
  choose(logicalPath: string): string;
}

export function contentPaths(): ContentPaths {
  const files = new Set<string>();
  /** As they are taken for → as they are written, everywhere. */
  const folders = new Map<string, string>([["renamed", ""]]);
  let renamed = 0;

  function claim(logicalPath: string): boolean {
    const folded = fold(logicalPath);
    if (!isPlainlySafe(logicalPath) || files.has(folded) || folders.has(folded)) return false;
    if (!claimFolder(folderOf(logicalPath), folderOf(folded))) return false;
    files.add(folded);
    return true;
  }

  function claimFolder(folder: string, folded: string): boolean {
    if (folder === "") return true;
    const known = folders.get(folded);
    if (known !== undefined || files.has(folded)) return known === folder;
    if (!claimFolder(folderOf(folder), folderOf(folded))) return false;
    folders.set(folded, folder);
    return true;
  }

  return {
    choose(logicalPath) {
      if (claim(logicalPath)) return contentPathOf(logicalPath);
      renamed++;
      return `${RENAMED}/${String(renamed).padStart(8, "0")}`;
    },
  };
}

function isPlainlySafe(path: string): boolean {
  if (path.normalize("NFC") !== path || Buffer.byteLength(path) > MAX_PATH_BYTES) return false;
  return path.split("/").every(isSafePart);
}

function isSafePart(part: string): boolean {
  return (
    PORTABLE.test(part) &&
    Buffer.byteLength(part) <= MAX_PART_BYTES &&
    !/^[ .]|[ .]$/.test(part) &&
    !RESERVED.test(part)
  );
}

/**
 * What a file system that ignores case and normalisation takes a path for. Through upper case, since some letters that
 * differ in lower case share it: `ß` and `ss`, `ς` and `σ`.
 */
export function fold(path: string): string {
  return isAscii(path) ? path.toLowerCase() : path.normalize("NFKC").toUpperCase().toLowerCase().normalize("NFKC");
}

function isAscii(text: string): boolean {
  return Buffer.byteLength(text) === text.length;
}

function folderOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf("/")));
}
