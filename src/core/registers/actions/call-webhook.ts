import { createHmac } from "node:crypto";
import type { Clock } from "../../clock.ts";
import { AppError } from "../../errors.ts";
import type { Fetch } from "../../outbound/fetch.ts";
import type { Action } from "../declaration-form.ts";
import type { ActionRunner } from "../register-job.ts";

export interface CallWebhookParts {
  readonly fetch: Fetch;
  /** Signs what is sent, as other webhooks are; not signed when left out. */
  readonly secret: string | undefined;
  readonly clock: Clock;
}

type WebhookAction = Extract<Action, { do: "webhook" }>;

const LIMITS = { headMs: 30_000, silenceMs: 30_000, totalMs: 120_000, bodyBytes: 1024 ** 2 };

/** Tells a service of an entry, at least once: a repetition bears the same `Idempotency-Key`. Any 2xx is taken for done. */
export function callWebhook({ fetch, secret, clock }: CallWebhookParts): ActionRunner<WebhookAction> {
  return async ({ entry, action, signal, settle }) => {
    const { register, id, status, owner, fields, job } = entry;
    await settle();
    const body = JSON.stringify({ type: "register.action", register, id, status, owner, fields });
    const at = Math.floor(clock.now() / 1_000);
    const answer = await fetch({
      method: "POST",
      url: action.url,
      headers: {
        "content-type": "application/json",
        // One job makes all attempts; asked for once more, the entry has another.
        "idempotency-key": `${register}/${id}/${job}`,
        ...(secret !== undefined && {
          "longshore-signature": `t=${at},v1=${createHmac("sha256", secret).update(`${at}.${body}`).digest("hex")}`,
        }),
      },
      body,
      limits: LIMITS,
      signal,
    });
    answer.body.destroy();
    if (answer.status >= 200 && answer.status < 300) return { reason: `${new URL(action.url).origin} has taken it` };
    throw new AppError("remote_unavailable", {
      origin: new URL(action.url).origin,
      expected: "any 2xx",
      found: answer.status,
    });
  };
}
