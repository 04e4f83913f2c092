import type { Generated } from "kysely";
import type { AuditEntry, Token } from "../../core/access/access-stores.ts";
import type { Cart, Location } from "../../core/carts/cart.ts";
import type { Checkpoint, Layout } from "../../core/carts/layout/layout.ts";
import type { StagedFile, StagingUsage } from "../../core/carts/staging/staging-store.ts";
import type { ArchivedFile, KeyValue, OutboxMessage, Transaction } from "../../core/catalogue/catalogue-store.ts";
import type { Rebuild } from "../../core/catalogue/indexing.ts";
import type { SavedQuery } from "../../core/catalogue/saved-queries.ts";
import type { Crawl, CrawlBatch, CrawlCounts } from "../../core/crawl/crawl.ts";
import type { FeedPosition } from "../../core/crawl/crawl-store.ts";
import type { Sum, TypeSum } from "../../core/crawl/sizes.ts";
import type { DigestName } from "../../core/digest.ts";
import type { Document } from "../../core/documents/document.ts";
import type { StoredIndex } from "../../core/documents/document-store.ts";
import type { Delivery, Look } from "../../core/drop/drop.ts";
import type { KeptVariable } from "../../core/environment/environment-store.ts";
import type { ErrorRecord, Problem } from "../../core/errors.ts";
import type { Extraction, ExtractionCounts, ExtractionRecord } from "../../core/extract/extraction.ts";
import type { ExtractionId, FileId, JobId, OrderId, TransactionId } from "../../core/ids.ts";
import type { Job, JobEvent, Lane } from "../../core/jobs/job.ts";
import type { Lease } from "../../core/nodes/leases.ts";
import type { KeptNode } from "../../core/nodes/nodes.ts";
import type { Order, Package } from "../../core/packages/package.ts";
import type { DayTotals, ErrorEntry, RequestEntry } from "../../core/packages/statistics.ts";
import type { Entry, EntryEvent } from "../../core/registers/entry.ts";
import type { KeptDeclaration } from "../../core/registers/register-store.ts";
import type { Pause } from "../../core/switches/switch.ts";
import type { FixityCheckRow, FixityDayRow } from "./fixity-rows.ts";
import type { ScheduleBootRow, ScheduleLockRow, ScheduleRow, ScheduleRunRow } from "./schedule-rows.ts";

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
  carts: CartRow;
  cartEntries: CartEntryRow;
  cartLayouts: { readonly number: Generated<number>; readonly cart: number; readonly key: string } & Json<
    { readonly layout: Layout },
    "layout"
  >;
  cartCheckpoints: Checkpoint["offsets"] & { readonly layout: number; readonly seq: number };
  /** How many of a cart's downloads have been carried over to a transaction. */
  cartTransactions: { readonly cart: number; readonly transactionId: TransactionId; readonly tallied: number };
  downloadCounts: DownloadCountRow;
  stagedFiles: Json<StagedFile, "digests">;
  /** One row: what those of `stagedFiles` add up to. */
  stagingUsage: StagingUsage & { readonly id: number };
  packages: PackageRow;
  packageOrders: PackageOrderRow;
  packageRequests: LogRow<RequestEntry>;
  packageErrors: LogRow<ErrorEntry>;
  packageRequesters: { readonly resourceId: string; readonly email: string };
  packageCounts: DayTotals & { readonly resourceId: string };
  crawls: CrawlRow;
  crawlFolders: CrawlFolderRow;
  crawlBatches: CrawlBatchRow;
  crawlProblems: { readonly number: Generated<number>; readonly crawl: number; readonly endpoint: number } & Json<
    { readonly problem: Problem },
    "problem"
  >;
  crawlConsumers: FeedPosition & { readonly crawl: number; readonly consumer: string; readonly updatedAt: number };
  crawlSizes: Sum &
    FolderColumns & { readonly crawl: number; readonly endpoint: number; readonly parent: string | null };
  crawlTypes: TypeSum & { readonly crawl: number };
  extractions: ExtractionRow;
  extractionRecords: ExtractionRecordRow;
  searchChanges: SearchChangeRow;
  searchRebuilds: Omit<Rebuild, "error"> & { readonly id: number; readonly error: JsonText<ErrorRecord> | null };
  savedQueries: Json<SavedQuery, "types">;
  documentIndices: DocumentIndexRow;
  documents: Omit<Document, "number"> & { readonly number: Generated<number>; readonly indexNumber: number };
  registers: RegisterRow;
  registerEntries: RegisterEntryRow;
  registerValues: { readonly register: string; readonly field: string; readonly value: string; readonly entry: number };
  registerKeys: { readonly register: string; readonly key: string; readonly entry: number };
  registerEvents: RegisterEventRow;
  schedules: ScheduleRow;
  scheduleBoots: ScheduleBootRow;
  scheduleRuns: ScheduleRunRow;
  scheduleLocks: ScheduleLockRow;
  fixityChecks: FixityCheckRow;
  fixityDays: FixityDayRow;
  switches: Pause;
  drops: { readonly name: string; readonly declaration: string };
  dropLooks: Look & { readonly dropName: string };
  deliveries: DeliveryRow;
  environment: EnvironmentRow;
  leases: Lease & { readonly until: number };
  nodes: NodeRow;
  agreements: { readonly subject: string; readonly value: string };
}

