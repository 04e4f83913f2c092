/**
 * What an archive in S3 costs beside the plain SDK: a bundle's files through the storage's writer and publication, against
 * `Upload` of @aws-sdk/lib-storage (one large file) and `PutObject`, 32 at a time (many small ones); and reading them back as
 * a cart does (windows of 1 MiB, three under way), against `GetObject`. Both go to the same server, Ceph's object gateway on
 * this machine with its store in memory, in turn, each from a process of its own. Ours hashes SHA-512 and SHA-1, as an ingest
 * does; the plain SDK does not.
 *
 *     node bench/s3.ts [--rounds 5] [--mib 1024] [--files 5000] [--kib 64]
 *
 * Prints one JSON line for each measure: MiB/s, processor seconds and peak memory are medians; `ratio` is ours to the plain
 * SDK's in the same round, with the least and the most of all rounds. Who comes first changes from round to round. Memory:
 * the store's is twice the large file at most.
 */
import { fork } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { loadavg } from "node:os";
import { parseArgs } from "node:util";
import { CreateBucketCommand, S3Client } from "@aws-sdk/client-s3";
import { startOwnS3Server } from "../test/support/s3-server.ts";
import { MACHINE, median, rounded } from "./measure.ts";
import type { ClientOptions, Measured, Order, Side, Workload } from "./s3-client.ts";

const MIB = 1024 ** 2;
const BUCKET = "bench";
/** What was removed is taken back by the store within seconds, but not at once. */
const STORE_BYTES = 6 * 1024 ** 3;

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    mib: { type: "string", default: "1024" },
    files: { type: "string", default: "5000" },
    kib: { type: "string", default: "64" },
  },
});

/** With 0 MiB or no files, one is left out. */
const WORKLOADS: readonly Workload[] = [
  { name: "large", files: 1, fileBytes: Number(values.mib) * MIB },
  { name: "small", files: Number(values.files), fileBytes: Number(values.kib) * 1024 },
].filter(({ files, fileBytes }) => files * fileBytes > 0);

type Rounds = Readonly<Record<Side, Measured[]>>;

const server = await startOwnS3Server({ storeBytes: STORE_BYTES });
const { url: endpoint, accessKeyId, secretAccessKey } = server;
const access = { endpoint, region: "us-east-1", credentials: { accessKeyId, secretAccessKey } };
const clients = { ours: clientOf("ours"), plain: clientOf("plain") };
try {
  const client = new S3Client({ ...access, forcePathStyle: true });
  await client.send(new CreateBucketCommand({ Bucket: BUCKET }));
  client.destroy();
  // Connections, code that is compiled: what comes once.
  for (const workload of WORKLOADS) await round({ ...workload, fileBytes: Math.min(workload.fileBytes, 16 * MIB) }, 0);
  for (const workload of WORKLOADS) await compare(workload);
} finally {
  for (const { child, ended } of Object.values(clients)) {
    child.disconnect();
    await ended;
  }
  await server.stop();
}

function clientOf(side: Side) {
  const options: ClientOptions = { side, bucket: BUCKET, access };
  const child = fork(new URL("s3-client.ts", import.meta.url), [JSON.stringify(options)]);
  return { child, ended: once(child, "exit") };
}

async function told(side: Side, order: Order): Promise<Measured> {
  const { child, ended } = clients[side];
  const answer = once(child, "message");
  child.send(order);
  const [measured] = await Promise.race([answer, ended]);
  if (typeof measured === "object") return measured as Measured;
  throw new Error(`The client (${side}) ended with ${measured}.`);
}

async function round(workload: Workload, number: number) {
  const prefix = randomUUID();
  const sides: readonly Side[] = number % 2 === 0 ? ["plain", "ours"] : ["ours", "plain"];
  const found: Record<"send" | "read", Partial<Record<Side, Measured>>> = { send: {}, read: {} };
  for (const what of ["send", "read"] as const)
    for (const side of sides) found[what][side] = await told(side, { what, workload, prefix });
  for (const side of sides) await told(side, { what: "remove", workload, prefix });
  return found;
}

async function compare(workload: Workload): Promise<void> {
  const sent: Rounds = { ours: [], plain: [] };
  const read: Rounds = { ours: [], plain: [] };
  const load = loadavg()[0] ?? 0;
  for (let number = 0; number < Number(values.rounds); number++) {
    const found = await round(workload, number);
    for (const side of ["ours", "plain"] as const) {
      sent[side].push(...[found.send[side] ?? []].flat());
      read[side].push(...[found.read[side] ?? []].flat());
    }
  }
  const loads = [load, loadavg()[0] ?? 0].map((one) => rounded(one, 0));
  for (const [name, rounds] of [
    ["in", sent],
    ["out", read],
  ] as const)
    report(`${workload.name} ${name}`, workload, rounds, loads);
}

function report(measure: string, { files, fileBytes }: Workload, { ours, plain }: Rounds, load: readonly number[]) {
  const mib = (files * fileBytes) / MIB;
  const ratios = ours.map(({ seconds }, at) => (plain[at]?.seconds ?? Number.NaN) / seconds);
  const of = (side: readonly Measured[], key: keyof Measured) => median(side.map((one) => one[key]));
  console.log(
    JSON.stringify({
      measure,
      files,
      mib,
      ratio: rounded(median(ratios)),
      least: rounded(Math.min(...ratios)),
      most: rounded(Math.max(...ratios)),
      mibPerSecond: rounded(mib / of(ours, "seconds"), 1),
      plainMibPerSecond: rounded(mib / of(plain, "seconds"), 1),
      cpuSeconds: rounded(of(ours, "cpuSeconds")),
      plainCpuSeconds: rounded(of(plain, "cpuSeconds")),
      peakMiB: rounded(of(ours, "peakMiB"), 0),
      plainPeakMiB: rounded(of(plain, "peakMiB"), 0),
      rounds: ours.length,
      load,
      ...MACHINE,
    }),
  );
}
