import type { ListObjectsV2CommandInput } from "@aws-sdk/client-s3";
import { AppError } from "../../../core/errors.ts";
import { eachAtOnce } from "../../../core/streams.ts";
import { decodedKey, type S3Store } from "../../s3/client.ts";
import { s3Failure, storageFailure } from "../../s3/failure.ts";

/** What a service lists, and removes, with one request. */
const PAGE = 1000;
const REMOVALS_AT_ONCE = 4;

export interface Listed {
  /** Below the store's prefix. */
  readonly path: string;
  readonly sizeBytes: number;
}

/**
 * The requests that an archive in a bucket makes beside reading and writing. Paths are below the store's prefix.
 * Every method throws AppError storage_unavailable when the service does not do its part.
 */
export interface Bucket {
  /** A page of what lies below, in the order of UTF-8 bytes; `isLast` is said of the last one. */
  page(
    below: string,
    options?: { readonly after?: string | undefined; readonly most?: number },
  ): Promise<{ readonly found: readonly Listed[]; readonly isLast: boolean }>;
  /** All of it. */
  list(below: string): AsyncGenerator<Listed>;
  /** Idempotent. */
  remove(paths: AsyncIterable<string> | Iterable<string>): Promise<void>;
  /** Removes the parts of objects that were never put together. @param before begun before this, epoch milliseconds. */
  abandonParts(below: string, before?: number): Promise<void>;
  /** For a server that says "not found", which may mean the bucket. */
  requireBucket(path: string): Promise<void>;
}

export function s3Bucket({ client, driver, bucket: Bucket, prefix }: S3Store): Bucket {
  async function telling<T>(path: string, work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (error) {
      throw storageFailure(error, path);
    }
  }

  async function page(below: string, { after, most = PAGE }: { after?: string | undefined; most?: number } = {}) {
    const asked: ListObjectsV2CommandInput = {
      Bucket,
      Prefix: `${prefix}${below}`,
      MaxKeys: most,
      EncodingType: "url",
      ...(after === undefined ? {} : { StartAfter: `${prefix}${after}` }),
    };
    const { Contents = [], IsTruncated = false } = await telling(
      below,
      client.send(new driver.ListObjectsV2Command(asked)),
    );
    const found = Contents.map(({ Key, Size = 0 }) => ({
      path: decodedKey(Key).slice(prefix.length),
      sizeBytes: Size,
    }));
    return { found, isLast: !IsTruncated };
  }

  async function removePage(paths: readonly string[]): Promise<void> {
    const Objects = paths.map((path) => ({ Key: `${prefix}${path}` }));
    const command = new driver.DeleteObjectsCommand({ Bucket, Delete: { Objects, Quiet: true } });
    const { Errors = [] } = await telling(paths[0] ?? "", client.send(command));
    const [error] = Errors;
    if (error)
      throw new AppError("storage_unavailable", { path: error.Key ?? null, reason: error.Code ?? "not removed" });
  }

  return {
    page,

    async *list(below) {
      for (let after: string | undefined; ; ) {
        const { found, isLast } = await page(below, { after });
        yield* found;
        after = found.at(-1)?.path;
        if (isLast || after === undefined) return;
      }
    },

    remove: (paths) => eachAtOnce(inPages(paths), () => REMOVALS_AT_ONCE, removePage),

    async abandonParts(below, before = Number.POSITIVE_INFINITY) {
      const asked = { Bucket, Prefix: `${prefix}${below}` };
      for (let next: object = {}; ; ) {
        const found = await telling(below, client.send(new driver.ListMultipartUploadsCommand({ ...asked, ...next })));
        for (const { Key, UploadId, Initiated } of found.Uploads ?? []) {
          if ((Initiated?.getTime() ?? 0) >= before) continue;
          const command = new driver.AbortMultipartUploadCommand({ Bucket, Key, UploadId });
          await client.send(command).catch((error: unknown) => {
            if (s3Failure(error).status !== 404) throw storageFailure(error, below);
          });
        }
        if (!found.IsTruncated) return;
        next = { KeyMarker: found.NextKeyMarker, UploadIdMarker: found.NextUploadIdMarker };
      }
    },

    async requireBucket(path) {
      try {
        await client.send(new driver.HeadBucketCommand({ Bucket }));
      } catch (error) {
        if (s3Failure(error).status !== 404) throw storageFailure(error, path);
        const hint = "there is no such bucket";
        throw new AppError("storage_unavailable", { path, bucket: Bucket, hint }, { cause: error });
      }
    },
  };
}

async function* inPages(paths: AsyncIterable<string> | Iterable<string>): AsyncGenerator<readonly string[]> {
  let page: string[] = [];
  for await (const path of paths) {
    page.push(path);
    if (page.length < PAGE) continue;
    yield page;
    page = [];
  }
  if (page.length > 0) yield page;
}
