import type { OutboxMessage } from "../catalogue/catalogue-store.ts";
import { type AlertSettings, alertMails } from "../notify/alerts.ts";
import type { Delivery, Drop } from "./drop.ts";

/** @param isLast of its look: of what else is found, nothing is told. */
type Alert = (drop: Drop, delivery: Delivery, reason: string, isLast: boolean) => readonly OutboxMessage[];

/** What operators are told of deliveries that do not become bundles by themselves. */
export interface DropAlerts {
  /** It can never be taken. */
  readonly rejected: Alert;
  /** It has been waiting for what is missing for longer than the declaration allows. */
  readonly overdue: Alert;
}

export function dropAlerts(settings: AlertSettings): DropAlerts {
  const ending = (drop: Drop, isLast: boolean) => [
    "",
    `More of it: longshore drop deliveries ${drop.name}`,
    ...(isLast ? ["", "Of what else this look has found like it, nothing is told by mail."] : []),
  ];
  return {
    rejected: (drop, delivery, reason, isLast) =>
      alertMails(settings, {
        key: `drop:${delivery.id}:${delivery.version}`,
        subject: `Rejected: a delivery to the drop folder ${drop.name}`,
        lines: [
          `${delivery.name} cannot be taken from ${drop.folder}. It is moved, whole, to ${drop.quarantine}:`,
          "put it right there, and move it back.",
          "",
          reason,
          ...ending(drop, isLast),
        ],
      }),
    overdue: (drop, delivery, reason, isLast) =>
      alertMails(settings, {
        key: `drop-overdue:${delivery.id}:${delivery.version}`,
        subject: `Incomplete: a delivery to the drop folder ${drop.name}`,
        lines: [
          `${delivery.name} in ${drop.folder} is not complete. It stays there, and is taken as soon as it is.`,
          "",
          reason,
          ...ending(drop, isLast),
        ],
      }),
  };
}
