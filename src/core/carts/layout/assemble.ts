import { gatherFrom } from "../../archive/many-files.ts";
import type { GatherPart, ObjectStorage } from "../../archive/object-storage.ts";
import { AppError } from "../../errors.ts";
import { forgo, lend } from "../../streams.ts";
import type { Location, ReadyEntry } from "../cart.ts";
import { crc32Combine } from "./crc32-combine.ts";
import type { Piece } from "./layout.ts";
import { LARGEST_WINDOW, SMALLEST_WINDOW, type WindowBudget } from "./window-budget.ts";

/** Where the bytes of an entry are. @throws AppError object_missing. */
export type Locate = (location: Location) => StoredAt | Promise<StoredAt>;

export interface StoredAt {
  readonly storage: ObjectStorage;
  readonly path: string;
}

export interface AssembleOptions {
  /** Shared by all that is assembled at the same time. */
  readonly budget: WindowBudget;
  readonly signal: AbortSignal;
}

/** Windows that are read while an earlier one is sent. */
const AHEAD = 2;

/**
 * The bytes of all pieces in order: exactly as many, or it throws. They come in windows, each read in one go however
 * many files it touches, and some ahead of the one that is sent. The first one is small and nothing is read ahead of it,
 * so that it comes soon: of a manifest of a million lines, putting together what comes next takes longer than reading it.
 *
 * A file that passes as a whole is checked against its CRC-32 and its size before the window in which it ends is yielded:
 * a receiver that counts its bytes never takes a damaged download for a complete one.
 *
 * Leaving early is safe at every moment: what is being read then is awaited, and nothing stays open. An abort is noticed
 * before the next window. Memory: the windows, at most {@link AHEAD} + 1 of them; they are lent, so whoever has sent one may
 * `recycle` it.
 *
 * @throws AppError object_missing, object_corrupt, storage_unavailable and what `locate` throws: with the `path` of the
 * entry in the download and its `seq` in the details. The signal's reason.
 */
export async function* assemble(
  pieces: AsyncIterable<Piece>,
  locate: Locate,
  { budget, signal }: AssembleOptions,
): AsyncGenerator<Uint8Array> {
  let held = 0;
  let wanted = SMALLEST_WINDOW;
  function take(): Uint8Array<ArrayBuffer> {
    const memory = budget.take(wanted);
    held += memory.byteLength;
    wanted = Math.min(2 * memory.byteLength, LARGEST_WINDOW);
    return memory;
  }
  function giveBack(memory: Uint8Array<ArrayBuffer>): void {
    held -= memory.byteLength;
    budget.giveBack(memory);
  }
  function leave(sizeBytes: number): void {
    held -= sizeBytes;
    budget.leave(sizeBytes);
  }
  const windows = windowsOf(pieces, take);
  const check = fileCheck();
  /** The window to be yielded next is the first. */
  const underWay: Promise<Window>[] = [];
  let begun = false;
  try {
    for (let ended = false; ; ) {
      signal.throwIfAborted();
      while (!ended && underWay.length < (begun && !budget.scarce ? AHEAD + 1 : 1)) {
        const next = await windows.next();
        if (next.done) ended = true;
        else underWay.push(filled(next.value, locate, signal));
        underWay.at(-1)?.catch(() => {}); // thrown when its turn comes
      }
      const window = await underWay[0];
      if (!window) return;
      underWay.shift();
      for (const part of window.parts) check(part);
      const { memory } = window;
      const bytes = memory.subarray(0, window.sizeBytes);
      lend(bytes, () => giveBack(memory));
      begun = true;
      try {
        yield bytes;
      } finally {
        if (forgo(bytes)) leave(memory.byteLength);
      }
    }
  } finally {
    for (const unread of await Promise.allSettled(underWay)) {
      if (unread.status === "fulfilled") giveBack(unread.value.memory);
    }
    await windows.return();
    leave(held);
  }
}

/** Part of an entry within a window. */
interface Part extends Omit<GatherPart, "path"> {
  readonly entry: ReadyEntry;
  /** CRC-32 of these bytes, where it was wanted, once they have been read. */
  sum?: number | undefined;
}

