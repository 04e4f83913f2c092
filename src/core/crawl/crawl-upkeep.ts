import type { Clock } from "../clock.ts";
import type { CrawlStore } from "./crawl-store.ts";

const EVERY_MS = 60_000;

export interface CrawlUpkeepParts {
  readonly store: Pick<CrawlStore, "sweep">;
  readonly clock: Clock;
  /** Told of what goes wrong; it is tried again with the next round. */
  onTrouble?(error: unknown, during: string): void;
}

/**
 * Every minute: deletes what removed crawls have left behind. Starts at once. Several processes may do so side by side.
 * @returns what ends it; resolves when the step that is under way is done.
 */
export function startCrawlUpkeep({ store, clock, onTrouble }: CrawlUpkeepParts): { stop(): Promise<void> } {
  const stopping = new AbortController();

  async function round(): Promise<void> {
    while (!stopping.signal.aborted && (await store.sweep()));
  }

  async function loop(): Promise<void> {
    while (!stopping.signal.aborted) {
      await round().catch((error: unknown) => onTrouble?.(error, "the upkeep of crawls"));
      await clock.sleep(EVERY_MS, stopping.signal);
    }
  }

  const running = loop();
  return {
    async stop() {
      stopping.abort();
      await running;
    },
  };
}
