import { AppError } from "../../core/errors.ts";
import { type OutboundAnswer, serviceName } from "../../core/outbound/send.ts";

export const JSON_TYPE = { "content-type": "application/json" } as const;

/** A service's own words are kept, but not at any length. */
const MAX_MESSAGE_LENGTH = 1_000;

/** Where documents go: the address as it is set, or `/ingest` when it names only the service. */
export function ingestAddress(url: string): string {
  const address = new URL(url);
  if (address.pathname === "/") address.pathname = "/ingest";
  return address.href;
}

/** `undefined` when the service accepts; else the reason it gives. */
export type Refusal = string | undefined;

/**
 * What a Pacifica service makes of a document: it accepts with a JSON object whose `status` is `success`, and refuses
 * with any other. Of a refusal only the `message` is passed on: there is a traceback beside it.
 *
 * @throws AppError remote_unavailable for a server error that is not JSON: a proxy speaks for a service that is down;
 * remote_refused for anything else that is not JSON.
 */
export function refusalOf({ status, text, isWhole }: OutboundAnswer, url: string): Refusal {
  const answer = isWhole ? jsonObject(text) : clippedRefusal(text);
  if (!answer)
    throw new AppError(status >= 500 ? "remote_unavailable" : "remote_refused", {
      service: serviceName(url),
      expected: "a JSON object",
      found: `status ${status}, ${text.trim() === "" ? "no text" : text.trim().slice(0, 100)}`,
    });
  if (answer.status === "success") return undefined;
  const message = typeof answer.message === "string" ? answer.message : `status ${status}`;
  return message.length > MAX_MESSAGE_LENGTH ? `${message.slice(0, MAX_MESSAGE_LENGTH)}…` : message;
}

export function jsonObject(text: string): Readonly<Record<string, unknown>> | undefined {
  const value = jsonValue(text);
  return isRecord(value) ? value : undefined;
}

/** `undefined` when it is not JSON. */
export function jsonValue(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A policy service repeats the document at the end of its refusal: of a long one, there is only the beginning. */
function clippedRefusal(text: string): Readonly<Record<string, unknown>> | undefined {
  if (!text.startsWith("{")) return undefined;
  const message = /"message":\s*("(?:[^"\\]|\\.)*")/.exec(text)?.[1];
  return message === undefined ? {} : { message: JSON.parse(message) };
}
