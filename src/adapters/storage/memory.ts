import { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { crc32 } from "node:zlib";
import type {
  ObjectStorage,
  StagedTree,
  StoredFile,
  TreeWriter,
  WrittenFile,
} from "../../core/archive/object-storage.ts";
import { type DigestName, digestsOf } from "../../core/digest.ts";
import { AppError } from "../../core/errors.ts";
import { rangeWithin } from "./byte-range.ts";

/**
 * What outlives a {@link memoryObjectStorage}, as a disk outlives the process. Like a bucket it has no rename: staged
 * files are written under their final keys at once and are held back until they are published.
 */
export interface MemoryDisk {
  readonly files: Map<string, Buffer>;
  /** Notes by name, for each prefix that is staged: nothing below it is visible. */
  readonly stages: Map<string, Map<string, Buffer>>;
}

export function memoryDisk(): MemoryDisk {
  return { files: new Map(), stages: new Map() };
}

/** For tests and trials: nothing survives the process. */
export function memoryObjectStorage(disk: MemoryDisk = memoryDisk()): ObjectStorage {
  const { files, stages } = disk;
  const isVisible = (path: string) => !folders(path).some((folder) => stages.has(folder));
  const visibleBelow = (prefix: string) => below(files, prefix).filter(isVisible);

  return {
    async stage(prefix) {
      if (stages.has(prefix) || files.has(prefix) || visibleBelow(prefix).length > 0) throw exists(prefix);
      stages.set(prefix, new Map());
      return stagedTree(disk, prefix);
    },
    async reopen(prefix) {
      return stages.has(prefix) ? stagedTree(disk, prefix) : undefined;
    },
    async *staged() {
      yield* [...stages.keys()];
    },
    async put(path, bytes) {
      if (files.has(path)) throw exists(path);
      files.set(path, Buffer.from(bytes));
    },
    async open(path, range) {
      const bytes = isVisible(path) ? files.get(path) : undefined;
      if (!bytes) throw missing(path);
      const { start, end } = rangeWithin(range, bytes.byteLength, path);
      return streamOf(bytes.subarray(start, end));
    },
    async stat(path) {
      const bytes = isVisible(path) ? files.get(path) : undefined;
      return bytes && { path, sizeBytes: bytes.byteLength };
    },
    async *list(prefix) {
      for (const path of visibleBelow(prefix).sort(byFolder)) yield* stored(disk, path, path);
    },
    async remove(prefix) {
      for (const path of [prefix, ...visibleBelow(prefix)]) if (isVisible(path)) files.delete(path);
    },
    freeBytes: async () => undefined,
    close: async () => {},
  };
}

function stagedTree({ files, stages }: MemoryDisk, prefix: string): StagedTree {
  const keyOf = (path: string) => `${prefix}/${path}`;
  const own = () => below(files, prefix);

  /** The tree's notes. @throws AppError stage_missing when it has been published or discarded. */
  function notes(): Map<string, Buffer> {
    const found = stages.get(prefix);
    if (!found) throw new AppError("stage_missing", { prefix });
    return found;
  }
  function add(path: string, bytes: Buffer): void {
    notes();
    if (files.has(keyOf(path))) throw exists(path);
    files.set(keyOf(path), bytes);
  }

  return {
    prefix,
    writer: (algorithms) => memoryWriter(algorithms, add),
    async put(path, bytes) {
      const whole = bytes instanceof Uint8Array ? Buffer.from(bytes) : await buffer(bytes);
      notes();
      files.set(keyOf(path), whole);
    },
    async open(path) {
      const bytes = files.get(keyOf(path));
      if (!bytes || !stages.has(prefix)) throw missing(path);
      return streamOf(bytes);
    },
    async remove(path) {
      files.delete(keyOf(path));
    },
    async *list() {
      for (const key of own()) yield* stored({ files, stages }, key, key.slice(prefix.length + 1));
    },
    async putNote(name, bytes) {
      notes().set(name, await buffer(bytes));
    },
    async openNote(name) {
      const note = stages.get(prefix)?.get(name);
      return note && streamOf(note);
    },
    async sync() {},
    async publish() {
      if (!stages.delete(prefix)) throw own().length > 0 ? exists(prefix) : new AppError("stage_missing", { prefix });
    },
    async discard() {
      if (!stages.has(prefix)) return;
      for (const key of own()) files.delete(key);
      stages.delete(prefix);
    },
  };
}

function memoryWriter(algorithms: readonly DigestName[], add: (path: string, bytes: Buffer) => void): TreeWriter {
  const written: WrittenFile[] = [];
  let open: { readonly path: string; readonly chunks: Buffer[] } | undefined;
  let failure: unknown;
  let closed = false;

  return {
    begin(path) {
      if (open || closed) throw new Error("begin: the file before has not ended, or the writer is closed.");
      open = { path, chunks: [] };
    },
    write(chunk) {
      if (failure) return Promise.reject(failure);
      if (!open) throw new Error("write: no file has begun.");
      open.chunks.push(Buffer.from(chunk));
      return undefined;
    },
    end() {
      if (!open) throw new Error("end: no file has begun.");
      const { path, chunks } = open;
      open = undefined;
      if (failure) return;
      try {
        const bytes = Buffer.concat(chunks);
        add(path, bytes);
        written.push({ path, sizeBytes: bytes.byteLength, digests: digestsOf(bytes, algorithms), crc32: crc32(bytes) });
      } catch (error) {
        failure = error;
      }
    },
    take: () => written.splice(0),
    async finish() {
      if (open && !failure) throw new Error("finish: the last file has not ended.");
      closed = true;
      if (failure) throw failure;
      return written.splice(0);
    },
    async abort() {
      if (!closed) failure ??= new Error("The writer was aborted.");
      closed = true;
      open = undefined;
    },
  };
}

function below(files: ReadonlyMap<string, Buffer>, prefix: string): string[] {
  return [...files.keys()].filter((path) => prefix === "" || path.startsWith(`${prefix}/`));
}

/** `a/b/c` → `a`, `a/b`, `a/b/c`. */
function folders(path: string): readonly string[] {
  const names = path.split("/");
  return names.map((_, i) => names.slice(0, i + 1).join("/"));
}

/** Folder by folder, as a walk meets them: `a/b` before `a-b`, though `-` is less than `/`. */
function byFolder(a: string, b: string): number {
  return a.replaceAll("/", "\0") < b.replaceAll("/", "\0") ? -1 : 1;
}

function* stored({ files }: MemoryDisk, key: string, path: string): Generator<StoredFile> {
  const bytes = files.get(key);
  if (bytes) yield { path, sizeBytes: bytes.byteLength };
}

function streamOf(bytes: Buffer): Readable {
  return Readable.from(bytes.byteLength === 0 ? [] : [bytes], { objectMode: false });
}

function exists(path: string): AppError {
  return new AppError("object_exists", { path });
}

function missing(path: string): AppError {
  return new AppError("object_missing", { path });
}
