import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { crc32, deflateSync } from "node:zlib";
import { RESOURCE, startPortal } from "../../../examples/demo/portal.ts";
import { type Longshore, longshore } from "../../../src/sdk/index.ts";
import { type BundleOptions, bundle } from "../../http/bundle.ts";
import { type ServerProcess, startServer } from "../../support/server.ts";

/** A server with a little of everything that pages show, and the address of each page about it. */
export interface FilledServer {
  readonly server: ServerProcess;
  /** By the name of its picture, in the order of the navigation. */
  readonly pages: Readonly<Record<string, string>>;
  stop(): Promise<void>;
}

const DAYS = 4;
const RUNS = 12;
/** A name that would hurt where it is not escaped, and one that is as long as names become. */
const AWKWARD = [
  "<img src=x onerror=alert(1)> & 'quotes' \u202Egnp.exe.txt",
  `${"a-long-name-of-an-instrument-that-writes-every-setting-into-it_".repeat(3)}.txt`,
  "été 😀 \u05d0.txt",
];

/** As an instrument leaves it: of each day settings, a picture and tables of some runs. */
function measurements(): Record<string, string | Uint8Array> {
  const files: Record<string, string | Uint8Array> = {};
  for (let day = 1; day <= DAYS; day++) {
    const folder = `measurements/day-0${day}`;
    files[`${folder}/settings.json`] = `${JSON.stringify({ day, gain: 1 + day / 100, filter: "hanning" }, null, 2)}\n`;
    files[`${folder}/preview.png`] = picture(day);
    for (let run = 1; run <= RUNS; run++) {
      const values = createHash("sha512").update(`${day}/${run}`).digest();
      const rows = Array.from(values, (value, second) => `${second},${(value / 255).toFixed(4)},${(value % 16) - 8}`);
      files[`${folder}/run-${String(run).padStart(3, "0")}.csv`] = `second,amplitude,phase\n${rows.join("\n")}\n`;
    }
  }
  for (const name of AWKWARD) files[`measurements/${name}`] = `${name}\n`;
  return files;
}

/** A PNG of rings (240 × 160, grey), another one for each day. */
function picture(day: number): Uint8Array {
  const [width, height] = [240, 160];
  const row = (y: number) =>
    Array.from(
      { length: width },
      (_, x) => 128 + 100 * Math.sin(Math.hypot(x - width / 2, y - height / 2) / (2 + day)),
    );
  const rows = Buffer.concat(Array.from({ length: height }, (_, y) => Buffer.from([0, ...row(y)])));
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 0, 0, 0, 0], 8);
  const chunks = [chunk("IHDR", header), chunk("IDAT", deflateSync(rows)), chunk("IEND", Buffer.alloc(0))];
  return Buffer.concat([Buffer.from("\x89PNG\r\n\x1A\n", "latin1"), ...chunks]);
}

function chunk(type: string, data: Uint8Array): Uint8Array {
  const body = Buffer.concat([Buffer.from(type, "latin1"), data]);
  const frame = Buffer.alloc(8);
  frame.writeUInt32BE(data.length, 0);
  frame.writeUInt32BE(crc32(body), 4);
  return Buffer.concat([frame.subarray(0, 4), body, frame.subarray(4)]);
}

