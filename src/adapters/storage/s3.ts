import { availableParallelism } from "node:os";
import type { Readable } from "node:stream";
import type { ByteRange, ObjectStorage } from "../../core/archive/object-storage.ts";
import { AppError } from "../../core/errors.ts";
import { mapInOrder } from "../../core/streams.ts";
import { openS3Store, PATIENT_TRIES, type S3Settings } from "../s3/client.ts";
import { s3Failure, storageFailure } from "../s3/failure.ts";
import { chunksOf, readable, wholeBody } from "../s3/read.ts";
import { headOf, putObject } from "../s3/send.ts";
import { isPlainPath } from "../source/plain-path.ts";
import { isStaging } from "./fs/layout.ts";
import { writerThreads } from "./fs/writer-threads.ts";
import { s3Bucket } from "./s3/bucket.ts";
import { gatherParts } from "./s3/gather.ts";
import { visibleFiles } from "./s3/listing.ts";
import { readAhead } from "./s3/read-ahead.ts";
import { type RestoreSettings, s3Restore } from "./s3/restore.ts";
import { s3StagedTree } from "./s3/staged-tree.ts";
import { exists, pathsOf, s3Trees } from "./s3/trees.ts";
import { s3TreeWriter } from "./s3/writer.ts";

const HEADS_AT_ONCE = 32;
/** Parts of an object that nobody has put together for this long never will be. */
const STALE_PARTS_MS = 7 * 24 * 3_600_000;

export interface S3ObjectStorageParts {
  /** Bucket and prefix, as in `bucket/some/folder`. */
  readonly place: string;
  readonly settings: S3Settings;
  /**
   * Files of a tree, small ones, that are at their place only when it is published: others may take the tree for complete
   * when they see them. None when left out.
   */
  readonly isHeldBack?: (path: string) => boolean;
  /** For objects in cold storage; without it, every object is taken for readable. */
  readonly restore?: RestoreSettings | undefined;
  readonly tries?: number;
}

/**
 * The archive as objects of a bucket below a prefix, one for each file. Any number of processes on any number of machines
 * write to one bucket, of a server that heeds `If-None-Match: *`. See `s3/layout.ts` for what lies where.
 * @throws AppError driver_missing.
 */
