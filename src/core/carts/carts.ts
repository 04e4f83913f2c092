import { hasScope, maySee, type Principal } from "../access/access.ts";
import { AppError } from "../errors.ts";
import type { CartId, FileId, JobId, TransactionId } from "../ids.ts";
import type { Jobs } from "../jobs/jobs.ts";
import type { Cart, CartEntry } from "./cart.ts";
import { cartDownloads, type DownloadParts, ifThereIsRoom } from "./cart-download.ts";
import type { CartFilter, DownloadCount } from "./cart-store.ts";
import { type CreateParts, createCart } from "./create-cart.ts";
import type { LayoutSpec } from "./layout/layout.ts";

/** One chosen file. */
export interface ChosenFile {
  /** An id of ours; or, when a remote archive is configured, its name there. */
  readonly id: string | number;
  /** In the download; the archived path without `data/` when left out. Made safe, and unique, where it is not. */
  readonly path?: string;
  /** Checked before the cart is ready. */
  readonly digest?: {
    /** However it is spelled: one that is not known is refused with the file. */
    readonly algorithm: string;
    readonly value: string;
  };
}

/** A transaction, or those of its files whose archived path begins with `prefix` (`data/images/`). */
export interface ChosenTransaction {
  readonly id: TransactionId;
  readonly prefix?: string;
}

/** Every file that fits all that is given. */
export interface CatalogueQuery {
  readonly submitter?: string;
  readonly project?: string;
  readonly instrument?: string;
  /** Key-values of the transaction, all of them. */
  readonly keyValues?: Readonly<Record<string, string>>;
  /** Beginning of the archived path. */
  readonly prefix?: string;
  /** `image/png`, or `image/*`. */
  readonly mediaType?: string;
  /** Archived in this time, epoch milliseconds: `from` included, `until` not. */
  readonly from?: number;
  readonly until?: number;
}

export interface CartRequest {
  readonly name?: string;
  readonly files?: AsyncIterable<ChosenFile> | Iterable<ChosenFile>;
  readonly transactions?: readonly ChosenTransaction[];
  readonly query?: CatalogueQuery;
  /**
   * Text of a search of the catalogue (docs/formats/queries.md): its files, the files of its transactions, and archived
   * files that its records are about.
   */
  readonly search?: string;
  readonly expiresAt?: number;
  /**
   * The name a Pacifica client gives its cart. Such clients look at nothing but the status: what would be refused is a
   * cart in error then.
   */
  readonly uid?: string;
}

/** A download that behaves like a file of known length. */
export interface Download {
  readonly sizeBytes: number;
  /** Strong, with its quotes: equal tags, equal bytes. */
  readonly etag: string;
  /** Epoch milliseconds. */
  readonly modifiedAt: number;
  /** With its extension. */
  readonly fileName: string;
  readonly mediaType: string;
  /**
   * The bytes from `start` to `end`, both included; all of them when left out. Exactly as many, or the iteration throws:
   * the trouble is then on the cart as well. Files read as a whole are checked against their CRC-32. Memory: two windows.
   * Leaving the iteration early releases everything.
   */
  read(
    range: { readonly start: number; readonly end: number } | undefined,
    signal: AbortSignal,
  ): AsyncIterable<Uint8Array>;
}

export interface Carts {
  /**
   * Enters every chosen file. The cart is ready on return when all files are online, else it is being staged.
   * Files in an order that does not change: as chosen, then by transaction and id; the same file at the same path once.
   * @throws AppError cart_refused, with `details.problems`: unknown ids, files that this caller may not see, unsafe paths,
   * nothing chosen. Then there is no cart, but see {@link CartRequest.uid}. query_invalid, search_unavailable of a search.
   */
  create(principal: Principal, request: CartRequest): Promise<Cart>;
  /** @throws AppError cart_unknown, also for a cart that this caller may not see. */
  get(principal: Principal, id: CartId): Promise<Cart>;
  /** The newest cart of a name that this caller may see; `undefined` when there is none. */
  named(principal: Principal, uid: string): Promise<Cart | undefined>;
  /** Newest first. @throws AppError cart_unknown when `before` is not known. */
  list(principal: Principal, filter: Omit<CartFilter, "owner">): Promise<readonly Cart[]>;
  /** In the order of the download. @throws AppError cart_unknown. */
  entries(principal: Principal, id: CartId, fromSeq: number, limit: number): Promise<readonly CartEntry[]>;
  /** @throws AppError cart_unknown; a second time too. */
  remove(principal: Principal, id: CartId): Promise<void>;
  /** Every cart of a name that this caller may see. @returns how many there were. */
  removeNamed(principal: Principal, uid: string): Promise<number>;
  /**
   * Lays the download out; nothing is read of the files yet. Folder: the cart's name when left out.
   * @throws AppError cart_not_ready, cart_failed, cart_expired.
   */
  download(cart: Cart, form: Pick<LayoutSpec, "format" | "content"> & { readonly folder?: string }): Promise<Download>;
  /** The manifest as it lies in the download, before any download. @throws as `download`. */
  manifest(cart: Cart): AsyncIterable<Uint8Array>;
  /** Counts a download that began with the first byte; not while the disk is full, which is no reason to refuse it. */
  counted(cart: Cart): Promise<void>;
  countedFile(file: FileId, transaction: TransactionId): Promise<void>;
  fileDownloads(file: FileId): Promise<DownloadCount>;
  transactionDownloads(transaction: TransactionId): Promise<DownloadCount>;
}

