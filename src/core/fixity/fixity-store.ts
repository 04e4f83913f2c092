import type { AuditFact, Outcome } from "../access/access-stores.ts";
import type { OutboxMessage } from "../catalogue/catalogue-store.ts";
import type { Problem } from "../errors.ts";
import type { FileId, TransactionId } from "../ids.ts";

/** What is known of one transaction's bytes. */
export interface FixityCheck {
  readonly transactionId: TransactionId;
  /** When they were last read to the end and compared; `null`: never. */
  readonly checkedAt: number | null;
  readonly outcome: Outcome | null;
  readonly problemCount: number;
  /** The first of them. */
  readonly problems: readonly Problem[];
}

/** A transaction whose turn it is. */
export interface DueCheck {
  readonly transactionId: TransactionId;
  readonly checkedAt: number | null;
  readonly sizeBytes: number;
  /** Of a check that was interrupted. */
  readonly progress: CheckProgress | null;
}

/** How far a check has come: files are read in the order of their ids. */
export interface CheckProgress {
  /** The last file that was read; 0: none. */
  readonly reached: FileId | 0;
  /** Payload that was read. */
  readonly files: number;
  readonly bytes: number;
  readonly problemCount: number;
  readonly problems: readonly Problem[];
}

/** What was read on one day (UTC), by all runs together. */
export interface FixityDay {
  readonly bytes: number;
  readonly busyMs: number;
  readonly checks: number;
  readonly failures: number;
}

/** How much of the archive was checked since some time. */
export interface Coverage {
  readonly transactions: number;
  readonly bytes: number;
  /** Since that time, and found as they should be. */
  readonly soundTransactions: number;
  readonly soundBytes: number;
  /** Whose last check failed, whenever it was. */
  readonly failedTransactions: number;
  readonly neverChecked: number;
  /** The oldest last check of those that have one. */
  readonly oldestCheckedAt: number | null;
}

/** The time that was spent, and on which day it counts. */
export interface Spent {
  /** `YYYY-MM-DD`. */
  readonly day: string;
  readonly bytes: number;
  readonly busyMs: number;
}

/**
 * When each transaction's bytes were last checked. Every catalogued transaction has its place here from the beginning.
 *
 * Adapter: `adapters/db/fixity-store.ts` over SQLite and PostgreSQL. Contract: `test/conformance/fixity-store.ts`.
 */
export interface FixityStore {
  /** The one that was not checked for the longest time, if that is longer than since `before`; never counts as longest. */
  oldest(before: number): Promise<DueCheck | undefined>;
  /** Keeps how far a check has come, if nobody has completed one meanwhile. */
  pause(check: DueCheck, progress: CheckProgress, spent: Spent): Promise<void>;
  /**
   * Completes a check: its verdict, the event and the messages, all or nothing.
   * @returns false when another one was completed meanwhile: then only what was spent is kept.
   */
  complete(
    check: DueCheck,
    verdict: FixityCheck & { readonly checkedAt: number; readonly outcome: Outcome },
    consequences: { readonly fact: AuditFact; readonly messages: readonly OutboxMessage[] },
    spent: Spent,
  ): Promise<boolean>;
  day(day: string): Promise<FixityDay>;
  coverage(since: number): Promise<Coverage>;
  check(transaction: TransactionId): Promise<FixityCheck | undefined>;
  /** In the order of their ids. @param outcome `null`: those that were never checked. */
  list(page: {
    readonly outcome?: Outcome | null | undefined;
    readonly afterId?: TransactionId | undefined;
    readonly limit: number;
  }): Promise<readonly FixityCheck[]>;
}
