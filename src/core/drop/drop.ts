import type { OutboxMessage } from "../catalogue/catalogue-store.ts";
import type { JobId, TransactionId } from "../ids.ts";

/**
 * Terms. A *drop folder* is watched for *deliveries*: a file or a folder at its top level, or several that belong together
 * (the parts of one thing; a file and the file of its checksum). A *look* is one pass over the folder. A delivery that no
 * look has seen change for the *quiet period* is *taken*: it becomes a bundle of its own. One that can never be taken is
 * *rejected*, and moved into the *quarantine* with the reason. Its files are removed from the drop folder, if that is
 * permitted, by a job of its own that looks at everything again.
 *
 *     arriving ─► taking ─► archived ─► removing ─► removed
 *        │           ├────► failed (through no fault of the delivery: its job can be retried)
 *        └───────────┴────► rejected ─► quarantined
 *     whatever somebody else takes away before it is archived is gone
 */
export const DELIVERY_STATES = [
  "arriving",
  "taking",
  "failed",
  "archived",
  "removing",
  "removed",
  "rejected",
  "quarantined",
  "gone",
] as const;
export type DeliveryState = (typeof DELIVERY_STATES)[number];

/** In these states nothing lies in the folder any more. */
export const CLOSED_STATES: readonly DeliveryState[] = ["removed", "quarantined", "gone"];

/** Whether something is looked for in deliveries: it must not, may, or must be there. */
export const DEMANDS = ["none", "optional", "required"] as const;
export type Demand = (typeof DEMANDS)[number];

/** When the files of what is archived may be removed from the drop folder. */
export const REMOVALS = ["never", "approved", "always"] as const;
export type Removal = (typeof REMOVALS)[number];

/** A drop folder as it is declared. */
export interface Drop {
  readonly name: string;
  /** Absolute. */
  readonly folder: string;
  /** Absolute, on the same file system. */
  readonly quarantine: string;
  /** The principal whose deposits these are. */
  readonly owner: string;
  readonly quietMs: number;
  /** For so long a delivery may wait for what is missing before somebody is told. */
  readonly overdueMs: number;
  /** From the beginning of one look to that of the next, at least. */
  readonly everyMs: number;
  /** Checksum files as `md5sum` and its relatives write them. */
  readonly manifest: Demand;
  /** BagIt bags (RFC 8493). */
  readonly bag: Demand;
  /** Names of deliveries; `null`: any. */
  readonly grammar: RegExp | null;
  /** Texts with places in braces for the named groups of the grammar, `{delivery}` and `{drop}`. */
  readonly metadata: {
    readonly submitter: string;
    readonly project: string | null;
    readonly instrument: string | null;
    readonly keyValues: Readonly<Record<string, string>>;
  };
  readonly removal: Removal;
}

/** One delivery and what became of it. */
export interface Delivery {
  readonly id: number;
  readonly drop: string;
  /** The name at the folder's top level; of several parts, with `*` for the number. See {@link DropEntry.path}. */
  readonly name: string;
  readonly state: DeliveryState;
  /** Digest over names, sizes and times of everything in it. */
  readonly fingerprint: string;
  /** Since when no look has seen it change. Epoch milliseconds, like every `…At` here. */
  readonly stableAt: number;
  /** What it waits for, or why it was rejected; a sentence for people. */
  readonly note: string | null;
  readonly job: JobId | null;
  readonly transactionId: TransactionId | null;
  /** Who permitted that its files be removed. */
  readonly permittedBy: string | null;
  /** The job that removes them. */
  readonly removalJob: JobId | null;
  /** Counts its changes. */
  readonly version: number;
  readonly createdAt: number;
  readonly updatedAt: number;
}

export type NewDelivery = Pick<Delivery, "drop" | "name" | "fingerprint" | "stableAt" | "note">;
export type DeliveryChange = Partial<
  Pick<Delivery, "state" | "fingerprint" | "stableAt" | "note" | "job" | "transactionId" | "permittedBy" | "removalJob">
