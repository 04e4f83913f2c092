import type { OutboxMessage } from "../catalogue/catalogue-store.ts";
import { isoTime } from "../clock.ts";
import type { JobId } from "../ids.ts";
import { type AlertSettings, alertMails } from "../notify/alerts.ts";
import type { FixityCheck } from "./fixity-store.ts";

const PROBLEMS_TOLD = 20;

/** What operators are told of a transaction whose bytes are not what they were. */
export function fixityAlert(settings: AlertSettings) {
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
    return alertMails(settings, {
      key: `fixity:${transactionId}:${checkedAt}`,
      subject: `Fixity check failed: transaction ${transactionId}`,
      lines,
    });
  };
}
