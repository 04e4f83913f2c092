import { type Indexing, startIndexing } from "../core/catalogue/indexing.ts";
import { indexingDuty, ownReindexing, type Reindexing, sharedReindexing } from "../core/catalogue/reindexing.ts";
import { searchContent } from "../core/catalogue/search-content.ts";
import type { Clock } from "../core/clock.ts";
import type { DutyWork } from "../core/nodes/leadership.ts";
import type { Config } from "../settings/config.ts";
import { type Foundation, sharesSearch } from "./foundation.ts";

interface Log {
  trouble(error: unknown, during: string): void;
}

/** What keeps the search index as the database is. */
export interface IndexingServices {
  /**
   * Until it is stopped. Where all processes share an index this indexes nothing: see {@link indexingDuty}. Else it is for the
   * server alone, whose folder holds the index that nobody else can open.
   */
  startIndexing(log: Log): Reindexing & { stop(): Promise<void> };
  /** What one of all processes does, be it a server or a worker; `undefined` where the index is a server's own. */
  indexingDuty(log: Log): DutyWork | undefined;
}

export function composeIndexing(
  config: Config,
  { index, stores }: Pick<Foundation, "index" | "stores">,
  clock: Clock,
): IndexingServices {
  const { searchChanges: changes, searchRebuilds: rebuilds } = stores;
  const isShared = sharesSearch(config);
  const content = searchContent(stores);
  const start = (log: Log): Indexing => startIndexing({ index, changes, content, clock, onTrouble: log.trouble });

  return {
    startIndexing(log) {
      if (isShared) return { ...sharedReindexing(rebuilds, clock), stop: async () => {} };
      const indexing = start(log);
      const onFailure = (error: unknown) => log.trouble(error, "making the search index anew");
      return { ...ownReindexing(indexing, onFailure), stop: indexing.stop };
    },

    indexingDuty(log) {
      if (!isShared) return undefined;
      return indexingDuty({ start: () => start(log), rebuilds, clock, onTrouble: log.trouble });
    },
  };
}
