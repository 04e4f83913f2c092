/**
 * Packages, from the order to the mail that has arrived, against what they replace and what this machine can do at most.
 *
 *     node bench/packages.ts [--only csv,flat,dwca,xlsx,url] [--rounds 3] [--rows 1000000] [--folder /tmp]
 *
 * Prints a table, and everything once more as one JSON line. The portal (bench/portal.ts) and the mail server are real and
 * on this machine. Beside ours, on the same bytes: the portal's pages fetched and thrown away, Info-ZIP, and pigz where it
 * is installed (Debian: pigz).
 */
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { longshore, type NewPackage } from "../src/sdk/index.ts";
import { mailServer } from "../test/support/mail-server.ts";
import { until } from "../test/support/until.ts";
import { cpuSecondsOf, forgetPeak, MACHINE, median, memoryMiBOf, rounded, secondsOf } from "./measure.ts";
import { portalFiles, writeRows } from "./portal.ts";
import { ENTRY, startServer } from "./server.ts";

const { values: options } = parseArgs({
  options: {
    only: { type: "string", default: "csv,flat,dwca,xlsx,url" },
    rounds: { type: "string", default: "3" },
    rows: { type: "string", default: "1000000" },
    folder: { type: "string", default: tmpdir() },
  },
});
const rounds = Number(options.rounds);
const rows = Number(options.rows);
const GIB = 1024 ** 3;
const MIB = 1024 ** 2;
/** Of failures, too, a mail comes. */
const PATIENCE_MS = 600_000;
/** What one package may take of memory, however large it is. */
const MEMORY_AIM_MIB = 200;

interface Workload {
  readonly name: string;
  readonly order: Omit<NewPackage, "resourceId">;
  /** What ckanpackager took on such a machine at its quietest: a fifth of it is the aim. */
  readonly predecessorSeconds?: number;
  readonly rows?: number;
}

interface Outcome {
  readonly workload: string;
  readonly seconds: ReturnType<typeof secondsOf>;
  readonly rowsPerSecond?: number;
  readonly cpuSeconds: number;
  readonly peakMiB: number;
  readonly zipMiB: number;
  readonly aimSeconds?: number;
  readonly limits: Readonly<Record<string, number>>;
}

const root = mkdtempSync(join(options.folder, "longshore-bench-packages-"));
// Its certificate is its own, which a client that may choose to encrypt would refuse.
const mails = await mailServer({ disabledCommands: ["AUTH", "STARTTLS"] });
try {
  const data = join(root, "portal");
  mkdirSync(data);
  await writeRows(data, rows);
  execFileSync("dd", ["if=/dev/urandom", `of=${portalFiles(data).file}`, "bs=1M", `count=${GIB / MIB}`, "status=none"]);
  const portal = await startPortal(data);
  const apiUrl = `${portal.url}/api/action/datastore_search`;
  const few = Math.min(200_000, rows);
  const workloads: Readonly<Record<string, Workload>> = {
    csv: {
      name: `${rows.toLocaleString("en")} rows × 21 columns as CSV`,
      order: { kind: "datastore", apiUrl },
      predecessorSeconds: 21.6,
      rows,
    },
    flat: {
      name: "a tenth of them: as much memory?",
      order: { kind: "datastore", apiUrl, limit: Math.ceil(rows / 10) },
      rows: Math.ceil(rows / 10),
    },
    dwca: {
      name: `${few.toLocaleString("en")} rows as a Darwin Core Archive`,
      order: { kind: "dwca", apiUrl, limit: few },
      predecessorSeconds: 12,
      rows: few,
    },
    xlsx: {
      name: `${few.toLocaleString("en")} rows as XLSX`,
      order: { kind: "datastore", apiUrl, limit: few, format: "xlsx" },
      predecessorSeconds: 44.8,
      rows: few,
    },
    url: {
      name: "1 GiB by URL",
      order: { kind: "url", resourceUrl: `${portal.url}/file` },
      predecessorSeconds: 21.8,
    },
  };
  const outcomes: Outcome[] = [];
  for (const part of options.only.split(",")) {
    const workload = workloads[part];
    if (!workload) throw new Error(`There is no workload ${part}.`);
    const limits = await limitsOf(part, portal.url, data);
    const outcome = await measure(workload, portal.url, limits);
    outcomes.push(outcome);
    console.error(`${outcome.workload}: ${outcome.seconds.median} s`);
  }
  console.table(outcomes.map(shown));
  console.log(JSON.stringify({ bench: "packages", rounds, entry: ENTRY, ...MACHINE, outcomes }));
  await portal.stop();
} finally {
  await mails.close();
  rmSync(root, { recursive: true, force: true });
}

