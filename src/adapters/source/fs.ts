import { constants } from "node:fs";
import { lstat, open, realpath } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import type { ByteRange } from "../../core/archive/object-storage.ts";
import type { Listing, Source, SourceEntry, WalkOptions } from "../../core/crawl/source.ts";
import { AppError } from "../../core/errors.ts";
import { ahead } from "../../core/streams.ts";
import { rangeWithin } from "../storage/byte-range.ts";
import { ABSENT, systemCode } from "../storage/fs/errors.ts";
import { startThreads, type Threads } from "../storage/fs/threads.ts";
import { folderQueue } from "./folder-queue.ts";
import { KINDS, type WalkAnswer, type WalkDuties } from "./fs-walk-thread.ts";

/** Answers of the thread that wait for the reader: some thousand entries each. */
const ANSWERS_AHEAD = 2;
/** Threads of one walk: one core each, and on a file server answers that are waited for at the same time. */
const THREADS = Math.min(4, availableParallelism());
/** Folders that are sent to a thread at once. Few of them hold as much as one answer does. */
const FOLDERS_AT_ONCE = 500;
const WORTH_A_THREAD = 250;
const READ_BYTES = 1024 * 1024;

/** Folders that a thread was asked to list, some of them at least. */
interface Question {
  readonly thread: Threads<WalkDuties>;
  readonly folders: readonly string[];
  readonly answer: Promise<WalkAnswer>;
}

/**
 * Files below a folder of this machine. `root` itself may be a link; below it nothing is reached through one, neither by
 * a walk nor by `open`. Files are listed with size, time and mode; folders and links by name alone. Sockets, pipes and
 * devices are listed, and are problems as well.
 *
 * Who can write below the root can exchange a folder for a link between two system calls, and so show names from
 * elsewhere, never contents: a file is read only if it is the one that its resolved path named. Nothing portable closes
 * the former.
 */
export function fsSource({ root }: { readonly root: string }): Source {
  const walks = new Set<Threads<WalkDuties>>();

  /** @throws AppError endpoint_unreachable. */
  async function resolvedRoot(): Promise<string> {
    try {
      const resolved = await realpath(root);
      const stats = await lstat(resolved);
      const handle = stats.isDirectory() ? await open(resolved, constants.O_RDONLY | constants.O_DIRECTORY) : undefined;
      await handle?.close();
      if (handle) return resolved;
    } catch (error) {
      const reason = systemCode(error);
      if (reason === undefined) throw error;
      throw new AppError("endpoint_unreachable", { reason }, { cause: error });
    }
    throw new AppError("endpoint_unreachable", { reason: "it is no folder" });
  }

  /** Answers come in the order of the questions; the parts of one folder, one after the other. */
  async function* answers({ folders, hidden, isDone, signal }: WalkOptions): AsyncGenerator<readonly Listing[]> {
    const at = await resolvedRoot();
    const queue = folderQueue(folders, isDone);
    const own: Threads<WalkDuties>[] = [];
    const idle: Threads<WalkDuties>[] = [];
    const asked: Question[] = [];

    function ask(thread: Threads<WalkDuties>, next: readonly string[]): Question {
      const answer = thread.ask("list", { root: at, folders: next, hidden });
      answer.catch(() => {}); // thrown when its turn comes
      return { thread, folders: next, answer };
    }

    /** What is known goes to threads that have nothing to do; another one is only worth its start when that is much. */
    function share(): void {
      while (asked.length < THREADS && (asked.length === 0 || queue.waiting() >= WORTH_A_THREAD)) {
        const next = queue.take(FOLDERS_AT_ONCE);
        if (next.length === 0) return;
        const thread = idle.pop() ?? threadFor();
        if (!own.includes(thread)) own.push(thread);
        walks.add(thread);
        asked.push(ask(thread, next));
      }
    }

    let isWhole = false;
    try {
      share();
      for (let question = asked.shift(); question; question = asked.shift()) {
        signal.throwIfAborted();
        const { thread } = question;
        const answer = await question.answer;
        const listings = listingsOf(answer);
        for (const { entries } of listings) {
          for (const { kind, path } of entries) if (kind === "folder") queue.add(path);
        }
        // The thread lists on while these are looked at.
        const left = question.folders.slice(answer.begun);
        if (answer.parts.at(-1)?.isLast === false) asked.unshift(ask(thread, left));
        else if (left.length > 0) asked.push(ask(thread, left));
        else idle.push(thread);
        share();
        yield listings;
      }
      isWhole = true;
    } finally {
      for (const thread of own) {
        walks.delete(thread);
        if (isWhole) rest(thread);
        else await thread.close();
      }
    }
  }

  return {
    async *walk(options) {
      for await (const listings of ahead(answers(options), ANSWERS_AHEAD)) {
        for (const listing of listings) {
          options.signal.throwIfAborted();
          yield listing;
        }
      }
    },

    async open(path, range) {
      const file = placeOf(root, path);
      if (file === undefined) throw new AppError("object_missing", { path });
      try {
        return await openBelow(await realpath(root), path, range);
      } catch (error) {
        const reason = systemCode(error);
        if (reason === undefined || !GONE.includes(reason)) throw error;
        throw new AppError("object_missing", { path, reason }, { cause: error });
      }
    },

    localPath: (path) => placeOf(root, path),

    async close() {
      await Promise.all([...walks].map((thread) => thread.close()));
    },
  };
}

