import { createHash } from "node:crypto";
import { crc32 } from "node:zlib";
import { type DigestName, digestHash } from "../../digest.ts";
import type { ReadyEntry } from "../cart.ts";
import { archiveParts, bytesIn, passesOf } from "./archive-parts.ts";
import { manifestLine } from "./manifest-text.ts";

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

/**
 * How long everything is; JSON-safe, kept with the cart. Of the folder's name it depends on nothing but the length, and
 * whether it is ASCII.
 */
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

/** Raised with every change of the bytes that a spec and entries make, so that kept layouts and ETags go out of use. */
const FORMAT_VERSION = 1;

/** Name of a layout among those of one cart: equal keys, equal layouts. */
export function layoutKey({ format, content, folder, algorithm, createdAt }: LayoutSpec): string {
  const folderBytes = Buffer.byteLength(folder);
  const script = folderBytes === folder.length ? "ascii" : "utf8";
  return [FORMAT_VERSION, format, content, algorithm, createdAt, folderBytes, script].join("-");
}

/** Strong, with its quotes (RFC 9110 §8.8.3): equal tags, equal bytes. */
export function etagOf({ format, content, folder, algorithm, createdAt }: LayoutSpec, layout: Layout): string {
  const deciding = [FORMAT_VERSION, format, content, folder, algorithm, createdAt, layout.contentDigest];
  return `"${createHash("sha256").update(JSON.stringify(deciding)).digest("base64url")}"`;
}

/** A million tiny files: 1.0 million entries/s without a manifest, 0.65 with one (one busy core, 2026-11-22). */
export function layoutPlanner(spec: LayoutSpec): LayoutPlanner {
  const { members, directory, manifest } = passesOf(spec);
  const content = textHash("sha256");
  const manifestText = spec.content === "files" ? undefined : textHash(spec.algorithm);
  const ends = { members: 0, directory: 0, manifest: 0 };
  let fileCount = 0;
  let payloadBytes = 0;

  return {
    add(entry) {
      if (entry.seq !== fileCount)
        throw new RangeError(`A layout is planned in order: expected entry ${fileCount}, found ${entry.seq}.`);
      const checkpoint =
        fileCount > 0 && fileCount % CHECKPOINT_ENTRIES === 0 ? { seq: fileCount, offsets: { ...ends } } : undefined;
      const { sizeBytes, modifiedAt, crc32, digest, path } = entry;
      content.add(`${sizeBytes} ${modifiedAt} ${crc32} ${digest} ${path}\n`);
      manifestText?.add(manifestLine(spec.content, entry));
      ends.manifest += bytesIn(manifest, entry, ends.members);
      ends.directory += bytesIn(directory, entry, ends.members);
      ends.members += bytesIn(members, entry, ends.members);
      payloadBytes += sizeBytes;
      fileCount++;
      return checkpoint;
    },
    finish() {
      const written = manifestText?.finish();
      const layout = {
        contentDigest: content.finish().digest,
        fileCount,
        payloadBytes,
        regions: { ...ends },
        facts: written ? { manifestCrc32: written.crc32, manifestDigest: written.digest } : {},
      };
      return { ...layout, sizeBytes: archiveParts(spec, layout).reduce((sum, part) => sum + part.sizeBytes, 0) };
    },
  };
}

/**
 * Hashes text line by line; lines are joined first, as calling the hash costs more than hashing a line. Joined as a string:
 * writing each line into a buffer takes a third longer.
 */
function textHash(algorithm: DigestName) {
  const hash = digestHash(algorithm);
  let crc = 0;
  let pending = "";
  const flush = () => {
    const bytes = Buffer.from(pending);
    hash.update(bytes);
    crc = crc32(bytes, crc);
    pending = "";
  };
  return {
    add(line: string) {
      pending += line;
      if (pending.length > 65_536) flush();
    },
    /** Once only. */
    finish() {
      flush();
      return { crc32: crc, digest: hash.digest("hex") };
    },
  };
}
