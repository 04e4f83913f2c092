import { crc32 } from "node:zlib";
import type { Target } from "../../../core/crawl/target.ts";
import { factsOfStream, multiHash, type StreamFacts } from "../../../core/digest.ts";
import { AppError } from "../../../core/errors.ts";
import { openS3Store, type S3Settings, type S3Store } from "../../s3/client.ts";
import { storageFailure } from "../../s3/failure.ts";
import { readable } from "../../s3/read.ts";
import { sendObject } from "../../s3/send.ts";
import { isPlainPath } from "../plain-path.ts";
import { refusal } from "./source.ts";

export interface S3TargetParts {
  /** Bucket and prefix, as in `bucket/some/folder`. */
  readonly place: string;
  readonly settings: S3Settings;
}

/**
 * Objects of a bucket below a prefix. What is sent goes with its MD5, which every server compares; a file of more than one
 * part is there when its last part is. Parts of a process that was killed stay until a lifecycle rule of the bucket removes
 * them. Memory: four parts for each file under way, which are of 8 MiB up to a size of 800 MiB.
 */
export async function s3Target({ place, settings }: S3TargetParts): Promise<Target> {
  const store = await openS3Store(place, settings);

  /** @throws AppError request_invalid for what is not plainly below the prefix. */
  function requireBelow(path: string): void {
    if (isPlainPath(path)) return;
    throw new AppError("request_invalid", { expected: "a path below the store's root", found: path.slice(0, 100) });
  }

  return {
    async put(path, bytes, signal) {
      requireBelow(path);
      const seen = witness();
      await sendObject(store, path, seen.watch(bytes, signal), { signal });
      return seen.facts();
    },

    async facts(path, signal) {
      requireBelow(path);
      return factsAt(store, path, signal);
    },

    async remove(path) {
      requireBelow(path);
      await removeAt(store, path);
    },

    async close() {
      store.client.destroy();
    },
  };
}

/** Reads an object. @returns `undefined` when it is not there. @throws AppError storage_unavailable; the signal's reason. */
export async function factsAt(store: S3Store, path: string, signal: AbortSignal): Promise<StreamFacts | undefined> {
  try {
    return await factsOfStream(await readable(store, path, undefined, { refusal, signal }), ["sha256"], signal);
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof AppError)) throw error;
    const { reason, status } = error.details;
    if (status === 404 && reason === "NoSuchKey") return undefined;
    throw new AppError("storage_unavailable", { path, reason: reason ?? error.message }, { cause: error });
  }
}

/** Idempotent. @throws AppError storage_unavailable. */
export async function removeAt({ client, driver, bucket, prefix }: S3Store, path: string): Promise<void> {
  const object = { Bucket: bucket, Key: `${prefix}${path}` };
  await client.send(new driver.DeleteObjectCommand(object)).catch((error: unknown) => {
    throw storageFailure(error, path);
  });
}

/** Looks at bytes on their way. */
function witness() {
  const hashing = multiHash(["sha256"]);
  let sizeBytes = 0;
  let crc = 0;
  return {
    async *watch(bytes: AsyncIterable<Uint8Array>, signal: AbortSignal): AsyncGenerator<Uint8Array> {
      for await (const chunk of bytes) {
        signal.throwIfAborted();
        hashing.update(chunk);
        crc = crc32(chunk, crc);
        sizeBytes += chunk.length;
        yield chunk;
      }
    },
    facts: (): StreamFacts => ({ sizeBytes, digests: hashing.digests(), crc32: crc }),
  };
}
