/** What one process of all may do at a time, so that the others need not. */
export const DUTIES = ["scheduler", "upkeep", "drops", "indexing"] as const;
export type Duty = (typeof DUTIES)[number];

export interface Lease {
  readonly duty: Duty;
  /** The node's name. */
  readonly holder: string;
  /** Epoch milliseconds, by the store's clock: since when without a gap. */
  readonly since: number;
}

/**
 * Who has which duty, for how long. All times are compared by one clock: the database's where it has one of its own
 * (PostgreSQL), so that the clocks of nodes may differ; the machine's where all processes are on one (SQLite).
 *
 * Adapter: `adapters/db/lease-store.ts`. Contract: `test/conformance/lease-store.ts`.
 */
export interface LeaseStore {
  /**
   * Takes what is free, or extends what `holder` has: from now on for `forMs`.
   * @returns whether `holder` has it now. Of several who ask at once, one.
   */
  take(duty: Duty, holder: string, forMs: number): Promise<boolean>;
  /** Free at once; nothing happens when somebody else has it. */
  release(duty: Duty, holder: string): Promise<void>;
  /** Those that are held now. */
  held(): Promise<readonly Lease[]>;
}
