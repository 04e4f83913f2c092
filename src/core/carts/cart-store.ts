import type { CartId, FileId, TransactionId } from "../ids.ts";
import type { Cart, CartEntry, CartStatus } from "./cart.ts";
import type { Checkpoint, Layout } from "./layout.ts";

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
  /** Newest first. */
  list(filter: CartFilter): Promise<readonly Cart[]>;
  /** Compare-and-set. @returns the cart as it is now; `undefined` when it is in none of the states `from`, or gone. */
  update(id: CartId, from: readonly CartStatus[], change: CartChange, now: number): Promise<Cart | undefined>;
  /** With everything that belongs to it, in batches. @returns false when there is no such cart. */
  remove(id: CartId): Promise<boolean>;
  /** Carts that are past their `expiresAt` and not expired yet, and carts left `waiting` since `staleBefore`. */
  due(now: number, staleBefore: number, limit: number): Promise<readonly Cart[]>;

  /** Appends; `seq` continues where the cart's entries end. A few thousand at a time. */
  addEntries(id: CartId, entries: readonly CartEntry[]): Promise<void>;
  /** In order of `seq`, from `fromSeq` on. What a file of our archive is comes from the catalogue. */
  entries(id: CartId, fromSeq: number, limit: number): Promise<readonly CartEntry[]>;
  /** Entries that staging must deal with still: those not online, unchecked, or without CRC-32 or digest. */
  unstaged(id: CartId, fromSeq: number, limit: number): Promise<readonly CartEntry[]>;
  /** What staging learned of one entry; it does not have to be dealt with again. */
  staged(
    id: CartId,
    seq: number,
    facts: Pick<CartEntry, "sizeBytes" | "modifiedAt" | "crc32" | "digest" | "location">,
  ): Promise<void>;
  /** Whose entries lie in the staging cache under this key. */
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
   * once, whenever the process dies; carts about to be removed are carried over first. @returns whether there is more.
   */
  tally(now: number): Promise<boolean>;
  fileDownloads(file: FileId): Promise<DownloadCount>;
  /** Downloads of a transaction's files, one for each download that had at least one of them. */
  transactionDownloads(transaction: TransactionId): Promise<DownloadCount>;
}