type JobInJson = Json<Omit<Job, "trace">, "tasks" | "warnings" | "input" | "checkpoint" | "result">;
export interface JobRow extends Omit<JobInJson, "error" | "cancelRequested"> {
  readonly error: JsonText<NonNullable<Job["error"]>> | null;
  /** 0 or 1: SQLite has no boolean. */
  readonly cancelRequested: number;
}

export interface NodeRow extends Omit<Json<KeptNode, "lanes">, "tasks" | "silentMs"> {
  readonly tasks: JsonText<NonNullable<KeptNode["tasks"]>> | null;
}

export interface JobQueueRow {
  readonly jobId: JobId;
  readonly lane: Lane;
  readonly kind: string;
  /** Smaller is delivered sooner. */
  readonly rank: number;
  /** Not delivered before; 0 for what has become due. */
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

export interface CartRow extends Json<Cart, "problems"> {
  /** Orders carts by age; what their other rows refer to. */
  readonly number: Generated<number>;
  /** 0 or 1. */
  readonly removed: Generated<number>;
  readonly toSweep: Generated<number>;
  readonly downloadedAt: number | null;
  /** Of the downloads: carried over; being carried over; the first entry that this has not been done for. */
  readonly tallied: Generated<number>;
  readonly tallying: Generated<number>;
  readonly tallySeq: Generated<number>;
}

/** `null` where the catalogue has it, or nobody yet. */
export interface CartEntryRow {
  readonly cart: number;
  readonly seq: number;
  readonly path: string;
  readonly fileId: FileId | null;
  readonly sizeBytes: number | null;
  readonly modifiedAt: number | null;
  readonly crc32: number | null;
  readonly digest: string | null;
  readonly location: Location["at"] | null;
  readonly locatedAt: string | null;
  readonly expectedAlgorithm: DigestName | null;
  readonly expectedValue: string | null;
  /** 0 or 1. */
  readonly unstaged: number;
}

export interface DownloadCountRow {
  readonly subject: "file" | "transaction";
  readonly id: FileId | TransactionId;
  readonly downloads: number;
  readonly lastDownloadedAt: number;
}

export interface PackageRow extends Omit<Json<Package, "recipe" | "members">, "error"> {
  /** What the rows of its orders refer to. */
  readonly number: Generated<number>;
  readonly job: JobId;
  readonly error: JsonText<ErrorRecord> | null;
  readonly sealedKey: string | null;
  readonly keepUntil: number | null;
  /** 0 or 1. */
  readonly live: number;
}

export interface PackageOrderRow extends Omit<Order, "packageId" | "door" | "refused"> {
  readonly number: Generated<number>;
  readonly package: number;
  /** 0 or 1. */
  readonly door: number;
  readonly refused: JsonText<ErrorRecord> | null;
}

type LogRow<T extends ErrorEntry | RequestEntry> = Omit<T, "order"> & {
  readonly number: Generated<number>;
  readonly orderId: OrderId;
};

export interface CrawlRow extends Omit<Json<Crawl, "endpoints">, "counts" | "changes" | "error">, CrawlCounts {
  /** Orders crawls by age; what their other rows refer to. */
  readonly number: Generated<number>;
  readonly error: JsonText<ErrorRecord> | null;
  readonly newFiles: number;
  readonly changedFiles: number;
  readonly sameFiles: number;
  readonly goneFiles: number;
  readonly lastSeq: number;
  readonly lastFolder: number;
  /** 0 or 1. */
  readonly removed: number;
}

/** A folder as it can be indexed, however long its path is. */
export interface FolderColumns {
  /** The path, or its beginning and a digest of it. */
  readonly folder: string;
  /** The path where `folder` is not. */
  readonly longFolder: string | null;
}

export interface CrawlFolderRow extends FolderColumns {
  readonly crawl: number;
  readonly endpoint: number;
  readonly number: number;
  /** 0 or 1. */
  readonly listed: number;
}

export interface CrawlBatchRow extends FolderColumns {
  readonly number: Generated<number>;
  readonly crawl: number;
  readonly seq: number;
  readonly endpoint: number;
  readonly files: JsonText<FileColumns>;
  readonly families: JsonText<NonNullable<CrawlBatch["families"]>> | null;
  readonly changes: JsonText<NonNullable<CrawlBatch["changes"]>> | null;
  readonly gone: JsonText<CrawlBatch["gone"]>;
}

/** Files with their facts side by side: the names of the facts once for all of them. */
export interface FileColumns {
  readonly names: readonly string[];
  readonly sizes: readonly number[];
  readonly times: readonly (number | null)[];
  readonly modes: readonly (number | null)[];
}

export interface ExtractionRow
  extends Omit<Extraction, "extractors" | "counts" | "error">,
    Omit<ExtractionCounts, "toSchedule"> {
  readonly number: Generated<number>;
  readonly extractors: JsonText<NonNullable<Extraction["extractors"]>> | null;
  readonly lastNumber: number;
  readonly error: JsonText<ErrorRecord> | null;
  /** 0 or 1. */
  readonly removed: number;
}

export interface ExtractionRecordRow
  extends Omit<
    Json<ExtractionRecord, "files" | "problems">,
    "extraction" | "crawl" | "group" | "groupKind" | "data" | "failure"
  > {
  readonly id: Generated<number>;
  readonly extraction: number;
  readonly groupIndex: number;
  readonly groupKind: string;
  readonly data: JsonText<NonNullable<ExtractionRecord["data"]>> | null;
  readonly failure: JsonText<NonNullable<ExtractionRecord["failure"]>> | null;
}

/** What of the subject is `null` is none of it. */
export interface SearchChangeRow {
  readonly number: Generated<number>;
  readonly transactionId: TransactionId | null;
  readonly fileId: FileId | null;
  readonly extraction: ExtractionId | null;
  readonly fromNumber: number | null;
  readonly untilNumber: number | null;
}

export interface EnvironmentRow extends Omit<KeptVariable, "secret"> {
  /** 0 or 1. */
  readonly secret: number;
}

export interface RegisterRow {
  readonly name: string;
  readonly declaration: string;
  readonly source: KeptDeclaration["source"];
  readonly revision: number;
  readonly lastId: number;
  readonly viewName: string | null;
  readonly updatedAt: number;
}

export interface RegisterEntryRow extends Omit<Json<Entry, "fields">, "settled"> {
  readonly number: Generated<number>;
  /** 0 or 1. */
  readonly settled: number;
}

export interface RegisterEventRow extends Omit<Json<EntryEvent, "changed">, "seq" | "from" | "to"> {
  readonly seq: Generated<number>;
  readonly register: string;
  readonly entry: number;
  readonly fromStatus: string | null;
  readonly toStatus: string | null;
}

export interface DocumentIndexRow extends Omit<Json<StoredIndex, "mapping">, "name"> {
  /** `null`: it is removed, and its documents are on their way out. */
  readonly name: string | null;
  readonly number: Generated<number>;
  readonly lastSeqNo: number;
}

export interface DeliveryRow extends Omit<Delivery, "id" | "drop"> {
  readonly id: Generated<number>;
  readonly dropName: string;
  /** 0 or 1. */
  readonly closed: number;
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
