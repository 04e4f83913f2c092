import { type Dir, type Dirent, lstatSync, opendirSync, readdirSync, realpathSync, type Stats } from "node:fs";
import type { SourceEntry } from "../../core/crawl/source.ts";
import { type Problem, problem } from "../../core/errors.ts";
import { systemCode } from "../storage/fs/errors.ts";
import { doDuties, type Line } from "../storage/fs/thread-duties.ts";

/*
 * The thread behind `fs.ts`, some for each walk: lists folders with synchronous calls, which cost a fraction of asynchronous
 * ones; here nobody waits for them. CPU time for /usr, 130,216 files (2026-11-22, best of 5): find(1) 0.71 s; `readdirSync`
 * and `lstatSync` 0.75 s, with `realpathSync.native` of every folder 0.88 s; with `opendirSync` instead 1.13 s. Folders that
 * are listed one after the other mostly lie in the same one: it is resolved once.
 */

export interface WalkRequest {
  /** Resolved, absolute. */
  readonly root: string;
  /** Listed after the folder that the answer before this one has left unfinished. */
  readonly folders: readonly string[];
  readonly hidden: boolean;
}

/** Entries of several folders in columns: they change threads for less than a tenth of what objects would cost. */
export interface WalkAnswer {
  readonly parts: readonly WalkPart[];
  /** Joined by NUL, which no name has. */
  readonly names: string;
  /** Indexes into {@link KINDS}. */
  readonly kinds: Uint8Array<ArrayBuffer>;
  /** Three for each entry: size in bytes, modified at (epoch ms), mode; NaN for `null`. */
  readonly numbers: Float64Array<ArrayBuffer>;
  /** How many of the folders asked for have been begun. */
  readonly begun: number;
}

export interface WalkPart {
  readonly folder: string;
  /** The next so many entries are its. */
  readonly count: number;
  readonly problems: readonly Problem[];
  readonly isLast: boolean;
}

export const KINDS = ["file", "folder", "link", "other"] as const satisfies readonly SourceEntry["kind"][];

/** Entries of one answer; a folder counts as one more, so that many empty ones do not make it endless. */
const ENTRIES_AT_ONCE = 4_000;
/**
 * Folders whose own size is larger are read in parts, the others at once. On ext4 it is reached at some 8,000 names, on
 * tmpfs at 13,000; where a file system gives folders no such size, all names of one are in memory.
 */
const LARGE_FOLDER_BYTES = 256 * 1024;
const NAMES_AT_ONCE = 1_024;

const TRIES = 4;
const FIRST_PAUSE_MS = 25;
/** What may pass: too many open files, an interrupted or stale connection to a file server. */
const PASSING = ["EMFILE", "ENFILE", "EAGAIN", "EINTR", "EBUSY", "EIO", "ETIMEDOUT", "Unknown system error -116"];

interface OpenFolder {
  readonly folder: string;
  /** Absolute, with a slash at its end. */
  readonly place: string;
  /** Below the root. */
  pathOf(name: string): string;
  /** @throws what the operating system refuses in the middle of a folder. */
  next(): Dirent | null | undefined;
  close(): void;
  /** Names with U+FFFD met so far. */
  readonly doubtful: Set<string>;
}

let unfinished: OpenFolder | undefined;

const duties = {
  list({ root, folders, hidden }: WalkRequest, line: Line): WalkAnswer {
    const parts: WalkPart[] = [];
    const names: string[] = [];
    const kinds = new Uint8Array(ENTRIES_AT_ONCE);
    const numbers = new Float64Array(3 * ENTRIES_AT_ONCE);
    let begun = 0;
    const isPlain = plainness(root);

    /** As many of a folder's entries as there is room for. */
    function read(open: OpenFolder): void {
      const problems: Problem[] = [];
      const first = names.length;
      let isLast = false;
      const next = () => open.next() ?? END;
      while (!isLast && names.length < ENTRIES_AT_ONCE) {
        const found = attempt(open.folder, problems, next);
        if (found === undefined || found === END) isLast = true;
        else if (hidden || !found.name.startsWith(".")) add(found, open, problems);
      }
      if (isLast) open.close();
      unfinished = isLast ? undefined : open;
      parts.push({ folder: open.folder, count: names.length - first, problems, isLast });
    }

    function add(found: Dirent, { place, pathOf, doubtful }: OpenFolder, problems: Problem[]): void {
      const { name } = found;
      const at = names.length;
      if (name.includes(REPLACEMENT)) {
        if (doubtful.has(name) || !isThere(place + name)) {
          problems.push(unreadable(pathOf(name), "its name is not UTF-8"));
          return;
        }
        doubtful.add(name);
      }
      if (found.isDirectory() || found.isSymbolicLink()) {
        kinds[at] = found.isDirectory() ? FOLDER : LINK;
        numbers[3 * at] = 0;
        numbers[3 * at + 1] = Number.NaN;
        numbers[3 * at + 2] = Number.NaN;
      } else {
        const stats = statsOf(place + name) ?? attempt(pathOf(name), problems, () => lstatSync(place + name));
        if (!stats) return;
        const isFile = stats.isFile();
        // What the name stood for a moment ago may be something else by now.
        kinds[at] = isFile ? FILE : stats.isDirectory() ? FOLDER : stats.isSymbolicLink() ? LINK : OTHER;
        numbers[3 * at] = isFile ? stats.size : 0;
        numbers[3 * at + 1] = Math.floor(stats.mtimeMs);
        numbers[3 * at + 2] = stats.mode & 0o7777;
        if (kinds[at] === OTHER) problems.push(unreadable(pathOf(name), `it is ${whatIs(stats)}`));
      }
      names.push(name);
    }

    if (unfinished) read(unfinished);
    while (begun < folders.length && names.length + begun < ENTRIES_AT_ONCE) {
      const folder = folders[begun++] ?? "";
      const problems: Problem[] = [];
      const open = attempt(folder, problems, () => openFolder(root, folder, isPlain));
      if (open) read(open);
      else parts.push({ folder, count: 0, problems, isLast: true });
    }
    line.transfer(kinds.buffer);
    line.transfer(numbers.buffer);
    return { parts, names: names.join("\0"), kinds, numbers, begun };
  },
};
export type WalkDuties = typeof duties;
doDuties(duties);

