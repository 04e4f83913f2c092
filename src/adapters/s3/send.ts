import { createHash } from "node:crypto";
import type {
  CompletedPart,
  CreateMultipartUploadCommandInput,
  PutObjectCommand,
  UploadPartCommand,
  UploadPartCopyCommandInput,
} from "@aws-sdk/client-s3";
import { AppError } from "../../core/errors.ts";
import { mapInOrder } from "../../core/streams.ts";
import type { S3Store } from "./client.ts";
import { s3Failure, storageFailure } from "./failure.ts";

const FIRST_PART_BYTES = 8 * 1024 ** 2;
const PARTS_AT_ONCE = 2;
/** Of what came out otherwise than it was sent, or met others at the same moment. */
const SENDINGS = 4;

/**
 * How long a part is, so that 10,000 of them, which is all an object may have, make 4 TiB, and a common file's are small.
 * @param index from 0.
 */
export const partBytes = (index: number) => FIRST_PART_BYTES * (1 + Math.floor(index / 100));

/** What must be so for the object to be written; anything goes when left out. */
export interface SendCondition {
  /** `"absent"`, or the entity tag it must have. */
  readonly onlyIf?: "absent" | { readonly etag: string } | undefined;
}

export interface SendOptions extends SendCondition {
  readonly signal?: AbortSignal | undefined;
}

/** Of bytes, where it is known already. */
export interface BodyDigests {
  readonly md5?: Buffer | undefined;
  /** Hex; of use where {@link S3Store.signsBodies}, as it is computed on the main thread otherwise. */
  readonly sha256?: string | undefined;
}

export interface PutOptions extends SendOptions, BodyDigests {}

/**
 * Writes an object from memory. It goes with its MD5, which every server compares, and what the server says it has got is
 * compared again. What was sent and met no answer is looked for before it is taken for somebody else's.
 * @param path below the store's prefix.
 * @returns its entity tag; `undefined` when the condition did not hold.
 * @throws AppError storage_unavailable, storage_full.
 */
export async function putObject(
  store: S3Store,
  path: string,
  bytes: Uint8Array,
  { signal, onlyIf, md5 = md5Of(bytes), sha256 }: PutOptions = {},
): Promise<string | undefined> {
  const { client, driver, bucket, prefix } = store;
  const object = { Bucket: bucket, Key: `${prefix}${path}` };
  const command = () =>
    new driver.PutObjectCommand({
      ...object,
      Body: bytes,
      ContentLength: bytes.length,
      ContentMD5: md5.toString("base64"),
      ...conditions(onlyIf),
    });
  let mayBeOurs = false;
  for (let sendings = 1; ; sendings++) {
    try {
      const answer = await client.send(signedWith(sha256, command()), abortable(signal));
      if (hasArrived(answer, md5)) return answer.ETag ?? "";
      mayBeOurs = true;
      if (sendings === SENDINGS)
        throw new AppError("storage_unavailable", { path, expected: md5.toString("hex"), found: answer.ETag ?? null });
    } catch (error) {
      signal?.throwIfAborted();
      if (error instanceof AppError) throw error;
      const verdict = verdictOn(error);
      if (verdict === "unmet") {
        const found = mayBeOurs || wasRepeated(error) ? await etagOf(store, path, signal) : undefined;
        return found === quoted(md5) ? found : undefined;
      }
      if (verdict === "failed" || sendings === SENDINGS) throw storageFailure(error, path);
    }
  }
}

/**
 * Writes an object from a stream, in one piece when it is short, in parts otherwise: these are there at once, when the last
 * one is. When the stream fails nothing is written, and no part stays behind. Memory: four parts, which are of 8 MiB up to
 * a size of 800 MiB.
 * @returns its entity tag; `undefined` when the condition did not hold.
 * @throws AppError storage_unavailable, storage_full; whatever the stream does.
 */
