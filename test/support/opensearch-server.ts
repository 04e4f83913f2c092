import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { httpExchange } from "../../src/adapters/outbound/http-exchange.ts";
import { type OpenSearchParts, openSearchIndex } from "../../src/adapters/search/opensearch.ts";
import { systemClock } from "../../src/adapters/system-clock.ts";
import { without } from "./tools.ts";

/** Linux's file system in memory: engines wait for the disk with each change, which tests need not. */
const MEMORY = "/dev/shm";

export const ENGINES = ["opensearch", "elasticsearch"] as const;
export type EngineName = (typeof ENGINES)[number];

/** Why there is no such engine on this machine, or `false`; for the `skip` of tests. */
export const withoutEngine = (engine: EngineName): string | false =>
  without(engine, ["sh", "-c", `command -v ${engine}`], `test/support/search-engines/install.sh ${engine}`);

export interface SearchEngineServer {
  readonly url: string;
  /** Ends the process at once, as `kill -9` does; what it has stored stays. */
  kill(): Promise<void>;
  /** Starts it again, at the same address. */
  start(): Promise<void>;
  /** Ends it and removes its files. */
  stop(): Promise<void>;
}

/**
 * Starts a real OpenSearch or Elasticsearch of one node on a free loopback port, with its files in a temporary folder; that takes
 * some five seconds. Call it once per test file and `stop` it in `after`.
 */
export async function startSearchEngine(engine: EngineName): Promise<SearchEngineServer> {
  const folder = await mkdtemp(join(existsSync(MEMORY) ? MEMORY : tmpdir(), `longshore-${engine}-`));
  let port = "0";
  let child: ChildProcess | undefined;
  const killNow = () => child?.kill("SIGKILL");
  process.once("exit", killNow);

  async function start(): Promise<void> {
    const settings = {
      "path.data": join(folder, "data"),
      "path.logs": join(folder, "logs"),
      "discovery.type": "single-node",
      "http.host": "127.0.0.1",
      "http.port": port,
      "transport.host": "127.0.0.1",
      "transport.port": "0",
      // However full the disk of this machine is.
      "cluster.routing.allocation.disk.threshold_enabled": "false",
    };
    const words = Object.entries(settings).map(([name, value]) => `-E${name}=${value}`);
    const started = Promise.withResolvers<void>();
    const spawned = spawn(engine, words, { stdio: ["ignore", "pipe", "pipe"] });
    child = spawned;
    const log: string[] = [];
    // To its end: an engine whose log nobody reads stands still.
    for (const output of [spawned.stdout, spawned.stderr])
      createInterface(output).on("line", (line) => {
        log.push(line);
        port = /HttpServerTransport.*publish_address \{[^}]*:(\d+)\}/.exec(line)?.[1] ?? port;
        if (/\.Node\s*\].* started$/.test(line)) started.resolve();
      });
    spawned.once("error", started.reject);
    spawned.once("exit", (code) =>
      started.reject(new Error(`${engine} ended with ${code} before it had started:\n${log.join("\n")}`)),
    );
    await started.promise;
    for (const handle of [spawned, spawned.stdout as Socket, spawned.stderr as Socket]) handle.unref();
  }

  async function kill(): Promise<void> {
    if (child?.exitCode !== null || child.signalCode !== null) return;
    child.ref();
    child.kill("SIGKILL");
    await once(child, "exit");
  }

  async function stop(): Promise<void> {
    await kill();
    process.off("exit", killNow);
    await rm(folder, { recursive: true, force: true });
  }

  try {
    await start();
  } catch (error) {
    await stop();
    throw error;
  }
  return { url: `http://127.0.0.1:${port}`, kill, start, stop };
}

export type OpenedIndex = ReturnType<typeof openSearchIndex>;

export interface IndexesOfEngine extends SearchEngineServer {
  /** A name that no index has yet. */
  freshPrefix(): string;
  /** An index of that name, or of a fresh one; closed with the engine. */
  open(parts?: Partial<OpenSearchParts>): OpenedIndex;
}

/** A started engine, and indexes in it. */
export async function openIndexes(name: EngineName): Promise<IndexesOfEngine> {
  const engine = await startSearchEngine(name);
  const opened: OpenedIndex[] = [];
  let prefixes = 0;
  const freshPrefix = () => `test${++prefixes}`;
  return {
    ...engine,
    freshPrefix,
    open(parts) {
      const given = { url: engine.url, prefix: parts?.prefix ?? freshPrefix(), clock: systemClock, ...parts };
      const index = openSearchIndex({ exchange: httpExchange(), ...given });
      opened.push(index);
      return index;
    },
    async stop() {
      for (const index of opened) await index.close();
      await engine.stop();
    },
  };
}
