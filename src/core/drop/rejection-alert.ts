import type { OutboxMessage } from "../catalogue/catalogue-store.ts";
import { type AlertSettings, alertMails } from "../notify/alerts.ts";
import type { Delivery, Drop } from "./drop.ts";

/** What operators are told of a delivery that can never be taken. */
export function rejectionAlert(settings: AlertSettings) {
  return (drop: Drop, delivery: Delivery, reason: string, isLast: boolean): readonly OutboxMessage[] =>
    alertMails(settings, {
      key: `drop:${delivery.id}:${delivery.version}`,
      subject: `Rejected: a delivery to the drop folder ${drop.name}`,
      lines: [
        `${delivery.name} cannot be taken from ${drop.folder}. It is moved, whole, to ${drop.quarantine}:`,
        "put it right there, and move it back.",
        "",
        reason,
        "",
        `More of it: longshore drop deliveries ${drop.name}`,
        ...(isLast ? ["", "Of what else this look rejects, nothing is told by mail."] : []),
      ],
    });
}
