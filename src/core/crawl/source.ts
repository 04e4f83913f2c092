import type { Readable } from "node:stream";
import type { ByteRange } from "../archive/object-storage.ts";
import type { Problem } from "../errors.ts";

/** One name in a folder of a store. */
export interface SourceEntry {
  /** Below the endpoint's root, `/` between folders, without a leading one. */
  readonly path: string;
  /** `link`: a symbolic link, which is listed and never followed. `other`: a socket, device or pipe. */
  readonly kind: "file" | "folder" | "link" | "other";
  /** Of files; 0 of everything else, and where the store does not say. */
  readonly sizeBytes: number;
  /** Epoch milliseconds; `null` where the store does not say. */
  readonly modifiedAt: number | null;
  /** Permission bits of a local file; `null` elsewhere. */
  readonly mode: number | null;
  /** Of files: what the store calls this very version by, where it has a name for it. */
  readonly tag?: string;
}

/** What one folder holds, in parts: a folder may have millions of names. */
export interface Listing {
  readonly folder: string;
  readonly entries: readonly SourceEntry[];
  /** Names that cannot be read, vanished meanwhile, or are not UTF-8; and the folder itself when it cannot be listed. */
  readonly problems: readonly Problem[];
  /** Whether this was the folder's last part. */
  readonly isLast: boolean;
}

export interface WalkOptions {
  /** Folders to list, below the root; `""` is the root. Each is walked with all that lies below it, breadth first. */
  readonly folders: readonly string[];
  /** Whether names that begin with a dot are listed. */
  readonly hidden: boolean;
  /** Folders whose listing is finished already, of a walk that is continued: they are not listed again. */
  isDone(folder: string): boolean;
  readonly signal: AbortSignal;
}

/**
 * A store that can be walked.
 *
 * Adapters: `adapters/source/{fs,http,archive}.ts`, `adapters/source/{s3,globus}/source.ts`. Contract: `test/conformance/source.ts`.
 */
export interface Source {
  /**
   * Lists folders breadth first, in parts of a few thousand entries, ahead of the reader by a few parts. A folder that
   * cannot be listed is a problem of its listing, and the walk goes on; what may pass is tried again a few times first.
   * Links are not followed, so there are no loops. Memory: the folders still to be listed, and a few parts.
   * @throws AppError endpoint_unreachable when the root itself cannot be listed.
   */
  walk(options: WalkOptions): AsyncIterable<Listing>;
  /** The bytes of a file. @throws AppError object_missing, range_not_satisfiable. */
  open(path: string, range?: ByteRange): Promise<Readable>;
  /** Where the file lies on this machine, if it does: extractors then read it there. */
  localPath?(path: string): string | undefined;
  close(): Promise<void>;
}
