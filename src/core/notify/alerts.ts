import type { OutboxMessage } from "../catalogue/catalogue-store.ts";
import { MAIL_CHANNEL } from "./notices.ts";

/** Told of one piece of work by mail, so that something that fails throughout does not fill anybody's mailbox. */
export const ALERTS_AT_ONCE = 10;

export interface AlertSettings {
  /** Sender. */
  readonly from: string;
  /** Addresses of those who run the archive. */
  readonly to: readonly string[];
}

export interface Alert {
  /** Of what it is about: the same alert is sent once. */
  readonly key: string;
  readonly subject: string;
  readonly lines: readonly string[];
}

/** A mail to each of the operators. */
export function alertMails({ from, to }: AlertSettings, { key, subject, lines }: Alert): readonly OutboxMessage[] {
  return to.map((address) => ({
    key: `${MAIL_CHANNEL}:${key}:${address}`,
    channel: MAIL_CHANNEL,
    target: address,
    payload: { from, subject, text: `${lines.join("\n")}\n` },
  }));
}
