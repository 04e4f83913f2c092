import type { Clock } from "../clock.ts";
import type { Indexing, Rebuild } from "./indexing.ts";
import type { SearchRebuilds } from "./search-rebuilds.ts";

/** How often is asked whether an index is to be made anew, and noted how far that is. */
const LOOK_MS = 500;

/** Has the index made anew, and tells how far that is. */
export interface Reindexing {
  /** The last one, be it under way, over or yet to begin; `null` when nobody knows of one. */
  lastRebuild(): Promise<Rebuild | null>;
  /** Resolves when the last one is this; while one is under way, that is it. */
  begin(): Promise<void>;
}

/** Of an index that is this process's own. @param onFailure told of what keeps it from being made. */
export function ownReindexing(
  indexing: Pick<Indexing, "lastRebuild" | "rebuild">,
  onFailure: (error: unknown) => void,
): Reindexing {
  return {
    lastRebuild: async () => indexing.lastRebuild(),
    async begin() {
      indexing.rebuild().catch(onFailure);
    },
  };
}

/** Of an index that many processes share: it is noted in the database, for {@link indexingDuty}. */
export function sharedReindexing(rebuilds: SearchRebuilds, clock: Clock): Reindexing {
  return { lastRebuild: rebuilds.last, begin: () => rebuilds.ask(clock.now()) };
}

export interface IndexingDutyParts {
  /** Begins to bring changes into the index. */
  start(): Indexing;
  readonly rebuilds: SearchRebuilds;
  readonly clock: Clock;
  onTrouble(error: unknown, during: string): void;
}

/**
 * What the one process does that indexes for all, until the signal aborts: brings in changes, makes the index anew whenever
 * that is asked for, and notes how far it is. One that was under way when its process died is begun again by the next.
 */
export function indexingDuty({ start, rebuilds, clock, onTrouble }: IndexingDutyParts) {
  return async (signal: AbortSignal): Promise<void> => {
    const indexing = start();
    let noted: Rebuild | null = null;
    let isAway = false;

    async function look(): Promise<void> {
      const own = indexing.lastRebuild();
      if (own !== null && own !== noted) {
        await rebuilds.note(own);
        noted = own;
      }
      if (own?.finishedAt === null) return;
      const asked = await rebuilds.last();
      if (asked?.finishedAt !== null || signal.aborted) return;
      indexing.rebuild().catch((error: unknown) => {
        if (!signal.aborted) onTrouble(error, "making the search index anew");
      });
    }

    try {
      while (!signal.aborted) {
        try {
          await look();
          isAway = false;
        } catch (error) {
          if (!isAway) onTrouble(error, "looking whether the search index is to be made anew");
          isAway = true;
        }
        await clock.sleep(LOOK_MS, signal);
      }
    } finally {
      await indexing.stop();
    }
  };
}
