import { createHmac } from "node:crypto";
import type { OutboxMessage } from "../catalogue/catalogue-store.ts";
import type { Clock } from "../clock.ts";
import { AppError, type ErrorRecord } from "../errors.ts";
import { type OrderId, orderId } from "../ids.ts";
import type { Fetch } from "../outbound/fetch.ts";
import type { OutboxChannel } from "../outbound/outbox-delivery.ts";
import type { Mailer } from "./mailer.ts";

/**
 * Told what became of a notice, for the order's record and the statistics.
 * @param refused why it will never be taken; `null`: it was taken.
 */
export type Told = (order: OrderId, outcome: "ready" | "failed", refused: ErrorRecord | null) => Promise<void>;

/** Tried for this long: a mail server that is down for a weekend does no harm. */
const GIVE_UP_MS = 7 * 24 * 3_600_000;

/**
 * Mails, at least once each. A mail that is refused for good is given up, and so is one that could not be handed over for
 * a week.
 * @param domain right side of the mails' ids.
 */
export function mailChannel(mailer: Mailer, domain: string, told: Told): OutboxChannel {
  return {
    giveUpMs: GIVE_UP_MS,
    async deliver({ key, target, payload }, signal) {
      const messageId = `${key.replaceAll(/[^\w.-]/g, ".")}@${domain}`;
      const { from, subject, text: body, html } = payload;
      const mail = { messageId, to: target, from: text(from), subject: text(subject), text: text(body) };
      await mailer.send(html === undefined ? mail : { ...mail, html: text(html) }, signal);
    },
    taken: ({ payload }) => told(...orderOf(payload), null),
    gaveUp: ({ payload }, error) => told(...orderOf(payload), error),
  };
}

/** Refused for good by status 410 (RFC 9110 §15.5.11), and by our own guard. */
const GONE = 410;

/**
 * Signed POSTs, at least once each. `Longshore-Signature: t=<seconds>,v1=<hex>` is the HMAC-SHA-256 of `<seconds>.<body>`
 * under the configured secret; receivers refuse what is old. Any 2xx is delivered.
 */
export function webhookChannel(fetch: Fetch, secret: string, clock: Clock, told: Told): OutboxChannel {
  return {
    giveUpMs: GIVE_UP_MS,
    async deliver({ key, target, payload }, signal) {
      const body = JSON.stringify({ id: key, ...(payload.event as Record<string, unknown>) });
      const at = Math.floor(clock.now() / 1_000);
      const signature = createHmac("sha256", secret).update(`${at}.${body}`).digest("hex");
      const answer = await fetch({
        method: "POST",
        url: target,
        headers: {
          "content-type": "application/json",
          "longshore-signature": `t=${at},v1=${signature}`,
        },
        body,
        limits: { headMs: 30_000, silenceMs: 30_000, totalMs: 60_000, bodyBytes: 1024 * 1024 },
        signal,
      });
      answer.body.destroy();
      if (answer.status < 200 || answer.status >= 300)
        throw new AppError(answer.status === GONE ? "notice_refused" : "remote_unavailable", {
          origin: new URL(target).origin,
          expected: "any 2xx",
          found: answer.status,
        });
    },
    taken: ({ payload }) => told(...orderOf(payload), null),
    gaveUp: ({ payload }, error) => told(...orderOf(payload), error),
  };
}

function orderOf(payload: OutboxMessage["payload"]): [OrderId, "ready" | "failed"] {
  return [orderId(text(payload.orderId)), payload.outcome === "ready" ? "ready" : "failed"];
}

const text = (value: unknown) => (typeof value === "string" ? value : "");
