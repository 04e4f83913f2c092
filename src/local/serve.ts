import type { AddressInfo } from "node:net";
import { isIPv6 } from "node:net";
import type { Command } from "commander";
import type { FastifyInstance } from "fastify";
import type { Logger } from "pino";
import { systemClock as clock } from "../adapters/system-clock.ts";
import { command, withExamples } from "../cli/command.ts";
import type { Terminal } from "../cli/terminal.ts";
import type { Services } from "../compose/services.ts";
import { AppError } from "../core/errors.ts";
import { type Config, type Environment, loadConfig } from "../settings/config.ts";
import { VERSION } from "../version.ts";
import { isLoopback } from "./loopback.ts";
import { aborted, endInTime, openPatiently, startWork, stopRequested, workLog } from "./running.ts";

/** `longshore serve`: HTTP, the doors and the workers in one process, until it is told to stop. */
export function serveCommand(terminal: Terminal): Command {
  const serve = command("serve", "Serve HTTP and run jobs, until SIGTERM or Ctrl-C.")
    .option("--no-workers", "leave all jobs to others; as LONGSHORE_WORKERS=none")
    .action(async ({ workers }: { readonly workers: boolean }) => {
      const env = workers ? process.env : { ...process.env, LONGSHORE_WORKERS: "none" };
      await serveUntil(stopRequested(), env, terminal);
    });
  return withExamples(serve, [
    ["longshore serve", "on http://127.0.0.1:7700, everything in ./data"],
    ["LONGSHORE_PORT=0 LONGSHORE_DATA_DIR=/srv/longshore longshore serve", "on a free port, printed first"],
    ["longshore serve --no-workers", "requests only, beside longshore worker"],
  ]);
}

async function serveUntil(stop: AbortSignal, env: Environment, terminal: Terminal): Promise<void> {
  const config = loadConfig(env);
  const { openLog } = await import("../log.ts");
  const { composeOpenid } = await import("../compose/openid.ts");
  const { composeServices, publicUrlOf } = await import("../compose/services.ts");
  const { openTelemetry } = await import("../compose/telemetry.ts");
  const { buildDoor, buildServer } = await import("../http/server.ts");
  const { webFace } = await import("../web/face.ts");
  const { serverDeps } = await import("./server-deps.ts");
  const log = openLog(config);
  const told = workLog(log);
  const telemetry = await openTelemetry(config, "serve", clock, told.trouble);
  const foundation = await openPatiently(config, log, stop, telemetry.instruments);
  const servers: FastifyInstance[] = [];
  const closeServers = () => Promise.all(servers.map((one) => one.close()));
  let indexing: ReturnType<Services["startIndexing"]> | undefined;
  try {
    const { stores } = foundation;
    if (!isLoopback(config.host)) await requireCredentials(config, () => stores.tokens.anyActive(clock.now()));

    /** Known when the port is: before that, nobody can order what has links. */
    let publicUrl = publicUrlOf(config);
    const services = await composeServices(config, clock, foundation, () => publicUrl, telemetry.instruments);
    await warnOfLostSecrets(services, log);
    const openid = await composeOpenid(config, { keys: services.keys, clock, publicUrl: () => publicUrl });
    indexing = services.startIndexing(told);
    const isLeaving = () => stop.aborted;
    const composed = { foundation, services, telemetry, openid, indexing };
    const deps = serverDeps({ env, config, log, ...composed, isLeaving, searches: true });
    const { observed, storage } = deps;
    const watched = { ...observed, ...stores, storage, fixityStatus: services.fixity.status, onTrouble: told.trouble };
    telemetry.metrics.watch(watched, services.jobs);
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

    const running = await startWork(config, foundation, services, log, { role: "server", address: publicUrl });
    log.info({ version: VERSION, dataDir: config.dataDir, archive: config.archive }, "ready");
    await aborted(stop);
    log.info("stopping");
    await Promise.all([running.handOver(), clock.sleep(config.drainMs)]);
    await endInTime(config, log, closeServers().then(running.stop));
  } finally {
    await closeServers();
    await indexing?.stop();
    await foundation.close();
    await telemetry.close();
  }
}

async function warnOfLostSecrets({ environment }: Services, log: Logger): Promise<void> {
  const lost = (await environment.list("secrets")).filter(({ readable }) => !readable);
  if (lost.length > 0)
    log.warn(
      { secrets: lost.map(({ scope, name }) => `${name} (${scope})`) },
      "secrets were sealed under another key: set them again, or start with that key",
    );
}

/** @returns the address to reach it at. @throws AppError config_invalid when the port cannot be had. */
export async function listen(server: FastifyInstance, host: string, port: number): Promise<string> {
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
  if (config.trustedProxies.length > 0 || config.openid !== undefined || (await anyToken())) return;
  throw new AppError("credentials_required", {
    host: config.host,
    hint: "make a token with `longshore token create`, or name a proxy in LONGSHORE_TRUSTED_PROXIES or a provider in LONGSHORE_OPENID_ISSUER, or listen on 127.0.0.1",
  });
}
