/**
 * What 1, 2 and 4 worker processes on one PostgreSQL, which syncs, describe in a second. An extraction is one job, so one
 * process works on it: there are as many of equal size as the most workers. Each worker has one process of extractors.
 *
 *     node bench/extract-scaling.ts [--runs 1] [--folder /usr] [--files 1600] [--workers 1,2,4]
 *
 * Prints one JSON line for each number of workers. Where processors are fewer than busy processes, or busy with other work,
 * `filesPerCpuSecond` is what tells: as long as it stays as it is, workers do not cost each other anything, and more
 * processors do as much more. `shares` is how the processor's time was spent: in workers themselves, in their extractors, in
 * PostgreSQL.
 */
import { copyFileSync, mkdirSync, readdirSync, readFileSync, statSync } from "node:fs";
import { mkdtemp, readdir, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { parseArgs } from "node:util";
import pg from "pg";
import { longshore } from "../src/sdk/index.ts";
import { startWorkerProcess } from "../test/support/nodes.ts";
import { startPostgres } from "../test/support/postgres.ts";
import { startServer } from "../test/support/server.ts";
import { cpuSecondsOf, MACHINE, median, rounded } from "./measure.ts";

const WAIT_MS = 3_600_000;
/** A few large files would say how fast they are read, and nothing of the many. */
const LARGEST_BYTES = 1024 * 1024;

const { values } = parseArgs({
  options: {
    runs: { type: "string", default: "1" },
    folder: { type: "string", default: "/usr" },
    files: { type: "string", default: "1600" },
    workers: { type: "string", default: "1,2,4" },
  },
});
const numbers = values.workers.split(",").map(Number);
const parts = Math.max(...numbers);

const base = await realpath(await mkdtemp(join(tmpdir(), "longshore-scaling-")));
const postgres = await startPostgres({ isDurable: true });
try {
  const url = await postgres.freshDatabase();
  const env = {
    LONGSHORE_DATABASE_URL: url,
    LONGSHORE_CRAWL_ROOTS: join(base, "store"),
    LONGSHORE_ARCHIVE_URL: join(base, "archive"),
    LONGSHORE_SHARED_URL: join(base, "shared"),
    LONGSHORE_SECRET_KEY: "0123456789abcdef0123456789abcdef",
    LONGSHORE_EXTRACT_PROCESSES: "1",
  };
  await copySample(join(base, "store"));
  const server = await startServer({ env: { ...env, LONGSHORE_WORKERS: "none" } });
  try {
    const { crawls, extractions } = longshore({ url: server.url });
    const crawler = await startWorkerProcess(env);
    const ids: string[] = [];
    for (let part = 0; part < parts; part++) {
      const { id } = await crawls.start({ endpoints: [{ url: join(base, "store", String(part)) }] });
      await crawls.wait(id, { signal: AbortSignal.timeout(WAIT_MS) });
      ids.push(id);
    }
    await crawler.end("SIGTERM");
    const postmaster = await pidOf(url);

    for (const count of numbers) {
      const start = () => startWorkerProcess(env, ["--lanes", "slow:1", "--tasks", "extract"]);
      const workers = await Promise.all(Array.from({ length: count }, start));
      const seconds: number[] = [];
      const cpu: Record<"workers" | "extractors" | "postgres", number[]> = {
        workers: [],
        extractors: [],
        postgres: [],
      };
      let files = 0;
      // The first run starts the extractors.
      for (let run = -1; run < Number(values.runs); run++) {
        const looked = () => {
          const own = sum(workers.map(({ pid }) => cpuSecondsOf(pid)));
          return { own, all: sum(workers.map(({ pid }) => treeSecondsOf(pid))), database: treeSecondsOf(postmaster) };
        };
        const before = looked();
        const begun = performance.now();
        const started = await Promise.all(ids.map((crawl) => extractions.start(crawl)));
        const ended = await Promise.all(started.map(({ id }) => extractions.wait(id)));
        const took = (performance.now() - begun) / 1_000;
        const after = looked();
        for (const { status } of ended) if (status !== "complete") throw new Error(`An extraction is ${status}.`);
        files = sum(ended.map(({ counts }) => counts.pulled));
        if (run < 0) continue;
        seconds.push(took);
        cpu.workers.push(after.own - before.own);
        cpu.extractors.push(after.all - before.all - (after.own - before.own));
        cpu.postgres.push(after.database - before.database);
      }
      await Promise.all(workers.map((worker) => worker.end("SIGTERM")));
      const spent = Object.entries(cpu).map(([who, each]) => [who, median(each)] as const);
      const total = sum(spent.map(([, each]) => each));
      console.log(
        JSON.stringify({
          bench: "extract-scaling",
          workers: count,
          extractions: parts,
          files,
          seconds: rounded(median(seconds)),
          filesPerSecond: rounded(files / median(seconds), 1),
          cpuSeconds: rounded(total),
          filesPerCpuSecond: rounded(files / total, 1),
          coresBusy: rounded(total / median(seconds)),
          shares: Object.fromEntries(spent.map(([who, each]) => [who, rounded(each / total)])),
          ...MACHINE,
        }),
      );
    }
  } finally {
    await server.stop();
  }
} finally {
  await postgres.stop();
  await rm(base, { recursive: true });
}

/** Every so manieth file of the folder, in as many folders as there are extractions. */
async function copySample(store: string): Promise<void> {
  // Not its synchronous sister: that one follows links, and /usr/bin/X11 leads to itself.
  const entries = await readdir(values.folder, { recursive: true, withFileTypes: true });
  const all = entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => statSync(path).size <= LARGEST_BYTES);
  const every = Math.max(1, Math.floor(all.length / Number(values.files)));
  const chosen = all.filter((_, at) => at % every === 0).slice(0, Number(values.files));
  for (const [at, path] of chosen.entries()) {
    const copy = join(store, String(at % parts), relative(values.folder, path));
    mkdirSync(dirname(copy), { recursive: true });
    copyFileSync(path, copy);
  }
}

/** Of the server that a database is in. */
async function pidOf(database: string): Promise<number> {
  const client = new pg.Client(database);
  await client.connect();
  const { rows } = await client.query("select pg_read_file('postmaster.pid') as file");
  await client.end();
  return Number(String(rows[0]?.file).split("\n")[0]);
}

/** User and system time of a process, of its descendants, and of those that it has seen the end of (proc(5)). */
function treeSecondsOf(pid: number): number {
  const parents = new Map(
    readdirSync("/proc")
      .filter((name) => /^\d+$/.test(name))
      .map((name) => [Number(name), fieldsOf(Number(name))] as const),
  );
  const below = (root: number): number => {
    const own = parents.get(root);
    if (own === undefined) return 0;
    const children = [...parents].filter(([, fields]) => Number(fields[1]) === root);
    const ended = (Number(own[13]) + Number(own[14])) / 100;
    return cpuSecondsOf(root) + ended + sum(children.map(([child]) => below(child)));
  };
  return below(pid);
}

/** From the third on; none of a process that has just ended. */
function fieldsOf(pid: number): readonly string[] {
  try {
    return readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
  } catch {
    return [];
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
