import { type Connection, jsonBody } from "./connection.ts";
import { type Listing, listing, type PageOptions } from "./pages.ts";

export type EventType =
  | "ingestion"
  | "message digest calculation"
  | "fixity check"
  | "replication"
  | "migration"
  | "deletion";

export interface PreservationEvent {
  /** Its `seq` in the audit log. */
  readonly id: number;
  readonly type: EventType;
  readonly transactionId: number;
  readonly at: string;
  readonly actor: string;
  /** What did it: name/version. */
  readonly software: string | null;
  readonly outcome: "success" | "failure";
  readonly details: Readonly<Record<string, unknown>>;
}

/** What something else than Longshore has done. */
export interface NewPreservationEvent {
  readonly type: Exclude<EventType, "ingestion" | "message digest calculation">;
  readonly outcome?: "success" | "failure";
  /** name/version. */
  readonly software: string;
  /** What was done, in words. */
  readonly note: string;
}

/** What has happened to transactions. */
export interface EventsApi {
  /** Oldest first. */
  list(transaction: number, options?: PageOptions): Listing<PreservationEvent>;
  /** For operators. It cannot be taken back. */
  record(transaction: number, event: NewPreservationEvent): Promise<PreservationEvent>;
  /** The transaction with its files, events and agents as PREMIS 3 XML, as it comes. */
  premis(transaction: number, signal?: AbortSignal): Promise<ReadableStream<Uint8Array>>;
}

export function eventsApi(connection: Connection): EventsApi {
  return {
    list: (transaction, { signal, ...page } = {}) =>
      listing<PreservationEvent>(connection, `/transactions/${transaction}/events`, page, signal),
    record: (transaction, event) =>
      connection.json<PreservationEvent>(`/transactions/${transaction}/events`, jsonBody("POST", event)),
    async premis(transaction, signal) {
      const { body } = await connection.send(`/transactions/${transaction}/premis`, { signal });
      return body ?? new ReadableStream();
    },
  };
}
