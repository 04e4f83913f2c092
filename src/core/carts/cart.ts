import type { DigestName } from "../digest.ts";
import type { Problem } from "../errors.ts";
import type { CartId, FileId, JobId, TransactionId } from "../ids.ts";

/**
 * Terms. A *cart* is a choice of files that can be downloaded as one tar or ZIP; its *entries* are the files, each under
 * the path it has in the download. A file is *online* when its bytes can be read at once; *staging* brings the others
 * there. Once ready, a cart never changes: another choice is another cart.
 *
 *     waiting (entries are being entered) ─► staging ─► ready ─► expired
 *                        └────────────────────────────────►│        (error from everywhere before ready)
 */
export const CART_STATUSES = ["waiting", "staging", "ready", "error", "expired"] as const;
export type CartStatus = (typeof CART_STATUSES)[number];

export interface Cart {
  readonly id: CartId;
  /** The name a Pacifica client gave it; several carts of one owner may bear it, the newest one counts. */
  readonly uid: string | null;
  /** Top folder and file name of downloads: one safe path part. */
  readonly name: string;
  readonly owner: string;
  readonly status: CartStatus;
  readonly fileCount: number;
  /** Of the files, without what the archive format adds. */
  readonly sizeBytes: number;
  /** What the manifest is made of; every entry of a ready cart has this digest. */
  readonly algorithm: DigestName;
  /** Files that staging has dealt with, and their bytes; equal to the totals when nothing had to be staged. */
  readonly stagedFiles: number;
  readonly stagedBytes: number;
  /** When cold storage expects the last file, if it says so. */
  readonly readyAt: number | null;
  readonly stageJob: JobId | null;
  /** What is wrong, one record per file; at most {@link PROBLEMS_KEPT} of `problemCount`. */
  readonly problems: readonly Problem[];
  readonly problemCount: number;
  /** Begun from the first byte; parts of a download that is under way do not count. */
  readonly downloads: number;
  readonly lastUsedAt: number | null;
  /** Epoch milliseconds, like every `…At` here. */
  readonly expiresAt: number | null;
  readonly createdAt: number;
  readonly updatedAt: number;
}

export const PROBLEMS_KEPT = 100;

/** One file of a cart. */
export interface CartEntry {
  /** 0-based and without gaps: the order in the download. */
  readonly seq: number;
  /** In the download, below `data/` or the top folder: relative, safe on every file system, unique in its cart. */
  readonly path: string;
  readonly sizeBytes: number;
  /** Epoch milliseconds; `null` when the depositor's text was no time. */
  readonly modifiedAt: number | null;
  /** `null` until staging has learned it, like `digest`. */
  readonly crc32: number | null;
  /** Lower-case hex, by the cart's algorithm. */
  readonly digest: string | null;
  /** Set for files of our archive. */
  readonly fileId: FileId | null;
  readonly transactionId: TransactionId | null;
  readonly location: Location;
  /** What the file must hash to according to whoever made the cart; checked in staging. */
  readonly expected: { readonly algorithm: DigestName; readonly value: string } | null;
}

/** Where an entry's bytes are. */
export type Location =
  | { readonly at: "archive" /** Path in the archive's object storage. */; readonly path: string }
  /** In the staging cache, under this key. */
  | { readonly at: "staged"; readonly key: string }
  /** In a remote archive, under its own name there; to be staged. */
  | { readonly at: "remote"; readonly id: string };

/** An entry that can be read and laid out: online, with everything known. */
export type ReadyEntry = CartEntry & { readonly crc32: number; readonly digest: string };
