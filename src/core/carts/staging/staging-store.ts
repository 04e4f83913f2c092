import type { DigestName } from "../../digest.ts";

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
  /** Of a reservation: when it was renewed last. */
  readonly lastUsedAt: number;
}

/** What `reserve` found. */
export type Reservation =
  /** Already there: use it. */
  | { readonly outcome: "present"; readonly file: StagedFile }
  /** Another process is copying it: look again later. */
  | { readonly outcome: "busy" }
  /**
   * There is a place now. `evicted` has made room, or was abandoned by a dead process: it must be removed from the
   * storage.
   */
  | { readonly outcome: "reserved"; readonly file: StagedFile; readonly evicted: readonly StagedFile[] }
  /** Nothing that may be dropped makes enough room: only what was abandoned has been dropped. */
  | {
      readonly outcome: "full";
      readonly evicted: readonly StagedFile[];
      /** Including what could be dropped. */
      readonly freeBytes: number;
      readonly capacityBytes: number;
      /** For copies that are under way: this much may become free again. */
      readonly reservedBytes: number;
    };

/** Of the files that are present, and kept for those that are being copied. */
export interface StagingUsage {
  readonly files: number;
  readonly bytes: number;
  readonly reservedBytes: number;
}

/**
 * Who occupies how much of the staging cache. Every decision is one transaction, so that processes that copy at the same
 * time never promise the same bytes twice. Its cost does not grow with the number of files in the cache.
 *
 * Adapter: `adapters/db/staging-store.ts`. Contract: `test/conformance/staging-store.ts`.
 */
export interface StagingStore {
  /**
   * Keeps a place for a file before its first byte is copied. Room is made by dropping what was used least recently, but
   * neither what was used at or after `protectedSince` nor what a cart in status `staging` holds. A reservation that was
   * not renewed since `deadBefore` counts as abandoned.
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
  /** Gives a place up, or a file that is there no more. @returns false when it was given to another meanwhile. */
  release(key: string, path: string): Promise<boolean>;
  get(key: string): Promise<StagedFile | undefined>;
  /** Marks files as in use now. @returns the keys of those that are present. */
  touch(keys: readonly string[], now: number): Promise<ReadonlySet<string>>;
  /** Which of these places the cache knows of, be they reserved or present. */
  known(paths: readonly string[]): Promise<ReadonlySet<string>>;
  usage(): Promise<StagingUsage>;
}
