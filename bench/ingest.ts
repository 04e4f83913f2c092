/**
 * Ingest against the raw limit. Per workload and round, on the same disk: a bundle posted by curl to a fresh server,
 * until its job has succeeded; and the native pipeline doing the same durable work, `tar -x` with `sha512sum` and
 * `sha1sum` teed in, then `sync -f`. One JSON line per workload: medians, spread, ratio, CPU seconds, peak memory.
 *
 *     npm run bench -- [--rounds 5] [--only "10,000 x 4 KiB"]
 */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { WORKLOADS, type Workload, writeBundle } from "./bundle-tar.ts";

const { values: options } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    only: { type: "string" },
    large: { type: "boolean", default: false },
  },
});
const project = join(import.meta.dirname, "..");
const entry = existsSync(join(project, "dist/src/main.js")) ? "dist/src/main.js" : "src/main.ts";
const TICKS_PER_SECOND = Number(execFileSync("getconf", ["CLK_TCK"], { encoding: "utf8" }));

interface Run {
  readonly wallMs: number;
  readonly cpuSeconds: number;
  readonly peakMiB: number;
}

/** Dirty pages of earlier work must not be paid for by what is measured next. */
const settleDisk = () => execFileSync("sync");

async function ours(bundle: string, folder: string): Promise<Run> {
  const server = spawn(process.execPath, [join(project, entry), "serve"], {
    env: { ...process.env, LONGSHORE_DATA_DIR: folder, LONGSHORE_PORT: "0", LONGSHORE_LOG_LEVEL: "warn" },
    stdio: ["ignore", "pipe", "inherit"],
  });
  try {
    const [url] = (await once(createInterface({ input: server.stdout }), "line")) as [string];
    const pid = server.pid ?? 0;
    const cpuBefore = cpuSecondsOf(pid);
    const start = performance.now();
    const answer = spawn(
      "curl",
      ["-sS", "-f", "-T", bundle, "-X", "POST", "-H", "Content-Type: application/x-tar", `${url}/api/v1/bundles`],
      {
        stdio: ["ignore", "pipe", "inherit"],
      },
    );
    const body = (await Array.fromAsync(answer.stdout)).join("");
    const { id } = JSON.parse(body) as { id: number };
    const state = await finished(`${url}/api/v1/jobs/${id}`);
    const wallMs = performance.now() - start;
    if (state.state !== "succeeded") throw new Error(`The job ended ${state.state}: ${JSON.stringify(state.error)}`);
    return { wallMs, cpuSeconds: cpuSecondsOf(pid) - cpuBefore, peakMiB: peakMiBOf(pid) };
  } finally {
    server.kill("SIGTERM");
    if (server.exitCode === null) await once(server, "exit");
  }
}

async function finished(url: string): Promise<{ readonly state: string; readonly error: unknown }> {
  for (;;) {
    const job = (await (await fetch(url)).json()) as { state: string; error: unknown };
    if (!["queued", "running"].includes(job.state)) return job;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** GNU tar, coreutils and syncfs(2): what one would write by hand to take a bundle in safely. */
function native(bundle: string, folder: string): number {
  const script = 'tee >(sha512sum >/dev/null) >(sha1sum >/dev/null) < "$1" | tar -x -C "$2" && wait && sync -f "$2"';
  const start = performance.now();
  execFileSync("bash", ["-o", "pipefail", "-c", script, "native", bundle, folder]);
  return performance.now() - start;
}

function cpuSecondsOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

function peakMiBOf(pid: number): number {
  return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024;
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? (sorted[middle] ?? 0) : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2;
}

const seconds = (ms: number) => Math.round(ms) / 1000;

async function measure(workload: Workload, root: string): Promise<void> {
  const bundle = join(root, "bundle.tar");
  await writeBundle(bundle, workload);
  const runs: Run[] = [];
  const natives: number[] = [];
  for (let round = 0; round < Number(options.rounds); round++) {
    for (const what of round % 2 ? ["ours", "native"] : ["native", "ours"]) {
      const folder = mkdtempSync(join(root, `${what}-`));
      settleDisk();
      if (what === "ours") runs.push(await ours(bundle, folder));
      else natives.push(native(bundle, folder));
      rmSync(folder, { recursive: true });
    }
  }
  rmSync(bundle);
  const walls = runs.map(({ wallMs }) => wallMs);
  const bytes = workload.files * workload.fileBytes;
  const result = {
    bench: "ingest",
    workload: workload.name,
    rounds: runs.length,
    entry,
    node: process.version,
    cpu: cpus()[0]?.model ?? "",
    cores: cpus().length,
    oursSeconds: { median: seconds(median(walls)), min: seconds(Math.min(...walls)), max: seconds(Math.max(...walls)) },
    nativeSeconds: {
      median: seconds(median(natives)),
      min: seconds(Math.min(...natives)),
      max: seconds(Math.max(...natives)),
    },
    ratio: Math.round((median(walls) / median(natives)) * 100) / 100,
    megabytesPerSecond: Math.round(bytes / 1e6 / (median(walls) / 1000)),
    filesPerSecond: Math.round(workload.files / (median(walls) / 1000)),
    cpuSeconds: Math.round(median(runs.map((run) => run.cpuSeconds)) * 100) / 100,
    peakMiB: Math.round(Math.max(...runs.map((run) => run.peakMiB))),
  };
  console.log(JSON.stringify(result));
}

const root = mkdtempSync(join(tmpdir(), "longshore-bench-"));
try {
  for (const workload of WORKLOADS) {
    const wanted = options.only
      ? workload.name === options.only
      : options.large || workload.files * workload.fileBytes < 4e9;
    if (wanted) await measure(workload, root);
  }
} finally {
  rmSync(root, { recursive: true, force: true });
}