export async function s3ObjectStorage(parts: S3ObjectStorageParts): Promise<ObjectStorage> {
  const { place, settings, restore, isHeldBack = () => false, tries = PATIENT_TRIES } = parts;
  const store = await openS3Store(place, settings, { tries });
  const bucket = s3Bucket(store);
  const trees = s3Trees(store, bucket);
  const threads = writerThreads(Math.min(4, availableParallelism()));
  const closing = new AbortController();

  function refusal(error: unknown, path: string): AppError {
    const { reason, status } = s3Failure(error);
    if (reason === "NoSuchKey") return new AppError("object_missing", { path }, { cause: error });
    if (status === 412)
      return new AppError("object_corrupt", { path, hint: "it was replaced while it was read" }, { cause: error });
    return storageFailure(error, path);
  }
  const read = (key: string, path: string, range?: ByteRange) =>
    readable(store, key, range, { signal: closing.signal, refusal: (error) => refusal(error, path) });

  async function requireVisible(path: string): Promise<void> {
    if (isStaging(path) || !(await trees.visible([path]))(path)) throw new AppError("object_missing", { path });
  }

  async function open(path: string, range?: ByteRange): Promise<Readable> {
    if (isStaging(path)) throw new AppError("object_missing", { path });
    const stream = await read(path, path, range);
    try {
      await requireVisible(path);
    } catch (error) {
      stream.destroy();
      throw error;
    }
    return stream;
  }

  async function openWhole(path: string) {
    if (isStaging(path)) throw new AppError("object_missing", { path });
    const whole = await wholeBody(store, path, { signal: closing.signal, refusal });
    try {
      await requireVisible(path);
    } catch (error) {
      whole.body.destroy();
      throw error;
    }
    return whole;
  }

  async function openChunks(path: string, range: ByteRange) {
    if (isStaging(path)) throw new AppError("object_missing", { path });
    const chunks = await chunksOf(store, path, range, { signal: closing.signal, refusal });
    try {
      await requireVisible(path);
    } catch (error) {
      await chunks.return();
      throw error;
    }
    return chunks;
  }

  const ahead = readAhead({ open: openChunks, openWhole });

  /** The size of a file that exists, visible or not. */
  async function sizeOf(path: string): Promise<number | undefined> {
    if (isStaging(path)) return undefined;
    try {
      return (await headOf(store, path, closing.signal))?.sizeBytes;
    } catch (error) {
      // The answer to HEAD has no body that says why: a listing has, unless it meets something else.
      await bucket.page(path, { most: 1 });
      throw storageFailure(error, path);
    }
  }

  async function sizes(paths: readonly string[]): Promise<readonly (number | undefined)[]> {
    const different = [...new Set(paths)];
    const found = await Array.fromAsync(mapInOrder(different, HEADS_AT_ONCE, sizeOf));
    const missing = found.indexOf(undefined);
    if (missing !== -1) await bucket.requireBucket(different[missing] ?? "");
    const isVisible = await trees.visible(different.filter((_, i) => found[i] !== undefined));
    const known = new Map(different.map((path, i) => [path, isVisible(path) ? found[i] : undefined]));
    return paths.map((path) => known.get(path));
  }

  async function* list(prefix: string) {
    for await (const file of visibleFiles(bucket, trees.staged, prefix)) if (isPlainPath(file.path)) yield file;
  }

  /** Once, before the first tree is worked on, what processes that died have left; who only reads changes nothing. */
  let swept: Promise<void> | undefined;
  function tidy(): Promise<void> {
    swept ??= (async () => {
      for (const prefix of await trees.unfinished()) await trees.end(prefix);
      await bucket.abandonParts("", Date.now() - STALE_PARTS_MS);
      await trees.requireConditions();
    })().catch((error: unknown) => {
      swept = undefined;
      throw error;
    });
    return swept;
  }

  const treeParts = {
    store,
    bucket,
    trees,
    isHeldBack,
    open: read,
    writer: (algorithms: Parameters<typeof s3TreeWriter>[0]["algorithms"], keyOf: (path: string) => string) =>
      s3TreeWriter({ store, threads, algorithms, keyOf }),
  };
  const isTaken = async (prefix: string) => (await sizeOf(prefix)) !== undefined || !(await list(prefix).next()).done;

  return {
    async stage(prefix) {
      await tidy();
      if ((await isTaken(prefix)) || !(await trees.begin(prefix))) throw exists(prefix);
      // Somebody may have begun and published it between the two, in which case it must not be hidden.
      const { found } = await bucket.page(`${prefix}/`, { most: 1 });
      if (found.length > 0) {
        await trees.end(prefix);
        throw exists(prefix);
      }
      return s3StagedTree(treeParts, prefix);
    },
    async reopen(prefix) {
      await tidy();
      const state = await trees.state(prefix);
      if (state === "published") await trees.end(prefix);
      return state === "staged" ? s3StagedTree(treeParts, prefix) : undefined;
    },
    async *staged() {
      yield* await trees.staged();
    },
    async put(path, bytes) {
      if ((await putObject(store, path, bytes, { onlyIf: "absent" })) === undefined) throw exists(path);
    },
    open,
    async stat(path) {
      const [sizeBytes] = await sizes([path]);
      return sizeBytes === undefined ? undefined : { path, sizeBytes };
    },
    sizes,
    gather: (buffer, wanted) => gatherParts(ahead.read, buffer, wanted),
    ...(restore && { restore: s3Restore(store, restore, requireVisible) }),
    list,
    async *oddities(prefix) {
      for await (const { path } of visibleFiles(bucket, trees.staged, prefix))
        if (!isPlainPath(path)) yield { path, what: "an object whose key is no path" };
    },
    async remove(prefix) {
      const paths = async function* () {
        if (prefix !== "" && (await sizes([prefix]))[0] !== undefined) yield prefix;
        yield* pathsOf(visibleFiles(bucket, trees.staged, prefix));
      };
      await bucket.remove(paths());
      trees.forget();
    },
    freeBytes: async () => undefined,
    async close() {
      ahead.close();
      closing.abort(new AppError("storage_unavailable", { reason: "the storage was closed" }));
      await threads.close();
      store.client.destroy();
    },
  };
}