export interface CartParts extends Omit<CreateParts, "submitStaging">, DownloadParts {
  readonly jobs: Jobs;
  /** After its last use a cart without a time of its own expires. */
  readonly expiryMs: number;
}

export function cartService(parts: CartParts): Carts {
  const { store, clock, jobs, expiryMs } = parts;
  const { download, manifest } = cartDownloads(parts);

  /** With the time at which it expires, and expired from then on, though upkeep may not have come by yet. */
  function shown(cart: Cart): Cart {
    const expiresAt = cart.expiresAt ?? (cart.lastUsedAt ?? cart.createdAt) + expiryMs;
    return { ...cart, expiresAt, status: expiresAt <= clock.now() ? "expired" : cart.status };
  }

  async function seen(principal: Principal, id: CartId): Promise<Cart> {
    const cart = await store.get(id);
    if (!cart || !maySee(principal, cart.owner)) throw new AppError("cart_unknown", { id });
    return cart;
  }

  async function remove(principal: Principal, { id, status, stageJob }: Cart): Promise<boolean> {
    if (status === "staging" && stageJob !== null) await cancel(stageJob, principal);
    return store.remove(id);
  }

  async function cancel(job: JobId, { name }: Principal): Promise<void> {
    await jobs.cancel(job, name).catch((error: unknown) => {
      const isOver = error instanceof AppError && error.code === "job_state_conflict";
      if (!isOver) throw error;
    });
  }

  /** One job per cart, as it bears the cart's name. */
  async function submitStaging({ id, owner }: Cart): Promise<JobId> {
    const job = await jobs.submit({
      kind: "stage",
      lane: "slow",
      owner,
      input: { cart: id },
      idempotencyKey: `cart/${id}`,
    });
    return job.id;
  }

  return {
    create: async (principal, request) => shown(await createCart({ ...parts, submitStaging }, principal, request)),
    get: async (principal, id) => shown(await seen(principal, id)),

    async named(principal, uid) {
      const newest = await store.newestOf(uid);
      if (!newest) return undefined;
      const cart = maySee(principal, newest.owner)
        ? newest
        : (await store.allOf(uid)).find(({ owner }) => maySee(principal, owner));
      return cart && shown(cart);
    },

    async list(principal, filter) {
      const own = hasScope(principal, "operate") ? {} : { owner: principal.name };
      return (await store.list({ ...filter, ...own })).map(shown);
    },

    async entries(principal, id, fromSeq, limit) {
      await seen(principal, id);
      return store.entries(id, fromSeq, limit);
    },

    async remove(principal, id) {
      if (!(await remove(principal, await seen(principal, id)))) throw new AppError("cart_unknown", { id });
    },

    async removeNamed(principal, uid) {
      let removed = 0;
      for (const cart of await store.allOf(uid))
        if (maySee(principal, cart.owner) && (await remove(principal, cart))) removed++;
      return removed;
    },

    download: (cart, form) => download(cart, { ...form, folder: form.folder ?? cart.name }),
    manifest,
    counted: ({ id }) => ifThereIsRoom(store.countDownload(id, clock.now())),
    countedFile: (file, transaction) => ifThereIsRoom(store.countFileDownload(file, transaction, clock.now())),
    fileDownloads: (file) => store.fileDownloads(file),
    transactionDownloads: (transaction) => store.transactionDownloads(transaction),
  };
}
