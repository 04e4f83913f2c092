import type { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import type { ListObjectsV2CommandOutput } from "@aws-sdk/client-s3";
import type { ByteRange } from "../../core/archive/object-storage.ts";
import { AppError } from "../../core/errors.ts";
import { eachAtOnce } from "../../core/streams.ts";
import type { S3Store } from "./client.ts";
import { s3Failure, storageFailure } from "./failure.ts";
import { readable } from "./read.ts";
import { putObject } from "./send.ts";

const REMOVALS_AT_ONCE = 8;

export interface S3Object {
  /** Below the store's prefix. */
  readonly path: string;
  readonly sizeBytes: number;
  /** By the service's clock, in epoch milliseconds. */
  readonly modifiedAt: number;
}

/**
 * Objects that are written and read as wholes, for what is kept in many small ones. Paths are ours: plain ASCII.
 *
 * Every method throws AppError storage_unavailable, storage_full or remote_unavailable when the service does not do its part.
 */
export interface S3Objects {
  /** Replaces what is there. */
  put(path: string, bytes: Buffer): Promise<void>;
  /**
   * Writes it where nothing is. Of several at the same time one comes first: this takes a service that heeds
   * `If-None-Match: *`.
   * @returns false when another came first.
   */
  create(path: string, bytes: Buffer): Promise<boolean>;
  /** `undefined` when absent. */
  stat(path: string): Promise<Omit<S3Object, "path"> | undefined>;
  /** `undefined` when absent. @throws AppError range_not_satisfiable. */
  open(path: string, range?: ByteRange): Promise<Readable | undefined>;
  /** `undefined` when absent. */
  get(path: string): Promise<Buffer | undefined>;
  /** In the order of their paths. @param most of them that are wanted. */
  list(prefix: string, most?: number): AsyncGenerator<S3Object>;
  /** Names that paths have before their first `/`. */
  folders(): AsyncGenerator<string>;
  /** Idempotent. */
  remove(paths: AsyncIterable<string> | Iterable<string>): Promise<void>;
}

export function s3Objects(store: S3Store): S3Objects {
  const { driver, client, bucket, prefix } = store;
  const { signal } = new AbortController();

  async function open(path: string, range?: ByteRange): Promise<Readable | undefined> {
    try {
      return await readable(store, path, range, { signal, refusal });
    } catch (error) {
      if (error instanceof AppError && error.code === "object_missing") return undefined;
      throw error;
    }
  }

  async function* pages(
    below: string,
    options: { readonly Delimiter?: string; readonly MaxKeys?: number } = {},
  ): AsyncGenerator<ListObjectsV2CommandOutput> {
    for (let ContinuationToken: string | undefined; ; ) {
      const asked = { Bucket: bucket, Prefix: `${prefix}${below}`, ContinuationToken, ...options };
      const page = await telling(below, client.send(new driver.ListObjectsV2Command(asked)));
      yield page;
      ContinuationToken = page.NextContinuationToken;
      if (ContinuationToken === undefined) return;
    }
  }

  return {
    open,

    async stat(path) {
      try {
        const command = new driver.HeadObjectCommand({ Bucket: bucket, Key: `${prefix}${path}` });
        const { ContentLength = 0, LastModified } = await client.send(command);
        return { sizeBytes: ContentLength, modifiedAt: LastModified?.getTime() ?? 0 };
      } catch (error) {
        // An answer without a body: it does not say whether the bucket is there.
        if (s3Failure(error).status === 404) return undefined;
        throw storageFailure(error, path);
      }
    },

    async get(path) {
      const bytes = await open(path);
      return bytes && buffer(bytes);
    },

    async put(path, bytes) {
      await putObject(store, path, bytes);
    },

    create: async (path, bytes) => (await putObject(store, path, bytes, { onlyIf: "absent" })) !== undefined,

    async *list(below, most) {
      let left = most ?? Number.POSITIVE_INFINITY;
      for await (const { Contents = [] } of pages(below, most === undefined ? {} : { MaxKeys: most })) {
        for (const { Key = "", Size = 0, LastModified } of Contents)
          if (left-- > 0)
            yield { path: Key.slice(prefix.length), sizeBytes: Size, modifiedAt: LastModified?.getTime() ?? 0 };
        if (left <= 0) return;
      }
    },

    async *folders() {
      for await (const { CommonPrefixes = [] } of pages("", { Delimiter: "/" }))
        for (const { Prefix = "" } of CommonPrefixes) yield Prefix.slice(prefix.length, -1);
    },

    remove: (paths) =>
      eachAtOnce(
        paths,
        () => REMOVALS_AT_ONCE,
        async (path) => {
          const object = { Bucket: bucket, Key: `${prefix}${path}` };
          await telling(path, client.send(new driver.DeleteObjectCommand(object)));
        },
      ),
  };
}

function refusal(error: unknown, path: string): AppError {
  return s3Failure(error).reason === "NoSuchKey"
    ? new AppError("object_missing", { path }, { cause: error })
    : storageFailure(error, path);
}

async function telling<T>(path: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw storageFailure(error, path);
  }
}
