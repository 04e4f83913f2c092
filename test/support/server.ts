import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import type { Socket } from "node:net";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

const MAIN = join(import.meta.dirname, "../../src/main.ts");

export interface ServerProcess {
  readonly url: string;
  readonly pid: number;
  readonly dataDir: string;
  /** Everything on standard error so far. */
  log(): string;
  /** Ends the process and waits for it; the data folder stays. */
  end(signal: "SIGTERM" | "SIGKILL"): Promise<void>;
  /** Ends the process gracefully and removes the data folder, if it was made here. */
  stop(): Promise<void>;
}

export interface ServerProcessOptions {
  /** A fresh temporary folder when left out. */
  readonly dataDir?: string;
  /** A free one when left out. */
  readonly port?: number;
  /** Further settings. */
  readonly env?: Readonly<Record<string, string>>;
}

/** Starts `longshore serve` from the sources as a process of its own; resolves when it has printed its address. */
export async function startServer(options: ServerProcessOptions = {}): Promise<ServerProcess> {
  const dataDir = options.dataDir ?? (await mkdtemp(join(tmpdir(), "longshore-server-")));
  const child = spawn(process.execPath, [MAIN, "serve"], {
    env: {
      ...withoutSettings(process.env),
      LONGSHORE_DATA_DIR: dataDir,
      LONGSHORE_PORT: String(options.port ?? 0),
      ...options.env,
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let log = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    log += text;
  });
  const ended = once(child, "exit");
  const [line] = await Promise.race([
    once(createInterface(child.stdout), "line"),
    ended.then(([code]) => {
      throw new Error(`The server ended with ${code} before it had an address:\n${log}`);
    }),
  ]);
  const url = /https?:\/\/\S+/.exec(String(line))?.[0];
  if (!url) throw new Error(`The server's first line has no address: ${line}`);

  // A test that fails before it stops its server must not keep the run waiting, nor leave the server behind.
  for (const handle of [child, child.stdout as Socket, child.stderr as Socket]) handle.unref();
  const killed = () => child.kill("SIGKILL");
  process.once("exit", killed);

  const end = async (signal: "SIGTERM" | "SIGKILL") => {
    process.off("exit", killed);
    child.ref();
    if (isRunning(child)) child.kill(signal);
    await ended;
  };
  return {
    url,
    pid: child.pid ?? 0,
    dataDir,
    log: () => log,
    end,
    async stop() {
      await end("SIGTERM");
      if (options.dataDir === undefined) await rm(dataDir, { recursive: true, force: true });
    },
  };
}

/**
 * A free port to start a server on more than once. It lies below those that systems hand out by themselves (from 32768
 * on Linux), so that no connection of another test takes it while the server is down.
 */
export async function lastingPort(): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    const server = createServer().listen(port, "127.0.0.1");
    const isFree = await once(server, "listening").then(
      () => true,
      () => false,
    );
    if (!isFree) continue;
    server.close();
    await once(server, "close");
    return port;
  }
}

const isRunning = (child: ChildProcess) => child.exitCode === null && child.signalCode === null;

/**
 * The environment for `main.ts`, without any `LONGSHORE_*`: what a test does not set is the default. Code that is compiled
 * under the flags which `main.ts` sets is of no use to the tests, and theirs to it: each keeps its own.
 */
export function withoutSettings(env: Readonly<Record<string, string | undefined>>): Record<string, string | undefined> {
  const { NODE_COMPILE_CACHE: compiled, ...rest } = env;
  const settings = Object.entries(rest).filter(([name]) => !name.startsWith("LONGSHORE_"));
  return { ...Object.fromEntries(settings), ...(compiled && { NODE_COMPILE_CACHE: join(compiled, "main") }) };
}
