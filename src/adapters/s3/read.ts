import { Readable } from "node:stream";
import type { ByteRange } from "../../core/archive/object-storage.ts";
import { AppError } from "../../core/errors.ts";
import type { S3Store } from "./client.ts";

/** Of a body that breaks off or comes short, each from where the one before did. */
const READS = 5;

export interface ReadOptions {
  readonly signal: AbortSignal;
  /** Says in the caller's words what a request met. */
  refusal(error: unknown, path: string): AppError;
}

/** A whole object, as one request brings it. @throws AppError as `refusal` says, until its first byte. */
export async function wholeBody(
  { client, driver, bucket, prefix }: S3Store,
  path: string,
  { signal, refusal }: ReadOptions,
): Promise<{ readonly body: Readable; readonly sizeBytes: number }> {
  try {
    const command = new driver.GetObjectCommand({ Bucket: bucket, Key: `${prefix}${path}` });
    const { Body, ContentLength = 0 } = await client.send(command, { abortSignal: signal });
    return { body: Body as Readable, sizeBytes: ContentLength };
  } catch (error) {
    signal.throwIfAborted();
    throw refusal(error, path);
  }
}

/**
 * The bytes of an object; a range that reaches past its last byte ends there, one that starts right behind it is empty.
 * When the body breaks off or is shorter than it should be, the rest is asked for, of the very same object.
 * @param path below the store's prefix.
 * @throws AppError as `refusal` says, also of a body that keeps coming short (`ShortBody`); range_not_satisfiable.
 */
export async function readable(
  store: S3Store,
  path: string,
  range: ByteRange | undefined,
  options: ReadOptions,
): Promise<Readable> {
  return Readable.from(await chunksOf(store, path, range, options), { objectMode: false });
}

/** The same without a stream around it, which costs a third of the time. For the caller to end. */
export async function chunksOf(
  { client, driver, bucket, prefix }: S3Store,
  path: string,
  range: ByteRange | undefined,
  { signal, refusal }: ReadOptions,
): Promise<AsyncGenerator<Uint8Array, void>> {
  const object = { Bucket: bucket, Key: `${prefix}${path}` };
  const start = range?.start ?? 0;

  /** Always a range: its answer says how long the object is, so that half of it is not taken for the whole. */
  async function get(from: number, tag?: string) {
    const command = new driver.GetObjectCommand({
      ...object,
      Range: `bytes=${from}-${range?.end ?? ""}`,
      ...(tag === undefined ? {} : { IfMatch: tag }),
    });
    const { Body, ETag, ContentRange, ContentLength = 0 } = await client.send(command, { abortSignal: signal });
    // RFC 9110 §14.4. A server that knows no ranges answers with the whole.
    const [, first, last] = /^bytes (\d+)-(\d+)\//.exec(ContentRange ?? "") ?? ["", "0", `${ContentLength - 1}`];
    const body = Body as Readable;
    if (Number(first) === from) return { body, tag: ETag, until: Number(last) + 1 };
    body.destroy();
    throw new AppError("remote_refused", { path, expected: `bytes from ${from}`, found: `bytes from ${first}` });
  }
  const told = (error: unknown): never => {
    signal.throwIfAborted();
    throw error instanceof AppError ? error : refusal(error, path);
  };

  /** A server refuses ranges that begin at the end; here these are empty. */
  async function requireEnd(cause: unknown): Promise<AsyncGenerator<Uint8Array, void>> {
    const head = new driver.HeadObjectCommand(object);
    const { ContentLength = 0 } = await client.send(head, { abortSignal: signal }).catch(told);
    if (start === ContentLength) return nothing();
    throw new AppError("range_not_satisfiable", { path, start, sizeBytes: ContentLength }, { cause });
  }

  let begun: Awaited<ReturnType<typeof get>>;
  try {
    begun = await get(start);
  } catch (error) {
    if (error instanceof driver.S3ServiceException && error.$metadata.httpStatusCode === 416) return requireEnd(error);
    return told(error);
  }

  let isAsked = false;
  async function* bytes(): AsyncGenerator<Uint8Array, void> {
    isAsked = true;
    const { tag, until } = begun;
    let { body } = begun;
    let at = start;
    for (let reads = 1; ; reads++) {
      try {
        for await (const chunk of body as AsyncIterable<Uint8Array>) {
          at += chunk.length;
          yield chunk;
        }
        if (at >= until) return;
      } catch (error) {
        if (reads === READS) told(error);
        signal.throwIfAborted();
      } finally {
        body.on("error", () => undefined).destroy();
      }
      if (reads === READS) told(Object.assign(new Error("The body came short."), { code: "ShortBody" }));
      ({ body } = await get(at, tag).catch(told));
    }
  }
  const chunks = bytes();
  const end = chunks.return.bind(chunks);
  chunks.return = (value) => {
    // A generator that was asked for nothing ends without its `finally`, and nobody would close the body.
    if (!isAsked) begun.body.on("error", () => undefined).destroy();
    return end(value);
  };
  return chunks;
}

async function* nothing(): AsyncGenerator<Uint8Array, void> {}
