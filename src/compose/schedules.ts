import { randomUUID } from "node:crypto";
import { localCommands } from "../adapters/run/local-commands.ts";
import { bootId, thisMachine } from "../adapters/run/machine.ts";
import type { Clock } from "../core/clock.ts";
import type { Environment } from "../core/environment/environment.ts";
import type { JobId } from "../core/ids.ts";
import type { Jobs } from "../core/jobs/jobs.ts";
import type { JobHandler } from "../core/jobs/worker.ts";
import { withoutPlaces } from "../core/notify/templates.ts";
import type { Fetch } from "../core/outbound/fetch.ts";
import type { BuiltIns } from "../core/schedules/built-in.ts";
import { type CrontabExchange, crontabExchange } from "../core/schedules/crontab-exchange.ts";
import { runJob } from "../core/schedules/run-job.ts";
import { runNotices } from "../core/schedules/run-notices.ts";
import type { RunOutputs } from "../core/schedules/run-outputs.ts";
import { RUN_JOB } from "../core/schedules/schedule.ts";
import type { ScheduleStore } from "../core/schedules/schedule-store.ts";
import { type Scheduler, startScheduler } from "../core/schedules/scheduler.ts";
import { type Schedules, scheduleService } from "../core/schedules/schedules.ts";
import type { Switches } from "../core/switches/switches.ts";
import type { Config } from "../settings/config.ts";

export interface SchedulingParts {
  readonly store: ScheduleStore;
  readonly outputs: RunOutputs;
  readonly environment: Environment;
  readonly switches: Switches;
  readonly fetch: Fetch;
  readonly clock: Clock;
  readonly nextJobId: () => Promise<JobId>;
}

/** Schedules: their runs' handler, the service, and the loop that fires them. */
export interface Scheduling {
  readonly handlers: Readonly<Record<string, JobHandler>>;
  /** Once, before a worker is started. @param builtIns what `built-in` actions can name. */
  services(jobs: Jobs, builtIns: BuiltIns): { readonly schedules: Schedules; readonly crontabs: CrontabExchange };
  start(onTrouble: (error: unknown, during: string) => void): Scheduler;
}

export function composeScheduling(config: Config, parts: SchedulingParts): Scheduling {
  const { store, outputs, environment, switches, fetch, clock, nextJobId } = parts;
  const runner = localCommands();
  const notices = runNotices(withoutPlaces(config.mailFrom));
  const thisStart = randomUUID();
  const boot = () => bootId(thisStart);
  const mayRun = () => switches.mayRun("schedules");
  /** The jobs know the handlers, and these the jobs: they are told of them before the first one begins. */
  let late: { readonly jobs: Jobs; readonly builtIns: BuiltIns } | undefined;
  const told = () => {
    if (!late) throw new TypeError("schedules run before their services are made");
    return late;
  };

  return {
    handlers: {
      [RUN_JOB]: runJob({
        store,
        outputs,
        runner,
        machine: thisMachine,
        notices,
        fetch,
        clock,
        mayRun,
        builtIns: () => told().builtIns,
        jobs: () => told().jobs,
        resolve: ({ name, required }) => environment.resolve([`schedule:${name}`], required),
      }),
    },

    services(jobs, builtIns) {
      late = { jobs, builtIns };
      const schedules = scheduleService({
        store,
        outputs,
        runner,
        builtIns: () => builtIns,
        jobs,
        clock,
        nextJobId,
        boot,
        canMail: config.smtpUrl !== undefined,
        forget: (name) => environment.forget(`schedule:${name}`),
      });
      return { schedules, crontabs: crontabExchange({ schedules, runner, canMail: config.smtpUrl !== undefined }) };
    },

    start: (onTrouble) => startScheduler({ store, notices, clock, nextJobId, boot, mayRun, onTrouble }),
  };
}
