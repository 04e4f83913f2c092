import type { DigestName } from "../digest.ts";
import type { ReadyEntry } from "./cart.ts";

/** What a download looks like. */
export interface LayoutSpec {
  readonly format: "tar" | "zip";
  /**
   * What lies in the archive beside the files. `files`: nothing, and the files lie right in the top folder (the Pacifica
   * door). `manifest`: `manifest-<algorithm>.txt`, for `sha512sum -c`, and the files below `data/`. `bag`: all that
   * RFC 8493 asks for as well.
   */
  readonly content: "files" | "manifest" | "bag";
  /** Top folder: one safe path part, not empty. */
  readonly folder: string;
  readonly algorithm: DigestName;
  /** Time of the members that are no files, epoch milliseconds. */
  readonly createdAt: number;
}

/** How long everything is; JSON-safe, kept with the cart, independent of everything in the folder's name but its length. */
export interface Layout {
  readonly sizeBytes: number;
  /** Names the content: paths, sizes, times and digests of all entries in order. With the spec it makes the ETag. */
  readonly contentDigest: string;
  readonly fileCount: number;
  readonly payloadBytes: number;
  /** Lengths of the parts that go through all entries. */
  readonly regions: { readonly members: number; readonly directory: number; readonly manifest: number };
  /** What the manifest must be known by before its first byte; empty where there is none. */
  readonly facts: { readonly manifestCrc32?: number; readonly manifestDigest?: string };
}

/** Where the entry `seq` begins in each part that goes through all entries. */
export interface Checkpoint {
  readonly seq: number;
  readonly offsets: { readonly members: number; readonly directory: number; readonly manifest: number };
}

/** Entries between two checkpoints: what a random range reads at most before its first byte. */
export const CHECKPOINT_ENTRIES = 512;

/** Learns a layout while the entries pass, in order. Memory does not grow with them. */
export interface LayoutPlanner {
  /** A checkpoint every {@link CHECKPOINT_ENTRIES}. */
  add(entry: ReadyEntry): Checkpoint | undefined;
  finish(): Layout;
}

/** A part of the archive, in order: bytes of the format, or bytes of a file. */
export type Piece =
  | { readonly bytes: Uint8Array }
  | {
      readonly entry: ReadyEntry;
      /** First byte wanted of the file, 0-based. */
      readonly start: number;
      /** How many; with `start` 0 and all of them, the file's CRC-32 can be checked as they pass. */
      readonly sizeBytes: number;
    };

/** Where the pieces of a range are found. */
export interface EntrySource {
  /** The last checkpoint at or before `offset` of a region; `undefined`: begin with the first entry. */
  checkpoint(region: keyof Checkpoint["offsets"], offset: number): Promise<Checkpoint | undefined>;
  /** Entries in order from `seq` on, in pages. */
  from(seq: number): AsyncIterable<readonly ReadyEntry[]>;
}
