import { readFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { isIPv6 } from "node:net";
import type { Command } from "commander";
import type { FastifyInstance } from "fastify";
import type { Logger } from "pino";
import { systemClock } from "../adapters/system-clock.ts";
import { command, withExamples } from "../cli/command.ts";
import type { Terminal } from "../cli/terminal.ts";
import type { Services } from "../compose/services.ts";
import { access } from "../core/access/access.ts";
import { audit } from "../core/access/audit.ts";
import { callLimits } from "../core/access/call-limits.ts";
import { tokens } from "../core/access/tokens.ts";
import { AppError } from "../core/errors.ts";
import type { Job } from "../core/jobs/job.ts";
import { type Config, loadConfig } from "../settings/config.ts";
import { PACKAGE_ROOT, SOFTWARE, VERSION } from "../version.ts";

/** `longshore serve`: HTTP, the doors and the workers in one process, until it is told to stop. */
export function serveCommand(terminal: Terminal): Command {
  const serve = command("serve", "Serve HTTP and run jobs, until SIGTERM or Ctrl-C.").action(async () => {
    await serveUntil(stopRequested(), loadConfig(process.env), terminal);
  });
  return withExamples(serve, [
    ["longshore serve", "on http://127.0.0.1:7700, everything in ./data"],
    ["LONGSHORE_PORT=0 LONGSHORE_DATA_DIR=/srv/longshore longshore serve", "on a free port, printed first"],
  ]);
}

/** `longshore worker`: runs jobs for servers that share the database and the archive. */
export function workerCommand(terminal: Terminal): Command {
  const worker = command("worker", "Run jobs without serving HTTP, until SIGTERM or Ctrl-C.").action(async () => {
    const config = loadConfig(process.env);
    const stop = stopRequested();
    const { openLog } = await import("../log.ts");
    const { openFoundation } = await import("../compose/foundation.ts");
    const { composeServices } = await import("../compose/services.ts");
    const log = openLog(config);
    const { openTelemetry } = await import("../compose/telemetry.ts");
    const telemetry = await openTelemetry(config, "worker", systemClock, workLog(log).trouble);
    const foundation = await openFoundation(config, systemClock, (error) =>
      workLog(log).trouble(error, "between requests"),
    );
    try {
      const services = await composeServices(config, systemClock, foundation, undefined, telemetry.instruments);
      const running = startAll(services, workLog(log));
      terminal.print(`worker ${process.pid}`);
      log.info({ lanes: config.workers }, "worker started");
      await stop;
      log.info("stopping");
      for (const one of running) await one.stop();
    } finally {
      await foundation.close();
      await telemetry.close();
    }
  });
  return withExamples(worker, [
    ["LONGSHORE_WORKERS=fast:4,slow:2 longshore worker", "up to six jobs at a time, beside a running server"],
  ]);
}

async function serveUntil(stop: Promise<void>, config: Config, terminal: Terminal): Promise<void> {
  const { openLog } = await import("../log.ts");
  const { freeBytesAt } = await import("../adapters/storage/fs/free-bytes.ts");
  const { openFoundation } = await import("../compose/foundation.ts");
  const { composeServices, publicUrlOf } = await import("../compose/services.ts");
  const { buildDoor, buildServer } = await import("../http/server.ts");
  const { webFace } = await import("../web/face.ts");
  const clock = systemClock;
  const log = openLog(config);
  const { openTelemetry } = await import("../compose/telemetry.ts");
  const telemetry = await openTelemetry(config, "serve", clock, workLog(log).trouble);
  const foundation = await openFoundation(config, clock, (error) => workLog(log).trouble(error, "between requests"));
  const servers: FastifyInstance[] = [];
  let indexing: ReturnType<Services["startIndexing"]> | undefined;
  try {
    const { index, stores, storage } = foundation;
    const loopback = isLoopback(config.host);
    if (!loopback) await requireCredentials(config, () => stores.tokens.anyActive(clock.now()));

    /** Known when the port is: before that, nobody can order what has links. */
    let publicUrl = publicUrlOf(config);
    const services = await composeServices(config, clock, foundation, () => publicUrl, telemetry.instruments);
    const lost = (await services.environment.list("secrets")).filter(({ readable }) => !readable);
    if (lost.length > 0)
      log.warn(
        { secrets: lost.map(({ scope, name }) => `${name} (${scope})`) },
        "secrets were sealed under another key: set them again, or start with that key",
      );
    const observed = {
      ...stores,
      index,
      dataFreeBytes: () => freeBytesAt(config.dataDir),
    };
    const onTrouble = workLog(log).trouble;
    telemetry.metrics.watch({ ...observed, storage, fixityStatus: services.fixity.status, onTrouble }, services.jobs);
    indexing = services.startIndexing(workLog(log));
    const deps = {
      version: VERSION,
      // Made from the routes beforehand: to make it takes libraries that nothing else needs.
      apiDescription: () => readFile(new URL("openapi.json", PACKAGE_ROOT)),
      logger: log,
      clock,
      switches: services.switches,
      drops: services.drops,
      jobs: services.jobs,
      ingest: services.ingest,
      ids: services.ids,
      numberedFiles: services.numberedFiles,
      uploads: services.uploads,
      catalogue: stores.catalogue,
      carts: services.carts,
      search: services.search,
      indexing,
      crawls: services.crawls,
      extractions: services.extractions,
      offloads: services.offloads,
      fixity: services.fixity,
      packages: services.packages,
      documents: services.documents,
      schedules: services.schedules,
      crontabs: services.crontabs,
      packageStatistics: services.statistics,
      storage,
      environment: services.environment,
      access: access(stores.tokens, clock, { loopback }),
      tokens: tokens(stores.tokens, clock),
      sessions: services.sessions,
      callLimits: callLimits(config.rateLimits, clock),
      links: services.links,
      registers: services.registers,
      audit: audit(stores.audit, clock, SOFTWARE),
      observed,
      metrics: telemetry.metrics,
      tracer: telemetry.tracer,
      options: config,
    };
    const server = await buildServer(deps, webFace);
    servers.push(server);
    const address = await listen(server, config.host, config.port);
    publicUrl = config.publicUrl ?? address;
    terminal.print(address);
    for (const { name, port } of config.doors) {
      const door = await buildDoor(name, deps);
      servers.push(door);
      terminal.print(`${name} ${await listen(door, config.host, port)}`);
    }

    const running = startAll(services, workLog(log));
    log.info({ version: VERSION, dataDir: config.dataDir, archive: config.archive }, "ready");
    await stop;
    log.info("stopping");
    await Promise.all(servers.map((one) => one.close()));
    for (const one of running) await one.stop();
  } finally {
    await Promise.all(servers.map((one) => one.close()));
    await indexing?.stop();
    await foundation.close();
    await telemetry.close();
  }
}

/** Everything that goes on beside the requests. */
function startAll(services: Services, log: ReturnType<typeof workLog>): readonly { stop(): Promise<void> }[] {
  return [
    services.startWorker(log),
    services.startDelivery(log),
    services.startUpkeep(log),
    services.startSchedules(log),
  ];
}

/** @returns the address to reach it at. @throws AppError config_invalid when the port cannot be had. */
async function listen(server: FastifyInstance, host: string, port: number): Promise<string> {
  try {
    await server.listen({ host, port });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "EADDRINUSE" && code !== "EACCES" && code !== "EADDRNOTAVAIL") throw error;
    throw new AppError(
      "config_invalid",
      { host, port, found: code, expected: "a free address and port" },
      { cause: error },
    );
  }
  const { port: bound } = server.server.address() as AddressInfo;
  return `http://${isIPv6(host) ? `[${host}]` : host}:${bound}`;
}