/** The same every time, but for times and ids. */
export async function filledServer(): Promise<FilledServer> {
  const portal = await startPortal();
  const folder = await mkdtemp(join(tmpdir(), "longshore-pictured-"));
  const files = measurements();
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), content);
  }
  const server = await startServer({
    env: {
      LONGSHORE_FETCH_ORIGINS: portal.url,
      LONGSHORE_CRAWL_ROOTS: folder,
      LONGSHORE_MOVE_ROOTS: folder,
    },
  });
  async function stop(): Promise<void> {
    await server.stop();
    portal.stop();
    await rm(folder, { recursive: true });
  }
  try {
    const client = longshore({ url: server.url });
    const pages = {
      ...(await deposits(client, files)),
      ...(await crawled(client, join(folder, "measurements"))),
      ...(await packed(client, portal.url)),
      ...(await registered(client)),
      ...(await scheduled(client)),
      ...(await operated(client)),
    };
    return { server, pages, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function deposits(client: Longshore, files: Record<string, string | Uint8Array>) {
  const send = async (content: Record<string, string | Uint8Array>, options: BundleOptions = {}) => {
    const tar = bundle(content, options);
    const { id } = await client.bundles.deposit(new Blob([tar]));
    return client.jobs.wait(id).then(
      () => id,
      () => id,
    );
  };
  const whole = await send(files);
  const pictures = await send({ "previews/day-02.png": picture(2) }, { mediaType: "image/png" });
  const wrong = await send({ "raw/spectrum.txt": "1 2 3\n" }, { hashsum: "0".repeat(40) });
  const ofFile: Record<string, string> = {};
  for await (const { id, path } of client.transactions.files(whole)) {
    if (path.endsWith("day-01/run-001.csv")) ofFile.file = `/files/${id}`;
  }
  for await (const { id } of client.transactions.files(pictures)) ofFile["file-picture"] = `/files/${id}`;
  const cart = await client.carts.create({ name: "measurements", transactions: [{ id: whole }] });
  return {
    home: "/home",
    deposit: "/deposit",
    receipt: `/deposits/${whole}`,
    jobs: "/jobs",
    job: `/jobs/${whole}`,
    "job-failed": `/jobs/${wrong}`,
    archive: "/archive",
    transaction: `/archive/${whole}?folder=data%2Fmeasurements`,
    ...ofFile,
    search: "/search?q=run*",
    carts: "/carts",
    cart: `/carts/${cart.id}`,
  };
}

async function crawled(client: Longshore, folder: string) {
  const { id } = await client.crawls.start({ endpoints: [{ url: folder, grouper: "extension" }], extract: {} });
  await client.crawls.wait(id);
  const [extraction] = (await client.crawls.get(id)).extractions;
  if (!extraction) throw new Error("the crawl has no extraction");
  await client.extractions.wait(extraction.id);
  const records = `/extractions/${extraction.id}`;
  return { crawls: "/crawls", crawl: `/crawls/${id}`, records, record: `${records}/records/1` };
}

async function packed(client: Longshore, portal: string) {
  const order = {
    kind: "datastore",
    apiUrl: `${portal}/api/3/action/datastore_search`,
    resourceId: RESOURCE,
    format: "csv",
    filters: { family: ["Carabidae"] },
  } as const;
  const { id } = await client.packages.order(order);
  await client.packages.wait(id);
  return { packages: "/packages", package: `/packages/${id}`, statistics: "/packages/statistics" };
}

async function registered(client: Longshore) {
  const declaration = new URL("../../../examples/registers/preservation.json", import.meta.url);
  await client.registers.declare("preservation", await readFile(declaration, "utf8"));
  const today = new Date().toISOString().slice(0, 10);
  for (const [name, channel] of [
    ["Ada Lovelace", "film4"],
    ["Grace Hopper", "skynews"],
    ["<script>alert(1)</script>", "five"],
  ])
    await client.registers.add("preservation", { name, email: "name@example.org", preservation_date: today, channel });
  await client.registers.setStatus("preservation", 2, {
    from: "Requested",
    to: "Cancelled",
    reason: "asked for twice",
  });
  const register = "/registers/preservation";
  return {
    registers: "/registers",
    register,
    "register-declaration": `${register}/declaration`,
    "register-import": `${register}/import`,
    "register-new": `${register}/new`,
    entry: `${register}/entries/2`,
    "entry-edit": `${register}/entries/1/edit`,
  };
}

async function scheduled(client: Longshore) {
  const action = (command: string) => ({ action: { kind: "shell", command } }) as const;
  const hourly = { name: "Free space", expression: "5 * * * *", ...action("df -h / | tail -n 1") };
  const nightly = { name: "Nightly copy", expression: "*/20 3 * * 1-5", timeZone: "Europe/London" };
  const { id } = await client.schedules.create({
    ...nightly,
    ...action("printf '3 files copied\\nno file is left\\n'"),
  });
  const other = await client.schedules.create(hourly);
  await client.schedules.pause(other.id);
  const { number } = await client.schedules.run(id);
  await client.schedules.waitForRun(id, number);
  const schedule = `/schedules/${id}`;
  return {
    schedules: "/schedules",
    schedule,
    "schedule-calendar": `${schedule}/calendar`,
    "schedule-run": `${schedule}/runs/${number}`,
    "schedule-edit": `${schedule}/edit`,
    "schedule-new": "/schedules/new?kind=http",
    "schedule-import": "/schedules/import",
    "schedule-when-wrong": "/schedules/when?expression=0+25+*+*+*",
    "schedule-when": "/schedules/when?expression=*%2F20+3+*+*+1-5&timeZone=Europe%2FLondon",
  };
}

async function operated(client: Longshore) {
  await client.switches.pause("carts", "The tape library is being moved.");
  const pages = Object.fromEntries(
    ["switches", "nodes", "fixity", "audit", "tokens", "settings"].map((name) => [name, `/operations/${name}`]),
  );
  return {
    operations: "/operations",
    ...pages,
    "audit-verification": "/operations/audit/verification",
    "sign-in": "/sign-in",
  };
}
