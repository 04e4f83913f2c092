import type { Generated } from "kysely";
import type { AuditEntry, Token } from "../../core/access/access-stores.ts";
import type { ArchivedFile, KeyValue, OutboxMessage, Transaction } from "../../core/catalogue/catalogue-store.ts";
import type { DigestName } from "../../core/digest.ts";
import type { JobId, TransactionId } from "../../core/ids.ts";
import type { Job, JobEvent, Lane } from "../../core/jobs/job.ts";

/**
 * The rows of both databases. Names are camelCase here and snake_case there (Kysely's `CamelCasePlugin`); times are epoch
 * milliseconds. JSON is text in both: PostgreSQL's `jsonb` would refuse `\u0000` and reorder keys, and nothing queries
 * into it.
 */
export interface Tables {
  jobs: JobRow;
  jobEvents: Json<JobEvent, "data"> & { readonly seq: Generated<number> };
  /** SQLite only: PostgreSQL has pg-boss. */
  jobQueue: JobQueueRow;
  transactions: Transaction;
  files: FileRow;
  keyValues: KeyValue & { readonly id: Generated<number>; readonly transactionId: TransactionId };
  outbox: OutboxRow;
  sequences: { readonly name: string; readonly last: number };
  tokens: Json<Token, "scopes">;
  audit: Json<AuditEntry, "details">;
}

type JobInJson = Json<Job, "tasks" | "warnings" | "input" | "checkpoint" | "result">;
export interface JobRow extends Omit<JobInJson, "error" | "cancelRequested"> {
  readonly error: JsonText<NonNullable<Job["error"]>> | null;
  /** 0 or 1: SQLite has no boolean. */
  readonly cancelRequested: number;
}

export interface JobQueueRow {
  readonly jobId: JobId;
  readonly lane: Lane;
  /** Not delivered before. */
  readonly dueAt: number;
  /** These three are set while the id is delivered. */
  readonly worker: string | null;
  readonly receipt: string | null;
  readonly leasedUntil: number | null;
}

export interface FileRow extends Omit<Json<ArchivedFile, "digests">, "declared"> {
  readonly declaredAlgorithm: DigestName;
  readonly declaredValue: string;
}

export interface OutboxRow extends Json<OutboxMessage, "payload"> {
  readonly attempts: Generated<number>;
  readonly dueAt: number;
  readonly lastReason: string | null;
  readonly createdAt: number;
}

declare const parsed: unique symbol;
/** JSON text that parses to a `T`. */
export type JsonText<T> = string & { readonly [parsed]: T };
/** `T` with the fields `K` as JSON text. */
type Json<T, K extends keyof T> = { readonly [P in keyof T]: P extends K ? JsonText<T[P]> : T[P] };

export const toJson = <T>(value: T): JsonText<T> => JSON.stringify(value) as JsonText<T>;
export const fromJson = <T>(text: JsonText<T>): T => JSON.parse(text);
