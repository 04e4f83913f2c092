import { AppError } from "../errors.ts";
import type { OutboxChannel } from "./outbox-delivery.ts";
import { type Send, serviceName } from "./send.ts";

const EVENT_TYPE = "org.longshore.transaction.accepted";
const TIMEOUT_MS = 30_000;

/**
 * Posts an event to the message's target in structured content mode (CloudEvents 1.0, HTTP binding §3.2). The event's id
 * is the message's key: an event that comes twice has the same `source` and `id` (CloudEvents 1.0 §3.1.1). Any 2xx is
 * delivered.
 *
 * @param source the context attribute that names this server, a URI reference.
 */
export function cloudEvents({ source, send }: { readonly source: string; readonly send: Send }): OutboxChannel {
  return {
    async deliver({ key, target, payload }, signal) {
      const event = {
        specversion: "1.0",
        id: key,
        source,
        type: EVENT_TYPE,
        time: payload.time,
        datacontenttype: "application/json",
        data: payload.data,
      };
      const { status } = await send({
        method: "POST",
        url: target,
        headers: { "content-type": "application/cloudevents+json; charset=utf-8" },
        body: JSON.stringify(event),
        timeoutMs: TIMEOUT_MS,
        signal,
      });
      if (status >= 200 && status < 300) return;
      throw new AppError("remote_refused", { service: serviceName(target), expected: "any 2xx", found: status });
    },
  };
}
