import type { OutboxMessage } from "../catalogue/catalogue-store.ts";
import type { ErrorRecord } from "../errors.ts";
import type { OrderId, PackageId } from "../ids.ts";
import type { NewJob } from "../jobs/job-store.ts";
import type { Order, Package } from "./package.ts";
import type { ErrorEntry, RequestEntry } from "./statistics.ts";

/** An order with the package it is for. */
export interface Ordered {
  readonly order: Order;
  readonly package: Package;
}

export type NewOrder = Pick<Order, "id" | "owner" | "email" | "webhook" | "door">;

/** The package that is made when there is none to share, and the job that makes it. */
export interface NewPackage extends Pick<Package, "id" | "cacheKey" | "recipe" | "lane"> {
  readonly sealedKey: string | null;
  readonly job: NewJob;
}

/** What is entered for each order, in the very transaction in which its package is made or given up. */
export interface Consequences {
  readonly messages: readonly OutboxMessage[];
  /** Logged now: nobody is to be told, who would be logged when they are. */
  readonly request?: RequestEntry | undefined;
  readonly error?: ErrorEntry | undefined;
}
export type Tell = (order: Order, of: Package) => Consequences;

/** What came of the making. */
export interface MadePackage {
  readonly fileName: string;
  readonly sizeBytes: number;
  readonly digest: string;
  readonly rowCount: number | null;
  readonly members: Package["members"];
  readonly freshUntil: number;
  /** Of everyone who has waited for it. */
  readonly linkExpiresAt: number;
}

export interface OrderFilter {
  readonly owner?: string;
  /** Older than this one. */
  readonly before?: OrderId;
  readonly limit: number;
}

/**
 * Packages and their orders. A package is *live* while new orders may share it: while it is made, and as long as it is
 * fresh then. Of one cache key there is one live package at most.
 *
 * Adapters: `adapters/db/package-store.ts` over SQLite and PostgreSQL. Contract: `test/conformance/package-store.ts`.
 */
export interface PackageStore {
  /**
   * Enters an order for the live package of the candidate's cache key, or else for the candidate, which is entered with
   * its job: all or nothing, and one of those who come at the same time makes it. A package whose job is over or is to be
   * cancelled is shared no more.
   * @param tell asked when the package is ready already.
   */
  order(order: NewOrder, candidate: NewPackage, linkExpiresAt: number, now: number, tell: Tell): Promise<Ordered>;
  get(id: OrderId): Promise<Ordered | undefined>;
  /** Newest first. @throws AppError package_unknown when `before` is not known. */
  list(filter: OrderFilter): Promise<readonly Ordered[]>;
  /** The package that an order of this key would share if it came now. */
  live(cacheKey: string, now: number): Promise<Package | undefined>;
  package(id: PackageId): Promise<Package | undefined>;
  /** Of a package that is being made; `null` when it needs none, or is over. */
  sealedKey(id: PackageId): Promise<string | null>;

  /**
   * The package is ready, and everyone who waits has a link and is told: all or nothing. The sealed key is forgotten.
   * @param attempts which time the job has been begun for: another worker may have taken it over since.
   * @returns false, with nothing changed, when it is no longer being made, or no longer by that worker.
   */
  ready(id: PackageId, attempts: number, made: MadePackage, now: number, tell: Tell): Promise<boolean>;
  /** It will not be made, and everyone who waits is told: all or nothing. @returns false when it is no longer being made. */
  fail(id: PackageId, error: ErrorRecord, now: number, tell: Tell): Promise<boolean>;
  /** @param refused why they never will be; `null`: they have been, now. */
  told(id: OrderId, refused: ErrorRecord | null, now: number): Promise<void>;

  /** The order's link works until then, and its package is kept. @returns `undefined` when that is not ready. */
  renew(id: OrderId, linkExpiresAt: number, now: number): Promise<Ordered | undefined>;
  /** Every link of the order stops working. */
  revoke(id: OrderId): Promise<Ordered | undefined>;
  countDownload(id: OrderId, now: number): Promise<void>;

  /** Ready packages that no link leads to any more. */
  due(now: number, limit: number): Promise<readonly Package[]>;
  /** Ready packages, the least recently used first. */
  leastUsed(limit: number): Promise<readonly Package[]>;
  /** Of all that are ready. */
  usedBytes(): Promise<number>;
  /** Keeps a package at least until then, as one that is used now. */
  keep(id: PackageId, until: number, now: number): Promise<void>;
  /**
   * The package is given to nobody any more; its file may go.
   * @param onlyDue not if a link leads to it again.
   * @returns false when it was not ready.
   */
  expire(id: PackageId, now: number, onlyDue: boolean): Promise<boolean>;
  /** No package is live any more: whoever orders now gets a new one. */
  retireAll(): Promise<void>;
  /** Whether the file is that of a ready package. */
  holds(fileName: string): Promise<boolean>;
  /** Forgets some packages that were over before then, with their orders. @returns whether there may be more. */
  forget(before: number): Promise<boolean>;
}
