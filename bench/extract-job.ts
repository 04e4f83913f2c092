/**
 * How many files a second a whole extraction describes: sniffed, described by all extractors that take them, their records
 * kept in SQLite, and with `--records` written as files too. A sample of a folder of this machine is copied, crawled, and
 * extracted several times.
 *
 *     node bench/extract-job.ts [--runs 3] [--folder /usr] [--files 4000] [--processes 2] [--records]
 *
 * Prints one JSON line. `serverCpuSeconds` is what this process used in one run, without its extractors.
 */
import { copyFileSync, mkdirSync, statSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { parseArgs } from "node:util";
import { openExtracting } from "../test/support/extracting.ts";
import { MACHINE, median, memoryMiBOf, rounded } from "./measure.ts";

const LIMIT_MS = 3_600_000;
/** A few large files would say how fast they are read, and nothing of the many. */
const LARGEST_BYTES = 1024 * 1024;

const { values } = parseArgs({
  options: {
    runs: { type: "string", default: "3" },
    folder: { type: "string", default: "/usr" },
    files: { type: "string", default: "4000" },
    processes: { type: "string", default: "2" },
    records: { type: "boolean", default: false },
  },
});

const bench = await openExtracting({ processes: Number(values.processes) });
try {
  const bytes = await copySample(bench.store);
  bench.worker();
  const crawl = await bench.crawled();
  const seconds: number[] = [];
  const serverSeconds: number[] = [];
  let tasks = 0;
  let failed = 0;
  for (let run = 0; run < Number(values.runs); run++) {
    const begun = performance.now();
    const cpu = process.cpuUsage();
    const request = values.records ? { recordsFolder: `run-${run}` } : {};
    const { counts, status } = await bench.extracted(crawl, request, LIMIT_MS);
    if (status !== "complete") throw new Error(`The extraction is ${status}.`);
    const { user, system } = process.cpuUsage(cpu);
    seconds.push((performance.now() - begun) / 1_000);
    serverSeconds.push((user + system) / 1e6);
    tasks = counts.toSchedule;
    failed = counts.failed;
  }
  const { files } = crawl.counts;
  console.log(
    JSON.stringify({
      bench: "extract-job",
      files,
      megabytes: rounded(bytes / 1e6, 1),
      tasks,
      failed,
      records: values.records,
      processes: Number(values.processes),
      seconds: rounded(median(seconds)),
      filesPerSecond: Math.round(files / median(seconds)),
      tasksPerSecond: Math.round(tasks / median(seconds)),
      serverCpuSeconds: rounded(median(serverSeconds)),
      serverMemoryMiB: Math.round(memoryMiBOf(process.pid, "peak")),
      spread: rounded((Math.max(...seconds) - Math.min(...seconds)) / median(seconds)),
      ...MACHINE,
    }),
  );
} finally {
  await bench.close();
}

/** Every so manieth file of the folder, so that the sample is as mixed as it is. @returns how many bytes. */
async function copySample(store: string): Promise<number> {
  // Not its synchronous sister: that one follows links, and /usr/bin/X11 leads to itself.
  const entries = await readdir(values.folder, { recursive: true, withFileTypes: true });
  const all = entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => statSync(path).size <= LARGEST_BYTES);
  const every = Math.max(1, Math.floor(all.length / Number(values.files)));
  let bytes = 0;
  for (const path of all.filter((_, at) => at % every === 0).slice(0, Number(values.files))) {
    const copy = join(store, relative(values.folder, path));
    mkdirSync(dirname(copy), { recursive: true });
    copyFileSync(path, copy);
    bytes += statSync(copy).size;
  }
  return bytes;
}
