/**
 * What an archive in S3 costs beside the plain SDK: a bundle's files through the storage's writer and publication, against
 * `Upload` of @aws-sdk/lib-storage (one large file) and `PutObject`, 32 at a time (many small ones); and reading them back as
 * a cart does (windows of 1 MiB, three under way), against `GetObject`. Both go to the same server, Ceph's object gateway on
 * this machine with its store in memory, in turn. Ours hashes SHA-512 and SHA-1, as an ingest does; the plain SDK does not.
 *
 *     node bench/s3.ts [--runs 3] [--mib 256] [--files 2000] [--kib 64]
 *
 * Prints one JSON line for each measure: MiB/s are medians, `ratio` is ours to the plain SDK's.
 */
import { randomBytes, randomUUID } from "node:crypto";
import { PassThrough, Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { parseArgs } from "node:util";
import { CreateBucketCommand, GetObjectCommand, PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { Upload } from "@aws-sdk/lib-storage";
import { s3ObjectStorage } from "../src/adapters/storage/s3.ts";
import { gatherFrom } from "../src/core/archive/many-files.ts";
import type { GatherPart, ObjectStorage } from "../src/core/archive/object-storage.ts";
import { eachAtOnce, mapInOrder } from "../src/core/streams.ts";
import { startS3Server } from "../test/support/s3-server.ts";
import { cpuSecondsOf, forgetPeak, MACHINE, median, memoryMiBOf, rounded } from "./measure.ts";

const MIB = 1024 ** 2;
const BUCKET = "bench";
const AT_ONCE = 32;
const WINDOW_BYTES = MIB;
const WINDOWS_AHEAD = 3;
/** What a socket hands over at a time. */
const CHUNK_BYTES = 64 * 1024;

const { values } = parseArgs({
  options: {
    runs: { type: "string", default: "3" },
    mib: { type: "string", default: "256" },
    files: { type: "string", default: "2000" },
    kib: { type: "string", default: "64" },
  },
});

interface Workload {
  readonly name: string;
  readonly files: number;
  readonly fileBytes: number;
}
const WORKLOADS: readonly Workload[] = [
  { name: "large", files: 1, fileBytes: Number(values.mib) * MIB },
  { name: "small", files: Number(values.files), fileBytes: Number(values.kib) * 1024 },
];

interface Measured {
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly peakMiB: number;
}

const noise = randomBytes(MIB);
const server = await startS3Server();
try {
  const access = { endpoint: server.url, region: "us-east-1", credentials: server };
  const client = new S3Client({ ...access, forcePathStyle: true });
  await client.send(new CreateBucketCommand({ Bucket: BUCKET }));
  const storage = await s3ObjectStorage({
    place: `${BUCKET}/archive`,
    settings: { ...access, pathStyle: true },
    isHeldBack: (path) => !path.includes("/"),
  });
  for (const workload of WORKLOADS) await compare(workload, client, storage);
  await storage.close();
  client.destroy();
} finally {
  await server.stop();
}

async function compare(workload: Workload, client: S3Client, storage: ObjectStorage): Promise<void> {
  const measured: Record<string, Measured[]> = { ingest: [], read: [], upload: [], download: [] };
  for (let run = 0; run < Number(values.runs); run++) {
    const prefix = randomUUID();
    measured.upload?.push(await timed(() => upload(workload, client, `plain/${prefix}`)));
    measured.ingest?.push(await timed(() => ingest(workload, storage, prefix)));
    measured.download?.push(await timed(() => download(workload, client, `plain/${prefix}`)));
    measured.read?.push(await timed(() => read(workload, storage, prefix)));
  }
  const mib = (workload.files * workload.fileBytes) / MIB;
  for (const [ours, plain] of [
    ["ingest", "upload"],
    ["read", "download"],
  ] as const) {
    const speed = (name: string) => mib / median(measured[name]?.map(({ seconds }) => seconds) ?? []);
    const of = (name: string, key: keyof Measured) => rounded(median(measured[name]?.map((one) => one[key]) ?? []));
    console.log(
      JSON.stringify({
        measure: `${workload.name} ${ours}`,
        files: workload.files,
        mib,
        mibPerSecond: rounded(speed(ours), 1),
        plainMibPerSecond: rounded(speed(plain), 1),
        ratio: rounded(speed(ours) / speed(plain)),
        cpuSeconds: of(ours, "cpuSeconds"),
        plainCpuSeconds: of(plain, "cpuSeconds"),
        peakMiB: rounded(of(ours, "peakMiB"), 0),
        plainPeakMiB: rounded(of(plain, "peakMiB"), 0),
        runs: Number(values.runs),
        ...MACHINE,
      }),
    );
  }
}

async function timed(work: () => Promise<void>): Promise<Measured> {
  forgetPeak(process.pid);
  const cpu = cpuSecondsOf(process.pid);
  const from = performance.now();
  await work();
  const seconds = (performance.now() - from) / 1000;
  return { seconds, cpuSeconds: cpuSecondsOf(process.pid) - cpu, peakMiB: memoryMiBOf(process.pid, "peak") };
}

function* chunks(sizeBytes: number): Generator<Buffer> {
  for (let at = 0; at < sizeBytes; at += CHUNK_BYTES) {
    const from = at % noise.length;
    yield noise.subarray(from, from + Math.min(CHUNK_BYTES, sizeBytes - at));
  }
}

async function upload({ files, fileBytes }: Workload, client: S3Client, prefix: string): Promise<void> {
  if (files === 1) {
    const Body = new PassThrough({ highWaterMark: MIB });
    const params = { Bucket: BUCKET, Key: `${prefix}/0`, Body };
    const sending = new Upload({ client, params, queueSize: 4, partSize: 8 * MIB }).done();
    await Promise.all([pipeline(Readable.from(chunks(fileBytes)), Body), sending]);
    return;
  }
  const put = async (i: number) => {
    const Body = Buffer.concat([...chunks(fileBytes)]);
    await client.send(new PutObjectCommand({ Bucket: BUCKET, Key: `${prefix}/${i}`, Body }));
  };
  await eachAtOnce(Array(files).keys(), () => AT_ONCE, put);
}

async function ingest({ files, fileBytes }: Workload, storage: ObjectStorage, prefix: string): Promise<void> {
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
}

async function download({ files }: Workload, client: S3Client, prefix: string): Promise<void> {
  const get = async (i: number) => {
    const { Body } = await client.send(new GetObjectCommand({ Bucket: BUCKET, Key: `${prefix}/${i}` }));
    for await (const _ of Body as Readable);
  };
  await eachAtOnce(Array(files).keys(), () => AT_ONCE, get);
}

async function read(workload: Workload, storage: ObjectStorage, prefix: string): Promise<void> {
  const { signal } = new AbortController();
  const windows = mapInOrder(windowsOf(workload, prefix), WINDOWS_AHEAD, (parts) =>
    gatherFrom(storage, new Uint8Array(WINDOW_BYTES), parts, signal),
  );
  for await (const _ of windows);
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