>;

export interface DeliveryFilter {
  readonly drop: string;
  readonly state?: DeliveryState;
  /** Newest first: only deliveries with a smaller id than this. */
  readonly beforeId?: number;
  readonly limit: number;
}

/** How the last look went. */
export interface Look {
  /** When it began. */
  readonly at: number;
  /** What kept it from looking. */
  readonly trouble: string | null;
}

/**
 * Drop folders that are declared through the API, and the deliveries of all. Of one name in one drop there is at most one
 * delivery that is not closed. Contract: `test/conformance/drop-store.ts`.
 */
export interface DropStore {
  /** The declarations' texts, by name. */
  declarations(): Promise<ReadonlyMap<string, string>>;
  putDeclaration(name: string, text: string): Promise<void>;
  /** @returns whether there was one. */
  removeDeclaration(name: string): Promise<boolean>;
  /** All that are not closed. */
  open(drop: string): Promise<readonly Delivery[]>;
  /** Newest first. */
  list(filter: DeliveryFilter): Promise<readonly Delivery[]>;
  get(id: number): Promise<Delivery | undefined>;
  /** Adds deliveries as `arriving`; one whose name is there and not closed is left out. */
  add(deliveries: readonly NewDelivery[], now: number): Promise<void>;
  /** With the messages, in one transaction. @returns `undefined` when it has changed since it was read: nothing is told then. */
  change(
    delivery: Delivery,
    change: DeliveryChange,
    now: number,
    messages?: readonly OutboxMessage[],
  ): Promise<Delivery | undefined>;
  /** Whether the caller is to look now: nobody has begun to for `everyMs`. Notes that it has. */
  beginLook(drop: string, now: number, everyMs: number): Promise<boolean>;
  endLook(drop: string, trouble: string | null): Promise<void>;
  lastLook(drop: string): Promise<Look | undefined>;
}

/** Something in a drop folder, as it lies there: links are not followed. */
export interface DropEntry {
  /**
   * Relative to the drop folder. Where the file system has a name that is not UTF-8, `?/` stands before the path and the
   * offending bytes are written like `\xe9`: no other path looks like that.
   */
  readonly path: string;
  readonly kind: "file" | "folder" | "other";
  readonly sizeBytes: number;
  /** Nanoseconds, as text: for comparing. */
  readonly modified: string;
  /** Epoch milliseconds. */
  readonly modifiedAt: number;
}

/** Drop folders on this machine. Adapter: `adapters/drop/fs.ts`. */
export interface DropFiles {
  /** What lies at the top level, in no order. @throws AppError drop_unreadable. */
  list(folder: string): Promise<readonly DropEntry[]>;
  /** An entry and all that is in it. What vanishes meanwhile is left out. @throws AppError drop_unreadable. */
  walk(folder: string, entry: DropEntry): AsyncIterable<DropEntry>;
  /** The bytes of a regular file; no link is followed. @throws AppError source_missing, source_unsuitable. */
  open(folder: string, path: string): AsyncIterable<Uint8Array>;
  /**
   * Moves entries into the folder `place` of the quarantine, where `reason.txt` says why; what is no longer there is left
   * out. Nothing is overwritten, and repeated it goes on where it was broken off.
   * @throws AppError drop_unreadable.
   */
  quarantine(
    drop: Pick<Drop, "folder" | "quarantine">,
    paths: readonly string[],
    place: string,
    reason: string,
  ): Promise<void>;
  /** Removes folders that hold nothing, from the innermost; others stay. */
  removeEmpty(folder: string, path: string): Promise<void>;
  /** @throws AppError drop_invalid, saying what is wrong with the folders of a declaration. */
  check(drop: Pick<Drop, "name" | "folder" | "quarantine">): Promise<void>;
}

export const isPlainName = (path: string): boolean => !path.startsWith("?/");
