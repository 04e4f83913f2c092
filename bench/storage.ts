/**
 * What the storage adapter alone costs: files straight into a writer of `fsObjectStorage`, then finish, sync and publish,
 * against GNU tools doing the same durable work: `tar -x` of a tar with the same files while `tee` feeds `sha512sum` and
 * `sha1sum`, then `sync -f`. Both turns alternate, each run in a process and a folder of its own.
 *
 *     node bench/storage.ts [--runs 5] [--only large|small|many] [--folder /tmp]
 *
 * Prints one JSON line per workload: seconds are medians, `spread` is (slowest - fastest) / median.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { randomFillSync } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { fsObjectStorage } from "../src/adapters/storage/fs.ts";

const KIB = 1024;
const WORKLOADS = {
  large: { files: 4, fileBytes: 256 * KIB * KIB },
  small: { files: 10_000, fileBytes: 4 * KIB },
  many: { files: 100_000, fileBytes: 4 * KIB },
} as const;
type Workload = keyof typeof WORKLOADS;

/** What a socket hands over at a time. */
const CHUNK_BYTES = 64 * KIB;
const FILES_PER_FOLDER = 1000;

interface Run {
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly peakRssMiB: number;
  /** Of `seconds`, after the last byte was handed over. */
  readonly tailSeconds: number;
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    runs: { type: "string", default: "5" },
    only: { type: "string" },
    folder: { type: "string", default: tmpdir() },
  },
});

const [mode, workload, folder] = positionals;
if (mode === "run" && isWorkload(workload) && folder) console.log(JSON.stringify(await ours(workload, folder)));
else compareAll();

function compareAll(): void {
  const work = mkdtempSync(join(values.folder, "longshore-storage-bench-"));
  try {
    for (const name of Object.keys(WORKLOADS).filter(isWorkload)) {
      if (!values.only || values.only === name) console.log(JSON.stringify(compare(name, work)));
    }
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

function compare(name: Workload, work: string) {
  const tar = join(work, `${name}.tar`);
  makeTar(name, work, tar);
  const runs: { ours: Run[]; native: number[] } = { ours: [], native: [] };
  for (let i = 0; i < Number(values.runs); i++) {
    runs.native.push(native(tar, emptyFolder(work)));
    runs.ours.push(oursInItsOwnProcess(name, emptyFolder(work)));
  }
  const seconds = runs.ours.map((run) => run.seconds);
  return {
    bench: "storage",
    workload: name,
    ...WORKLOADS[name],
    runs: runs.native.length,
    seconds: median(seconds),
    spread: spread(seconds),
    tailSeconds: median(runs.ours.map((run) => run.tailSeconds)),
    cpuSeconds: median(runs.ours.map((run) => run.cpuSeconds)),
    peakRssMiB: Math.max(...runs.ours.map((run) => run.peakRssMiB)),
    nativeSeconds: median(runs.native),
    nativeSpread: spread(runs.native),
    ratio: round(median(seconds) / median(runs.native)),
  };
}

/**
 * A new folder on a quiet disk. Nothing is removed between runs: for five minutes after a removal, ext4 looks at every
 * inode that became free before it hands out another (`recently_deleted`), and 10,000 files take 8 s instead of 0.5 s.
 */
function emptyFolder(work: string): string {
  execFileSync("sync");
  return mkdtempSync(join(work, "run-"));
}

function native(tar: string, folder: string): number {
  // The last `cat` ends when both sums have: bash itself does not wait for process substitutions.
  const script = `{ tee >(sha512sum >&2) >(sha1sum >&2) <"$1" | tar -x -C "$2" -f -; } 2>&1 | cat && sync -f "$2"`;
  const began = performance.now();
  execFileSync("bash", ["-c", `set -o pipefail; ${script}`, "bash", tar, folder]);
  return secondsSince(began);
}

function oursInItsOwnProcess(name: Workload, folder: string): Run {
  const child = spawnSync(process.execPath, [import.meta.filename, "run", name, folder], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  });
  if (child.status !== 0) throw new Error(`The run of ${name} failed with status ${child.status}.`);
  return JSON.parse(child.stdout) as Run;
}

async function ours(name: Workload, root: string): Promise<Run> {
  const { files, fileBytes } = WORKLOADS[name];
  const bytes = someBytes();
  const began = performance.now();
  const storage = fsObjectStorage({ root });
  const tree = await storage.stage("object");
  const writer = tree.writer(["sha512", "sha1"]);
  let at = 0;
  for (let file = 0; file < files; file++) {
    writer.begin(pathOf(file));
    for (let left = fileBytes; left > 0; ) {
      const chunk = bytes.subarray(at, at + Math.min(left, CHUNK_BYTES));
      at = (at + chunk.byteLength) % bytes.byteLength;
      left -= chunk.byteLength;
      const behind = writer.write(chunk);
      if (behind) await behind;
    }
    writer.end();
  }
  const lastByte = performance.now();
  const written = await writer.finish();
  if (written.length !== files) throw new Error(`Expected ${files} files, ${written.length} were written.`);
  await tree.sync();
  await tree.publish([]);
  const tailSeconds = secondsSince(lastByte);
  const seconds = secondsSince(began);
  await storage.close();
  const { userCPUTime, systemCPUTime, maxRSS } = process.resourceUsage();
  return {
    seconds,
    tailSeconds,
    cpuSeconds: round((userCPUTime + systemCPUTime) / 1e6),
    peakRssMiB: Math.round(maxRSS / KIB),
  };
}

function makeTar(name: Workload, work: string, tar: string): void {
  const { files, fileBytes } = WORKLOADS[name];
  const source = mkdtempSync(join(work, "source-"));
  const bytes = someBytes();
  for (let file = 0; file < files; file++) {
    const path = join(source, pathOf(file));
    if (file % FILES_PER_FOLDER === 0) mkdirSync(join(path, ".."), { recursive: true });
    for (let left = fileBytes; left > 0; left -= bytes.byteLength) {
      writeFileSync(path, bytes.subarray(0, Math.min(left, bytes.byteLength)), { flag: "a" });
    }
  }
  execFileSync("tar", ["-c", "-C", source, "-f", tar, "v1"]);
}

function pathOf(file: number): string {
  return `v1/content/data/${Math.floor(file / FILES_PER_FOLDER)}/file-${file}.bin`;
}

/** Not compressible, so that no layer below can cheat. */
function someBytes(): Buffer {
  return randomFillSync(Buffer.allocUnsafeSlow(16 * KIB * KIB));
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