/**
 * Threads whose walk has come to its end: the next walk goes on with one. To start one takes 0.1 s of processor time, and to
 * compile its code anew, while it walks, as much again (2026-11).
 */
const resting = new Map<Threads<WalkDuties>, NodeJS.Timeout>();
const RESTING_AT_ONCE = THREADS;
const REST_MS = 60_000;

function threadFor(): Threads<WalkDuties> {
  for (const [thread, timer] of resting) {
    clearTimeout(timer);
    resting.delete(thread);
    return thread;
  }
  return startThreads<WalkDuties>("../../source/fs-walk-thread", 1);
}

function rest(thread: Threads<WalkDuties>): void {
  const leave = () => {
    resting.delete(thread);
    void thread.close();
  };
  if (resting.size === RESTING_AT_ONCE) leave();
  // Neither the timer nor a thread without work keeps the process.
  else resting.set(thread, setTimeout(leave, REST_MS).unref());
}

/** No file there, or none that may be read. */
const GONE: readonly string[] = [...ABSENT, "ELOOP", "EACCES", "EPERM", "ENXIO"];
/** Not blocking: opening a named pipe would wait for a writer. */
const OPEN_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** `undefined` for paths that are not plainly below the root. */
function placeOf(root: string, path: string): string | undefined {
  const isPlain = !path.includes("\0") && path.split("/").every((part) => part !== "" && part !== "." && part !== "..");
  return isPlain ? join(root, path) : undefined;
}

/** @param root resolved. @throws AppError object_missing, range_not_satisfiable; what the operating system refuses. */
async function openBelow(root: string, path: string, range: ByteRange | undefined): Promise<Readable> {
  const file = join(root, path);
  const handle = await open(file, OPEN_FLAGS);
  try {
    const [stats, named, place] = await Promise.all([
      handle.stat({ bigint: true }),
      lstat(file, { bigint: true }),
      realpath(file),
    ]);
    const isNamed = stats.dev === named.dev && stats.ino === named.ino && place === file;
    if (!stats.isFile() || !isNamed) throw new AppError("object_missing", { path });
    const { start, end } = rangeWithin(range, Number(stats.size), path);
    if (start < end) return handle.createReadStream({ start, end: end - 1, highWaterMark: READ_BYTES });
  } catch (error) {
    await handle.close();
    throw error;
  }
  await handle.close();
  return Readable.from([]);
}

function listingsOf({ parts, names, kinds, numbers }: WalkAnswer): readonly Listing[] {
  const all = names === "" ? [] : names.split("\0");
  let at = 0;
  return parts.map(({ folder, count, problems, isLast }) => {
    const prefix = folder === "" ? "" : `${folder}/`;
    const entries: SourceEntry[] = [];
    for (const end = at + count; at < end; at++) {
      entries.push({
        path: `${prefix}${all[at]}`,
        kind: KINDS[kinds[at] ?? 0] ?? "other",
        sizeBytes: numbers[3 * at] ?? 0,
        modifiedAt: known(numbers[3 * at + 1]),
        mode: known(numbers[3 * at + 2]),
      });
    }
    return { folder, entries, problems, isLast };
  });
}

function known(value: number | undefined): number | null {
  return value === undefined || Number.isNaN(value) ? null : value;
}