export async function sendObject(
  store: S3Store,
  path: string,
  bytes: AsyncIterable<Uint8Array>,
  options: SendOptions = {},
): Promise<string | undefined> {
  const parts = partsOf(bytes);
  try {
    const first = (await parts.next()).value;
    const second = (await parts.next()).value;
    if (!second) return await putObject(store, path, first?.bytes ?? Buffer.alloc(0), options);
    const upload = await beginParts(store, path, { signal: options.signal });
    try {
      const sent = mapInOrder(following([first, second], parts), PARTS_AT_ONCE, ({ index, bytes: part }) =>
        upload.send(index, part),
      );
      for await (const _ of sent);
      options.signal?.throwIfAborted();
      return await upload.complete(options);
    } catch (error) {
      await upload.abort();
      throw error;
    }
  } finally {
    await parts.return(undefined);
  }
}

/** An object that is written in parts; any number at once, in any order. */
export interface PartedUpload {
  /** @param index from 0; every part but the last is of {@link partBytes}. */
  send(index: number, bytes: Uint8Array, digests?: BodyDigests): Promise<void>;
  /** As `send`, of an object that the server has already. */
  copy(index: number, sizeBytes: number, from: PartSource): Promise<void>;
  /** Puts the parts together. @returns the entity tag; `undefined` when the condition did not hold. */
  complete(condition?: SendCondition): Promise<string | undefined>;
  /** Removes the parts, which would be paid for. What that meets is not told: there is something worse to tell. */
  abort(): Promise<void>;
}

export type PartSource = Pick<UploadPartCopyCommandInput, "CopySource" | "CopySourceIfMatch" | "CopySourceRange">;

export interface PartsOptions {
  readonly signal?: AbortSignal | undefined;
  /** What is kept beside the bytes. */
  readonly about?: Omit<CreateMultipartUploadCommandInput, "Bucket" | "Key">;
}

/** @throws AppError storage_unavailable, storage_full; as do all of its methods. */
export async function beginParts(
  store: S3Store,
  path: string,
  { signal, about }: PartsOptions = {},
): Promise<PartedUpload> {
  const { client, driver, bucket, prefix } = store;
  const object = { Bucket: bucket, Key: `${prefix}${path}` };
  const telling = async <T>(work: Promise<T>): Promise<T> => {
    try {
      return await work;
    } catch (error) {
      signal?.throwIfAborted();
      throw storageFailure(error, path);
    }
  };
  const begin = new driver.CreateMultipartUploadCommand({ ...about, ...object });
  const { UploadId } = await telling(client.send(begin, abortable(signal)));
  const upload = { ...object, UploadId };
  const parts: CompletedPart[] = [];
  let sizeBytes = 0;

  async function abort(): Promise<void> {
    await client.send(new driver.AbortMultipartUploadCommand(upload)).catch(s3Failure);
  }

  return {
    abort,

    async send(index, bytes, { md5 = md5Of(bytes), sha256 } = {}) {
      const part = {
        ...upload,
        PartNumber: index + 1,
        Body: bytes,
        ContentLength: bytes.length,
        ContentMD5: md5.toString("base64"),
      };
      for (let sendings = 1; ; sendings++) {
        const answer = await telling(
          client.send(signedWith(sha256, new driver.UploadPartCommand(part)), abortable(signal)),
        );
        if (hasArrived(answer, md5)) {
          parts[index] = { ETag: answer.ETag, PartNumber: index + 1 };
          sizeBytes += bytes.length;
          return;
        }
        if (sendings === SENDINGS)
          throw new AppError("storage_unavailable", {
            path,
            expected: md5.toString("hex"),
            found: answer.ETag ?? null,
          });
      }
    },

    async copy(index, partSize, from) {
      const command = new driver.UploadPartCopyCommand({ ...upload, ...from, PartNumber: index + 1 });
      const { CopyPartResult } = await telling(client.send(command, abortable(signal)));
      parts[index] = { ETag: CopyPartResult?.ETag, PartNumber: index + 1 };
      sizeBytes += partSize;
    },

    async complete({ onlyIf } = {}) {
      const complete = () =>
        new driver.CompleteMultipartUploadCommand({
          ...upload,
          MultipartUpload: { Parts: parts },
          ...conditions(onlyIf),
        });
      // Not every server heeds conditions here: one that does closes the gap between this look and what follows.
      if (onlyIf === "absent" && (await telling(headOf(store, path, signal)))) {
        await abort();
        return undefined;
      }
      for (let sendings = 1; ; sendings++) {
        try {
          const { ETag = "" } = await client.send(complete(), abortable(signal));
          return ETag;
        } catch (error) {
          signal?.throwIfAborted();
          const { reason } = s3Failure(error);
          const verdict = verdictOn(error);
          // Answers to a request that had been carried out, and whose answer was lost.
          if (verdict === "unmet" || reason === "NoSuchUpload") {
            const head = await telling(headOf(store, path, signal));
            const isOurs = head?.sizeBytes === sizeBytes && head.etag.endsWith(`-${parts.length}"`);
            if (isOurs && (wasRepeated(error) || reason === "NoSuchUpload")) return head.etag;
            if (verdict === "unmet") {
              await abort();
              return undefined;
            }
          }
          if (verdict !== "again" || sendings === SENDINGS) throw storageFailure(error, path);
        }
      }
    },
  };
}

