declare const brand: unique symbol;
type Branded<T, B extends string> = T & { readonly [brand]: B };

/** Positive integers; a transaction's id equals the id of the job that ingested it. */
export type JobId = Branded<number, "JobId">;
export type TransactionId = Branded<number, "TransactionId">;
export type FileId = Branded<number, "FileId">;
/** Short lower-case text; public half of a token. */
export type TokenId = Branded<string, "TokenId">;
/** 22 characters of base64url from 127 random bits: whoever is not told cannot guess it. */
export type CartId = Branded<string, "CartId">;
/** Random, like a cart's. */
export type PackageId = Branded<string, "PackageId">;
export type OrderId = Branded<string, "OrderId">;
/** A random UUID: clients of the door `xtract` expect one. */
export type CrawlId = Branded<string, "CrawlId">;
export type ExtractionId = Branded<string, "ExtractionId">;
/** Random, like a cart's. */
export type SavedQueryId = Branded<string, "SavedQueryId">;
/** Random, like a cart's. */
export type ScheduleId = Branded<string, "ScheduleId">;

export const jobId = (n: number): JobId => positive(n) as JobId;
export const transactionId = (n: number): TransactionId => positive(n) as TransactionId;
export const fileId = (n: number): FileId => positive(n) as FileId;
export const tokenId = (s: string): TokenId => s as TokenId;
export const cartId = (s: string): CartId => s as CartId;
export const packageId = (s: string): PackageId => s as PackageId;
export const orderId = (s: string): OrderId => s as OrderId;
export const crawlId = (s: string): CrawlId => s as CrawlId;
export const extractionId = (s: string): ExtractionId => s as ExtractionId;
export const savedQueryId = (s: string): SavedQueryId => s as SavedQueryId;
export const scheduleId = (s: string): ScheduleId => s as ScheduleId;

/** The transaction an ingest job makes. */
export const transactionOf = (job: JobId): TransactionId => transactionId(job);

function positive(n: number): number {
  if (!Number.isSafeInteger(n) || n < 1) throw new RangeError(`An id is a positive integer, found ${n}.`);
  return n;
}
