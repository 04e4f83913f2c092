import { gatherFrom } from "../archive/many-files.ts";
import type { GatherPart, ObjectStorage } from "../archive/object-storage.ts";
import { AppError } from "../errors.ts";
import { mapInOrder } from "../streams.ts";
import type { Location, ReadyEntry } from "./cart.ts";
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
 * many files it touches, and some ahead of the one that is sent. The first one is small, so that it comes soon.
 *
 * A file that passes as a whole is checked against its CRC-32 and its size before the window in which it ends is yielded:
 * a receiver that counts its bytes never takes a damaged download for a complete one.
 *
 * Leaving early is safe at every moment: what is being read then is awaited, and nothing stays open. An abort is noticed
 * before the next window. Memory: the windows, at most {@link AHEAD} + 1 of them.
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
  function take(): number {
    const taken = budget.take(wanted);
    held += taken;
    wanted = Math.min(2 * taken, LARGEST_WINDOW);
    return taken;
  }
  const check = fileCheck();
  const filled = mapInOrder(
    windowsOf(pieces, take),
    AHEAD,
    async (window) => ({ window, bytes: await fill(window, locate, signal) }),
    () => (budget.scarce ? AHEAD : 1),
  );
  try {
    for await (const { window, bytes } of filled) {
      signal.throwIfAborted();
      for (const part of window.parts) check(part);
      yield bytes;
      held -= window.room;
      budget.giveBack(window.room);
    }
  } finally {
    budget.giveBack(held);
  }
}

/** Part of an entry within a window. */
interface Part extends Omit<GatherPart, "path"> {
  readonly entry: ReadyEntry;
  /** CRC-32 of these bytes, where it was wanted, once they have been read. */
  sum?: number | undefined;
}

/** What will be read in one go. */
interface Window {
  /** Taken for it. */
  readonly room: number;
  sizeBytes: number;
  readonly literals: { readonly bytes: Uint8Array; readonly at: number }[];
  readonly parts: Part[];
}

async function* windowsOf(pieces: AsyncIterable<Piece>, take: () => number): AsyncGenerator<Window> {
  let window: Window | undefined;
  for await (const piece of pieces) {
    const sizeBytes = "bytes" in piece ? piece.bytes.byteLength : piece.sizeBytes;
    for (let done = 0; done < sizeBytes; ) {
      window ??= { room: take(), sizeBytes: 0, literals: [], parts: [] };
      const next = Math.min(sizeBytes, done + window.room - window.sizeBytes);
      add(window, piece, done, next);
      done = next;
      if (window.sizeBytes < window.room) continue;
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
    window.literals.push({ bytes: piece.bytes.subarray(from, until), at });
    return;
  }
  const { entry, start } = piece;
  const isWhole = start === 0 && piece.sizeBytes === entry.sizeBytes;
  window.parts.push({ entry, start: start + from, sizeBytes: until - from, at, crc: isWhole });
}

async function fill({ sizeBytes, literals, parts }: Window, locate: Locate, signal: AbortSignal): Promise<Uint8Array> {
  // Every byte of it is written below.
  let buffer: Uint8Array<ArrayBuffer> = Buffer.allocUnsafeSlow(sizeBytes);
  for (const { bytes, at } of literals) buffer.set(bytes, at);
  for (const [storage, { found, asked }] of await byStorage(parts, locate)) {
    try {
      const gathered = await gatherFrom(storage, buffer, found, signal);
      buffer = gathered.buffer;
      for (const [i, part] of asked.entries()) part.sum = gathered.crcs[i];
    } catch (error) {
      const path = error instanceof AppError ? error.details.path : undefined;
      throw aboutEntry(error, asked[found.findIndex((part) => part.path === path)]?.entry);
    }
  }
  return buffer;
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
