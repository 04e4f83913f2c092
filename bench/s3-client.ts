/**
 * One side of `bench/s3.ts`, in a process of its own, so that its processor time and its memory are its own: `ours`, the
 * storage as an ingest and a cart use it, or `plain`, the SDK alone. Told over IPC what to do.
 */
import { randomBytes } from "node:crypto";
import { PassThrough, Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { DeleteObjectCommand, GetObjectCommand, PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { Upload } from "@aws-sdk/lib-storage";
import { s3ObjectStorage } from "../src/adapters/storage/s3.ts";
import { gatherFrom } from "../src/core/archive/many-files.ts";
import type { GatherPart } from "../src/core/archive/object-storage.ts";
import { eachAtOnce, mapInOrder } from "../src/core/streams.ts";
import { cpuSecondsOf, forgetPeak, memoryMiBOf } from "./measure.ts";

export type Side = "ours" | "plain";

export interface Workload {
  readonly name: string;
  readonly files: number;
  readonly fileBytes: number;
}

export interface Order {
  readonly what: "send" | "read" | "remove";
  readonly workload: Workload;
  readonly prefix: string;
}

export interface Measured {
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly peakMiB: number;
}

export interface ClientOptions {
  readonly side: Side;
  readonly bucket: string;
  readonly access: {
    readonly endpoint: string;
    readonly region: string;
    readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
  };
}

type Doings = Readonly<Record<Order["what"], (workload: Workload, prefix: string) => Promise<void>>>;

const MIB = 1024 ** 2;
const AT_ONCE = 32;
const WINDOW_BYTES = MIB;
const WINDOWS_AHEAD = 3;
/** What a socket hands over at a time. */
const CHUNK_BYTES = 64 * 1024;

const noise = randomBytes(MIB);

function* chunks(sizeBytes: number): Generator<Buffer> {
  for (let at = 0; at < sizeBytes; at += CHUNK_BYTES) {
    const from = at % noise.length;
    yield noise.subarray(from, from + Math.min(CHUNK_BYTES, sizeBytes - at));
  }
}

function plain({ bucket, access }: ClientOptions): Doings {
  const client = new S3Client({ ...access, forcePathStyle: true });
  return {
    async send({ files, fileBytes }, prefix) {
      if (files === 1) {
        const Body = new PassThrough({ highWaterMark: MIB });
        const params = { Bucket: bucket, Key: `${prefix}/0`, Body };
        const sending = new Upload({ client, params, queueSize: 4, partSize: 8 * MIB }).done();
        await Promise.all([pipeline(Readable.from(chunks(fileBytes)), Body), sending]);
        return;
      }
      const put = async (i: number) => {
        const Body = Buffer.concat([...chunks(fileBytes)]);
        await client.send(new PutObjectCommand({ Bucket: bucket, Key: `${prefix}/${i}`, Body }));
      };
      await eachAtOnce(Array(files).keys(), () => AT_ONCE, put);
    },
    async read({ files }, prefix) {
      const get = async (i: number) => {
        const { Body } = await client.send(new GetObjectCommand({ Bucket: bucket, Key: `${prefix}/${i}` }));
        for await (const _ of Body as Readable);
      };
      await eachAtOnce(Array(files).keys(), () => AT_ONCE, get);
    },
    async remove({ files }, prefix) {
      const remove = async (i: number) => {
        await client.send(new DeleteObjectCommand({ Bucket: bucket, Key: `${prefix}/${i}` }));
      };
      await eachAtOnce(Array(files).keys(), () => AT_ONCE, remove);
    },
  };
}

async function ours({ bucket, access }: ClientOptions): Promise<Doings> {
  const storage = await s3ObjectStorage({
    place: `${bucket}/archive`,
    settings: { ...access, pathStyle: true },
    isHeldBack: (path) => !path.includes("/"),
  });
  return {
    async send({ files, fileBytes }, prefix) {
      const tree = await storage.stage(prefix);
      const writer = tree.writer(["sha512", "sha1"]);
      for (let i = 0; i < files; i++) {
        writer.begin(`v1/content/data/${i}`);
        for (const chunk of chunks(fileBytes)) {
          const behind = writer.write(chunk);
          if (behind) await behind;
        }
        writer.end();
      }
      await writer.finish();
      await tree.put("inventory.json", Buffer.from("{}"));
      await tree.publish(["inventory.json"]);
    },
    async read(workload, prefix) {
      const { signal } = new AbortController();
      // Used again, as a download does with windows that have been sent.
      const spare: Uint8Array<ArrayBuffer>[] = [];
      const windows = mapInOrder(windowsOf(workload, prefix), WINDOWS_AHEAD, (parts) =>
        gatherFrom(storage, spare.pop() ?? new Uint8Array(WINDOW_BYTES), parts, signal),
      );
      for await (const { buffer } of windows) spare.push(buffer);
    },
    remove: (_, prefix) => storage.remove(prefix),
  };
}

/** Which parts of files each window holds. */
function* windowsOf({ files, fileBytes }: Workload, prefix: string): Generator<readonly GatherPart[]> {
  let parts: GatherPart[] = [];
  let used = 0;
  for (let i = 0; i < files; i++) {
    for (let start = 0; start < fileBytes; ) {
      const sizeBytes = Math.min(fileBytes - start, WINDOW_BYTES - used);
      parts.push({ path: `${prefix}/v1/content/data/${i}`, start, sizeBytes, at: used, crc: true });
      start += sizeBytes;
      used += sizeBytes;
      if (used < WINDOW_BYTES) continue;
      yield parts;
      [parts, used] = [[], 0];
    }
  }
  if (parts.length > 0) yield parts;
}

async function timed(work: () => Promise<void>): Promise<Measured> {
  forgetPeak(process.pid);
  const cpu = cpuSecondsOf(process.pid);
  const from = performance.now();
  await work();
  const seconds = (performance.now() - from) / 1000;
  return { seconds, cpuSeconds: cpuSecondsOf(process.pid) - cpu, peakMiB: memoryMiBOf(process.pid, "peak") };
}

if (process.send) {
  const options = JSON.parse(process.argv[2] ?? "{}") as ClientOptions;
  const doings = options.side === "ours" ? await ours(options) : plain(options);
  process.on("disconnect", () => process.exit());
  process.on("message", ({ what, workload, prefix }: Order) => {
    timed(() => doings[what](workload, prefix)).then(
      (measured) => process.send?.(measured),
      // The parent sees it end.
      (error: unknown) => {
        console.error(error);
        process.exit(1);
      },
    );
  });
}
