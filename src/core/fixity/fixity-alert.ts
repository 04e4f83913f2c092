import type { OutboxMessage } from "../catalogue/catalogue-store.ts";
import { isoTime } from "../clock.ts";
import type { JobId } from "../ids.ts";
import { MAIL_CHANNEL } from "../notify/notices.ts";
import type { FixityCheck } from "./fixity-store.ts";

/** Told of one run by mail, so that a store that is lost does not fill anybody's mailbox. */
export const ALERTS_PER_RUN = 10;
const PROBLEMS_TOLD = 20;

export interface AlertSettings {
  /** Sender. */
  readonly from: string;
  /** Addresses of those who run the archive. */
  readonly to: readonly string[];
}

/** What operators are told of a transaction whose bytes are not what they were. */
export function fixityAlert({ from, to }: AlertSettings) {
  return (
    job: JobId,
    check: FixityCheck & { readonly checkedAt: number },
    isLast: boolean,
  ): readonly OutboxMessage[] => {
    const { transactionId, checkedAt, problemCount, problems } = check;
    const shown = problems.slice(0, PROBLEMS_TOLD);
    const lines = [
      `Transaction ${transactionId} is not what was archived.`,
      "",
      `Checked at: ${isoTime(checkedAt)}, by job ${job}`,
      `Problems:   ${problemCount}`,
      "",
      ...shown.map(({ path, message }) => (path === undefined ? message : `${path}: ${message}`)),
      ...(problemCount > shown.length ? [`… and ${problemCount - shown.length} more`] : []),
      "",
      `All of them: longshore jobs show ${job}, or longshore verify --transaction ${transactionId}`,
      ...(isLast ? ["", "This run tells of no further transactions by mail: longshore fixity list --failed"] : []),
    ];
    return to.map((address) => ({
      key: `${MAIL_CHANNEL}:fixity:${transactionId}:${checkedAt}:${address}`,
      channel: MAIL_CHANNEL,
      target: address,
      payload: { from, subject: `Fixity check failed: transaction ${transactionId}`, text: `${lines.join("\n")}\n` },
    }));
  };
}