/** @throws AppError credentials_required when nobody could be told apart. */
async function requireCredentials(config: Config, anyToken: () => Promise<boolean>): Promise<void> {
  if (config.trustedProxies.length > 0 || (await anyToken())) return;
  throw new AppError("credentials_required", {
    host: config.host,
    hint: "make a token with `longshore token create`, or name a proxy in LONGSHORE_TRUSTED_PROXIES, or listen on 127.0.0.1",
  });
}

export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127(\.\d{1,3}){3}$/.test(host);
}

/** Resolves at the first SIGTERM or SIGINT; a second one finds no listener and ends the process at once. */
function stopRequested(): Promise<void> {
  return new Promise((resolve) => {
    const stop = () => {
      process.off("SIGTERM", stop);
      process.off("SIGINT", stop);
      resolve();
    };
    process.on("SIGTERM", stop);
    process.on("SIGINT", stop);
  });
}

function workLog(log: Logger) {
  return {
    jobEnded({ id, kind, state, owner, attempts, error, createdAt, finishedAt, result }: Job) {
      const line = {
        jobId: id,
        kind,
        state,
        owner,
        attempts,
        durationMs: (finishedAt ?? createdAt) - createdAt,
        result,
      };
      if (error === null) log.info(line, "job");
      else log.warn({ ...line, code: error.code, message: error.message }, "job");
    },
    trouble(error: unknown, during: string) {
      log.error({ err: error, during }, "trouble");
    },
  };
}
