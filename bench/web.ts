/**
 * Every page over a catalogue of a million files, and every page about a transaction with five million: how long the server
 * takes, for an operator and for a depositor who have signed in.
 *
 *     node bench/web.ts [--files 1000000] [--together 5000000] [--rounds 40] [--data FOLDER]
 *
 * `--data` keeps what has been filled in, for another run. Prints one JSON line: of each page median and 95th percentile of the
 * time from the request to the last byte, one request after the other over one connection, and of the processor time that the
 * server's main thread spent on it, which is what tells where others use the machine, too; the worst first. The search index is
 * empty: bench/search.ts measures searches.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { Agent, request } from "node:http";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { systemClock } from "../src/adapters/system-clock.ts";
import { openFoundation } from "../src/compose/foundation.ts";
import { tokens } from "../src/core/access/tokens.ts";
import { loadConfig } from "../src/settings/config.ts";
import { MACHINE, median, memoryMiBOf, percentile, rounded } from "./measure.ts";
import { startServer } from "./server.ts";
import { fillDatabase, JOBS } from "./web-rows.ts";

const { values: options } = parseArgs({
  options: {
    files: { type: "string", default: "1000000" },
    together: { type: "string", default: "5000000" },
    rounds: { type: "string", default: "40" },
    data: { type: "string" },
  },
});
const files = Number(options.files);
const together = Number(options.together);
const rounds = Number(options.rounds);
/** Not measured: the server's code has to be compiled once. */
const WARM_UP = 30;
const AIM_P95_MS = 50;
const AIM_LARGE_MS = 200;

const uuid = (number: number) => `00000000-0000-4000-8000-${String(number).padStart(12, "0")}`;
const LARGE = JOBS + 1;
const PAGES: readonly string[] = [
  "/home",
  "/deposit",
  `/deposits/${JOBS / 2 + 7}`,
  "/jobs",
  "/jobs?state=failed",
  "/jobs?kind=move&owner=ada",
  `/jobs?before=${JOBS / 2}`,
  `/jobs/${JOBS / 2 + 7}`,
  "/archive",
  "/archive?before=5000",
  "/archive/7",
  "/archive/7?folder=data/run-6",
  "/files/7",
  "/search",
  "/carts",
  `/carts/${uuid(20_000)}`,
  `/carts/${uuid(20_000)}?from=${files / 2}`,
  "/packages",
  "/packages/00000000-0000-4000-9000-000000000007",
  "/packages/statistics",
  "/crawls",
  `/crawls/${uuid(5_000)}`,
  `/extractions/${uuid(1)}`,
  `/extractions/${uuid(1)}/records/50000`,
  "/registers",
  "/registers/samples",
  "/registers/samples?status=Measured&after=50000",
  "/registers/samples?f.site=site+7",
  "/registers/samples/entries/7",
  "/schedules",
  "/schedules?after=schedule+0500",
  "/schedules/schedule-7",
  "/schedules/schedule-7/edit",
  "/schedules/when?expression=*/7+*+*+*+*&timeZone=Europe/London",
  "/operations",
  "/operations/switches",
  "/operations/nodes",
  "/operations/fixity",
  "/operations/audit",
  "/operations/audit?actor=nobody",
  "/operations/audit?target=job/7",
  "/operations/tokens",
  "/operations/settings",
];
/** Of files without a preview: no bytes lie anywhere. */
const ABOUT_LARGE: readonly string[] = [
  `/archive/${LARGE}`,
  `/archive/${LARGE}?folder=data/flat`,
  `/archive/${LARGE}?folder=data/flat&after=4000001.bin`,
  `/archive/${LARGE}?folder=data/d400`,
  `/files/${files + together - ((files + together) % 7)}`,
  `/jobs/${LARGE}`,
  `/deposits/${LARGE}`,
];

interface Measured {
  readonly page: string;
  readonly medianMs: number;
  readonly p95Ms: number;
  readonly cpuMedianMs: number;
  readonly cpuP95Ms: number;
}

const agent = new Agent({ keepAlive: true, maxSockets: 1 });

