import { LongshoreError } from "./errors.ts";
import { TAR_END, type TarFile, tarHeader, tarMemberLength, tarPadding } from "./tar.ts";
import type { UploadSource } from "./uploads.ts";

/** A file to deposit. */
export interface BundleFile {
  /** Inside the bundle, below `data/`; `/` between its parts. */
  readonly path: string;
  readonly sizeBytes: number;
  /** Epoch milliseconds. */
  readonly modifiedAt: number;
  /** Epoch milliseconds; Pacifica's `ctime`. */
  readonly changedAt?: number;
  readonly mediaType?: string;
  /** Hex digest that is known already, by the bundle's algorithm: the file is then sent without being hashed again. */
  readonly digest?: string;
  /** The file's bytes from the first to the last, each time it is called. A chunk is used up before the next is asked for. */
  open(): AsyncIterable<Uint8Array>;
}

/** An object of Pacifica metadata; `destinationTable` says what it is. */
export type MetadataObject = Readonly<Record<string, unknown>> & { readonly destinationTable: string };

/** How the files' digests are made. Web Crypto cannot hash piecewise, so the caller brings the means. */
export interface BundleHash {
  /** As Pacifica metadata spells it: `sha512`, `sha1`, … */
  readonly name: string;
  readonly hexDigits: number;
  start(): { update(bytes: Uint8Array): void; hexDigest(): string };
}

export interface BundleOptions {
  readonly files: readonly BundleFile[];
  readonly hash: BundleHash;
  /**
   * Objects besides the `Files` entries made here. A `Files` object among them adds its fields to the entry of the same
   * file; a digest it declares is kept, and so checked by the server.
   */
  readonly metadata?: readonly MetadataObject[];
  /** Told of each digest as soon as it is known, in the order of `files`. */
  onDigest?(file: BundleFile, digest: string): void;
}

export interface BundleSource extends UploadSource {
  /** How many files lie wholly before `offset`. */
  filesBefore(offset: number): number;
  /** How many bytes of the file at this place of `files` lie before `offset`. */
  bytesBefore(offset: number, index: number): number;
}

const METADATA_PATH = "metadata.txt";

/**
 * A bundle as it is sent: a tar of the files (at least one) with `metadata.txt` last, so that one read of each file serves both its
 * bytes and its digest. The length is known before anything is read, since a digest takes the same room whatever it is.
 *
 * Opened at an offset, it reads again only those earlier files whose digest it does not have.
 * @throws LongshoreError usage when `metadata` speaks of a file that is not in `files`; from the stream,
 * local_file_changed when a file is not as long as it was said to be.
 */
