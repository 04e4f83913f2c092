import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { SearchIndex } from "../../core/catalogue/search-index.ts";
import { AppError } from "../../core/errors.ts";
import { startThreads, type Threads } from "../storage/fs/threads.ts";
import { openSearchFile, removeSearchFile } from "./search-file.ts";
import type { Answered, FileOfThread, SearchDuties } from "./sqlite-fts-thread.ts";

const SQLITE_BUSY = 5;
const FILE = /^index-(\d+)\.sqlite(?:-wal|-shm)?$/;

/** Held by the process that has the index: a database with a transaction that never ends. */
const LOCK_FILE = "lock";

/**
 * The search index in SQLite's FTS5: a folder with one file, and a second one while the index is made anew. It is opened, and
 * the folder made, with the first call. Of several processes, the first one has it, for as long as it lives: to the
 * others it is `search_unavailable`, until they ask again later.
 *
 * Searches run on one thread and changes on another, so neither holds up the other (SQLite's WAL) or the event loop. What has
 * been put survives a power cut. A file that is damaged or of another format is removed when it is opened, and the index is
 * not filled then; damage that shows later is `database_damaged`, and `rebuild` mends it.
 */
export function sqliteFtsIndex({ folder }: { readonly folder: string }): SearchIndex & { close(): Promise<void> } {
  let known: ReturnType<typeof openIndex> | undefined;
  let isClosed = false;

  async function opened() {
    if (isClosed) throw new AppError("search_unavailable", { reason: "it is closed" });
    known ??= openIndex(folder);
    return known;
  }

  return {
    put: async (documents) => (await opened()).put(documents),
    remove: async (keys) => (await opened()).remove(keys),
    search: async (request) => (await opened()).search(request),
    suggest: async (field, prefix, owner, limit) => (await opened()).suggest(field, prefix, owner, limit),
    isFilled: async () => (await opened()).isFilled(),
    declareFilled: async () => (await opened()).declareFilled(),
    rebuild: async () => (await opened()).rebuild(),
    counts: async () => (await opened()).counts(),
    async close() {
      isClosed = true;
      await known?.close();
    },
  };
}

/** @throws AppError search_unavailable when another process has it. */
function openIndex(folder: string): SearchIndex & { close(): Promise<void> } {
  mkdirSync(folder, { recursive: true });
  const lock = lockedFile(join(folder, LOCK_FILE));
  let number = tidied(folder);
  let writer = thread(pathOf(folder, number), "write");
  let reader = thread(pathOf(folder, number), "read");
  let building: Threads<SearchDuties> | undefined;

  /** An index that is being built gets all changes too. */
  async function changed(change: (threads: Threads<SearchDuties>) => Promise<Answered<void>>): Promise<void> {
    await Promise.all([writer, ...(building ? [building] : [])].map((threads) => answerOf(change(threads))));
  }

  return {
    put: (documents) => changed((threads) => threads.ask("put", documents)),
    remove: (keys) => changed((threads) => threads.ask("remove", keys)),
    search: (request) => answerOf(reader.ask("search", request)),
    suggest: (field, prefix, owner, limit) => answerOf(reader.ask("suggest", { field, prefix, owner, limit })),
    isFilled: () => answerOf(reader.ask("isFilled", undefined)),
    declareFilled: () => answerOf(writer.ask("complete", undefined)),
    counts: () => answerOf(reader.ask("counts", undefined)),

    async rebuild() {
      const former = building;
      number += 1;
      const path = pathOf(folder, number);
      const builder = thread(path, "build");
      building = builder;
      if (former) await closed(former, true);

      function assertOurs(): void {
        if (building === builder) return;
        throw new AppError("job_cancelled", { reason: "The index is finished, abandoned, or made anew by another." });
      }

      return {
        async put(documents) {
          assertOurs();
          await answerOf(builder.ask("fill", documents));
        },
        async finish() {
          assertOurs();
          await answerOf(builder.ask("complete", undefined));
          assertOurs();
          const old = [reader, writer];
          // Changes went to both until now; searches that have begun are answered from the old one.
          reader = thread(path, "read");
          writer = builder;
          building = undefined;
          for (const threads of old) await closed(threads, true);
        },
        async abandon() {
          if (building !== builder) return;
          building = undefined;
          await closed(builder, true);
        },
      };
    },

    async close() {
      if (building) await closed(building, true);
      building = undefined;
      await closed(reader, false);
      await closed(writer, false);
      lock.close();
    },
  };
}

/** @throws AppError search_unavailable when another process has it. Whoever dies has let go of it. */
function lockedFile(path: string): DatabaseSync {
  const file = new DatabaseSync(path, { timeout: 0 });
  try {
    file.exec("BEGIN EXCLUSIVE");
    return file;
  } catch (error) {
    file.close();
    const isBusy = error instanceof Error && "errcode" in error && error.errcode === SQLITE_BUSY;
    throw isBusy ? new AppError("search_unavailable", { reason: "another process has the index open" }) : error;
  }
}

function thread(path: string, use: FileOfThread["use"]): Threads<SearchDuties> {
  return startThreads<SearchDuties>("../../search/sqlite-fts-thread", 1, { path, use } satisfies FileOfThread);
}

async function answerOf<T>(asked: Promise<Answered<T>>): Promise<T> {
  const answered = await asked;
  if ("failure" in answered) throw new AppError(answered.failure.code, answered.failure.details);
  return answered.answer;
}

/** After everything that was asked of it before. */
async function closed(threads: Threads<SearchDuties>, isRemoved: boolean): Promise<void> {
  await threads.ask("close", { isRemoved });
  await threads.close();
}

function pathOf(folder: string, number: number): string {
  return join(folder, `index-${number}.sqlite`);
}

/** Leaves the newest complete index, or a new and empty one. @returns its number. */
function tidied(folder: string): number {
  const numbers = new Set(readdirSync(folder).flatMap((name) => Number(FILE.exec(name)?.[1] ?? [])));
  const descending = [...numbers].sort((a, b) => b - a);
  const kept = descending.find((number) => isComplete(pathOf(folder, number)));
  for (const number of descending) if (number !== kept) removeSearchFile(pathOf(folder, number));
  if (kept !== undefined) return kept;
  const next = (descending[0] ?? 0) + 1;
  openSearchFile(pathOf(folder, next), "write").close();
  return next;
}

function isComplete(path: string): boolean {
  try {
    const file = openSearchFile(path, "read");
    try {
      return file.isComplete();
    } finally {
      file.close();
    }
  } catch (error) {
    if (error instanceof AppError && error.code === "database_damaged") return false;
    throw error;
  }
}
