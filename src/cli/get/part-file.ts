import { closeSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import { type FileHandle, open, rename } from "node:fs/promises";
import { type ByteRange, type ByteRanges, byteRanges } from "./byte-ranges.ts";
import { attempt, unwritable } from "./local-write.ts";

const READ_BYTES = 1024 * 1024;
/** A journal has about this many lines, and a killed process loses at most that share of the file per connection. */
const JOURNAL_LINES = 4096;
const MIN_NOTED_BYTES = 1024 * 1024;

/** What the bytes of a part file are bytes of. */
export interface PartOrigin {
  readonly cart: string;
  readonly etag: string;
  readonly sizeBytes: number;
}

/**
 * `NAME.part`, a file that is received in pieces and in no order, and beside it `NAME.part.journal`, lines of JSON that say
 * which bytes it has. A line is written after its bytes, so wherever the process is killed, what the journal says is there.
 * After a power cut that need not be so: whoever continues has to check the content.
 */
export interface PartFile {
  readonly path: string;
  readonly present: ByteRanges;
  /** Writes the chunks of one piece, each behind the one before. */
  writer(from: number): PieceWriter;
  /** What lies there is wrong, and counts as absent. */
  forget(range: ByteRange): void;
  /** Ends before `until`; waits where bytes are not there yet. @throws the signal's reason when it aborts. */
  read(from: number, until: number, signal: AbortSignal): AsyncGenerator<Uint8Array, void, undefined>;
  /** Makes it durable, under its own name; the journal is gone. */
  complete(target: string): Promise<void>;
  /** Keeps it for another run. */
  close(): Promise<void>;
}

export interface PieceWriter {
  /**
   * Synchronously, as nobody else waits for this process: 2 GB took 17 s of processor time this way, and 23 s when another
   * thread was waited for (22 November 2026).
   */
  write(chunk: Uint8Array): void;
  /** The journal knows all that was written. */
  flush(): void;
}

/** @returns `anew`: a part file was there, but of another download; it is overwritten. */
export async function openPartFile(
  path: string,
  origin: PartOrigin,
): Promise<{ readonly part: PartFile; readonly anew: boolean }> {
  const journalPath = `${path}.journal`;
  const existing = await open(path, "r+").catch((error: NodeJS.ErrnoException) =>
    error.code === "ENOENT" ? undefined : unwritable(path)(error),
  );
  const sizeBytes = (await existing?.stat())?.size ?? 0;
  const known = existing && readJournal(journalPath, origin, sizeBytes);
  if (existing && known)
    return { part: partFile(existing, path, openSync(journalPath, "a"), origin, known), anew: false };

  await existing?.close();
  const file = await open(path, "w+").catch(unwritable(path));
  const journal = openSync(journalPath, "w");
  writeSync(journal, JSON.stringify(origin));
  return { part: partFile(file, path, journal, origin, byteRanges()), anew: existing !== undefined };
}

function partFile(
  file: FileHandle,
  path: string,
  journal: number,
  { sizeBytes }: PartOrigin,
  present: ByteRanges,
): PartFile {
  const notedBytes = Math.max(MIN_NOTED_BYTES, Math.ceil(sizeBytes / JOURNAL_LINES));
  let grown = Promise.withResolvers<void>();

  /** The line feed comes first: half a line of a killed process stays a line of its own, and is not understood. */
  const note = (line: JournalLine) => writeSync(journal, `\n${JSON.stringify(line)}`);

  function wake(): void {
    grown.resolve();
    grown = Promise.withResolvers();
  }

  async function close(): Promise<void> {
    closeSync(journal);
    await file.close();
  }

  return {
    path,
    present,
    writer(from) {
      let [at, noted] = [from, from];
      const flush = () => {
        if (at > noted) note({ has: [from, at] });
        noted = at;
      };
      return {
        write(chunk) {
          for (let written = 0; written < chunk.length; ) {
            const rest = chunk.length - written;
            written += attempt(path, () => writeSync(file.fd, chunk, written, rest, at + written));
          }
          at += chunk.length;
          present.add(from, at);
          if (at - noted >= notedBytes) flush();
          wake();
        },
        flush,
      };
    },
    forget({ from, until }) {
      present.remove(from, until);
      note({ lacks: [from, until] });
    },
    async *read(from, until, signal) {
      const buffer = Buffer.allocUnsafe(Math.min(READ_BYTES, until - from));
      signal.addEventListener("abort", wake);
      try {
        for (let at = from; at < until; ) {
          signal.throwIfAborted();
          const ready = Math.min(present.prefixEnd, until) - at;
          if (ready <= 0) {
            await grown.promise;
            continue;
          }
          const { bytesRead } = await file.read(buffer, 0, Math.min(ready, buffer.length), at);
          if (bytesRead === 0) return; // shortened meanwhile, by somebody else
          at += bytesRead;
          yield buffer.subarray(0, bytesRead);
        }
      } finally {
        signal.removeEventListener("abort", wake);
      }
    },
    async complete(target) {
      await file.sync();
      await close();
      await rename(path, target).catch(unwritable(target));
      rmSync(`${path}.journal`, { force: true });
    },
    close,
  };
}

type JournalLine = { readonly has: readonly [number, number] } | { readonly lacks: readonly [number, number] };

/** @returns `undefined` when the journal tells of another download, or is not there. */
function readJournal(path: string, origin: PartOrigin, sizeBytes: number): ByteRanges | undefined {
  let lines: readonly unknown[];
  try {
    lines = readFileSync(path, "utf8").split("\n").map(parsed);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
  const [first, ...rest] = lines;
  if (JSON.stringify(first) !== JSON.stringify(origin)) return undefined;
  const present = byteRanges();
  for (const line of rest) {
    if (isLine(line, "has")) present.add(line.has[0], Math.min(line.has[1], sizeBytes));
    else if (isLine(line, "lacks")) present.remove(line.lacks[0], line.lacks[1]);
  }
  return present;
}

function isLine<K extends "has" | "lacks">(line: unknown, key: K): line is Record<K, readonly [number, number]> {
  const value = typeof line === "object" && line !== null ? (line as Record<string, unknown>)[key] : undefined;
  return Array.isArray(value) && value.length === 2 && value.every((offset) => Number.isSafeInteger(offset));
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined; // cut off: what it said is received again
  }
}
