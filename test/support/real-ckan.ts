import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, realpath, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { startPostgres } from "./postgres.ts";
import { lastingPort } from "./server.ts";
import { without } from "./tools.ts";
import { until } from "./until.ts";

/** For the `skip` of tests against CKAN itself. */
export const noCkan = without(
  "CKAN",
  ["sh", "-c", "command -v ckan && command -v redis-server"],
  "PyPI: ckan[requirements]; Debian: redis-server",
);

export interface RealCkan {
  readonly origin: string;
  readonly apiUrl: string;
  readonly resourceId: string;
  stop(): Promise<void>;
}

/** What `datastore_create` takes. */
export interface RealTable {
  readonly fields: readonly { readonly id: string; readonly type: string }[];
  readonly records: readonly Readonly<Record<string, unknown>>[];
}

/** Starts CKAN on a PostgreSQL and a Redis of its own. It takes some ten seconds. */
export async function realCkan(table: RealTable): Promise<RealCkan> {
  const folder = await mkdtemp(join(tmpdir(), "longshore-ckan-"));
  const postgres = await startPostgres();
  const [main, store] = [await postgres.freshDatabase(), await postgres.freshDatabase()];
  const [redisPort, port] = [await lastingPort(), await lastingPort()];
  const redis = spawn("redis-server", ["--port", String(redisPort), "--bind", "127.0.0.1", "--save", ""], {
    cwd: folder,
    stdio: "ignore",
  });
  const rows = join(folder, "rows.json");
  await writeFile(rows, JSON.stringify(table));
  // SQLAlchemy knows PostgreSQL by another name.
  const urls = [main, store].map((url) => url.replace(/^postgres:/, "postgresql:"));
  const python = join(dirname(await realpath(execFileSync("which", ["ckan"], { encoding: "utf8" }).trim())), "python3");
  const words = [join(import.meta.dirname, "ckan-server.py"), folder, ...urls];
  await until("Redis answers", () => answers(redisPort));
  const server = spawn(python, [...words, `redis://127.0.0.1:${redisPort}/0`, String(port), rows], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let log = "";
  server.stderr.setEncoding("utf8").on("data", (text: string) => {
    log += text;
  });
  const ended = once(server, "exit");

  async function stop(): Promise<void> {
    const redisEnded = once(redis, "exit");
    server.kill();
    redis.kill();
    await Promise.all([ended, redisEnded]);
    await postgres.stop();
    await rm(folder, { recursive: true });
  }

  try {
    const [line] = (await Promise.race([
      once(createInterface(server.stdout), "line"),
      ended.then(() => Promise.reject(new Error(`CKAN ended before it served:\n${log}`))),
    ])) as [string];
    await until("CKAN answers", () => answers(port));
    const origin = `http://127.0.0.1:${port}`;
    const { resource } = JSON.parse(line) as { resource: string };
    return { origin, apiUrl: `${origin}/api/action/datastore_search`, resourceId: resource, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(port, "127.0.0.1");
    probe.once("connect", () => resolve(true)).once("error", () => resolve(false));
    probe.once("connect", () => probe.destroy());
  });
}
