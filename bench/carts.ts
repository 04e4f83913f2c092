/**
 * Carts against what they are to be: a download begins as soon as it is asked for, however many files it has; it is as
 * fast as a file that nginx sends; two hundred at once take no memory to speak of.
 *
 *     node bench/carts.ts [--only first-byte,ready,throughput,parallel,ranges] [--rounds 5] [--largest 1000000]
 *
 * Prints a table, and everything once more as one JSON line. Needs curl; nginx for the comparison (Debian: nginx-light).
 * The files of `first-byte`, `ready` and `ranges` are fabricated (bench/fabricate.ts); the others are deposited.
 */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { WORKLOADS, writeBundle } from "./bundle-tar.ts";
import { type BenchCart, fileIds, firstByteMs, makeCart, rangesMs, sizeOf } from "./cart-client.ts";
import { fabricate } from "./fabricate.ts";
import { cpuSecondsOf, forgetPeak, MACHINE, median, memoryMiBOf, percentile, rounded, secondsOf } from "./measure.ts";
import { startNginx } from "./nginx.ts";
import { type BenchServer, deposit, ENTRY, startServer } from "./server.ts";

const PARTS = { "first-byte": firstByte, ready, throughput, parallel, ranges } as const;
type Part = keyof typeof PARTS;

const { values: options } = parseArgs({
  options: {
    only: { type: "string", default: Object.keys(PARTS).join(",") },
    rounds: { type: "string", default: "5" },
    largest: { type: "string", default: "1000000" },
    folder: { type: "string", default: tmpdir() },
  },
});
const rounds = Number(options.rounds);
const KIB = 1024;
const MIB = KIB * KIB;
const CLIENTS = 200;

/** One figure: what was measured, what came of it, and what it should be. */
interface Figure {
  readonly what: string;
  readonly found: string;
  readonly aim?: string;
  readonly met?: boolean;
}
/** What a part found: for people, and for machines. */
interface Outcome {
  readonly figures: readonly Figure[];
  readonly facts: unknown;
}

/** Until the first byte of the whole, of a part that begins in its middle, and how long making the cart took. */
async function firstByte(root: string): Promise<Outcome> {
  const sizes = [10_000, 100_000, 1_000_000].filter((files) => files <= Number(options.largest));
  const dataDir = join(root, "first-byte");
  const wanted = sizes.map((files) => ({ files, fileBytes: 4 * KIB, onDisk: 1000 }));
  const transactions = await fabricate(dataDir, wanted);
  return withServer(dataDir, async (server) => {
    const figures: Figure[] = [];
    const facts: object[] = [];
    for (const [i, files] of sizes.entries()) {
      const { cart, ms: makeMs } = await makeCart(server.url, { transactions: [{ id: transactions[i] }] });
      for (const format of ["tar", "zip"] as const) {
        const url = server.url + cart.links[format];
        const sizeBytes = await sizeOf(url);
        const whole: number[] = [];
        const within: number[] = [];
        for (let n = 0; n < 4 * rounds; n++) {
          whole.push(await firstByteMs(url));
          within.push(await firstByteMs(url, Math.floor(Math.random() * sizeBytes)));
        }
        const most = Math.max(...whole, ...within);
        facts.push({ files, format, makeMs, wholeMs: median(whole), withinMs: median(within), mostMs: most });
        figures.push({
          what: `first byte of ${format}, ${files.toLocaleString("en")} files (made in ${(makeMs / 1000).toFixed(1)} s)`,
          found: `${inMs(median(whole))}, within ${inMs(median(within))}, most ${inMs(most)}`,
          aim: "≤ 100 ms",
          met: Math.max(median(whole), median(within)) <= 100,
        });
      }
    }
    return { figures, facts };
  });
}

/** From the request for a cart of 10,000 files to the answer that it is ready. */
async function ready(root: string): Promise<Outcome> {
  const dataDir = join(root, "ready");
  const [transaction = 0] = await fabricate(dataDir, [{ files: 10_000, fileBytes: 4 * KIB, onDisk: 10_000 }]);
  return withServer(dataDir, async (server) => {
    const files = await fileIds(server.url, transaction);
    const choices = { "as a transaction": { transactions: [{ id: transaction }] }, "by 10,000 ids": { files } };
    const figures: Figure[] = [];
    const facts: Record<string, unknown> = {};
    for (const [how, choice] of Object.entries(choices)) {
      const times: number[] = [];
      for (let n = 0; n < rounds; n++) times.push((await makeCart(server.url, choice)).ms);
      const what = `a cart of 10,000 files, chosen ${how}, is ready`;
      facts[how] = secondsOf(times);
      figures.push({ what, found: inMs(median(times)), aim: "≤ 500 ms", met: median(times) <= 500 });
    }
    return { figures, facts };
  });
}

