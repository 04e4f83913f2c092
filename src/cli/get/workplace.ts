import { closeSync, lstatSync, mkdirSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { localTrouble } from "./local-write.ts";

/** Marks are this close together, so that little is received in vain to get to a file between two of them. */
const MARK_BYTES = 4 * 1024 * 1024;
const MARK_FILES = 256;

/** Where in an archive a file begins. */
export interface Mark {
  /** 0-based, in the order of the manifest. */
  readonly file: number;
  readonly offset: number;
}

/** The manifest, once it is there completely. */
export interface KeptManifest {
  /** Its path in the archive: top folder and name. */
  readonly top: string;
  readonly name: string;
  /** Where the first file begins. */
  readonly endsAt: number;
}

/**
 * A folder beside what is unpacked, for what is not finished yet: files under temporary names, the manifest, and a journal
 * with places where files begin in the archive. Which files are there already the journal does not say; that is found out
 * by reading them.
 */
export interface Workplace {
  readonly path: string;
  readonly name: string;
  readonly manifestPath: string;
  readonly manifest: KeptManifest | undefined;
  keep(manifest: KeptManifest): void;
  /** Told of every file that begins; notes some of them. */
  mark(mark: Mark): void;
  /** The last place known that is not behind the beginning of a file. */
  nearest(file: number): Mark;
  /** Leaves everything to another run. */
  close(): void;
  /** Nothing is left to be done. */
  remove(): void;
}

/** @returns `anew`: an earlier run had worked with another archive. */
export function openWorkplace(
  folder: string,
  cart: string,
  etag: string,
): { readonly workplace: Workplace; readonly anew: boolean } {
  const name = `.longshore-${cart}`;
  const path = join(folder, name);
  const journalPath = join(path, "journal");
  const there = lstatSync(path, { throwIfNoEntry: false });
  if (there && !there.isDirectory()) throw localTrouble(path, "it is not a folder.");
  const lines = there ? readLines(journalPath) : [];
  const goesOn = lines[0]?.etag === etag;
  if (!goesOn) rmSync(path, { recursive: true, force: true });
  mkdirSync(path, { recursive: true });
  const journal = openSync(journalPath, "a", 0o600);
  /** The line feed comes first: half a line of a killed process stays a line of its own, and is not understood. */
  const note = (line: JournalLine) => writeSync(journal, `\n${JSON.stringify(line)}`);

  if (!goesOn) note({ etag });
  let manifest = goesOn ? lines.find((line) => line.manifest !== undefined)?.manifest : undefined;
  const marks = goesOn ? lines.flatMap((line) => line.mark ?? []).sort((a, b) => a.file - b.file) : [];
  const lastAtOrBefore = (file: number) => marks.findLastIndex((mark) => mark.file <= file);

  return {
    anew: there !== undefined && !goesOn,
    workplace: {
      path,
      name,
      manifestPath: join(path, "manifest"),
      get manifest() {
        return manifest;
      },
      keep(kept) {
        manifest = kept;
        note({ manifest: kept });
      },
      mark(mark) {
        const index = lastAtOrBefore(mark.file);
        const before = marks[index] ?? { file: 0, offset: manifest?.endsAt ?? 0 };
        if (mark.file - before.file < MARK_FILES && mark.offset - before.offset < MARK_BYTES) return;
        marks.splice(index + 1, 0, mark);
        note({ mark });
      },
      nearest: (file) => marks[lastAtOrBefore(file)] ?? { file: 0, offset: manifest?.endsAt ?? 0 },
      close: () => closeSync(journal),
      remove() {
        closeSync(journal);
        rmSync(path, { recursive: true, force: true });
      },
    },
  };
}

interface JournalLine {
  readonly etag?: string;
  readonly manifest?: KeptManifest;
  readonly mark?: Mark;
}

function readLines(path: string): readonly JournalLine[] {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
    throw error;
  }
  return text.split("\n").flatMap((line) => {
    try {
      return line === "" ? [] : [JSON.parse(line) as JournalLine];
    } catch {
      return []; // cut off: what it said is found out again
    }
  });
}
