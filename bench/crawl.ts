/**
 * How fast folders of this machine are crawled, and in how much memory.
 *
 *     node bench/crawl.ts [--runs 5] [--folder /usr] [--files 150000,2000000] [--names 1000000] [--scratch /tmp]
 *
 * Prints one JSON line for each of: `walk`, the bare walk with path, size and time of every file, and `crawl`, with all that
 * was found committed to SQLite, beside `find -type f -printf` of the same in the same run (turns alternate, in processes of
 * their own, with warm caches; what is measured is the second time in its process); `memory`, peaks of crawls of trees of so
 * many files, a thousand in each folder; and `folder`, those of so many names in one folder, which are grouped file by file,
 * then as sequences, then compared with an earlier crawl. Trees are made of hard links in the scratch folder, and removed.
 */
import { spawnSync } from "node:child_process";
import { linkSync, mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { parseArgs } from "node:util";
import { openSqlite } from "../src/adapters/db/stores.ts";
import { fsSource } from "../src/adapters/source/fs.ts";
import { folderEndpoints, openEndpoints } from "../src/adapters/source/open-endpoint.ts";
import { systemClock } from "../src/adapters/system-clock.ts";
import type { Principal } from "../src/core/access/access.ts";
import { type Crawl, FINISHED_CRAWLS } from "../src/core/crawl/crawl.ts";
import { CRAWL_JOB, crawlJob } from "../src/core/crawl/crawl-job.ts";
import { crawlService } from "../src/core/crawl/crawls.ts";
import { type CrawlId, jobId } from "../src/core/ids.ts";
import { jobService } from "../src/core/jobs/jobs.ts";
import { startWorker } from "../src/core/jobs/worker.ts";
import { MACHINE, median, memoryMiBOf, rounded, secondsOf } from "./measure.ts";

interface Run {
  readonly files: number;
  readonly ms: number;
  readonly cpuSeconds: number;
  readonly peakMiB: number;
}

interface CrawlOptions {
  readonly grouper: string;
  /** Crawled so often before, each compared with the one before it. */
  readonly earlier: number;
  /** Crawled so often before without being compared, so that the code has been compiled. */
  readonly warm: number;
  readonly scratch: string;
}

const FILES_IN_A_FOLDER = 1_000;
/** ext4 takes 65,000. */
const LINKS_OF_A_FILE = 60_000;
const LOCAL: Principal = { name: "local", scopes: ["admin"], via: "local" };

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    runs: { type: "string", default: "5" },
    folder: { type: "string", default: "/usr" },
    files: { type: "string", default: "150000,2000000" },
    names: { type: "string", default: "1000000" },
    scratch: { type: "string", default: tmpdir() },
  },
});

const [what, folder = "", options = "{}"] = positionals;
if (what === "walk") print(await walk(folder));
else if (what === "crawl") print(await crawl(folder, JSON.parse(options) as CrawlOptions));
else measure();

function print(value: object): void {
  console.log(JSON.stringify(value));
}

function measure(): void {
  const { scratch } = values;
  const plain: CrawlOptions = { grouper: "file_is_group", earlier: 0, warm: 0, scratch };
  const runs = Number(values.runs);
  print({ bench: "walk", ...MACHINE, ...compare(runs, () => inItsOwnProcess("walk", values.folder)) });
  print({
    bench: "crawl",
    ...MACHINE,
    ...compare(runs, () => inItsOwnProcess("crawl", values.folder, { ...plain, warm: 1 })),
  });
  for (const files of values.files.split(",").map(Number)) {
    const { peakMiB, ms } = withTree(files, FILES_IN_A_FOLDER, (tree) => inItsOwnProcess("crawl", tree, plain));
    print({ bench: "memory", ...MACHINE, files, peakMiB: Math.round(peakMiB), filesPerSecond: perSecond(files, ms) });
  }
  const names = Number(values.names);
  withTree(names, names, (tree) => {
    for (const given of [{}, { grouper: "sequence" }, { earlier: 1 }]) {
      const { peakMiB, ms } = inItsOwnProcess("crawl", tree, { ...plain, ...given });
      const filesPerSecond = perSecond(names, ms);
      print({ bench: "folder", ...MACHINE, names, ...given, peakMiB: Math.round(peakMiB), filesPerSecond });
    }
  });
}

function perSecond(files: number, ms: number): number {
  return Math.round(files / (ms / 1_000));
}

function compare(runs: number, ourTurn: () => Run) {
  find(values.folder); // into the page cache
  const finds: Pick<Run, "ms" | "cpuSeconds">[] = [];
  const ours: Run[] = [];
  for (let n = 0; n < runs; n++) {
    finds.push(find(values.folder));
    ours.push(ourTurn());
  }
  const files = ours[0]?.files ?? 0;
  const [oursMs, findMs] = [ours, finds].map((all) => median(all.map(({ ms }) => ms)));
  const [cpuSeconds = 0, findCpuSeconds = 0] = [ours, finds].map((all) => median(all.map((run) => run.cpuSeconds)));
  return {
    folder: values.folder,
    files,
    runs,
    seconds: secondsOf(ours.map(({ ms }) => ms)),
    findSeconds: secondsOf(finds.map(({ ms }) => ms)),
    filesPerSecond: perSecond(files, oursMs ?? 0),
    findFilesPerSecond: perSecond(files, findMs ?? 0),
    ratio: rounded((findMs ?? 0) / (oursMs ?? 0)),
    cpuSeconds: rounded(cpuSeconds),
    findCpuSeconds: rounded(findCpuSeconds),
    cpuRatio: rounded(findCpuSeconds / cpuSeconds),
    peakMiB: Math.round(Math.max(...ours.map(({ peakMiB }) => peakMiB))),
  };
}

