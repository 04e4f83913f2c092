import { problem } from "../../core/errors.ts";
import type { Policy } from "../../core/ingest/policy/policy.ts";
import type { Send } from "../../core/outbound/send.ts";
import { ingestAddress, JSON_TYPE, refusalOf } from "./service.ts";

const TIMEOUT_MS = 60_000;

export interface PacificaPolicyOptions {
  readonly url: string;
  /** Header in which the service expects the depositor's name. */
  readonly userHeader: string;
  readonly send: Send;
  readonly timeoutMs?: number;
}

/** Shows every metadata document, as it was received, to a Pacifica policy service. */
export function pacificaPolicy({ url, userHeader, send, timeoutMs = TIMEOUT_MS }: PacificaPolicyOptions): Policy {
  const address = ingestAddress(url);
  return {
    async judge({ owner, document }, signal) {
      const answer = await send({
        method: "POST",
        url: address,
        headers: { ...JSON_TYPE, [userHeader]: utf8Field(owner) },
        body: { sizeBytes: await sizeOf(await document()), open: document },
        timeoutMs,
        signal,
      });
      const found = refusalOf(answer, address);
      return found === undefined ? [] : [problem("policy_refused", { found })];
    },
  };
}

/** A header field is octets, and `fetch` takes it as one character each: a name goes as UTF-8. */
function utf8Field(text: string): string {
  return Buffer.from(text).toString("latin1");
}

async function sizeOf(bytes: AsyncIterable<Uint8Array>): Promise<number> {
  let sizeBytes = 0;
  for await (const chunk of bytes) sizeBytes += chunk.length;
  return sizeBytes;
}
