import { createHash } from "node:crypto";
import { crc32 } from "node:zlib";
import type { CompletedPart } from "@aws-sdk/client-s3";
import type { Target } from "../../../core/crawl/target.ts";
import { factsOfStream, multiHash, type StreamFacts } from "../../../core/digest.ts";
import { AppError } from "../../../core/errors.ts";
import { mapInOrder } from "../../../core/streams.ts";
import { isPlainPath } from "../plain-path.ts";
import { readable } from "./source.ts";
import { openS3Store, type S3Settings, s3Failure } from "./store.ts";

const FIRST_PART_BYTES = 8 * 1024 ** 2;
const PARTS_AT_ONCE = 2;

/**
 * How long a part is, so that 10,000 of them, which is all an object may have, make 4 TiB, and a common file's are small.
 * @param index from 0.
 */
const partBytes = (index: number) => FIRST_PART_BYTES * (1 + Math.floor(index / 100));

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
  const { client, driver, bucket, prefix } = store;

  /** @throws AppError request_invalid for what is not plainly below the prefix. */
  function objectAt(path: string) {
    if (isPlainPath(path)) return { Bucket: bucket, Key: `${prefix}${path}` };
    throw new AppError("request_invalid", { expected: "a path below the store's root", found: path.slice(0, 100) });
  }

  async function putWhole(path: string, bytes: Buffer, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const whole = { ...objectAt(path), Body: bytes, ContentLength: bytes.length, ContentMD5: md5(bytes) };
    await refusals(path, signal, () => client.send(new driver.PutObjectCommand(whole), { abortSignal: signal }));
  }

  async function putParts(path: string, parts: AsyncIterable<Part>, signal: AbortSignal): Promise<void> {
    const object = objectAt(path);
    const { UploadId } = await refusals(path, signal, () =>
      client.send(new driver.CreateMultipartUploadCommand(object), { abortSignal: signal }),
    );
    const upload = { ...object, UploadId };

    async function putPart({ bytes, index }: Part): Promise<CompletedPart> {
      const part = {
        ...upload,
        PartNumber: index + 1,
        Body: bytes,
        ContentLength: bytes.length,
        ContentMD5: md5(bytes),
      };
      const { ETag } = await refusals(path, signal, () =>
        client.send(new driver.UploadPartCommand(part), { abortSignal: signal }),
      );
      return { ETag, PartNumber: index + 1 };
    }

    try {
      const Parts = await Array.fromAsync(mapInOrder(parts, PARTS_AT_ONCE, putPart));
      signal.throwIfAborted();
      const complete = new driver.CompleteMultipartUploadCommand({ ...upload, MultipartUpload: { Parts } });
      await refusals(path, signal, () => client.send(complete, { abortSignal: signal }));
    } catch (error) {
      // What has been sent would be paid for. When that fails too, the first failure is the one to tell.
      await client.send(new driver.AbortMultipartUploadCommand(upload)).catch(s3Failure);
      throw error;
    }
  }

  return {
    async put(path, bytes, signal) {
      objectAt(path);
      const seen = witness();
      const parts = partsOf(seen.watch(bytes, signal));
      try {
        const first = (await parts.next()).value;
        const second = (await parts.next()).value;
        if (second) await putParts(path, following([first, second], parts), signal);
        else await putWhole(path, first?.bytes ?? Buffer.alloc(0), signal);
      } finally {
        await parts.return(undefined);
      }
      return seen.facts();
    },

    async facts(path, signal) {
      objectAt(path);
      try {
        return await factsOfStream(await readable(store, path, undefined, signal), ["sha256"], signal);
      } catch (error) {
        signal.throwIfAborted();
        if (!(error instanceof AppError)) throw error;
        const { reason, status } = error.details;
        if (status === 404 && reason === "NoSuchKey") return undefined;
        throw new AppError("storage_unavailable", { path, reason: reason ?? error.message }, { cause: error });
      }
    },

    async remove(path) {
      const object = objectAt(path);
      await refusals(path, undefined, () => client.send(new driver.DeleteObjectCommand(object)));
    },

    async close() {
      client.destroy();
    },
  };
}

interface Part {
  readonly index: number;
  readonly bytes: Buffer;
}

/** Cuts a stream into parts; none is empty, and there is none when there is nothing. */
async function* partsOf(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Part, undefined> {
  let index = 0;
  let chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (let chunk of bytes) {
    for (let room = partBytes(index) - sizeBytes; chunk.length >= room; room = partBytes(index)) {
      chunks.push(chunk.subarray(0, room));
      yield { index: index++, bytes: Buffer.concat(chunks) };
      chunk = chunk.subarray(room);
      [chunks, sizeBytes] = [[], 0];
    }
    // A copy: whoever gave the chunk may use its memory again.
    if (chunk.length > 0) chunks.push(Buffer.from(chunk));
    sizeBytes += chunk.length;
  }
  if (sizeBytes > 0) yield { index, bytes: Buffer.concat(chunks) };
}

/** @param first have been taken from the others already. */
async function* following(first: readonly (Part | undefined)[], others: AsyncIterable<Part>): AsyncGenerator<Part> {
  for (const part of first) if (part) yield part;
  yield* others;
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

/** RFC 1864, which RFC 9110 has left out since; S3 has not. */
const md5 = (bytes: Buffer) => createHash("md5").update(bytes).digest("base64");

/** Says in our words what the service, or the way there, refuses. */
async function refusals<T>(path: string, signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    signal?.throwIfAborted();
    const { reason, status } = s3Failure(error);
    const isFull = status === 507 || reason === "QuotaExceeded";
    throw new AppError(isFull ? "storage_full" : "storage_unavailable", { path, reason }, { cause: error });
  }
}
