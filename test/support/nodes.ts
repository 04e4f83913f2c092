import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { withoutSettings } from "./server.ts";

const MAIN = join(import.meta.dirname, "../../src/main.ts");

export interface WorkerProcess {
  readonly pid: number;
  /** Everything on standard error so far. */
  log(): string;
  end(signal: "SIGTERM" | "SIGKILL"): Promise<void>;
}

/** Starts `longshore worker` from the sources, with a data folder of its own; resolves when it says that it works. */
export async function startWorkerProcess(
  env: Readonly<Record<string, string>>,
  options: readonly string[] = [],
): Promise<WorkerProcess> {
  const dataDir = await mkdtemp(join(tmpdir(), "longshore-worker-"));
  const child = spawn(process.execPath, [MAIN, "worker", ...options], {
    env: { ...withoutSettings(process.env), LONGSHORE_DATA_DIR: dataDir, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let log = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    log += text;
  });
  const ended = once(child, "exit");
  await Promise.race([
    once(createInterface(child.stdout), "line"),
    ended.then(([code]) => {
      throw new Error(`The worker ended with ${code} before it worked:\n${log}`);
    }),
  ]);
  // A test that fails before it stops its worker must not keep the run waiting, nor leave the worker behind.
  for (const handle of [child, child.stdout as Socket, child.stderr as Socket]) handle.unref();
  const killed = () => child.kill("SIGKILL");
  process.once("exit", killed);
  return {
    pid: child.pid ?? 0,
    log: () => log,
    async end(signal) {
      process.off("exit", killed);
      child.ref();
      if (child.exitCode === null && child.signalCode === null) child.kill(signal);
      await ended;
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}
