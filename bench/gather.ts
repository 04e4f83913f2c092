/**
 * How fast files of the archive become one stream, against `tar -c | cat` of the same files: to nowhere, and over a
 * loopback socket into `cat`. And how much more memory 200 such streams take at once (of at most 1,000 files and 4 MiB of
 * each), with readers as fast as they can be and with readers that stall. Files are in the page cache. Each run is a
 * process of its own.
 *
 *     node bench/gather.ts [--runs 5] [--only large|small] [--folder /tmp]
 *
 * Prints one JSON line per workload: seconds are medians, `spread` is (slowest - fastest) / median.
 */
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { randomFillSync } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { setFlagsFromString } from "node:v8";
import { crc32 } from "node:zlib";
import { fsObjectStorage } from "../src/adapters/storage/fs.ts";
import type { Location, ReadyEntry } from "../src/core/carts/cart.ts";
import { assemble } from "../src/core/carts/layout/assemble.ts";
import type { Piece } from "../src/core/carts/layout/layout.ts";
import { windowBudget } from "../src/core/carts/layout/window-budget.ts";
import { recycle } from "../src/core/streams.ts";

const KIB = 1024;
const MIB = KIB * KIB;
const WORKLOADS = {
  large: { files: 4, fileBytes: 256 * MIB },
  small: { files: 10_000, fileBytes: 4 * KIB },
} as const;
type Workload = keyof typeof WORKLOADS;
const MODES = ["nowhere", "socket"] as const;
type Mode = (typeof MODES)[number];

/** What the server has for all downloads together. */
const BUDGET_BYTES = 32 * MIB;

/** Of a tar member: its content does not matter here. */
const HEADER = Buffer.alloc(512, 1);

interface Run {
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly peakMiB: number;
  /** Than before the first byte, with the threads running. */
  readonly moreMiB: number;
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    runs: { type: "string", default: "5" },
    only: { type: "string" },
    folder: { type: "string", default: tmpdir() },
  },
});

const [task, workload, folder] = positionals;
if (task && isWorkload(workload) && folder) await runTask(task, workload, folder);
else compareAll();

