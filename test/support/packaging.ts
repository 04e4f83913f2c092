import { spawnSync } from "node:child_process";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { packageFolder } from "../../src/adapters/packages/folder.ts";
import { systemClock } from "../../src/adapters/system-clock.ts";
import { type Foundation, openFoundation } from "../../src/compose/foundation.ts";
import { composeServices, type Services } from "../../src/compose/services.ts";
import type { Principal } from "../../src/core/access/access.ts";
import type { Clock } from "../../src/core/clock.ts";
import type { OrderId } from "../../src/core/ids.ts";
import type { Worker } from "../../src/core/jobs/worker.ts";
import type { OrderRequest, Recipe } from "../../src/core/packages/package.ts";
import type { Workspace } from "../../src/core/packages/package-files.ts";
import type { OrderedPackage } from "../../src/core/packages/packages.ts";
import { loadConfig } from "../../src/settings/config.ts";
import { type Ckan, type CkanOptions, type CkanTable, ckan } from "./ckan.ts";
import { type MailServer, mailServer } from "./mail-server.ts";
import { until } from "./until.ts";

export const ADA: Principal = { name: "ada", scopes: ["deposit", "read"], via: "token" };
export const PUBLIC_URL = "https://packages.example.org";

/** Pauses are shorter by this: those between tries, and of whoever looks for work. */
const HASTE = 20;

/** Rows whose cells say where they stand. */
export function countedTable(rowCount: number, more: Partial<CkanTable> = {}): CkanTable {
  return {
    columns: [
      { id: "name", type: "text" },
      { id: "square", type: "int8" },
    ],
    rowCount,
    row: (id) => [`row ${id}`, id * id],
    ...more,
  };
}

/** What `resource.csv` holds of a counted table: written by hand, by RFC 4180. */
export function countedCsv(rowCount: number): string {
  const rows = Array.from({ length: rowCount }, (_, n) => `${n + 1},row ${n + 1},${(n + 1) ** 2}\n`);
  return `_id,name,square\n${rows.join("")}`;
}

/** A portal, a mail server, and the real services between them, in a temporary folder. */
export interface Packaging extends Services {
  readonly foundation: Foundation;
  readonly dataDir: string;
  readonly storeDir: string;
  readonly portal: Ckan;
  readonly mails: MailServer;
  /** What went wrong around jobs and deliveries. */
  readonly troubles: unknown[];
  recipe(given?: Partial<Recipe>): Recipe;
  order(given?: Partial<OrderRequest>): Promise<OrderedPackage>;
  /** Works until the order's package is over. */
  settled(id: OrderId): Promise<OrderedPackage>;
  told(id: OrderId): Promise<OrderedPackage>;
  work(): Worker;
  /** Where the files of one package grow. */
  workspace(name: string): Promise<Workspace>;
  /** Time goes on by so much at once. */
  pass(ms: number): void;
  /** Names in the folder that others may serve. */
  stored(): Promise<readonly string[]>;
}

export interface PackagingOptions extends Partial<CkanOptions> {
  readonly env?: Readonly<Record<string, string>>;
  readonly mail?: Parameters<typeof mailServer>[0];
}

export async function packaging(t: TestContext, options: PackagingOptions = {}): Promise<Packaging> {
  const { env = {}, mail = {}, ...rest } = options;
  const dataDir = await mkdtemp(join(tmpdir(), "longshore-packaging-"));
  const portal = await ckan({ tables: { r: countedTable(100) }, ...rest });
  const mails = await mailServer(mail);
  const config = loadConfig({
    LONGSHORE_DATA_DIR: dataDir,
    LONGSHORE_FETCH_ORIGINS: portal.origin,
    LONGSHORE_FETCH_RATE: "10000",
    LONGSHORE_SMTP_URL: `smtp://127.0.0.1:${mails.port}?tls.rejectUnauthorized=false`,
    LONGSHORE_PUBLIC_URL: PUBLIC_URL,
    ...env,
  });
  let ahead = 0;
  const clock: Clock = {
    now: () => systemClock.now() + ahead,
    sleep: (ms, signal) => systemClock.sleep(ms / HASTE, signal),
  };
  const foundation = await openFoundation(config, clock);
  const services = await composeServices(config, clock, foundation);
  const troubles: unknown[] = [];
  const log = { jobEnded: () => undefined, trouble: (error: unknown) => troubles.push(error) };
  const workers: Worker[] = [];
  const delivery = services.startDelivery(log);
  t.after(async () => {
    for (const worker of workers) await worker.stop();
    await delivery.stop();
    await foundation.close();
    await mails.close();
    await portal.close();
    await rm(dataDir, { recursive: true });
  });

  const recipe = (given: Partial<Recipe> = {}): Recipe => ({
    kind: "datastore",
    resourceId: "r",
    apiUrl: portal.apiUrl,
    format: "csv",
    manifest: false,
    ...given,
  });
  const work = () => {
    const worker = services.startWorker(log);
    workers.push(worker);
    return worker;
  };
  const get = (id: OrderId) => services.packages.get(ADA, id);

  return {
    ...services,
    foundation,
    dataDir,
    storeDir: config.shared.packages.path,
    portal,
    mails,
    troubles,
    recipe,
    order: (given = {}) => services.packages.order({ recipe: recipe(), owner: "ada", door: false, ...given }),
    async settled(id) {
      const worker = work();
      await until(`order ${id} is settled`, async () => (await get(id)).package.status !== "building");
      // The job itself may end a little later.
      await worker.stop();
      return get(id);
    },
    async told(id) {
      await until(`order ${id} is told`, async () => {
        const { order } = await get(id);
        return order.toldAt !== null || order.refused !== null;
      });
      return get(id);
    },
    work,
    workspace: packageFolder({ root: config.shared.packages.path }).workspace,
    pass(ms) {
      ahead += ms;
    },
    async stored() {
      const names = await readdir(config.shared.packages.path).catch(() => []);
      return names.filter((name) => !name.startsWith("."));
    },
  };
}

/** A member's bytes, read by Info-ZIP's unzip, which checks its CRC-32. */
export function unzipped(zip: string, member: string): Buffer {
  const { status, stdout, stderr } = spawnSync("unzip", ["-p", zip, member], { maxBuffer: 2 ** 30 });
  if (status !== 0) throw new Error(`unzip ${zip} ${member}: ${stderr}`);
  return stdout;
}

/** Names of the members, as unzip lists them. */
export function memberNames(zip: string): readonly string[] {
  const { status, stdout, stderr } = spawnSync("unzip", ["-Z1", zip], { encoding: "utf8" });
  if (status !== 0) throw new Error(`unzip -Z1 ${zip}: ${stderr}`);
  return stdout.trim().split("\n");
}

export const bytesOf = (folder: string, name: string | null): Promise<Buffer> => readFile(join(folder, name ?? ""));
