import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { extract } from "tar-stream";
import { backoff } from "../../src/sdk/backoff.ts";
import { blobSource, type Content, type ContentOptions, type Longshore, LongshoreError } from "../../src/sdk/index.ts";
import { bundleTar, type Files } from "./bundles.ts";

type Random = (below: number) => number;

const UPLOAD_CHUNK_BYTES = 256 * 1024;

/** A bundle that its depositor has been told is taken: its job, and the files by logical path. */
export interface Acknowledged {
  readonly job: number;
  readonly files: Files;
}

/** As a client that is told to come again does: with pauses, and no more than some minutes. */
export async function retrying<T>(ask: () => Promise<T>): Promise<T> {
  const patience = backoff({ tries: 60, longestMs: 2_000 });
  for (;;)
    try {
      return await ask();
    } catch (error) {
      await patience.pause(comesLater(error));
    }
}

/** Whoever asks again under the same key is told so while the server still waits for the rest of the first request. */
function comesLater(error: unknown): unknown {
  if (!(error instanceof LongshoreError) || error.code !== "idempotency_conflict") return error;
  return new LongshoreError("server_unavailable", error.message, { cause: error });
}

/** Up to four files that no other bundle has. */
function newFiles(n: number, random: Random, sizeBytes: number): Files {
  const names = Array.from({ length: 1 + random(4) }, (_, file) => `data/bundle ${n}/file ${file}.bin`);
  return Object.fromEntries(names.map((name) => [name, randomBytes(1 + random(sizeBytes))]));
}

/** In one request, which is sent again as a whole under the same key. */
export async function depositAtOnce(client: Longshore, n: number, random: Random): Promise<Acknowledged> {
  const files = newFiles(n, random, 40_000);
  const tar = new Blob([new Uint8Array(await bundleTar(files))]);
  const { id } = await retrying(() => client.bundles.deposit(tar, { idempotencyKey: `bundle-${n}` }));
  return { job: id, files };
}

/** In pieces, going on where the upload stands. */
export async function depositInPieces(client: Longshore, n: number, random: Random): Promise<Acknowledged> {
  const files = newFiles(n, random, 1_500_000);
  const source = blobSource(new Blob([new Uint8Array(await bundleTar(files))]));
  let url: string | undefined;
  const { jobId } = await retrying(() =>
    client.uploads.send(source, {
      ...(url !== undefined && { url }),
      chunkBytes: UPLOAD_CHUNK_BYTES,
      onCreated(at) {
        url = at;
      },
    }),
  );
  return { job: jobId, files };
}

/** Puts archived bundles into a cart, downloads it and compares each file. */
export async function takeCart(client: Longshore, chosen: readonly Acknowledged[]): Promise<void> {
  for (const { job } of chosen) assert.equal((await retrying(() => client.jobs.wait(job))).state, "succeeded");
  const { id } = await retrying(() => client.carts.create({ transactions: chosen.map(({ job }) => job) }));
  const { status } = await retrying(() => client.carts.wait(id));
  assert.equal(status, "ready");
  const tar = await downloaded((options) => client.carts.download(id, { format: "tar", ...options }));
  const found = new Map<string, Buffer>();
  for await (const entry of Readable.from([tar]).pipe(extract()))
    if (entry.header.type === "file") found.set(entry.header.name, await buffer(entry));
    else entry.resume();
  found.delete("cart/manifest-sha512.txt");
  const files = chosen.flatMap(({ files }) => Object.entries(files));
  assert.equal(found.size, files.length, [...found.keys()].join());
  for (const [path, content] of files) {
    const [, bytes] = [...found].find(([name]) => name.endsWith(path.slice("data/".length))) ?? [];
    assert.ok(bytes?.equals(content as Uint8Array), `${path} in cart ${id}`);
  }
}

/** The whole, in as many pieces as it takes. */
export async function downloaded(get: (options: ContentOptions) => Promise<Content>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let haveBytes = 0;
  let etag: string | null = null;
  return retrying(async () => {
    const resumed: ContentOptions = haveBytes > 0 ? { from: haveBytes, ...(etag !== null && { ifRange: etag }) } : {};
    const content = await get(resumed);
    if (content.from === 0) haveBytes = chunks.length = 0;
    assert.equal(content.from, haveBytes);
    etag = content.etag;
    for await (const chunk of content.bytes) {
      chunks.push(chunk);
      haveBytes += chunk.length;
    }
    assert.equal(haveBytes, content.sizeBytes);
    return Buffer.concat(chunks);
  });
}
