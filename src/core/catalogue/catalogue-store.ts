import type { AuditFact } from "../access/access-stores.ts";
import type { DigestName, Digests } from "../digest.ts";
import type { DetailValue } from "../errors.ts";
import type { FileId, TransactionId } from "../ids.ts";
import type { TraceParent } from "../tracing.ts";

/** One accepted bundle; its bytes are one OCFL object. */
export interface Transaction {
  readonly id: TransactionId;
  /** As the metadata said: text, since Pacifica sends numbers for some and text for others. */
  readonly submitter: string | null;
  readonly project: string | null;
  readonly instrument: string | null;
  /** Principal that deposited it: who may see it beside operators. */
  readonly owner: string;
  readonly fileCount: number;
  readonly sizeBytes: number;
  /** Folder of the OCFL object, relative to the archive's root. */
  readonly objectPath: string;
  /** Digest of the root inventory: names the whole content. */
  readonly inventoryDigest: string;
  readonly createdAt: number;
}

/** One archived file. */
export interface ArchivedFile {
  readonly id: FileId;
  readonly transactionId: TransactionId;
  /** Logical path inside the transaction, beginning with `data/`. */
  readonly path: string;
  /** Path inside the OCFL object, beginning with `v1/content/`. */
  readonly contentPath: string;
  readonly sizeBytes: number;
  /** As declared, in ISO 8601 UTC where it could be read as a time; else as it was sent. */
  readonly modifiedAt: string | null;
  readonly changedAt: string | null;
  readonly mediaType: string;
  readonly digests: Digests;
  readonly crc32: number;
  /** The algorithm and value the depositor declared. */
  readonly declared: { readonly algorithm: DigestName; readonly value: string };
}

export interface KeyValue {
  /** `null`: about the transaction. */
  readonly fileId: FileId | null;
  readonly key: string;
  readonly value: string;
}

/** Something to tell others, kept until they have taken it. */
export interface OutboxMessage {
  /** Unique: adding it again does nothing. */
  readonly key: string;
  /** Which deliverer takes it: `metadata` (Pacifica metadata service) or `cloudevent`. */
  readonly channel: string;
  readonly target: string;
  readonly payload: { readonly [key: string]: DetailValue };
  /** What it came out of: the outbox notes it, and gives it back with the message. */
  readonly trace?: TraceParent;
}

/** A file, with where it lies and who may see it. */
export type PlacedFile = ArchivedFile & Pick<Transaction, "owner" | "objectPath">;

export interface FilePage {
  readonly afterId?: FileId;
  readonly limit: number;
  /** Beginning of the path, to the letter. */
  readonly prefix?: string;
  /** `image/png`, or `image/*`; in upper or lower case. */
  readonly mediaType?: string;
}

export interface FolderPage {
  /** As files' paths begin, without a slash at its end; `""` is what all lies in. */
  readonly folder: string;
  /** Only what comes behind this name; behind a folder's, with a slash at its end. */
  readonly after?: string;
  readonly limit: number;
}

export interface FolderEntry {
  readonly name: string;
  /** `null` of a folder. */
  readonly file: ArchivedFile | null;
}

export interface TransactionFilter {
  readonly owner?: string;
  readonly beforeId?: TransactionId;
  readonly limit: number;
}

/** Transactions that fit all that is given. */
export interface TransactionQuery {
  readonly owner?: string;
  readonly submitter?: string;
  readonly project?: string;
  readonly instrument?: string;
  /** Of the transaction itself, all of them. */
  readonly keyValues?: Readonly<Record<string, string>>;
  /** Created in this time, epoch milliseconds: `from` included, `until` not. */
  readonly from?: number;
  readonly until?: number;
  readonly afterId?: TransactionId;
  readonly limit: number;
}

/**
 * What is known of the archive's content. Everything here can be rebuilt from the archive.
 *
 * Adapters: `adapters/db/catalogue-store.ts` over SQLite and PostgreSQL. Contract: `test/conformance/catalogue-store.ts`.
 */
export interface CatalogueStore {
  /**
   * Registers a transaction with all its files and key-values, puts `messages` into the outbox and `facts` into the audit
   * log, and has the transaction's fixity checked from now on, all or nothing.
   * Idempotent: a transaction that is known already is left as it is (`false`). Files are written in batches; memory is
   * one batch.
   * @param facts asked for when all files have been written.
   */
  add(
    transaction: Transaction,
    files: AsyncIterable<ArchivedFile>,
    keyValues: readonly KeyValue[],
    messages: readonly OutboxMessage[],
    now: number,
    facts?: () => readonly AuditFact[],
  ): Promise<boolean>;
  transaction(id: TransactionId): Promise<Transaction | undefined>;
  /** Newest first. */
  listTransactions(filter: TransactionFilter): Promise<readonly Transaction[]>;
  /** In id order. */
  findTransactions(query: TransactionQuery): Promise<readonly Transaction[]>;
  /** In id order. */
  listFiles(transaction: TransactionId, page: FilePage): Promise<readonly ArchivedFile[]>;
  /**
   * What lies in one folder of a transaction, in the order of paths' code points. Its cost is what is listed, however much
   * lies below the folders.
   */
  listFolder(transaction: TransactionId, page: FolderPage): Promise<readonly FolderEntry[]>;
  file(id: FileId): Promise<ArchivedFile | undefined>;
  /** Those of some thousand files that are known, in no particular order. */
  files(ids: readonly FileId[]): Promise<readonly PlacedFile[]>;
  keyValues(transaction: TransactionId): Promise<readonly KeyValue[]>;
  totals(): Promise<{ readonly transactions: number; readonly files: number; readonly bytes: number }>;
  /** Forgets one transaction, so that a rebuild can register it anew. */
  forget(id: TransactionId): Promise<void>;
}

/** Messages on their way out; at least once each. */
export interface Outbox {
  /** Due messages, oldest first, each held for `leaseMs` by the caller. */
  claim(
    now: number,
    leaseMs: number,
    limit: number,
  ): Promise<readonly (OutboxMessage & { readonly attempts: number })[]>;
  delivered(key: string): Promise<void>;
  /** To be tried again at `dueAt`. `reason` is kept for the operator. */
  failed(key: string, dueAt: number, reason: string): Promise<void>;
  depth(): Promise<number>;
  /** How delivery is getting on. */
  backlog(): Promise<OutboxBacklog>;
}

export interface OutboxBacklog {
  readonly messages: number;
  /** Of these, those whose delivery has failed. */
  readonly failing: number;
  /** When the oldest was put in; `null` when there is none. */
  readonly oldestAt: number | null;
}

/** Durable integer sequences, never handing out a number twice. */
export interface SequenceStore {
  /** Reserves `count` consecutive numbers. @returns the first; the first ever is 1. */
  reserve(sequence: string, count: number): Promise<number>;
  /** Makes sure that the next number is larger than `used`. */
  raise(sequence: string, used: number): Promise<void>;
}