/** One workload on a fresh server: every round is a package of its own, since nothing is left of the one before. */
async function measure(workload: Workload, portal: string, limits: Outcome["limits"]): Promise<Outcome> {
  const dataDir = join(root, "data");
  const server = await startServer(dataDir, {
    LONGSHORE_FETCH_ORIGINS: portal,
    LONGSHORE_SMTP_URL: `smtp://127.0.0.1:${mails.port}`,
  });
  try {
    const { packages } = longshore({ url: server.url });
    const times: number[] = [];
    const cpu: number[] = [];
    let sizeBytes = 0;
    forgetPeak(server.pid);
    for (let round = 0; round < rounds; round++) {
      const [mailsBefore, cpuBefore] = [mails.received.length, cpuSecondsOf(server.pid)];
      const begun = performance.now();
      const { id } = await packages.order({ ...workload.order, resourceId: "bench", email: "me@example.org" });
      await until("a mail has arrived", () => mails.received.length > mailsBefore, PATIENCE_MS);
      times.push(performance.now() - begun);
      const one = await packages.get(id);
      if (one.status !== "ready") throw new Error(`The package is ${one.status}: ${JSON.stringify(one.error)}`);
      cpu.push(cpuSecondsOf(server.pid) - cpuBefore);
      sizeBytes = one.sizeBytes ?? 0;
      if (workload.rows !== undefined && one.rows !== workload.rows) throw new Error(`It has ${one.rows} rows.`);
      await packages.clear();
    }
    const seconds = secondsOf(times);
    return {
      workload: workload.name,
      seconds,
      ...(workload.rows !== undefined && { rowsPerSecond: Math.round(workload.rows / seconds.median) }),
      cpuSeconds: rounded(median(cpu)),
      peakMiB: Math.round(memoryMiBOf(server.pid, "peak")),
      zipMiB: rounded(sizeBytes / MIB, 1),
      ...(workload.predecessorSeconds !== undefined && { aimSeconds: rounded(workload.predecessorSeconds / 5, 1) }),
      limits,
    };
  } finally {
    await server.stop();
    rmSync(dataDir, { recursive: true, force: true });
  }
}

/** What others take for a part of the work, in seconds. */
async function limitsOf(part: string, portal: string, data: string): Promise<Outcome["limits"]> {
  const { csv, file } = portalFiles(data);
  if (part === "csv")
    return {
      "pages fetched and discarded": await seconds(() => discardPages(portal)),
      "zip of the CSV": await seconds(() => run("zip", ["-q", "-j", join(root, "limit.zip"), csv])),
      ...(isThere("pigz") && { "pigz -p2 of the CSV": await seconds(() => run("pigz", ["-p2", "-k", "-c", csv])) }),
    };
  if (part === "url")
    return {
      "fetched and discarded": await seconds(() => run("curl", ["-sS", "-f", `${portal}/file`])),
      "zip of the file": await seconds(() => run("zip", ["-q", "-j", join(root, "limit.zip"), file])),
      ...(isThere("pigz") && { "pigz -p2 of the file": await seconds(() => run("pigz", ["-p2", "-k", "-c", file])) }),
    };
  return {};
}

async function seconds(work: () => Promise<void>): Promise<number> {
  const begun = performance.now();
  await work();
  rmSync(join(root, "limit.zip"), { force: true });
  return rounded((performance.now() - begun) / 1000);
}

/** The largest pages there are, one after the other, as whoever has nothing else to do would fetch them. */
async function discardPages(portal: string): Promise<void> {
  for (let after = 0; after < rows; after += 32_000) {
    const answer = await fetch(`${portal}/api/action/datastore_search`, {
      method: "POST",
      body: JSON.stringify({ resource_id: "bench", filters: { _id: { gt: after } }, limit: 32_000 }),
    });
    for await (const _ of answer.body ?? []);
  }
}

async function run(tool: string, words: readonly string[]): Promise<void> {
  const [code] = await once(spawn(tool, words, { stdio: ["ignore", "ignore", "inherit"] }), "exit");
  if (code !== 0) throw new Error(`${tool} ended with code ${code}.`);
}

function isThere(tool: string): boolean {
  const found = spawnSync(tool, ["--version"]).error === undefined;
  if (!found) console.error(`${tool} is not on this machine: not compared.`);
  return found;
}

async function startPortal(folder: string): Promise<{ readonly url: string; stop(): Promise<void> }> {
  const portal = spawn(process.execPath, [join(import.meta.dirname, "portal.ts"), folder], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = once(portal, "exit");
  const [url] = (await once(createInterface({ input: portal.stdout }), "line")) as [string];
  return {
    url,
    async stop() {
      portal.kill("SIGTERM");
      await exited;
    },
  };
}

function shown({ workload, seconds, rowsPerSecond, cpuSeconds, peakMiB, zipMiB, aimSeconds, limits }: Outcome) {
  return {
    workload,
    "order → mail, s": `${seconds.median} [${seconds.min}–${seconds.max}]`,
    ...(aimSeconds !== undefined && { "aim, s": `${aimSeconds} ${seconds.median <= aimSeconds ? "met" : "not met"}` }),
    ...(rowsPerSecond !== undefined && { "rows/s": rowsPerSecond }),
    "CPU, s": cpuSeconds,
    "peak, MiB": `${peakMiB} ${peakMiB <= MEMORY_AIM_MIB ? "met" : "not met"}`,
    "ZIP, MiB": zipMiB,
    ...limits,
  };
}