/** A whole download by curl: from us, and the same bytes as a file from nginx; and what `tar` makes of the files. */
async function throughput(root: string): Promise<Outcome> {
  return withDeposited(join(root, "throughput"), async (server, carts) => {
    const figures: Figure[] = [];
    const facts: object[] = [];
    for (const { name, cart, content } of carts) {
      const folder = join(root, "nginx");
      mkdirSync(folder);
      const url = server.url + cart.links.tar;
      execFileSync("curl", ["-sS", "-f", "-o", join(folder, "cart.tar"), url]);
      const nginx = await startNginx(folder, folder);
      const [ours, theirs, tars]: number[][] = [[], [], []];
      const cpuBefore = cpuSecondsOf(server.pid);
      for (let n = 0; n < rounds; n++) {
        ours?.push(curlMs(url));
        if (nginx) theirs?.push(curlMs(`${nginx.url}/cart.tar`));
        tars?.push(tarMs(content));
      }
      const cpuSeconds = rounded((cpuSecondsOf(server.pid) - cpuBefore) / rounds);
      await nginx?.stop();
      rmSync(folder, { recursive: true });
      const ratio = nginx && rounded(median(theirs ?? []) / median(ours ?? []));
      facts.push({
        workload: name,
        oursSeconds: secondsOf(ours ?? []),
        ...(nginx && { nginxSeconds: secondsOf(theirs ?? []) }),
        tarSeconds: secondsOf(tars ?? []),
        ratio,
        cpuSeconds,
      });
      figures.push({
        what: `download of ${name} (nginx ${nginx ? inMs(median(theirs ?? [])) : "is not here"}, tar | cat ${inMs(median(tars ?? []))})`,
        found: `${inMs(median(ours ?? []))}${ratio === undefined ? "" : `, ${ratio} × nginx`}`,
        aim: "≥ 0.8 × nginx",
        ...(ratio !== undefined && { met: ratio >= 0.8 }),
      });
    }
    return { figures, facts };
  });
}

/** Two hundred at once: memory beyond what the server had before, while readers are quick, and while they are slow. */
async function parallel(root: string): Promise<Outcome> {
  return withDeposited(join(root, "parallel"), async (server, carts) => {
    const figures: Figure[] = [];
    const facts: object[] = [];
    const paces = { quick: [], slow: ["--limit-rate", "100k", "--max-time", "10"] } as const;
    for (const { name, cart } of carts) {
      const url = server.url + cart.links.tar;
      curlMs(url); // threads are started now, and code is compiled
      for (const [pace, words] of Object.entries(paces)) {
        const before = memoryMiBOf(server.pid, "now");
        forgetPeak(server.pid);
        const start = performance.now();
        // The beginning of it: two hundred times a GiB says no more.
        await curlAtOnce(root, url, ["--range", `0-${64 * MIB - 1}`, ...words]);
        const seconds = rounded((performance.now() - start) / 1000);
        const more = memoryMiBOf(server.pid, "peak") - before;
        facts.push({
          workload: name,
          pace,
          clients: CLIENTS,
          beforeMiB: rounded(before),
          moreMiB: rounded(more),
          seconds,
        });
        const what = `${CLIENTS} ${pace} clients of ${name} take more memory`;
        figures.push({ what, found: `${more.toFixed(0)} MiB`, aim: "≤ 64 MiB", met: more <= 64 });
      }
    }
    return { figures, facts };
  });
}

