/**
 * How fast folders of this machine are walked, with path, size and time of every file, against `find -type f -printf` of the
 * same in the same run; both turns alternate, in processes of their own, with warm caches.
 *
 *     node bench/crawl.ts [--runs 5] [--folder /usr]
 *
 * Prints one JSON line: files per second are medians, `ratio` is ours / find's.
 */
import { spawnSync } from "node:child_process";
import { openSync } from "node:fs";
import { parseArgs } from "node:util";
import { fsSource } from "../src/adapters/source/fs.ts";
import { MACHINE, median, memoryMiBOf, rounded, secondsOf } from "./measure.ts";

interface Run {
  readonly files: number;
  readonly ms: number;
  readonly cpuSeconds: number;
  readonly peakMiB: number;
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { runs: { type: "string", default: "5" }, folder: { type: "string", default: "/usr" } },
});

if (positionals[0] === "walk") console.log(JSON.stringify(await walk(values.folder)));
else console.log(JSON.stringify(compare(values.folder, Number(values.runs))));

function compare(folder: string, runs: number) {
  find(folder); // into the page cache
  const finds: number[] = [];
  const ours: Run[] = [];
  for (let n = 0; n < runs; n++) {
    finds.push(find(folder));
    ours.push(inItsOwnProcess(folder));
  }
  const files = ours[0]?.files ?? 0;
  const perSecond = (ms: number) => Math.round(files / (ms / 1000));
  const [oursMs, findMs] = [median(ours.map(({ ms }) => ms)), median(finds)];
  return {
    bench: "crawl",
    ...MACHINE,
    folder,
    files,
    runs,
    seconds: secondsOf(ours.map(({ ms }) => ms)),
    findSeconds: secondsOf(finds),
    filesPerSecond: perSecond(oursMs),
    findFilesPerSecond: perSecond(findMs),
    ratio: rounded(findMs / oursMs),
    cpuSeconds: rounded(median(ours.map(({ cpuSeconds }) => cpuSeconds))),
    peakMiB: Math.round(Math.max(...ours.map(({ peakMiB }) => peakMiB))),
  };
}

/** @returns milliseconds, from its start to its end. */
function find(folder: string): number {
  const began = performance.now();
  const nowhere = openSync("/dev/null", "w");
  const { status } = spawnSync("find", [folder, "-type", "f", "-printf", "%s %T@ %p\\n"], {
    stdio: ["ignore", nowhere, "inherit"],
  });
  if (status === null) throw new Error("find did not end by itself.");
  return performance.now() - began;
}

function inItsOwnProcess(folder: string): Run {
  const child = spawnSync(process.execPath, [import.meta.filename, "walk", "--folder", folder], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  });
  if (child.status !== 0) throw new Error(`The walk failed with status ${child.status}.`);
  return JSON.parse(child.stdout) as Run;
}

/** Without the start of the process, which a server has behind it; with that of the walk's thread. */
async function walk(root: string): Promise<Run> {
  const source = fsSource({ root });
  const before = process.cpuUsage();
  const began = performance.now();
  let files = 0;
  const options = { folders: [""], hidden: true, isDone: () => false, signal: new AbortController().signal };
  for await (const { entries } of source.walk(options)) for (const { kind } of entries) if (kind === "file") files++;
  const ms = performance.now() - began;
  const { user, system } = process.cpuUsage(before);
  await source.close();
  return { files, ms, cpuSeconds: (user + system) / 1e6, peakMiB: memoryMiBOf(process.pid, "peak") };
}