const [FILE, FOLDER, LINK, OTHER] = [0, 1, 2, 3];
const END = Symbol("end");
/** What the runtime puts for bytes of a name that are not UTF-8; it may also be in a name that is. */
const REPLACEMENT = "\uFFFD";

/** Whether what lies at a path is reached without a link, itself apart. The last answer is remembered. */
function plainness(root: string): (path: string) => boolean {
  let known: { readonly parent: string; readonly isPlain: boolean } | undefined;
  return (path) => {
    if (path === root) return true;
    const parent = path.slice(0, path.lastIndexOf("/")) || "/";
    if (known?.parent !== parent) known = { parent, isPlain: realpathSync.native(parent) === parent };
    return known.isPlain && !/\/\.{0,2}$/.test(path);
  };
}

/** @throws LedElsewhere when the path leads through a link: it was exchanged after it was found, or is a link itself. */
function openFolder(root: string, folder: string, isPlain: (path: string) => boolean): OpenFolder {
  const path = folder === "" ? root : `${root === "/" ? "" : root}/${folder}`;
  const stats = lstatSync(path);
  if (stats.isSymbolicLink() || !isPlain(path)) throw new LedElsewhere();
  const open = {
    folder,
    place: path === "/" ? path : `${path}/`,
    pathOf: (name: string) => (folder === "" ? name : `${folder}/${name}`),
    doubtful: new Set<string>(),
  };
  if (stats.size < LARGE_FOLDER_BYTES) {
    const entries = readdirSync(path, { withFileTypes: true });
    let at = 0;
    return { ...open, next: () => entries[at++], close: () => {} };
  }
  const dir: Dir = opendirSync(path, { bufferSize: NAMES_AT_ONCE });
  return { ...open, next: () => dir.readSync(), close: () => dir.closeSync() };
}

class LedElsewhere extends Error {
  override readonly name = "LedElsewhere";
}

/** `undefined` for whatever is wrong: to be asked again by those who can tell of it. */
function statsOf(path: string): Stats | undefined {
  try {
    return lstatSync(path, NO_THROW);
  } catch (error) {
    if (systemCode(error) === undefined) throw error;
    return undefined;
  }
}
const NO_THROW = { throwIfNoEntry: false } as const;

/** Runs `work`, again where that may help; what it meets in the end is a problem of `path`, and the answer `undefined`. */
function attempt<T>(path: string, problems: Problem[], work: () => T): T | undefined {
  for (let tries = 1; ; tries++) {
    try {
      return work();
    } catch (error) {
      const code = systemCode(error);
      if (code === undefined && !(error instanceof LedElsewhere)) throw error;
      if (code === undefined || tries === TRIES || !PASSING.includes(code)) {
        problems.push(unreadable(path, reasonOf(code)));
        return undefined;
      }
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, FIRST_PAUSE_MS * 2 ** (tries - 1));
    }
  }
}

const REASONS: Readonly<Record<string, string>> = {
  EACCES: "the server may not read it",
  EPERM: "the server may not read it",
  ENOENT: "it is not there, or no longer",
  ENOTDIR: "it is no folder, or no longer",
  ENAMETOOLONG: "its path is longer than the operating system takes",
};

function reasonOf(code: string | undefined): string {
  return code === undefined ? "it is a link, or lies behind one" : (REASONS[code] ?? code);
}

function unreadable(path: string, hint: string): Problem {
  return problem("entry_unreadable", { path, hint });
}

/** A name that is not UTF-8 becomes a longer one, perhaps longer than a name can be. */
function isThere(path: string): boolean {
  try {
    return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
  } catch (error) {
    if (systemCode(error) === "ENAMETOOLONG") return false;
    throw error;
  }
}

function whatIs(stats: ReturnType<typeof lstatSync>): string {
  if (stats?.isSocket()) return "a socket";
  return stats?.isFIFO() ? "a pipe" : "a device";
}
