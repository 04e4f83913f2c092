import type { Outcome } from "../../core/access/access-stores.ts";
import type { Problem } from "../../core/errors.ts";
import type { CheckProgress, FixityDay } from "../../core/fixity/fixity-store.ts";
import type { TransactionId } from "../../core/ids.ts";
import type { JsonText } from "./tables.ts";

export interface FixityCheckRow {
  readonly transactionId: TransactionId;
  readonly sizeBytes: number;
  /** 0: never. */
  readonly checkedAt: number;
  readonly outcome: Outcome | null;
  readonly problemCount: number;
  readonly problems: JsonText<readonly Problem[]>;
  readonly progress: JsonText<CheckProgress> | null;
}

export interface FixityDayRow extends FixityDay {
  readonly day: string;
}