/** Parts of 1 MiB anywhere in a cart of 10 TB. */
async function ranges(root: string): Promise<Outcome> {
  const dataDir = join(root, "ranges");
  const [transaction] = await fabricate(dataDir, [{ files: 1_000, fileBytes: 1e10, onDisk: 1_000 }]);
  return withServer(dataDir, async (server) => {
    const { cart } = await makeCart(server.url, { transactions: [{ id: transaction }] });
    const figures: Figure[] = [];
    const facts: object[] = [];
    for (const format of ["tar", "zip"] as const) {
      const url = server.url + cart.links[format];
      const sizeBytes = await sizeOf(url);
      const starts = Array.from({ length: 100 * rounds }, () => Math.floor(Math.random() * (sizeBytes - MIB)));
      const times = await rangesMs(
        url,
        starts.map((start) => [start, start + MIB - 1]),
      );
      const [middle, late] = [median(times), percentile(times, 99)];
      facts.push({ format, sizeBytes, ranges: times.length, medianMs: middle, p99Ms: late });
      figures.push({
        what: `1 MiB anywhere in a ${format} of ${(sizeBytes / 1e12).toFixed(1)} TB`,
        found: `${inMs(middle)}, 99 in 100 within ${inMs(late)}`,
        aim: "≤ 20 ms",
        met: middle <= 20,
      });
    }
    return { figures, facts };
  });
}

async function withServer<T>(dataDir: string, use: (server: BenchServer) => Promise<T>): Promise<T> {
  const server = await startServer(dataDir);
  try {
    return await use(server);
  } finally {
    await server.stop();
    rmSync(dataDir, { recursive: true });
  }
}

interface DepositedCart {
  readonly name: string;
  readonly cart: BenchCart;
  /** Where its files lie. */
  readonly content: string;
}

async function withDeposited<T>(
  dataDir: string,
  use: (server: BenchServer, carts: readonly DepositedCart[]) => Promise<T>,
): Promise<T> {
  return withServer(dataDir, async (server) => {
    const carts: DepositedCart[] = [];
    for (const workload of WORKLOADS.slice(0, 2)) {
      const bundle = join(dataDir, "bundle.tar");
      await writeBundle(bundle, workload);
      const id = await deposit(server.url, bundle);
      rmSync(bundle);
      const { objectPath } = (await (await fetch(`${server.url}/api/v1/transactions/${id}`)).json()) as {
        objectPath: string;
      };
      const { cart } = await makeCart(server.url, { transactions: [{ id }] });
      carts.push({ name: workload.name, cart, content: join(dataDir, "archive", objectPath, "v1/content/data") });
    }
    return use(server, carts);
  });
}

function curlMs(url: string): number {
  const start = performance.now();
  execFileSync("curl", ["-sS", "-f", "-o", "/dev/null", url]);
  return performance.now() - start;
}

function tarMs(folder: string): number {
  const start = performance.now();
  execFileSync("bash", ["-c", 'tar -c -C "$1" -f - . | cat >/dev/null', "bash", folder]);
  return performance.now() - start;
}

/** One curl, a connection for each client. A client that is slow on purpose does not come to the end. */
async function curlAtOnce(root: string, url: string, words: readonly string[]): Promise<void> {
  const list = join(root, "urls");
  writeFileSync(list, `url = "${url}"\noutput = "/dev/null"\n`.repeat(CLIENTS));
  const parallel = ["--parallel", "--parallel-immediate", "--parallel-max", String(CLIENTS)];
  const curl = spawn("curl", ["-sS", "-f", ...parallel, ...words, "--config", list], { stdio: "ignore" });
  const [code] = await once(curl, "exit");
  const isSlow = words.includes("--max-time");
  if (code !== (isSlow ? 28 : 0)) throw new Error(`curl ended with code ${code}.`); // 28: out of time
}

const inMs = (ms: number) => `${ms < 10 ? ms.toFixed(1) : ms.toFixed(0)} ms`;

function printTable(figures: readonly Figure[]): void {
  const width = Math.max(...figures.map(({ what }) => what.length));
  for (const { what, found, aim, met } of figures)
    console.log(
      `${what.padEnd(width)}  ${found}${aim ? `  (${aim}${met === undefined ? "" : met ? ": yes" : ": NO"})` : ""}`,
    );
}

function isPart(name: string): name is Part {
  return Object.hasOwn(PARTS, name);
}

const root = mkdtempSync(join(options.folder, "longshore-carts-bench-"));
try {
  const facts: Record<string, unknown> = {};
  for (const part of options.only.split(",")) {
    if (!isPart(part)) throw new Error(`There is no part ${part}; there are ${Object.keys(PARTS).join(", ")}.`);
    const outcome = await PARTS[part](root);
    printTable(outcome.figures);
    facts[part] = outcome.facts;
  }
  console.log(JSON.stringify({ bench: "carts", rounds, entry: ENTRY, ...MACHINE, ...facts }));
} finally {
  rmSync(root, { recursive: true, force: true });
}
