import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";

const project = join(import.meta.dirname, "..");
/** The build when there is one: types are not stripped at its start. */
export const ENTRY = existsSync(join(project, "dist/src/main.js")) ? "dist/src/main.js" : "src/main.ts";

export interface BenchServer {
  readonly url: string;
  readonly pid: number;
  stop(): Promise<void>;
}

/** `longshore serve` on a data folder, as a process of its own. @param settings further ones. */
export async function startServer(
  dataDir: string,
  settings: Readonly<Record<string, string>> = {},
): Promise<BenchServer> {
  const own = { LONGSHORE_DATA_DIR: dataDir, LONGSHORE_PORT: "0", LONGSHORE_LOG_LEVEL: "warn" };
  const server = spawn(process.execPath, [join(project, ENTRY), "serve"], {
    env: { ...process.env, ...own, ...settings },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = once(server, "exit");
  const [url] = (await Promise.race([
    once(createInterface({ input: server.stdout }), "line"),
    exited.then(([code]) => Promise.reject(new Error(`The server ended with code ${code} before it was ready.`))),
  ])) as [string];
  return {
    url,
    pid: server.pid ?? 0,
    async stop() {
      server.kill("SIGTERM");
      await exited;
    },
  };
}

/** Posts a bundle with curl and waits until its job has succeeded. @returns the transaction's id. */
export async function deposit(url: string, bundle: string): Promise<number> {
  const words = ["-sS", "-f", "-T", bundle, "-X", "POST", "-H", "Content-Type: application/x-tar"];
  const curl = spawn("curl", [...words, `${url}/api/v1/bundles`], { stdio: ["ignore", "pipe", "inherit"] });
  const { id } = JSON.parse((await Array.fromAsync(curl.stdout)).join("")) as { id: number };
  for (;;) {
    const job = (await (await fetch(`${url}/api/v1/jobs/${id}`)).json()) as { state: string; error: unknown };
    if (job.state === "succeeded") return id;
    if (job.state !== "queued" && job.state !== "running")
      throw new Error(`The job ended ${job.state}: ${JSON.stringify(job.error)}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