export function bundleSource(options: BundleOptions): BundleSource {
  const { files, hash } = options;
  const declared = declarations(options);
  const digests = files.map((file) => file.digest);
  const unknownDigest = "0".repeat(hash.hexDigits);
  const newest = files.reduce((latest, file) => Math.max(latest, file.modifiedAt), 0);

  function* metadataObjects(): Generator<MetadataObject> {
    yield* declared.others;
    for (const [index, file] of files.entries())
      yield { ...fileEntry(file, hash.name, digests[index] ?? unknownDigest), ...declared.byPath.get(file.path) };
  }

  function* metadataLines(): Generator<Uint8Array> {
    let before = "[\n";
    for (const object of metadataObjects()) {
      yield encode(before + JSON.stringify(object));
      before = ",\n";
    }
    yield encode("\n]\n");
  }

  const metadataBytes = metadataLines().reduce((sum, line) => sum + line.length, 0);
  const metadataMember: TarFile = { path: METADATA_PATH, sizeBytes: metadataBytes, modifiedAt: newest };
  /** Where each member ends. */
  const ends = new Float64Array(files.length);
  for (const [index, file] of files.entries()) ends[index] = (ends[index - 1] ?? 0) + tarMemberLength(memberOf(file));
  const sizeBytes = (ends.at(-1) ?? 0) + tarMemberLength(metadataMember) + TAR_END.length;

  async function* open(offset: number): AsyncGenerator<Uint8Array, void, undefined> {
    let at = 0;
    /** Passes on what lies at or after `offset`. */
    function* send(bytes: Uint8Array): Generator<Uint8Array, void, undefined> {
      const skipped = Math.min(bytes.length, Math.max(0, offset - at));
      at += bytes.length;
      if (skipped < bytes.length) yield bytes.subarray(skipped);
    }

    for (const [index, file] of files.entries()) {
      const end = ends[index] ?? 0;
      if (end <= offset && digests[index] !== undefined) {
        at = end;
        continue;
      }
      yield* send(tarHeader(memberOf(file)));
      const hashing = digests[index] === undefined ? hash.start() : undefined;
      let read = 0;
      for await (const chunk of file.open()) {
        read += chunk.length;
        if (read > file.sizeBytes) break;
        hashing?.update(chunk);
        yield* send(chunk);
      }
      if (read !== file.sizeBytes) throw changed(file, read);
      yield* send(tarPadding(file.sizeBytes));
      if (!hashing) continue;
      const digest = hashing.hexDigest();
      digests[index] = digest;
      options.onDigest?.(file, digest);
    }
    yield* send(tarHeader(metadataMember));
    for (const line of metadataLines()) yield* send(line);
    yield* send(tarPadding(metadataBytes));
    yield* send(TAR_END);
  }

  return {
    sizeBytes,
    open,
    filesBefore: (offset) => countUpTo(ends, offset),
    bytesBefore(offset, index) {
      const file = files[index];
      if (!file) return 0;
      const beginsAt = (ends[index] ?? 0) - tarPadding(file.sizeBytes).length - file.sizeBytes;
      return Math.min(file.sizeBytes, Math.max(0, offset - beginsAt));
    },
  };
}

const memberOf = ({ path, sizeBytes, modifiedAt }: BundleFile): TarFile => ({
  path: `data/${path}`,
  sizeBytes,
  modifiedAt,
});

/** How many of the growing `numbers` are at most `limit`. */
function countUpTo(numbers: Float64Array, limit: number): number {
  let low = 0;
  let high = numbers.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((numbers[middle] ?? 0) <= limit) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The given objects, those about files sorted out by path. */
function declarations({ files, metadata = [] }: BundleOptions) {
  const known = new Set(files.map((file) => file.path));
  const byPath = new Map<string, Record<string, unknown>>();
  const others: MetadataObject[] = [];
  for (const object of metadata) {
    if (object.destinationTable !== "Files") {
      others.push(object);
      continue;
    }
    const path = logicalPath(object);
    if (!known.has(path))
      throw new LongshoreError("usage", "The metadata lists a file that is not among those to be sent.", {
        details: { path },
      });
    const { size: _, hashtype, hashsum, ...rest } = object;
    byPath.set(path, typeof hashsum === "string" ? { ...rest, hashtype, hashsum } : rest);
  }
  return { byPath, others };
}

/** As Pacifica joins it: empty parts and one leading `data` are dropped. */
function logicalPath({ subdir, name }: Readonly<Record<string, unknown>>): string {
  const parts = `${subdir ?? ""}/${name ?? ""}`.split("/").filter((part) => part !== "");
  return (parts[0] === "data" ? parts.slice(1) : parts).join("/");
}

function fileEntry(file: BundleFile, hashtype: string, hashsum: string): MetadataObject {
  const cut = file.path.lastIndexOf("/") + 1;
  return {
    destinationTable: "Files",
    name: file.path.slice(cut),
    subdir: `data/${file.path.slice(0, cut)}`,
    size: file.sizeBytes,
    mimetype: file.mediaType ?? "application/octet-stream",
    hashtype,
    hashsum,
    ctime: new Date(file.changedAt ?? file.modifiedAt).toISOString(),
    mtime: new Date(file.modifiedAt).toISOString(),
  };
}

function changed(file: BundleFile, read: number): LongshoreError {
  const found = read > file.sizeBytes ? "more bytes" : `${read} bytes`;
  return new LongshoreError("local_file_changed", `${file.path} changed while it was being sent.`, {
    details: { path: file.path, expected: `${file.sizeBytes} bytes`, found },
  });
}

const encoder = new TextEncoder();
const encode = (text: string) => encoder.encode(text);
