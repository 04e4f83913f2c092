import type { Clock } from "../clock.ts";
import type { JobId } from "../ids.ts";
import type { HistoryStore } from "./history-store.ts";

const DAY_MS = 86_400_000;

export interface TidyHistoryParts {
  readonly history: HistoryStore;
  readonly clock: Clock;
  /** How long the lines of a finished job's history are kept; `undefined`: for ever. */
  readonly days: number | undefined;
}

/** One round of upkeep. Several processes may do so side by side. */
export async function tidyHistory({ history, clock, days }: TidyHistoryParts, signal: AbortSignal): Promise<void> {
  await history.prepare();
  if (days === undefined) return;
  const endedBefore = clock.now() - days * DAY_MS;
  for (let after: JobId | undefined; !signal.aborted; ) {
    after = await history.forgetEvents(endedBefore, after);
    if (after === undefined) return;
  }
}
