import type { Details, ErrorRecord } from "../errors.ts";
import type { JobId, OrderId, PackageId } from "../ids.ts";
import type { Lane } from "../jobs/job.ts";
import type { Cell } from "./rows.ts";

/**
 * Terms. A *package* is a ZIP made from a resource of a portal. An *order* is one person's wish for it: identical orders
 * share one package, and each has a link, an expiry and a count of its own.
 */
export const PACKAGE_KINDS = ["datastore", "url", "dwca"] as const;
export type PackageKind = (typeof PACKAGE_KINDS)[number];

export const TABLE_FORMATS = ["csv", "tsv", "xlsx", "jsonl", "parquet"] as const;
export type TableFormat = (typeof TABLE_FORMATS)[number];

/** What is to be packed. Two equal recipes make one package. */
export interface Recipe {
  readonly kind: PackageKind;
  readonly resourceId: string;
  /** `datastore`, `dwca`: address of the portal's `datastore_search`. */
  readonly apiUrl?: string;
  /** `url`: address of the file. */
  readonly resourceUrl?: string;
  readonly filters?: { readonly [field: string]: Cell };
  readonly q?: string | { readonly [field: string]: string };
  readonly plain?: string;
  readonly language?: string;
  readonly fields?: string;
  readonly sort?: string;
  /** Absent, or 0: all of them. */
  readonly limit?: number;
  readonly offset?: number;
  /** `datastore`, `dwca` (csv and tsv). */
  readonly format: TableFormat;
  readonly doi?: string;
  /** `dwca`: template of eml.xml. */
  readonly eml?: string;
  /** `dwca`: adds gbif.json. */
  readonly forGbif?: boolean;
  /** Whether manifest.json lies beside the data. */
  readonly manifest: boolean;
}

/** Who wants it, and how they are told. */
export interface OrderRequest {
  readonly recipe: Recipe;
  /** The user's key at the portal, sent as `Authorization`. Kept encrypted until the package is made, never shown or logged. */
  readonly key?: string;
  readonly email?: string;
  /** Told of the outcome by a signed POST instead of, or beside, the mail. */
  readonly webhook?: string;
  readonly owner: string;
  /** Ordered through the ckanpackager door: its texts and statistics are the original's. */
  readonly door: boolean;
}

export type PackageStatus = "building" | "ready" | "failed" | "expired";

export interface Package {
  readonly id: PackageId;
  /** SHA-256 over the recipe and a keyed digest of the user's key. */
  readonly cacheKey: string;
  readonly recipe: Recipe;
  readonly status: PackageStatus;
  readonly lane: Lane;
  readonly job: JobId | null;
  /** Of the ZIP in the store; set when it is ready. */
  readonly fileName: string | null;
  readonly sizeBytes: number | null;
  /** SHA-256 of the ZIP, lower-case hex. */
  readonly digest: string | null;
  readonly rowCount: number | null;
  readonly members: readonly PackageMember[];
  readonly error: ErrorRecord | null;
  /** Epoch milliseconds, like every `…At` here. From when on it is not given to new orders. */
  readonly freshUntil: number | null;
  readonly createdAt: number;
  readonly finishedAt: number | null;
  readonly lastUsedAt: number;
}

export interface PackageMember {
  readonly name: string;
  readonly sizeBytes: number;
  readonly crc32: number;
}

export interface Order {
  readonly id: OrderId;
  readonly packageId: PackageId;
  readonly owner: string;
  readonly email: string | null;
  readonly webhook: string | null;
  readonly door: boolean;
  /** The link works until then. */
  readonly linkExpiresAt: number | null;
  /** Links signed with an earlier generation are revoked. */
  readonly linkGeneration: number;
  readonly downloads: number;
  readonly createdAt: number;
  /** When the requester was told, of success or failure. */
  readonly toldAt: number | null;
  /** Why the requester will never be told: the notice was refused for good. */
  readonly refused: ErrorRecord | null;
}

/** What a packing job leaves for its successor. */
export interface PackCheckpoint {
  readonly spool: Details;
  readonly format: Details;
  readonly next: Details;
  readonly rowCount: number;
  /** What the portal said of the resource then: if it says otherwise now, nothing of this can be used. */
  readonly declaredRows: number | null;
  readonly fields: readonly string[];
}