/** What is read in one go. */
interface Window {
  /** Holds the format's own bytes already; those of the files are yet to come. */
  readonly memory: Uint8Array<ArrayBuffer>;
  sizeBytes: number;
  readonly parts: Part[];
}

async function* windowsOf(
  pieces: AsyncIterable<Piece>,
  take: () => Uint8Array<ArrayBuffer>,
): AsyncGenerator<Window, void> {
  let window: Window | undefined;
  for await (const piece of pieces) {
    const sizeBytes = "bytes" in piece ? piece.bytes.byteLength : piece.sizeBytes;
    for (let done = 0; done < sizeBytes; ) {
      window ??= { memory: take(), sizeBytes: 0, parts: [] };
      const next = Math.min(sizeBytes, done + window.memory.byteLength - window.sizeBytes);
      add(window, piece, done, next);
      done = next;
      if (window.sizeBytes < window.memory.byteLength) continue;
      yield window;
      window = undefined;
    }
  }
  if (window) yield window;
}

function add(window: Window, piece: Piece, from: number, until: number): void {
  const at = window.sizeBytes;
  window.sizeBytes += until - from;
  if ("bytes" in piece) {
    window.memory.set(piece.bytes.subarray(from, until), at);
    return;
  }
  const { entry, start } = piece;
  const isWhole = start === 0 && piece.sizeBytes === entry.sizeBytes;
  window.parts.push({ entry, start: start + from, sizeBytes: until - from, at, crc: isWhole });
}

/** The window with the bytes of its files in their places. */
async function filled(window: Window, locate: Locate, signal: AbortSignal): Promise<Window> {
  let { memory } = window;
  for (const [storage, { found, asked }] of await byStorage(window.parts, locate)) {
    try {
      const gathered = await gatherFrom(storage, memory, found, signal);
      memory = gathered.buffer;
      for (const [i, part] of asked.entries()) part.sum = gathered.crcs[i];
    } catch (error) {
      const path = error instanceof AppError ? error.details.path : undefined;
      throw aboutEntry(error, asked[found.findIndex((part) => part.path === path)]?.entry);
    }
  }
  return { ...window, memory };
}

/** What is read from one storage; both lists go together. */
interface Reading {
  readonly found: GatherPart[];
  readonly asked: Part[];
}

async function byStorage(parts: readonly Part[], locate: Locate): Promise<ReadonlyMap<ObjectStorage, Reading>> {
  const readings = new Map<ObjectStorage, Reading>();
  for (const part of parts) {
    const { entry, start, sizeBytes, at, crc } = part;
    const { storage, path } = await locatedOf(entry, locate);
    const reading = readings.get(storage) ?? { found: [], asked: [] };
    readings.set(storage, reading);
    reading.found.push({ path, start, sizeBytes, at, crc });
    reading.asked.push(part);
  }
  return readings;
}

async function locatedOf(entry: ReadyEntry, locate: Locate): Promise<StoredAt> {
  try {
    return await locate(entry.location);
  } catch (error) {
    throw aboutEntry(error, entry);
  }
}

/** Checks the parts of whole files as they pass, in order. */
function fileCheck(): (part: Part) => void {
  /** Of the file that has begun. */
  let running = 0;
  return ({ entry, start, sizeBytes, sum }) => {
    if (sum === undefined) return;
    running = start === 0 ? sum : crc32Combine(running, sum, sizeBytes);
    if (start + sizeBytes < entry.sizeBytes || running === entry.crc32) return;
    const facts = { expected: hex(entry.crc32), found: hex(running) };
    throw aboutEntry(new AppError("object_corrupt", { what: "CRC-32", ...facts }), entry);
  };
}

function hex(crc: number): string {
  return crc.toString(16).padStart(8, "0");
}

/** Names the entry as the receiver knows it. What is no `AppError` is a defect, and stays as it is. */
function aboutEntry(error: unknown, entry: ReadyEntry | undefined): unknown {
  if (!(error instanceof AppError) || !entry) return error;
  const { path, seq } = entry;
  return new AppError(error.code, { ...error.details, path, seq }, { cause: error });
}
