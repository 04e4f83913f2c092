/**
 * How fast what a walk found is committed to SQLite, and read again: the names, sizes and times of a real tree, walked
 * before, several times below folders of different names.
 *
 *     node bench/crawl-store.ts [--folder /usr] [--copies 1] [--at-once 10000] [--runs 5]
 *
 * Prints one JSON line: files per second are medians over the runs, with a new database for each.
 */
import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { openSqlite, type Stores } from "../src/adapters/db/stores.ts";
import { fsSource } from "../src/adapters/source/fs.ts";
import { systemClock } from "../src/adapters/system-clock.ts";
import { type CrawledFile, NO_COUNTS } from "../src/core/crawl/crawl.ts";
import type { Found } from "../src/core/crawl/crawl-store.ts";
import { type CrawlId, crawlId, jobId } from "../src/core/ids.ts";
import { forgetPeak, MACHINE, median, memoryMiBOf, rounded, secondsOf } from "./measure.ts";

interface Folder {
  readonly path: string;
  readonly files: readonly CrawledFile[];
  readonly folders: readonly string[];
}

const FILES_PER_BATCH = 4_000;

const { values } = parseArgs({
  options: {
    folder: { type: "string", default: "/usr" },
    copies: { type: "string", default: "1" },
    "at-once": { type: "string", default: "10000" },
    runs: { type: "string", default: "5" },
  },
});
const [copies, atOnce] = [Number(values.copies), Number(values["at-once"])];
const tree = await walked(values.folder);
const place = await mkdtemp(join(tmpdir(), "crawl-store-"));
try {
  const runs = [];
  for (let n = 0; n < Number(values.runs); n++) runs.push(await run(join(place, `${n}.db`)));
  const files = copies * tree.reduce((sum, folder) => sum + folder.files.length, 0);
  const rate = (ms: readonly number[]) => Math.round(files / (median(ms) / 1000));
  const keeping = runs.map(({ keepMs }) => keepMs);
  console.log(
    JSON.stringify({
      bench: "crawl-store",
      ...MACHINE,
      files,
      folders: copies * tree.length,
      runs: runs.length,
      seconds: secondsOf(keeping),
      filesPerSecond: rate(keeping),
      cpuSeconds: rounded(median(runs.map(({ cpuSeconds }) => cpuSeconds))),
      longestKeepMs: Math.round(median(runs.map(({ longestMs }) => longestMs))),
      bytesPerFile: Math.round(median(runs.map(({ bytes }) => bytes)) / files),
      readFilesPerSecond: rate(runs.map(({ readMs }) => readMs)),
      peakMiB: Math.round(Math.max(...runs.map(({ peakMiB }) => peakMiB))),
    }),
  );
} finally {
  await rm(place, { recursive: true });
}

async function walked(root: string): Promise<readonly Folder[]> {
  const source = fsSource({ root });
  const options = { folders: [""], hidden: true, isDone: () => false, signal: new AbortController().signal };
  const parts = await Array.fromAsync(source.walk(options));
  await source.close();
  return [...Map.groupBy(parts, ({ folder }) => folder)].map(([path, listings]) => {
    const entries = listings.flatMap((listing) => listing.entries);
    const files = entries.filter(({ kind }) => kind === "file");
    return {
      path,
      files: files.map(({ path: file, kind: _, ...facts }) => ({
        name: file.slice(file.lastIndexOf("/") + 1),
        ...facts,
      })),
      folders: entries.filter(({ kind }) => kind === "folder").map((entry) => entry.path),
    };
  });
}

async function run(path: string) {
  const stores = await openSqlite({ path, clock: systemClock });
  const id = await begun(stores);
  forgetPeak(process.pid);
  const before = process.cpuUsage();
  const began = performance.now();
  let longestMs = 0;
  for (const found of keeps()) {
    const at = performance.now();
    if (!(await stores.crawls.keep(id, 1, found))) throw new Error("The crawl keeps nothing.");
    longestMs = Math.max(longestMs, performance.now() - at);
  }
  const keepMs = performance.now() - began;
  const { user, system } = process.cpuUsage(before);
  const readFrom = performance.now();
  for (let seq = 0, page = 1; page > 0; ) {
    const batches = await stores.crawls.batches(id, seq, 100);
    page = batches.length;
    seq = batches.at(-1)?.seq ?? seq;
  }
  const readMs = performance.now() - readFrom;
  await stores.close();
  const { size: bytes } = await stat(path);
  await rm(path);
  const peakMiB = memoryMiBOf(process.pid, "peak");
  return { keepMs, longestMs, readMs, bytes, peakMiB, cpuSeconds: (user + system) / 1e6 };
}

async function begun({ crawls, jobs }: Stores): Promise<CrawlId> {
  const [id, job, now] = [crawlId("crawl"), jobId(1), systemClock.now()];
  const jobsOf = [{ id: job, kind: "crawl", lane: "slow" }] as const;
  await crawls.create({ id, owner: "local", endpoints: [], previous: null, jobs: jobsOf, now });
  await jobs.update(job, ["queued"], { state: "running", attempts: 1 }, now);
  await crawls.update(id, ["initializing"], { status: "crawling", startedAt: now });
  return id;
}

/** As a walk would tell: each folder becomes known with the one above it, and is listed later. */
function* keeps(): Generator<Found> {
  let found = nothing();
  for (let copy = 0; copy < copies; copy++) {
    for (const { path, files, folders } of tree) {
      const own = (below: string) => ({ endpoint: 0, folder: `copy ${copy}/${below}` });
      for (let at = 0; at < files.length; at += FILES_PER_BATCH) {
        const some = files.slice(at, at + FILES_PER_BATCH);
        found.batches.push({ ...own(path), files: some, families: null, changes: null, gone: [] });
      }
      found.folders.push(...folders.map(own));
      found.listed.push(own(path));
      found.files += files.length;
      if (found.files < atOnce) continue;
      yield { ...found, counts: { ...NO_COUNTS, files: found.files } };
      found = nothing();
    }
  }
  yield { ...found, counts: { ...NO_COUNTS, files: found.files } };
}

function nothing() {
  const batches: Found["batches"][number][] = [];
  const folders: Found["folders"][number][] = [];
  const listed: Found["listed"][number][] = [];
  return { batches, folders, listed, problems: [], changes: null, files: 0 };
}
