import type { Clock } from "../../clock.ts";
import { AppError } from "../../errors.ts";
import type { CrawlId } from "../../ids.ts";
import { type CrawlChanges, type CrawlCounts, NO_COUNTS } from "../crawl.ts";
import type { CrawlStore, FolderOf, Found } from "../crawl-store.ts";

/** Kept at once, whichever is reached first: counters move while the crawl runs, and a transaction pays for itself. */
const KEEP_FILES = 16_000;
const KEEP_ROWS = 8_000;
export const KEEP_MS = 300;

export interface Keeping {
  /**
   * Takes a part into the next transaction; a part is never kept by halves. Waits when there is enough to keep.
   * @param begun the folder, when batches of it are given and more will follow.
   */
  add(found: Found, begun?: FolderOf): Promise<void>;
  /** Keeps what has waited for some time. */
  tick(): Promise<void>;
  /** Keeps what there is. */
  flush(): Promise<void>;
}

export interface KeepingParts {
  readonly store: Pick<CrawlStore, "keep">;
  readonly clock: Clock;
  readonly crawl: CrawlId;
  /** Of the job. */
  readonly attempts: number;
  /** Folders that an earlier worker has left in the middle. */
  readonly begun: readonly FolderOf[];
  /** Notes which folders are kept in part, before they are. */
  note(begun: readonly FolderOf[]): Promise<void>;
  onKept(counts: CrawlCounts): void;
}

/** Collects what several walks find into transactions, one after the other. */
export function keeping({ store, clock, crawl, attempts, begun, note, onKept }: KeepingParts): Keeping {
  const open = new Map(begun.map((folder) => [keyOf(folder), folder]));
  /** Folders begun are noted before the first of their batches is kept; that they have ended needs no note. */
  const noted = new Set(open.keys());
  let pending = pendingFound();
  let since = clock.now();
  let keepingNow: Promise<void> = Promise.resolve();

  async function keep(): Promise<void> {
    if (pending.isEmpty()) return;
    const found = pending.found();
    pending = pendingFound();
    const unnoted = [...open.keys()].filter((key) => !noted.has(key));
    if (unnoted.length > 0) {
      await note([...open.values()]);
      for (const key of unnoted) noted.add(key);
    }
    if (!(await store.keep(crawl, attempts, found))) throw new AppError("crawl_state_conflict", { id: crawl });
    onKept(found.counts);
  }

  /** After those before it, and not at all once one has failed. */
  function flush(): Promise<void> {
    keepingNow = keepingNow.then(keep);
    return keepingNow;
  }

  return {
    async add(found, begunFolder) {
      if (pending.isEmpty()) since = clock.now();
      pending.add(found);
      for (const folder of found.listed) open.delete(keyOf(folder));
      if (begunFolder) open.set(keyOf(begunFolder), begunFolder);
      if (pending.isFull() || clock.now() - since >= KEEP_MS) await flush();
    },
    async tick() {
      if (!pending.isEmpty() && clock.now() - since >= KEEP_MS) await flush();
    },
    flush,
  };
}

const keyOf = ({ endpoint, folder }: FolderOf) => `${endpoint} ${folder}`;

function pendingFound() {
  const batches: Found["batches"][number][] = [];
  const folders: FolderOf[] = [];
  const listed: FolderOf[] = [];
  const problems: Found["problems"][number][] = [];
  const counts = { ...NO_COUNTS };
  let changes: { -readonly [Name in keyof CrawlChanges]: number } | null = null;
  return {
    add(found: Found) {
      batches.push(...found.batches);
      for (const folder of found.folders) folders.push(folder);
      for (const folder of found.listed) listed.push(folder);
      for (const problem of found.problems) problems.push(problem);
      for (const name of COUNTED) counts[name] += found.counts[name];
      if (!found.changes) return;
      changes ??= { new: 0, changed: 0, same: 0, gone: 0 };
      for (const name of CHANGED) changes[name] += found.changes[name];
    },
    isEmpty: () => batches.length + folders.length + listed.length + problems.length === 0,
    isFull: () => counts.files >= KEEP_FILES || folders.length + listed.length + problems.length >= KEEP_ROWS,
    found: (): Found => ({ batches, folders, listed, problems, counts, changes }),
  };
}

const COUNTED = Object.keys(NO_COUNTS) as readonly (keyof CrawlCounts)[];
const CHANGED = ["new", "changed", "same", "gone"] as const satisfies readonly (keyof CrawlChanges)[];
