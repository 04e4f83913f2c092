/** The wire API's values. Times are ISO 8601 in UTC; `openapi.json` has every field's description. */

export type JobState = "queued" | "running" | "succeeded" | "failed" | "cancelled";

export interface Task {
  readonly name: string;
  /** 0 to 100. */
  readonly percent: number;
  readonly doneFiles?: number;
  readonly totalFiles?: number;
  readonly doneBytes?: number;
  readonly totalBytes?: number;
  readonly startedAt: string;
  readonly finishedAt: string | null;
}

/** One thing wrong with one file. */
export interface FileProblem {
  readonly code: string;
  readonly message: string;
  readonly path?: string;
  readonly expected?: string | number;
  readonly found?: string | number;
}

export interface JobError {
  readonly code: string;
  readonly message: string;
  readonly details: Readonly<Record<string, unknown>>;
}

/** What a succeeded ingest or move has made. */
export interface Receipt {
  readonly transactionId: number;
  readonly files: number;
  readonly bytes: number;
  readonly objectPath: string;
  readonly inventoryDigest: string;
}

export interface Job {
  readonly id: number;
  readonly kind: string;
  readonly lane: string;
  readonly state: JobState;
  readonly owner: string;
  /** The current one of `tasks`. */
  readonly task: { readonly name: string; readonly percent: number } | null;
  readonly tasks: readonly Task[];
  readonly attempts: number;
  readonly error: JobError | null;
  readonly warnings: readonly FileProblem[];
  /** A {@link Receipt} once an ingest or move has succeeded. */
  readonly result: Readonly<Record<string, unknown>> | null;
  readonly cancelRequested: boolean;
  readonly createdAt: string;
  readonly updatedAt: string;
  readonly startedAt: string | null;
  readonly finishedAt: string | null;
}

export interface Transaction {
  readonly id: number;
  readonly submitter: string | null;
  readonly project: string | null;
  readonly instrument: string | null;
  readonly owner: string;
  /** How many. */
  readonly files: number;
  readonly bytes: number;
  readonly objectPath: string;
  readonly inventoryDigest: string;
  readonly createdAt: string;
}

export interface TransactionDetail extends Transaction {
  readonly keyValues: readonly { readonly key: string; readonly value: string; readonly fileId: number | null }[];
}

export interface ArchivedFile {
  readonly id: number;
  readonly transactionId: number;
  /** Begins with `data/`. */
  readonly path: string;
  readonly sizeBytes: number;
  readonly modifiedAt: string | null;
  readonly changedAt: string | null;
  readonly mediaType: string;
  /** Lower-case hex by algorithm. */
  readonly digests: Readonly<Record<string, string>>;
  /** Eight hex digits. */
  readonly crc32: string;
  readonly declared: { readonly algorithm: string; readonly value: string };
}

export type CartStatus = "waiting" | "staging" | "ready" | "error" | "expired";

/** A choice of files that is downloaded as one archive. Once ready, it never changes. */
export interface Cart {
  readonly id: string;
  /** Top folder and file name of its downloads. */
  readonly name: string;
  readonly owner: string;
  readonly status: CartStatus;
  /** How many. */
  readonly files: number;
  /** Of the files, without what the archive format adds. */
  readonly bytes: number;
  /** Digest of its manifest. */
  readonly algorithm: string;
  /** What can be read at once already. */
  readonly staged: { readonly files: number; readonly bytes: number };
  /** When cold storage expects the last file, if it says so. */
  readonly readyAt: string | null;
  /** The job that brings the files online, if one had to. */
  readonly job: number | null;
  /** The first of `problemCount`. */
  readonly problems: readonly FileProblem[];
  readonly problemCount: number;
  readonly downloads: number;
  readonly links: { readonly tar: string; readonly zip: string; readonly manifest: string; readonly files: string };
  readonly lastUsedAt: string | null;
  /** `null`: some time after its last use. */
  readonly expiresAt: string | null;
  readonly createdAt: string;
  readonly updatedAt: string;
}

/** One file of a cart. */
export interface CartFile {
  /** 0-based: its place in the download. */
  readonly seq: number;
  /** In the download, below `data/`. */
  readonly path: string;
  readonly sizeBytes: number;
  readonly modifiedAt: string | null;
  /** Lower-case hex by algorithm; empty until it is known. */
  readonly digests: Readonly<Record<string, string>>;
  /** Eight hex digits; `null` until it is known. */
  readonly crc32: string | null;
  /** Set for files of this archive. */
  readonly fileId: number | null;
  readonly transactionId: number | null;
  /** Where its bytes are; what is `remote` has to be staged. */
  readonly state: "archive" | "staged" | "remote";
}

export interface Downloads {
  /** How many there were. */
  readonly downloads: number;
  readonly lastDownloadedAt: string | null;
}

export type Scope = "deposit" | "read" | "operate" | "admin";

export interface Token {
  readonly id: string;
  readonly owner: string;
  readonly scopes: readonly Scope[];
  readonly createdAt: string;
  readonly expiresAt: string | null;
  readonly revokedAt: string | null;
  readonly lastUsedAt: string | null;
}

export interface Page<T> {
  readonly items: readonly T[];
  /** Cursor of the next page; `null` on the last. */
  readonly next: string | null;
}
