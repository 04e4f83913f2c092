import type { HeadObjectCommandOutput } from "@aws-sdk/client-s3";
import { mapInOrder } from "../../core/streams.ts";
import type { S3Store } from "./client.ts";
import { s3Failure, storageFailure } from "./failure.ts";
import { beginParts, partBytes } from "./send.ts";

const MIB = 1024 ** 2;
/** What a service copies with one request, and has as one part (Amazon S3, "CopyObject"). */
const ONE_COPY_BYTES = 5 * 1024 ** 3;
const COMMON_PART_BYTES = 256 * MIB;
/** Of one object. */
const MOST_PARTS = 10_000;
const PARTS_AT_ONCE = 4;

export interface S3Version {
  readonly sizeBytes: number;
  /** Its entity tag. */
  readonly etag: string;
}

export interface CopySource {
  readonly store: S3Store;
  /** Below its prefix. */
  readonly path: string;
  /** The only one that is copied. */
  readonly version: S3Version;
}

export interface CopyLimits {
  /** What one request may copy. */
  readonly oneCopyBytes?: number;
  readonly partBytes?: number;
}

/**
 * Copies an object within the server, without its bytes passing through here, with what the server keeps beside them (type,
 * metadata). It is at its place whole or not at all, and no part stays behind. Not every server heeds the condition: what is
 * there then must be compared.
 * @returns `changed` when there is another version of the source, `absent` when there is none.
 * @throws AppError storage_unavailable, storage_full; the signal's reason.
 */
export async function copyObject(
  store: S3Store,
  path: string,
  source: CopySource,
  signal: AbortSignal,
  limits: CopyLimits = {},
): Promise<"copied" | "changed" | "absent"> {
  const parts = partsOf(source.version, limits);
  try {
    await (parts ? copyInParts(store, path, source, parts, signal) : copyAtOnce(store, path, source, signal));
    return "copied";
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof OtherVersion) return "changed";
    // Parts have said it in our words already.
    const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
    const { reason, status } = s3Failure(cause);
    if (status === 412) return "changed";
    if (reason === "NoSuchKey" || reason === "NotFound") return "absent";
    throw cause === error ? storageFailure(error, path) : error;
  }
}

async function copyAtOnce(
  { client, driver, bucket, prefix }: S3Store,
  path: string,
  source: CopySource,
  abortSignal: AbortSignal,
): Promise<void> {
  const object = { Bucket: bucket, Key: `${prefix}${path}` };
  await client.send(new driver.CopyObjectCommand({ ...object, ...sourceOf(source) }), { abortSignal });
}

async function copyInParts(
  store: S3Store,
  path: string,
  source: CopySource,
  parts: readonly number[],
  signal: AbortSignal,
): Promise<void> {
  const about = await aboutOf(source, signal);
  const upload = await beginParts(store, path, { signal, about });
  try {
    let at = 0;
    const ranges = parts.map((sizeBytes, index) => {
      const start = at;
      at += sizeBytes;
      return { index, sizeBytes, CopySourceRange: `bytes=${start}-${at - 1}` };
    });
    const copied = mapInOrder(ranges, PARTS_AT_ONCE, async ({ index, sizeBytes, CopySourceRange }) => {
      signal.throwIfAborted();
      await upload.copy(index, sizeBytes, { ...sourceOf(source), CopySourceRange });
    });
    for await (const _ of copied);
    await upload.complete();
  } catch (error) {
    await upload.abort();
    throw error;
  }
}

/** What one request would copy along. @throws OtherVersion. */
async function aboutOf({ store, path, version }: CopySource, abortSignal: AbortSignal) {
  const { client, driver, bucket, prefix } = store;
  const command = new driver.HeadObjectCommand({ Bucket: bucket, Key: `${prefix}${path}` });
  const head: HeadObjectCommandOutput = await client.send(command, { abortSignal });
  if (head.ETag !== version.etag) throw new OtherVersion("The source is another.");
  const { ContentType, ContentEncoding, ContentDisposition, ContentLanguage, CacheControl, Metadata } = head;
  return { ContentType, ContentEncoding, ContentDisposition, ContentLanguage, CacheControl, Metadata };
}

class OtherVersion extends Error {
  override readonly name = "OtherVersion";
}

function sourceOf({ store: { bucket, prefix }, path, version }: CopySource) {
  const key = `${prefix}${path}`.split("/").map(encodeURIComponent).join("/");
  return { CopySource: `${bucket}/${key}`, CopySourceIfMatch: version.etag };
}

/**
 * The parts that an object is copied in; `undefined`: it is copied with one request. The tag of an object in parts is made of
 * those of its parts: it is cut as it was, as far as that can be guessed, for the copy to have the same.
 */
function partsOf(
  { sizeBytes, etag }: S3Version,
  { oneCopyBytes = ONE_COPY_BYTES, partBytes: most = COMMON_PART_BYTES }: CopyLimits,
): readonly number[] | undefined {
  const count = Number(/-(\d+)"?$/.exec(etag)?.[1] ?? 0);
  const cuts = count === 0 ? [] : [cut(sizeBytes, partBytes), cut(sizeBytes, () => wholeMiB(sizeBytes / count))];
  const asItWas = cuts.find((parts) => parts.length === count && parts.every((bytes) => bytes <= oneCopyBytes));
  if (asItWas || sizeBytes <= oneCopyBytes) return asItWas;
  return cut(sizeBytes, () => Math.max(most, wholeMiB(sizeBytes / MOST_PARTS)));
}

const wholeMiB = (bytes: number) => Math.ceil(bytes / MIB) * MIB;

function cut(sizeBytes: number, bytesOf: (index: number) => number): readonly number[] {
  const parts: number[] = [];
  for (let left = sizeBytes; left > 0 && parts.length <= MOST_PARTS; left -= parts.at(-1) ?? 0)
    parts.push(Math.min(left, bytesOf(parts.length)));
  return parts;
}
