import type { DigestName } from "../digest.ts";

/** A file in the staging cache, or a place kept for one that is being copied. */
export interface StagedFile {
  /**
   * What it is: `<algorithm>:<hex>` of its content where that is known beforehand, so that carts share one copy whatever
   * they call it; else where it came from: `remote:<id>:<size>:<time>`.
   */
  readonly key: string;
  /** Prefix in the staging storage; new for every copy, hence never written twice. */
  readonly path: string;
  readonly sizeBytes: number;
  readonly state: "reserved" | "present";
  /** Known once it is present. */
  readonly crc32: number | null;
  readonly digests: Readonly<Partial<Record<DigestName, string>>>;
  readonly lastUsedAt: number;
}

/** What `reserve` found. */
export type Reservation =
  /** Already there: use it. */
  | { readonly outcome: "present"; readonly file: StagedFile }
  /** Another process is copying it: look again later. */
  | { readonly outcome: "busy" }
  /** There is a place now; `evicted` has made room and must be removed from the storage. */
  | { readonly outcome: "reserved"; readonly file: StagedFile; readonly evicted: readonly StagedFile[] }
  /** Everything that could make room was used too recently. */
  | { readonly outcome: "full"; readonly freeBytes: number; readonly capacityBytes: number };

/**
 * Who occupies how much of the staging cache. Every decision is one transaction, so that processes that copy at the same
 * time never promise the same bytes twice.
 *
 * Adapter: `adapters/db/staging-store.ts`. Contract: `test/conformance/staging-store.ts`.
 */
export interface StagingStore {
  /**
   * Keeps a place for a file before its first byte is copied. Room is made by dropping what was used least recently, but
   * nothing used after `protectedSince`. A reservation that was not renewed since `deadBefore` counts as abandoned.
   */
  reserve(
    file: Pick<StagedFile, "key" | "path" | "sizeBytes">,
    limits: { readonly capacityBytes: number; readonly protectedSince: number; readonly deadBefore: number },
    now: number,
  ): Promise<Reservation>;
  /** The copying goes on. @returns false when the place was given to another meanwhile. */
  renew(key: string, path: string, now: number): Promise<boolean>;
  /** The copy is durable. @returns false when the place was given to another meanwhile: the copy must be removed. */
  complete(
    key: string,
    path: string,
    facts: { readonly crc32: number; readonly digests: StagedFile["digests"] },
    now: number,
  ): Promise<boolean>;
  /** Gives a place up; the copy has been removed. */
  release(key: string, path: string): Promise<void>;
  get(key: string): Promise<StagedFile | undefined>;
  /** Marks files as in use now. */
  touch(keys: readonly string[], now: number): Promise<void>;
  usage(): Promise<{ readonly files: number; readonly bytes: number; readonly reservedBytes: number }>;
}
