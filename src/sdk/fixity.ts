import { type Connection, jsonBody } from "./connection.ts";
import { type Listing, listing, type PageOptions } from "./pages.ts";
import type { FileProblem, Job } from "./types.ts";

export interface FixityStatus {
  /** Within which everything is to be checked. */
  readonly days: number;
  /** Of all transactions, those that were checked within these days and are sound: 0 to 1. */
  readonly share: number;
  readonly transactions: number;
  readonly bytes: number;
  readonly soundTransactions: number;
  readonly soundBytes: number;
  /** Whose last check failed, whenever it was. */
  readonly failedTransactions: number;
  readonly neverChecked: number;
  readonly oldestCheckedAt: string | null;
  /** What all runs of this day (UTC) have done. */
  readonly today: {
    readonly bytes: number;
    readonly minutes: number;
    readonly checks: number;
    readonly failures: number;
  };
  readonly limits: { readonly dailyBytes: number | null; readonly dailyMinutes: number | null };
}

export interface FixityCheck {
  /** The transaction's. */
  readonly id: number;
  readonly checkedAt: string | null;
  readonly outcome: "success" | "failure" | null;
  readonly problemCount: number;
  /** The first of them. */
  readonly problems: readonly FileProblem[];
}

/** A run ends at the first limit that it meets. */
export interface NewFixityRun {
  readonly bytes?: number;
  readonly minutes?: number;
  /** Leaves alone what was checked in fewer days. */
  readonly days?: number;
  readonly bytesPerSecond?: number;
  readonly parallel?: number;
}

/** For operators: whether archived bytes are what they were. */
export interface FixityApi {
  status(): Promise<FixityStatus>;
  /** @returns the job, to be waited for; it fails with `fixity_failed` when something was wrong. */
  run(run?: NewFixityRun): Promise<Job>;
  /** The last check of each transaction, in the order of their ids. */
  checks(options?: PageOptions & { readonly outcome?: "success" | "failure" | "never" }): Listing<FixityCheck>;
  /** Also for those who may see the transaction. */
  check(transaction: number): Promise<FixityCheck>;
}

export function fixityApi(connection: Connection): FixityApi {
  return {
    status: () => connection.json<FixityStatus>("/fixity"),
    run: (run = {}) => connection.json<Job>("/fixity/runs", jsonBody("POST", run)),
    checks: ({ signal, ...options } = {}) => listing<FixityCheck>(connection, "/fixity/checks", options, signal),
    check: (transaction) => connection.json<FixityCheck>(`/transactions/${transaction}/fixity`),
  };
}
