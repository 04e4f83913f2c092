import type { AlertSettings } from "../core/notify/alerts.ts";
import { withoutPlaces } from "../core/notify/templates.ts";
import type { Config } from "../settings/config.ts";

/** Whom alerts go to. Without a mail server nobody is written to: a mail would wait for ever. */
export function operators({ mailFrom, operatorMail, smtpUrl }: Config): AlertSettings {
  return { from: withoutPlaces(mailFrom), to: smtpUrl === undefined ? [] : operatorMail };
}
