import type { Logger } from "pino";
import { systemClock } from "../adapters/system-clock.ts";
import type { Foundation } from "../compose/foundation.ts";
import type { S3Watch } from "../compose/s3.ts";
import type { Services } from "../compose/services.ts";
import type { Job } from "../core/jobs/job.ts";
import type { QueuedKind } from "../core/jobs/job-store.ts";
import { type NodeFacts, startPresence } from "../core/nodes/nodes.ts";
import type { Config } from "../settings/config.ts";
import { VERSION } from "../version.ts";
import { sparing } from "./sparing.ts";

/** What servers and workers have in common: how they open what they stand on, work, and come to an end. */

/** Aborts at the first SIGTERM or SIGINT; a second one finds no listener and ends the process at once. */
export function stopRequested(): AbortSignal {
  const stopping = new AbortController();
  const stop = () => {
    process.off("SIGTERM", stop);
    process.off("SIGINT", stop);
    stopping.abort();
  };
  process.on("SIGTERM", stop);
  process.on("SIGINT", stop);
  return stopping.signal;
}

export const aborted = (signal: AbortSignal): Promise<unknown> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve(undefined);
    else signal.addEventListener("abort", resolve, { once: true });
  });

/**
 * Opens database and archive, and asks for the place that nodes share. What does not answer yet is waited for, with one line for
 * each try.
 */
export async function openPatiently(
  config: Config,
  log: Logger,
  stop: AbortSignal,
  watch: S3Watch,
): Promise<Foundation> {
  const { openFoundation } = await import("../compose/foundation.ts");
  const { askShared } = await import("../compose/shared.ts");
  const { waitingFor } = await import("../compose/waiting.ts");
  const onTrouble = (error: unknown) => workLog(log).trouble(error, "between requests");
  const open = async () => {
    await askShared(config);
    return openFoundation(config, systemClock, onTrouble, watch);
  };
  return waitingFor(open, {
    config,
    clock: systemClock,
    signal: stop,
    onWait: ({ what, where, why, tries, ofTries }) =>
      log.warn({ where, why, tries, ofTries, waitMs: config.startWaitMs }, `waiting for ${what}`),
  });
}

export interface Running {
  /** Hands over what others can do at once; jobs under way go on. */
  handOver(): Promise<void>;
  /** Ends what is under way, and takes leave of the other nodes. */
  stop(): Promise<void>;
}

/** Everything that goes on beside the requests. */
export async function startWork(
  config: Config,
  { stores }: Foundation,
  services: Services,
  log: Logger,
  where: Pick<NodeFacts, "role" | "address">,
): Promise<Running> {
  const { startDuties } = await import("../compose/duties.ts");
  const told = workLog(log);
  const facts = { ...where, name: services.node, version: VERSION, lanes: config.workers, tasks: config.tasks ?? null };
  const presence = startPresence({
    store: stores.nodes,
    node: facts,
    clock: systemClock,
    onTrouble: told.trouble,
    onClockApart: (aheadMs) =>
      log.warn({ aheadMs }, "this machine's clock and the database's are apart: synchronise both, best by NTP"),
  });
  const duties = startDuties(services, stores.leases, systemClock, told);
  const works = [services.startWorker(told), services.startDelivery(told)];
  return {
    handOver: () => duties.stop(),
    async stop() {
      await duties.stop();
      for (const work of works) await work.stop();
      await presence.stop();
    },
  };
}

/**
 * Gives `ending` the time that settings allow. Whatever is still under way then ends with the process: jobs go on elsewhere when
 * their leases have run out.
 */
export async function endInTime(config: Config, log: Logger, ending: Promise<void>): Promise<void> {
  const ended = new AbortController();
  const late = systemClock.sleep(config.stopMs, ended.signal).then(() => {
    if (ended.signal.aborted) return;
    log.warn({ stopMs: config.stopMs }, "not everything came to an end in time");
    process.exit();
  });
  await ending.finally(() => ended.abort());
  await late;
}

const troubleLogs = new WeakMap<Logger, ReturnType<typeof sparing>>();

/** One for each log, whoever writes to it. */
function troubleLog(log: Logger): ReturnType<typeof sparing> {
  const known = troubleLogs.get(log);
  if (known) return known;
  const made = sparing(systemClock, ({ facts, ...more }) => log.error({ ...facts, ...more }, "trouble"));
  troubleLogs.set(log, made);
  return made;
}

export function workLog(log: Logger) {
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
    trouble: troubleLog(log),
    unserved(kinds: readonly QueuedKind[]) {
      if (kinds.length === 0) log.info("every kind of job that waits is taken by some node again");
      else log.warn({ kinds }, "jobs wait that no running process takes: see --lanes and --tasks of the workers");
    },
    duty(duty: string, leads: boolean) {
      log.info({ duty }, leads ? "this node has the duty" : "this node gave up the duty");
    },
  };
}
