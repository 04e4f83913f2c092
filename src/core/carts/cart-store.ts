import type { CartId, FileId, TransactionId } from "../ids.ts";
import type { Cart, CartEntry, CartStatus } from "./cart.ts";
import type { Checkpoint, Layout } from "./layout/layout.ts";

/** What can be changed about a cart; what is left out stays. */
export type CartChange = Partial<
  Pick<
    Cart,
    | "status"
    | "fileCount"
    | "sizeBytes"
    | "stagedFiles"
    | "stagedBytes"
    | "readyAt"
    | "stageJob"
    | "problems"
    | "problemCount"
    | "lastUsedAt"
    | "expiresAt"
  >
>;

export interface CartFilter {
  readonly owner?: string;
  readonly statuses?: readonly CartStatus[];
  /** Older than this one. */
  readonly before?: CartId;
  readonly limit: number;
}

/** Until when a cart is kept that nobody touches any more; epoch milliseconds. */
export interface DueTimes {
  readonly now: number;
  /** Carts without a time of their own expire when they were last used then or before. */
  readonly unusedSince: number;
  /** Carts left `waiting` since were begun by a process that died. */
  readonly waitingSince: number;
  /** Carts that expired before are forgotten. */
  readonly expiredSince: number;
}

/** An entry as it is entered. */
export type NewEntry = CartEntry & {
  /** Set for a file of our archive that cannot be read at once. */
  readonly offline?: boolean;
};

export interface DownloadCount {
  readonly downloads: number;
  readonly lastDownloadedAt: number | null;
}

/**
 * Carts, their entries, and the layouts of their downloads.
 *
 * Adapters: `adapters/db/cart-store.ts` over SQLite and PostgreSQL. Contract: `test/conformance/cart-store.ts`.
 */
export interface CartStore {
  /** A cart in status `waiting`, without entries. */
  create(cart: Pick<Cart, "id" | "uid" | "name" | "owner" | "algorithm" | "expiresAt">, now: number): Promise<Cart>;
  get(id: CartId): Promise<Cart | undefined>;
  /** The newest cart that bears this name, whoever owns it. */
  newestOf(uid: string): Promise<Cart | undefined>;
  /** Every cart that bears this name, newest first. */
  allOf(uid: string): Promise<readonly Cart[]>;
  /** Newest first. @throws AppError cart_unknown when `before` is not known, or has been gone for a while. */
  list(filter: CartFilter): Promise<readonly Cart[]>;
  /** Compare-and-set. @returns the cart as it is now; `undefined` when it is in none of the states `from`, or gone. */
  update(id: CartId, from: readonly CartStatus[], change: CartChange, now: number): Promise<Cart | undefined>;
  /**
   * No method here knows it any more; what belongs to it goes by {@link sweep}. @returns false when there is no such cart.
   */
  remove(id: CartId): Promise<boolean>;
  /** Carts whose time has come, in no particular order. */
  due(times: DueTimes, limit: number): Promise<readonly Cart[]>;
  /**
   * Deletes some of what carts leave behind that have expired or were removed, once their downloads are carried over.
   * @returns whether there may be more.
   */
  sweep(): Promise<boolean>;

  /** Appends; `seq` continues where the cart's entries end. A few thousand at a time. @throws AppError cart_unknown. */
  addEntries(id: CartId, entries: readonly NewEntry[]): Promise<void>;
  /**
   * In order of `seq`, from `fromSeq` on. What a file of our archive is comes from the catalogue.
   * @throws AppError catalogue_mismatch when the catalogue has lost it.
   */
  entries(id: CartId, fromSeq: number, limit: number): Promise<readonly CartEntry[]>;
  /** Entries that staging must deal with still: those not online, unchecked, or without CRC-32 or digest. */
  unstaged(id: CartId, fromSeq: number, limit: number): Promise<readonly CartEntry[]>;
  /** What staging learned of one entry; it does not have to be dealt with again. */
  staged(
    id: CartId,
    seq: number,
    facts: Pick<CartEntry, "sizeBytes" | "modifiedAt" | "crc32" | "digest" | "location">,
  ): Promise<void>;
  /** Carts, neither expired nor in error, with entries that lie in the staging cache under this key. */
  holdersOf(stagedKey: string): Promise<readonly CartId[]>;

  /** Keeps a layout with its checkpoints, all or nothing; an earlier one of the same key stays. */
  addLayout(id: CartId, key: string, layout: Layout, checkpoints: readonly Checkpoint[]): Promise<void>;
  layout(id: CartId, key: string): Promise<Layout | undefined>;
  /**
   * The last checkpoint whose offset in `region` is at most `offset`. O(log n).
   * `undefined` when there is none: the region is read from its first entry.
   */
  checkpoint(
    id: CartId,
    key: string,
    region: keyof Checkpoint["offsets"],
    offset: number,
  ): Promise<Checkpoint | undefined>;

  /** Counts a download of a whole cart; its files' and transactions' counts follow by {@link tally}. */
  countDownload(id: CartId, now: number): Promise<void>;
  /** Counts a download of one file, and of its transaction. */
  countFileDownload(file: FileId, transaction: TransactionId, now: number): Promise<void>;
  /**
   * Carries counted cart downloads over to their files and transactions, in short batches. Each download is carried over
   * once, whenever the process dies. @returns whether there may be more.
   */
  tally(): Promise<boolean>;
  fileDownloads(file: FileId): Promise<DownloadCount>;
  /** Downloads of a transaction's files, one for each download that had at least one of them. */
  transactionDownloads(transaction: TransactionId): Promise<DownloadCount>;
}
