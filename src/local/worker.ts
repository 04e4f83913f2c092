import type { Command } from "commander";
import type { FastifyInstance } from "fastify";
import { systemClock as clock } from "../adapters/system-clock.ts";
import { command, withExamples } from "../cli/command.ts";
import type { Terminal } from "../cli/terminal.ts";
import { AppError } from "../core/errors.ts";
import { LANES } from "../core/jobs/job.ts";
import { type Environment, loadConfig } from "../settings/config.ts";
import { aborted, endInTime, openPatiently, startWork, stopRequested, workLog } from "./running.ts";

interface WorkerOptions {
  readonly lanes?: string;
  readonly tasks?: string;
}

/** `longshore worker`: runs jobs for servers that share the database and the archive. */
export function workerCommand(terminal: Terminal): Command {
  const worker = command("worker", "Run jobs without serving HTTP, until SIGTERM or Ctrl-C.")
    .option("--lanes <lane:number,…>", "jobs at a time in these lanes, and no others: fast, slow, run")
    .option("--tasks <kind,…>", "only jobs of these kinds, such as ingest,stage")
    .action(async ({ lanes, tasks }: WorkerOptions) => {
      const env = {
        ...process.env,
        ...(lanes !== undefined && { LONGSHORE_WORKERS: onlyLanes(lanes) }),
        ...(tasks !== undefined && { LONGSHORE_TASKS: tasks }),
      };
      await workUntil(stopRequested(), env, terminal);
    });
  return withExamples(worker, [
    ["longshore worker --lanes fast:4,slow:2", "up to six jobs at a time, beside a running server"],
    ["longshore worker --tasks ingest,stage", "nothing but what comes in and what is brought online"],
    ["LONGSHORE_HEALTH_PORT=9100 longshore worker", "with /readyz and /metrics for whoever watches over it"],
  ]);
}

/** What is not named is left to others. */
function onlyLanes(lanes: string): string {
  const named = lanes.split(",").map((part) => part.trim().split(":")[0]);
  return [lanes, ...LANES.filter((lane) => !named.includes(lane)).map((lane) => `${lane}:0`)].join(",");
}

async function workUntil(stop: AbortSignal, env: Environment, terminal: Terminal): Promise<void> {
  const config = loadConfig(env);
  const { openLog } = await import("../log.ts");
  const { composeServices } = await import("../compose/services.ts");
  const { openTelemetry } = await import("../compose/telemetry.ts");
  const log = openLog(config);
  const told = workLog(log);
  const telemetry = await openTelemetry(config, "worker", clock, told.trouble);
  const foundation = await openPatiently(config, log, stop, telemetry.instruments);
  let probes: FastifyInstance | undefined;
  try {
    const { stores, storage } = foundation;
    const services = await composeServices(config, clock, foundation, undefined, telemetry.instruments);
    if (config.healthPort !== undefined) {
      const { freeBytesAt } = await import("../adapters/storage/fs/free-bytes.ts");
      const { buildProbes } = await import("../http/server.ts");
      const { listen } = await import("./serve.ts");
      const { serverDeps } = await import("./server-deps.ts");
      const dataFreeBytes = () => freeBytesAt(config.dataDir);
      const watched = {
        ...stores,
        index: foundation.index,
        storage,
        dataFreeBytes,
        fixityStatus: services.fixity.status,
      };
      telemetry.metrics.watch({ ...watched, onTrouble: told.trouble }, services.jobs);
      const isLeaving = () => stop.aborted;
      probes = await buildProbes(
        serverDeps({
          env,
          config,
          log,
          foundation,
          services,
          telemetry,
          indexing: NO_INDEXING,
          isLeaving,
          searches: false,
        }),
      );
      log.info({ address: await listen(probes, config.host, config.healthPort) }, "health");
    }
    const running = await startWork(config, foundation, services, log, { role: "worker", address: null });
    terminal.print(`worker ${process.pid}`);
    log.info({ lanes: config.workers, tasks: config.tasks ?? "all" }, "worker started");
    await aborted(stop);
    log.info("stopping");
    await endInTime(config, log, running.stop());
  } finally {
    await probes?.close();
    await foundation.close();
    await telemetry.close();
  }
}

/** Nobody asks a worker's probes for it. */
const NO_INDEXING = {
  lastRebuild: async () => null,
  begin: () => Promise.reject(new AppError("search_unavailable", { reason: "workers do not search" })),
};