/** The signature is then made over this digest of the body, which is not read for it. */
function signedWith<C extends PutObjectCommand | UploadPartCommand>(sha256: string | undefined, command: C): C {
  if (sha256 === undefined) return command;
  // Headers are the same of either command.
  const stack = command.middlewareStack as PutObjectCommand["middlewareStack"];
  stack.add(
    (next) => (args) => {
      const { headers } = args.request as { headers: Record<string, string> };
      headers["x-amz-content-sha256"] = sha256;
      return next(args);
    },
    { step: "build" },
  );
  return command;
}

/** Size and entity tag; `undefined` when there is no such object. */
export async function headOf(
  { client, driver, bucket, prefix }: S3Store,
  path: string,
  signal?: AbortSignal,
): Promise<{ readonly sizeBytes: number; readonly etag: string } | undefined> {
  try {
    const command = new driver.HeadObjectCommand({ Bucket: bucket, Key: `${prefix}${path}` });
    const { ContentLength = 0, ETag = "" } = await client.send(command, abortable(signal));
    return { sizeBytes: ContentLength, etag: ETag };
  } catch (error) {
    if (s3Failure(error).status === 404) return undefined;
    throw error;
  }
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

function conditions(onlyIf: SendCondition["onlyIf"]) {
  if (onlyIf === undefined) return {};
  return onlyIf === "absent" ? { IfNoneMatch: "*" } : { IfMatch: onlyIf.etag };
}

/** `again`: others wrote at the same moment, and nothing is decided; what does not pass has been repeated already. */
function verdictOn(error: unknown): "unmet" | "again" | "failed" {
  const { reason, status } = s3Failure(error);
  if (status === 412) return "unmet";
  return reason === "ConditionalRequestConflict" || reason === "BadDigest" ? "again" : "failed";
}

const wasRepeated = (error: unknown) =>
  ((error as { readonly $metadata?: { readonly attempts?: number } }).$metadata?.attempts ?? 1) > 1;

async function etagOf(store: S3Store, path: string, signal: AbortSignal | undefined): Promise<string | undefined> {
  try {
    return (await headOf(store, path, signal))?.etag;
  } catch (error) {
    throw storageFailure(error, path);
  }
}

interface Answer {
  readonly ETag?: string | undefined;
  readonly ServerSideEncryption?: string | undefined;
  readonly SSECustomerAlgorithm?: string | undefined;
}

/** The entity tag is the MD5 of what was sent, unless the server encrypts with keys that are not its own. */
function hasArrived({ ETag, ServerSideEncryption = "AES256", SSECustomerAlgorithm }: Answer, md5: Buffer): boolean {
  const isPlain = ServerSideEncryption === "AES256" && SSECustomerAlgorithm === undefined;
  return !isPlain || !/^"?[0-9a-f]{32}"?$/.test(ETag ?? "") || ETag?.replaceAll('"', "") === md5.toString("hex");
}

const abortable = (signal: AbortSignal | undefined) => (signal === undefined ? {} : { abortSignal: signal });

const quoted = (md5: Buffer) => `"${md5.toString("hex")}"`;

/** RFC 1864, which RFC 9110 has left out since; S3 has not. */
const md5Of = (bytes: Uint8Array) => createHash("md5").update(bytes).digest();
