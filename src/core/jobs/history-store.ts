import type { JobId } from "../ids.ts";

/**
 * What is only ever added to and some day removed: the lines of jobs' histories. Jobs themselves stay, as do transactions and
 * the audit log.
 *
 * Adapter: `adapters/db/history-store.ts`. Contract: `test/conformance/history-store.ts`.
 */
export interface HistoryStore {
  /** Makes room for what is to come; to be called now and then. Where that was forgotten, things are slower and not wrong. */
  prepare(): Promise<void>;
  /**
   * Removes the events of jobs that ended before a time (epoch milliseconds), those of some jobs with each call.
   * @param after go on behind this job, as an earlier call said.
   * @returns the job to go on behind, or `undefined` when all has been gone through.
   */
  forgetEvents(endedBefore: number, after?: JobId): Promise<JobId | undefined>;
}