/** @returns milliseconds to the last byte. */
function get(
  address: URL,
  cookie: string,
  method = "GET",
  body = "",
): Promise<{ ms: number; status: number; cookie: string }> {
  const start = performance.now();
  return new Promise((resolve, reject) => {
    const headers = {
      ...(cookie && { cookie }),
      ...(body && { "content-type": "application/x-www-form-urlencoded" }),
    };
    request(address, { agent, method, headers }, (response) => {
      response.on("error", reject);
      response.on("end", () => {
        const [given = ""] = response.headers["set-cookie"] ?? [];
        resolve({ ms: performance.now() - start, status: response.statusCode ?? 0, cookie: given.split(";")[0] ?? "" });
      });
      response.resume();
    })
      .on("error", reject)
      .end(body);
  });
}

/** Processor time of its main thread so far, to the nanosecond (Documentation/scheduler/sched-stats.rst of Linux). */
const spentMs = (pid: number) => Number(readFileSync(`/proc/${pid}/schedstat`, "utf8").split(" ")[0]) / 1e6;

async function measure(
  server: { url: string; pid: number },
  pages: readonly string[],
  cookie: string,
  mayBeRefused = false,
) {
  const measured: Measured[] = [];
  for (const page of pages) {
    const address = new URL(page, server.url);
    const { status } = await get(address, cookie);
    if (mayBeRefused && (status === 403 || status === 404)) continue; // somebody else's
    if (status !== 200) throw new Error(`${page} was answered with ${status}.`);
    for (let round = 0; round < WARM_UP; round++) await get(address, cookie);
    const [taken, spent]: [number[], number[]] = [[], []];
    for (let round = 0; round < rounds; round++) {
      const before = spentMs(server.pid);
      taken.push((await get(address, cookie)).ms);
      spent.push(spentMs(server.pid) - before);
    }
    measured.push({
      page,
      medianMs: rounded(median(taken), 1),
      p95Ms: rounded(percentile(taken, 95), 1),
      cpuMedianMs: rounded(median(spent), 1),
      cpuP95Ms: rounded(percentile(spent, 95), 1),
    });
  }
  return measured.sort((a, b) => b.cpuP95Ms - a.cpuP95Ms);
}

/** An operator, and somebody whose lists are of their own things alone. @returns their tokens. */
async function somePeople(dataDir: string): Promise<readonly [operator: string, depositor: string]> {
  const { stores, close } = await openFoundation(loadConfig({ LONGSHORE_DATA_DIR: dataDir }), systemClock);
  try {
    const { create } = tokens(stores.tokens, systemClock);
    const operator = await create({ owner: "grace", scopes: ["admin"], expiresAt: null });
    const depositor = await create({ owner: "ada", scopes: ["deposit", "read"], expiresAt: null });
    return [operator.text, depositor.text];
  } finally {
    await close();
  }
}

const worstOf = (measured: readonly Measured[]) => ({
  p95Ms: Math.max(...measured.map(({ p95Ms }) => p95Ms)),
  cpuP95Ms: Math.max(...measured.map(({ cpuP95Ms }) => cpuP95Ms)),
});

const dataDir = options.data ?? mkdtempSync(join(tmpdir(), "longshore-bench-web-"));
try {
  if (!existsSync(join(dataDir, "longshore.sqlite"))) await fillDatabase(dataDir, { files, together });
  const people = await somePeople(dataDir);
  const server = await startServer(dataDir);
  try {
    const signIn = async (token: string) =>
      (await get(new URL("/sign-in", server.url), "", "POST", `token=${token}`)).cookie;
    const [operator, depositor] = [await signIn(people[0]), await signIn(people[1])];
    const asOperator = await measure(server, PAGES, operator);
    const asDepositor = await measure(server, PAGES, depositor, true);
    const large = await measure(server, ABOUT_LARGE, operator);
    const worst = worstOf([...asOperator, ...asDepositor]);
    const worstOfLarge = worstOf(large);
    const result = {
      bench: "web",
      ...MACHINE,
      files,
      together,
      rounds,
      peakMiB: rounded(memoryMiBOf(server.pid, "peak"), 0),
      load: rounded(loadavg()[0] ?? 0, 1),
      worst: { ...worst, isFast: worst.p95Ms <= AIM_P95_MS, isFastAlone: worst.cpuP95Ms <= AIM_P95_MS },
      worstOfLarge: { ...worstOfLarge, isFast: worstOfLarge.p95Ms <= AIM_LARGE_MS },
      asOperator,
      asDepositor,
      large,
    };
    console.log(JSON.stringify(result));
  } finally {
    await server.stop();
  }
} finally {
  if (options.data === undefined) rmSync(dataDir, { recursive: true, force: true });
}
