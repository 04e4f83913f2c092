import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import type { SearchIndex } from "../../core/catalogue/search-index.ts";
import { AppError } from "../../core/errors.ts";
import { startThreads, type Threads } from "../storage/fs/threads.ts";
import { openSearchFile, removeSearchFile } from "./search-file.ts";
import type { Answered, FileOfThread, SearchDuties } from "./sqlite-fts-thread.ts";

const FILE = /^index-(\d+)\.sqlite(?:-wal|-shm)?$/;

/**
 * The search index in SQLite's FTS5: a folder with one file, and a second one while the index is made anew. One process
 * at a time.
 *
 * Searches run on one thread and changes on another, so neither holds up the other (SQLite's WAL) or the event loop. What has
 * been put survives a power cut. A file that is damaged or of another format is removed at the start, and `counts` then says
 * that nothing is there; damage that shows later is `database_damaged`, and `rebuild` mends it.
 */
export function sqliteFtsIndex({ folder }: { readonly folder: string }): SearchIndex & { close(): Promise<void> } {
  mkdirSync(folder, { recursive: true });
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
    },
  };
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
