import type { AuditEntry, AuditFact, Outcome } from "../access/access-stores.ts";
import type { Audit } from "../access/audit.ts";
import type { ArchivedFile, Transaction } from "../catalogue/catalogue-store.ts";
import { isoTime } from "../clock.ts";
import type { DigestName } from "../digest.ts";
import type { Details, DetailValue } from "../errors.ts";
import type { TransactionId } from "../ids.ts";

/**
 * What happens to archived transactions, in words of the Library of Congress's vocabulary of event types
 * (https://id.loc.gov/vocabulary/preservation/eventType).
 */
export const EVENT_TYPES = [
  "ingestion",
  "message digest calculation",
  "fixity check",
  "replication",
  "migration",
  "deletion",
] as const;
export type EventType = (typeof EVENT_TYPES)[number];

/** One thing that happened to a transaction (PREMIS 3, Event). Events are entries of the audit log, sealed by its chain. */
export interface PreservationEvent {
  /** Its `seq` in the audit log. */
  readonly seq: number;
  readonly type: EventType;
  readonly transactionId: TransactionId;
  readonly at: number;
  /** Who asked for it. */
  readonly actor: string;
  /** What did it: name/version. */
  readonly software: string | null;
  readonly outcome: Outcome;
  readonly details: Details;
}

export interface NewEvent {
  readonly type: EventType;
  readonly transactionId: TransactionId;
  readonly actor: string;
  readonly outcome: Outcome;
  readonly details: Details;
  /** When it was done by something else than Longshore: name/version. */
  readonly software?: string | undefined;
}

export interface PreservationEvents {
  /** In order of `seq`. */
  list(transaction: TransactionId, afterSeq: number, limit: number): Promise<readonly PreservationEvent[]>;
  /** All of them, in order of `seq`. Memory: one page. */
  all(transaction: TransactionId): AsyncGenerator<PreservationEvent>;
  /** Appends an event; on return it is durable. */
  record(event: NewEvent): Promise<PreservationEvent>;
}

const PAGE = 1000;
const PREFIX = "event.";
/** What in an event's details says when it happened, where it was recorded only later. ISO 8601 in UTC. */
const HAPPENED_AT = "happenedAt";
/** What in an event's details says what did it, where that was not what recorded it. */
const DONE_WITH = "doneWith";

const actionOf = (type: EventType) => PREFIX + type.replaceAll(" ", "-");
const ACTIONS = EVENT_TYPES.map(actionOf);
const targetOf = (transaction: TransactionId) => `transaction/${transaction}`;

export function preservationEvents(audit: Pick<Audit, "list" | "record">): PreservationEvents {
  async function list(transaction: TransactionId, afterSeq: number, limit: number) {
    const entries = await audit.list(afterSeq, limit, { target: targetOf(transaction), actions: ACTIONS });
    return entries.map((entry) => eventOf(entry, transaction));
  }

  return {
    list,

    async *all(transaction) {
      for (let after = 0; ; ) {
        const page = await list(transaction, after, PAGE);
        yield* page;
        const last = page.at(-1);
        if (!last || page.length < PAGE) return;
        after = last.seq;
      }
    },

    async record({ type, transactionId, actor, outcome, details, software }) {
      const all = software === undefined ? details : { ...details, [DONE_WITH]: software };
      return eventOf(await audit.record(actor, actionOf(type), targetOf(transactionId), all, outcome), transactionId);
    },
  };
}

/** An event as what the audit log takes: for those who write it together with what it tells of. */
export function eventFact(event: NewEvent & { readonly at: number; readonly software: string }): AuditFact {
  const { type, transactionId, ...same } = event;
  return { ...same, action: actionOf(type), target: targetOf(transactionId) };
}

/**
 * The events every transaction begins with.
 * @param recordedAt when they are written down: later than they happened, when a database is made anew from the archive.
 */
export function ingestionFacts(
  { id, owner, fileCount, sizeBytes, createdAt }: Transaction,
  algorithms: readonly DigestName[],
  by: { readonly software: string; readonly now: number; readonly recordedBy?: "rebuild" },
): readonly AuditFact[] {
  const { software, now: at, recordedBy } = by;
  const event = (type: EventType, details: Details) =>
    eventFact({
      type,
      transactionId: id,
      at,
      actor: owner,
      software,
      outcome: "success",
      details: recordedBy === undefined ? details : { ...details, recordedBy, [HAPPENED_AT]: isoTime(createdAt) },
    });
  return [
    event("message digest calculation", { algorithms, files: fileCount }),
    event("ingestion", { files: fileCount, bytes: sizeBytes }),
  ];
}

/** Passes files on and keeps the names of the digests that they have. */
export function noteAlgorithms(files: AsyncIterable<ArchivedFile>): {
  readonly files: AsyncIterable<ArchivedFile>;
  /** Of what has passed. */
  algorithms(): readonly DigestName[];
} {
  const seen = new Set<DigestName>();
  return {
    files: (async function* () {
      for await (const file of files) {
        for (const name of Object.keys(file.digests)) seen.add(name as DigestName);
        yield file;
      }
    })(),
    algorithms: () => [...seen].sort(),
  };
}

function eventOf(entry: AuditEntry, transactionId: TransactionId): PreservationEvent {
  const { [HAPPENED_AT]: happenedAt, [DONE_WITH]: doneWith, ...details } = entry.details;
  return {
    seq: entry.seq,
    type: typeOf(entry.action),
    transactionId,
    at: timeOf(happenedAt) ?? entry.at,
    actor: entry.actor,
    software: typeof doneWith === "string" ? doneWith : entry.software,
    outcome: entry.outcome ?? "success",
    details,
  };
}

function typeOf(action: string): EventType {
  const type = EVENT_TYPES.find((one) => actionOf(one) === action);
  if (type === undefined) throw new RangeError(`${action} is no event's.`);
  return type;
}

function timeOf(text: DetailValue | undefined): number | undefined {
  const time = typeof text === "string" ? Date.parse(text) : Number.NaN;
  return Number.isNaN(time) ? undefined : time;
}