/** From its start to its end. */
function find(root: string): Pick<Run, "ms" | "cpuSeconds"> {
  const began = performance.now();
  const nowhere = openSync("/dev/null", "w");
  // The shell's `times` prints its own user and system time, then its children's: `0m0.15s 0m0.43s`.
  const script = 'find "$0" -type f -printf "%s %T@ %p\\n"; times >&2';
  const { stderr } = spawnSync("sh", ["-c", script, root], { stdio: ["ignore", nowhere, "pipe"], encoding: "utf8" });
  const ms = performance.now() - began;
  const ofChildren = [...stderr.matchAll(/(\d+)m([\d.]+)s/g)].slice(-2);
  if (ofChildren.length < 2) throw new Error(`find did not end by itself: ${stderr}`);
  return { ms, cpuSeconds: ofChildren.reduce((sum, [, min, seconds]) => sum + 60 * Number(min) + Number(seconds), 0) };
}

function inItsOwnProcess(verb: "walk" | "crawl", root: string, given?: CrawlOptions): Run {
  const args = [import.meta.filename, verb, root, ...(given ? [JSON.stringify(given)] : [])];
  const child = spawnSync(process.execPath, args, { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });
  if (child.status !== 0) throw new Error(`The ${verb} failed with status ${child.status}.`);
  return JSON.parse(child.stdout) as Run;
}

/** Makes a tree of so many files, for as long as it is used. */
function withTree<T>(files: number, inAFolder: number, use: (root: string) => T): T {
  const base = mkdtempSync(join(values.scratch, "longshore-bench-"));
  const root = join(base, "tree");
  try {
    for (let made = 0; made < files; made++) {
      const target = join(base, `target-${Math.floor(made / LINKS_OF_A_FILE)}`);
      if (made % LINKS_OF_A_FILE === 0) writeFileSync(target, "");
      const at = join(root, String(Math.floor(made / inAFolder)));
      if (made % inAFolder === 0) mkdirSync(at, { recursive: true });
      linkSync(target, join(at, `frame.${String(made).padStart(8, "0")}.dpx`));
    }
    return use(root);
  } finally {
    rmSync(base, { recursive: true });
  }
}

/** What `work` takes. */
async function timed(work: () => Promise<number>): Promise<Run> {
  const before = process.cpuUsage();
  const began = performance.now();
  const files = await work();
  const ms = performance.now() - began;
  const { user, system } = process.cpuUsage(before);
  return { files, ms, cpuSeconds: (user + system) / 1e6, peakMiB: memoryMiBOf(process.pid, "peak") };
}

/** With the start of the walk's thread; code has been compiled before, as in a server that runs for a while. */
async function walk(root: string): Promise<Run> {
  const source = fsSource({ root });
  const options = { folders: [""], hidden: true, isDone: () => false, signal: new AbortController().signal };
  async function count(): Promise<number> {
    let files = 0;
    for await (const { entries } of source.walk(options)) for (const { kind } of entries) if (kind === "file") files++;
    return files;
  }
  await count();
  const run = await timed(count);
  await source.close();
  return run;
}

/** From the request to the crawl's end. */
async function crawl(root: string, { grouper, earlier, warm, scratch }: CrawlOptions): Promise<Run> {
  const base = mkdtempSync(join(scratch, "longshore-bench-"));
  const clock = systemClock;
  const stores = await openSqlite({ path: join(base, "crawls.sqlite"), clock });
  const endpoints = openEndpoints({ file: folderEndpoints({ roots: [root] }) });
  const handlers = { [CRAWL_JOB]: crawlJob({ store: stores.crawls, endpoints, clock }) };
  const nextJobId = async () => jobId(await stores.sequences.reserve("upload_job", 1));
  const jobs = jobService(stores.jobs, nextJobId, clock, handlers);
  const crawls = crawlService({
    store: stores.crawls,
    extractions: stores.extractions,
    endpoints,
    jobs,
    clock,
    nextJobId,
  });
  const worker = startWorker(jobs, stores.queue, handlers, clock, { name: "bench", concurrency: { fast: 1, slow: 1 } });

  async function once(previous: CrawlId | undefined): Promise<Crawl> {
    const { id } = await crawls.start(LOCAL, { endpoints: [{ url: root, grouper }], previous });
    for (;;) {
      const now = await crawls.get(LOCAL, id);
      if (FINISHED_CRAWLS.includes(now.status)) return now;
      await setTimeout(10);
    }
  }
  for (let n = 0; n < warm; n++) await once(undefined);
  let previous: CrawlId | undefined;
  for (let n = 0; n < earlier; n++) previous = (await once(previous)).id;
  const run = await timed(async () => {
    const { counts, status } = await once(previous);
    if (status !== "complete") throw new Error(`The crawl is ${status}.`);
    return counts.files;
  });
  await worker.stop();
  await stores.close();
  rmSync(base, { recursive: true });
  return run;
}
