/**
 * Ingest against the raw limit. Per workload and round, on the same disk: a bundle posted by curl to a fresh server,
 * until its job has succeeded; and the native pipeline doing the same durable work, `tar -x` with `sha512sum` and
 * `sha1sum` teed in, then `sync -f`. One JSON line per workload: medians, spread, ratio, CPU seconds, peak memory.
 *
 *     npm run bench -- [--rounds 5] [--only "10,000 x 4 KiB"]
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { WORKLOADS, type Workload, writeBundle } from "./bundle-tar.ts";
import { cpuSecondsOf, MACHINE, median, memoryMiBOf, rounded, secondsOf } from "./measure.ts";
import { deposit, ENTRY, startServer } from "./server.ts";

const { values: options } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    only: { type: "string" },
    large: { type: "boolean", default: false },
  },
});

interface Run {
  readonly wallMs: number;
  readonly cpuSeconds: number;
  readonly peakMiB: number;
}

/** Dirty pages of earlier work must not be paid for by what is measured next. */
const settleDisk = () => execFileSync("sync");

async function ours(bundle: string, folder: string): Promise<Run> {
  const server = await startServer(folder);
  try {
    const cpuBefore = cpuSecondsOf(server.pid);
    const start = performance.now();
    await deposit(server.url, bundle);
    const wallMs = performance.now() - start;
    return { wallMs, cpuSeconds: cpuSecondsOf(server.pid) - cpuBefore, peakMiB: memoryMiBOf(server.pid, "peak") };
  } finally {
    await server.stop();
  }
}

/** GNU tar, coreutils and syncfs(2): what one would write by hand to take a bundle in safely. */
function native(bundle: string, folder: string): number {
  const script = 'tee >(sha512sum >/dev/null) >(sha1sum >/dev/null) < "$1" | tar -x -C "$2" && wait && sync -f "$2"';
  const start = performance.now();
  execFileSync("bash", ["-o", "pipefail", "-c", script, "native", bundle, folder]);
  return performance.now() - start;
}

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
    entry: ENTRY,
    ...MACHINE,
    oursSeconds: secondsOf(walls),
    nativeSeconds: secondsOf(natives),
    ratio: rounded(median(walls) / median(natives)),
    megabytesPerSecond: Math.round(bytes / 1e6 / (median(walls) / 1000)),
    filesPerSecond: Math.round(workload.files / (median(walls) / 1000)),
    cpuSeconds: rounded(median(runs.map((run) => run.cpuSeconds))),
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
