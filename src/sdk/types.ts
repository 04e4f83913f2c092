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
  readonly doneRows?: number;
  readonly totalRows?: number;
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
  /** Higher is begun sooner; 0 as a rule. */
  readonly priority: number;
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

export type PackageKind = "datastore" | "url" | "dwca";
export type TableFormat = "csv" | "tsv" | "xlsx" | "jsonl" | "parquet";
export type PackageStatus = "building" | "ready" | "failed" | "expired";

/** A value of a portal's row, as JSON has it. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

/** What is packed. Equal recipes share one ZIP while it is fresh. */
export interface Recipe {
  readonly kind: PackageKind;
  /** The resource's id at the portal. */
  readonly resourceId: string;
  /** Rows come from here: address of the portal's `datastore_search`. */
  readonly apiUrl?: string;
  /** `url`: address of the file. */
  readonly resourceUrl?: string;
  /** Value, or list of values of which one has to be there, by field. */
  readonly filters?: Readonly<Record<string, Json>>;
  readonly q?: string | Readonly<Record<string, string>>;
  readonly plain?: string;
  readonly language?: string;
  /** Names, separated by commas: which columns, and in which order. */
  readonly fields?: string;
  readonly sort?: string;
  /** How many rows at most; all when left out. */
  readonly limit?: number;
  readonly offset?: number;
  /** `csv` when left out; of `dwca`, `csv` or `tsv`. */
  readonly format?: TableFormat;
  readonly doi?: string;
  /** `dwca`: template of eml.xml. */
  readonly eml?: string;
  /** `dwca`: adds gbif.json. */
  readonly forGbif?: boolean;
  /** Whether manifest.json lies beside the data; it does when left out. */
  readonly manifest?: boolean;
}

/** One order of a package. */
export interface Package {
  readonly id: string;
  readonly owner: string;
  readonly recipe: Recipe;
  readonly status: PackageStatus;
  readonly lane: string;
  /** The job that makes it. */
  readonly job: number | null;
  /** This and the next ones are set when it is ready. */
  readonly fileName: string | null;
  readonly sizeBytes: number | null;
  /** Of the ZIP, lower-case hex. */
  readonly sha256: string | null;
  readonly rows: number | null;
  readonly members: readonly PackageMember[];
  readonly error: JobError | null;
  readonly email: string | null;
  readonly webhook: string | null;
  /** Opens without a token; `null` until it is ready, and when it was revoked. */
  readonly link: string | null;
  readonly linkExpiresAt: string | null;
  readonly downloads: number;
  readonly createdAt: string;
  readonly finishedAt: string | null;
  /** When the requester was told. */
  readonly toldAt: string | null;
  /** Why the requester will never be told: the mail or the notice was refused. */
  readonly refused: JobError | null;
}

export interface PackageMember {
  readonly name: string;
  readonly sizeBytes: number;
  /** Eight hex digits. */
  readonly crc32: string;
}

/** What was packed. */
export interface PackageTotals {
  /** Addresses, counted when seen for the first time. */
  readonly emails: number;
  readonly requests: number;
  readonly errors: number;
  readonly bytes: number;
  readonly rows: number;
}

export interface PackageStatistics {
  readonly totals: PackageTotals;
  /** Days of UTC on which there was something, oldest first. */
  readonly days: readonly (PackageTotals & { readonly day: string })[];
}

export interface Downloads {
  /** How many there were. */
  readonly downloads: number;
  readonly lastDownloadedAt: string | null;
}

export type Scope = "deposit" | "read" | "crawl" | "operate" | "admin";

export interface Token {
  readonly id: string;
  readonly owner: string;
  readonly scopes: readonly Scope[];
  readonly createdAt: string;
  readonly expiresAt: string | null;
  readonly revokedAt: string | null;
  readonly lastUsedAt: string | null;
  /** Most requests, such as `15/900s`; `null`: as many as everybody. */
  readonly rateLimit: string | null;
}

export interface Page<T> {
  readonly items: readonly T[];
  /** Cursor of the next page; `null` on the last. */
  readonly next: string | null;
}