function compareAll(): void {
  const work = mkdtempSync(join(values.folder, "longshore-gather-bench-"));
  try {
    for (const name of Object.keys(WORKLOADS).filter(isWorkload)) {
      if (values.only && values.only !== name) continue;
      const root = join(work, name);
      makeFiles(name, root);
      console.log(JSON.stringify(compare(name, root)));
    }
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

function compare(name: Workload, root: string) {
  const native: number[] = [];
  const ours: Record<Mode, Run[]> = { nowhere: [], socket: [] };
  for (let i = 0; i < Number(values.runs); i++) {
    native.push(nativeSeconds(root));
    for (const mode of MODES) ours[mode].push(inItsOwnProcess(mode, name, root));
  }
  return {
    bench: "gather",
    workload: name,
    ...WORKLOADS[name],
    runs: native.length,
    tarSeconds: median(native),
    tarSpread: spread(native),
    ...Object.fromEntries(MODES.map((mode) => [mode, summary(ours[mode], native)])),
    "200 at once": inItsOwnProcess("crowd", name, root),
    "200 that stall": inItsOwnProcess("stalled", name, root),
  };
}

function summary(runs: readonly Run[], native: readonly number[]) {
  const seconds = runs.map((run) => run.seconds);
  return {
    seconds: median(seconds),
    spread: spread(seconds),
    cpuSeconds: median(runs.map((run) => run.cpuSeconds)),
    moreMiB: Math.max(...runs.map((run) => run.moreMiB)),
    ratio: round(median(seconds) / median(native)),
  };
}

function nativeSeconds(root: string): number {
  const began = performance.now();
  execFileSync("bash", ["-c", 'tar -c -C "$1" -f - . | cat >/dev/null', "bash", root]);
  return secondsSince(began);
}

function inItsOwnProcess(mode: string, name: Workload, root: string): Run {
  const child = spawnSync(process.execPath, [import.meta.filename, mode, name, root], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  });
  if (child.status !== 0) throw new Error(`The run of ${name}, ${mode}, failed with status ${child.status}.`);
  return JSON.parse(child.stdout) as Run;
}

async function runTask(mode: string, name: Workload, root: string): Promise<void> {
  // As main.ts does.
  setFlagsFromString("--semi-space-growth-factor=1");
  setFlagsFromString("--heap-growing-percent=30");
  const storage = fsObjectStorage({ root });
  const entries = entriesOf(name, root);
  const budget = windowBudget(BUDGET_BYTES);
  const signal = new AbortController().signal;
  const locate = (location: Location) => ({ storage, path: location.at === "archive" ? location.path : "" });
  const stream = (most?: number, files?: number) =>
    assemble(pieces(entries.slice(0, files), most), locate, { budget, signal });
  // As in a server that has been asked before: threads are started, code is compiled.
  for (let i = 0; i < 3; i++) for await (const window of stream(64 * KIB)) recycle(window);
  const before = process.resourceUsage();
  const idleMiB = memoryMiB("VmRSS");
  const began = performance.now();
  if (mode === "nowhere") for await (const window of stream()) recycle(window);
  else if (mode === "socket") await serve(1, "cat", () => stream());
  else await serve(200, mode === "crowd" ? "cat" : "sleep", () => stream(4 * MIB, 1000));
  const after = process.resourceUsage();
  const run: Run = {
    seconds: secondsSince(began),
    cpuSeconds: round((after.userCPUTime + after.systemCPUTime - before.userCPUTime - before.systemCPUTime) / 1e6),
    peakMiB: round(memoryMiB("VmHWM")),
    moreMiB: round(memoryMiB("VmHWM") - idleMiB),
  };
  console.log(JSON.stringify(run));
  await storage.close();
}

/** Sends a stream to each of `count` connections, made by one shell. */
async function serve(count: number, reader: "cat" | "sleep", stream: () => AsyncIterable<Uint8Array>): Promise<void> {
  const sent: Promise<void>[] = [];
  const server = createServer((socket) => {
    sent.push(send(socket, stream()));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  const client = spawn("bash", [
    "-c",
    reader === "cat"
      ? `for ((i = 0; i < ${count}; i++)); do cat < /dev/tcp/127.0.0.1/${port} > /dev/null & done; wait`
      : `for ((i = 0; i < ${count}; i++)); do sleep 5 < /dev/tcp/127.0.0.1/${port} & done; wait`,
  ]);
  await once(client, "exit");
  await Promise.allSettled(sent);
  server.close();
}

async function send(socket: Socket, stream: AsyncIterable<Uint8Array>): Promise<void> {
  socket.on("error", () => {}); // the reader has left
  const left = new Promise((resolve) => socket.once("close", resolve));
  for await (const window of stream) {
    if (socket.destroyed) return;
    await Promise.race([new Promise((resolve) => socket.write(window, resolve)), left]);
    recycle(window);
  }
  socket.end();
}

function entriesOf(name: Workload, root: string): readonly ReadyEntry[] {
  const { files, fileBytes } = WORKLOADS[name];
  const crc = Number(readFileSync(join(root, "crc32"), "utf8"));
  return Array.from({ length: files }, (_, seq) => ({
    seq,
    path: pathOf(seq),
    sizeBytes: fileBytes,
    modifiedAt: null,
    crc32: crc,
    digest: "",
    fileId: null,
    transactionId: null,
    location: { at: "archive", path: pathOf(seq) },
    expected: null,
  }));
}

/** As a tar has them. @param most of each file. */
async function* pieces(entries: readonly ReadyEntry[], most = Number.POSITIVE_INFINITY): AsyncGenerator<Piece> {
  for (const entry of entries) {
    yield { bytes: HEADER };
    yield { entry, start: 0, sizeBytes: Math.min(most, entry.sizeBytes) };
  }
}

/** All the same, and not compressible. Their CRC-32 lies beside them. */
function makeFiles(name: Workload, root: string): void {
  const { files, fileBytes } = WORKLOADS[name];
  const bytes = randomFillSync(Buffer.allocUnsafeSlow(Math.min(fileBytes, 16 * MIB)));
  const times = fileBytes / bytes.byteLength;
  for (let file = 0; file < files; file++) {
    const path = join(root, pathOf(file));
    mkdirSync(join(path, ".."), { recursive: true });
    for (let i = 0; i < times; i++) writeFileSync(path, bytes, { flag: "a" });
  }
  let crc = 0;
  for (let i = 0; i < times; i++) crc = crc32(bytes, crc);
  writeFileSync(join(root, "crc32"), String(crc));
}

function pathOf(file: number): string {
  return `v1/content/data/${Math.floor(file / 1000)}/file-${file}.bin`;
}

function memoryMiB(field: "VmRSS" | "VmHWM"): number {
  return Number(new RegExp(`${field}:\\s+(\\d+)`).exec(readFileSync("/proc/self/status", "utf8"))?.[1]) / KIB;
}

function isWorkload(name: string | undefined): name is Workload {
  return name !== undefined && name in WORKLOADS;
}

function secondsSince(began: number): number {
  return round((performance.now() - began) / 1000);
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

function spread(values: readonly number[]): number {
  return round((Math.max(...values) - Math.min(...values)) / median(values));
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}
