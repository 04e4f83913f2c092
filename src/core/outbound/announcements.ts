import { hash } from "node:crypto";
import type { OutboxMessage, Transaction } from "../catalogue/catalogue-store.ts";
import type { DetailValue } from "../errors.ts";

/** Channels of the outbox. */
export const METADATA_CHANNEL = "metadata";
export const CLOUDEVENT_CHANNEL = "cloudevent";

export interface Subscriptions {
  /** Pacifica metadata service that is sent the metadata of every transaction. */
  readonly metadataUrl?: string | undefined;
  /** Addresses that are sent a CloudEvent for every transaction. */
  readonly eventsUrls: readonly string[];
}

/** What others are told of an accepted transaction: one message for each of them. */
export function announcements({ metadataUrl, eventsUrls }: Subscriptions) {
  return (transaction: Transaction): readonly OutboxMessage[] => [
    ...(metadataUrl === undefined
      ? []
      : [message(METADATA_CHANNEL, metadataUrl, transaction, { transactionId: transaction.id })]),
    ...[...new Set(eventsUrls)].map((url) => message(CLOUDEVENT_CHANNEL, url, transaction, eventOf(transaction))),
  ];
}

/** The key names the target by a digest: it is shown to others, and an address may carry a secret. */
function message(
  channel: string,
  target: string,
  { id }: Transaction,
  payload: OutboxMessage["payload"],
): OutboxMessage {
  return { key: `${channel}:${id}:${hash("sha256", target).slice(0, 16)}`, channel, target, payload };
}

function eventOf(transaction: Transaction): { readonly [key: string]: DetailValue } {
  const { id, submitter, project, instrument, fileCount, sizeBytes, objectPath, inventoryDigest } = transaction;
  return {
    time: new Date(transaction.createdAt).toISOString(),
    data: {
      transactionId: id,
      submitter,
      project,
      instrument,
      files: fileCount,
      bytes: sizeBytes,
      objectPath,
      inventoryDigest,
    },
  };
}
