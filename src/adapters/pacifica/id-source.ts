import { AppError } from "../../core/errors.ts";
import type { IdSource } from "../../core/ingest/id-source.ts";
import { type Send, serviceName } from "../../core/outbound/send.ts";
import { jsonObject } from "./service.ts";

const TIMEOUT_MS = 30_000;

export interface PacificaIdSourceOptions {
  /** The service; `/getid` is put behind it. */
  readonly url: string;
  readonly send: Send;
  readonly timeoutMs?: number;
}

/** Takes ids from a Pacifica uniqueid service. A try whose answer is lost costs a range of ids, which nobody misses. */
export function pacificaIdSource({ url, send, timeoutMs = TIMEOUT_MS }: PacificaIdSourceOptions): IdSource {
  const address = new URL(`${url.replace(/\/+$/, "")}/getid`);
  return {
    async reserve(mode, count) {
      if (!Number.isSafeInteger(count) || count < 1) throw new RangeError(`A range has 1 id or more, found ${count}.`);
      address.search = new URLSearchParams({ range: String(count), mode }).toString();
      const { status, text } = await send({ method: "GET", url: address.href, timeoutMs });
      const { startIndex, endIndex } = (status === 200 && jsonObject(text)) || {};
      if (isId(startIndex) && isId(endIndex) && endIndex === startIndex + count - 1) return startIndex;
      throw new AppError(status >= 500 ? "remote_unavailable" : "remote_refused", {
        service: serviceName(address.href),
        expected: `startIndex and endIndex of ${count} ids`,
        found: `status ${status}, ${text.trim().slice(0, 100)}`,
      });
    },
  };
}

function isId(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 1;
}
