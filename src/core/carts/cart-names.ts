import { hash } from "node:crypto";
import { fold, RESERVED } from "../archive/content-path.ts";

const MAX_PART_BYTES = 255;
/** What Linux takes for a path (`PATH_MAX`); a longer one could not be extracted. */
const MAX_PATH_BYTES = 4096;
/** What ends a name after its last dot, if it is no longer than this: `.json`, not `. the rest of a sentence`. */
const EXTENSION = /^(.+)(\.[^. ]{1,16})$/su;
/** Control characters, line separators, marks that turn the direction of text, and what Windows keeps for itself. */
const UNSAFE = /[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069/\\<>:"|?*]/gu;

/** Names a folder of the table below, whatever lies in it. */
const FOLDER = 0;
/** Says of a file's mark that it is in the table. */
const RENAMED = 0;

/**
 * Gives each file of one cart the path that it has in downloads: readable, safe on every file system, and unlike that of
 * every other file even where case and normalisation are ignored. Of names that clash the first one stays and the others
 * are numbered: `a.txt`, `a (2).txt`; so is a folder with the name of a file.
 *
 * Memory: 20 to 54 bytes a file, as it keeps 52-bit fingerprints and no names. That two names are taken for the same, as 1
 * in 9,000 carts of a million files sees it once, numbers a name that was free.
 */
export interface CartNames {
  /**
   * @param wanted relative and without dot segments: an archived path, or one that {@link explicitPath} has let through.
   * @param file names the file's bytes: the same file at the same path is taken once.
   * @returns `undefined` for a file that has this path already.
   */
  choose(wanted: string, file: string): string | undefined;
}

interface Folder {
  /** Fingerprint, for what lies in it. */
  readonly key: number;
  /** With a slash at the end; empty for the root. */
  readonly path: string;
}

const ROOT: Folder = { key: 0, path: "" };

export function cartNames(): CartNames {
  const marks = markTable();
  /** Folders that had to make way for a file, by the fingerprint of the name they had wanted. */
  const moved = new Map<number, Folder>();
  /** Of the last path: its folders, from the outermost on. */
  const trail: { readonly wanted: string; readonly folder: Folder }[] = [];

  const keyOf = (parent: Folder, name: string) => fingerprint(`${parent.key}/${fold(name)}`);

  function enter(parent: Folder, wanted: string): Folder {
    const part = safePart(wanted);
    const wantedKey = keyOf(parent, part);
    const known = moved.get(wantedKey);
    if (known) return known;
    for (let number = 1; ; number++) {
      const name = numbered(part, number);
      const key = number === 1 ? wantedKey : keyOf(parent, name);
      const mark = marks.get(key);
      if (mark !== undefined && mark !== FOLDER) continue;
      if (mark === undefined) marks.set(key, FOLDER);
      const folder = { key, path: `${parent.path}${name}/` };
      if (number > 1) moved.set(wantedKey, folder);
      return folder;
    }
  }

  function folderOf(parts: readonly string[]): Folder {
    let depth = 0;
    while (depth < trail.length && depth < parts.length && trail[depth]?.wanted === parts[depth]) depth++;
    trail.length = depth;
    for (const wanted of parts.slice(depth))
      trail.push({ wanted, folder: enter(trail.at(-1)?.folder ?? ROOT, wanted) });
    return trail.at(-1)?.folder ?? ROOT;
  }

  return {
    choose(wanted, file) {
      const parts = wanted.split("/").filter((part) => part !== "" && part !== ".");
      const part = safePart(parts.pop() ?? "");
      const folder = folderOf(parts);
      const key = keyOf(folder, part);
      const own = fingerprint(`${file}\0${wanted}`);
      const mark = marks.get(key);
      if (mark === undefined) {
        marks.set(key, own);
        return folder.path + part;
      }
      if (mark === own || marks.get(own) !== undefined) return undefined;
      marks.set(own, RENAMED);
      for (;;) {
        const name = numbered(part, marks.nextNumber(key));
        const free = keyOf(folder, name);
        if (marks.get(free) !== undefined) continue;
        marks.set(free, own);
        return folder.path + name;
      }
    },
  };
}

/**
 * A path that somebody has written, as `choose` takes it: without the slash at its beginning, if it has one.
 * `undefined` when it is not usable: empty, absolute even so, a folder's, longer than a system takes, or climbing out.
 */
export function explicitPath(path: string): string | undefined {
  const relative = path.replace(/^\//, "");
  const parts = relative.split("/");
  const isUnsafe =
    relative === "" ||
    relative.includes("\0") ||
    parts[0] === "" ||
    parts.at(-1) === "" ||
    parts.at(-1) === "." ||
    parts.includes("..") ||
    Buffer.byteLength(relative) > MAX_PATH_BYTES;
  return isUnsafe ? undefined : relative;
}

/** A name that any file system takes for a file or folder, as like the given one as can be. Never empty. */
export function safePart(name: string): string {
  const plain = name
    .toWellFormed()
    .replace(UNSAFE, "_")
    .replace(/[. ]+$/, "");
  const usable = plain === "" ? "_" : RESERVED.test(plain) ? `_${plain}` : plain;
  return shortened(usable, "");
}

/** `name (2).txt`; the first one is the name itself. */
function numbered(part: string, number: number): string {
  return number === 1 ? part : shortened(part, ` (${number})`);
}

/** With `suffix` before its extension, in at most 255 bytes of UTF-8: what is too long goes from the middle. */
function shortened(part: string, suffix: string): string {
  if (suffix === "" && Buffer.byteLength(part) <= MAX_PART_BYTES) return part;
  const [, stem = part, extension = ""] = EXTENSION.exec(part) ?? [];
  const room = MAX_PART_BYTES - Buffer.byteLength(suffix + extension);
  const bytes = Buffer.from(stem);
  // Cut where a character begins: the bytes within one are 10xxxxxx.
  let end = Math.min(room, bytes.length);
  while (end < bytes.length && ((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
  return bytes.toString("utf8", 0, end).replace(/[. ]+$/, "") + suffix + extension;
}

/** 52 bits of the text's SHA-256 (hex, as that comes four times as fast as bytes); never 0. */
function fingerprint(text: string): number {
  return Number.parseInt(hash("sha256", text).slice(0, 13), 16) || 1;
}

/** Marks by fingerprint, with a counter each: an open-addressing table in typed arrays. */
function markTable() {
  let slots = 1 << 10;
  let used = 0;
  let keys = new Float64Array(slots);
  let values = new Float64Array(slots);
  let numbers = new Uint32Array(slots);

  /** Where a key is, or would be. */
  function slotOf(key: number): number {
    let slot = key % slots;
    while (keys[slot] !== 0 && keys[slot] !== key) slot = (slot + 1) % slots;
    return slot;
  }

  function grow(): void {
    const old = { keys, values, numbers };
    slots *= 2;
    keys = new Float64Array(slots);
    values = new Float64Array(slots);
    numbers = new Uint32Array(slots);
    for (const [i, key] of old.keys.entries()) {
      if (key === 0) continue;
      const slot = slotOf(key);
      keys[slot] = key;
      values[slot] = old.values[i] ?? 0;
      numbers[slot] = old.numbers[i] ?? 0;
    }
  }

  return {
    get(key: number): number | undefined {
      const slot = slotOf(key);
      return keys[slot] === 0 ? undefined : values[slot];
    },
    set(key: number, mark: number): void {
      if (used > slots * 0.75) grow();
      const slot = slotOf(key);
      if (keys[slot] === 0) used++;
      keys[slot] = key;
      values[slot] = mark;
    },
    /** 2, then 3, and so on; of a key that is there. */
    nextNumber(key: number): number {
      const slot = slotOf(key);
      const number = Math.max(2, (numbers[slot] ?? 0) + 1);
      numbers[slot] = number;
      return number;
    },
  };
}
