import type { Clock } from "../clock.ts";
import { AppError } from "../errors.ts";
import { type JobHandler, PutOff } from "../jobs/worker.ts";
import { type Subsystem, subsystemOf } from "./switch.ts";
import type { Switches } from "./switches.ts";

/** How long a paused job waits before its switch is looked at again. */
const HELD_MS = 5_000;
/** How soon a running job learns that it is to pause. */
const LOOK_EVERY_MS = 1_000;

/**
 * Handlers whose jobs heed the switches of their subsystems: they are not begun while it is paused, and when it is paused
 * under way they are asked to stop at the next step, as when the worker shuts down, and continued later. A handler that
 * meets the error `paused` at one of its items is put off in the same way. No attempt counts.
 */
export function pausable(
  handlers: Readonly<Record<string, JobHandler>>,
  switches: Switches,
  clock: Clock,
): Readonly<Record<string, JobHandler>> {
  return Object.fromEntries(
    Object.entries(handlers).map(([kind, handler]) => [kind, heeding(kind, handler, switches, clock)]),
  );
}

function heeding(kind: string, handler: JobHandler, switches: Switches, clock: Clock): JobHandler {
  const subsystem = subsystemOf(kind);
  return {
    ...handler,
    async heldMs(job) {
      if (!(await switches.mayRun(subsystem))) return HELD_MS;
      return (await handler.heldMs?.(job)) ?? 0;
    },
    async run(context) {
      const paused = new AbortController();
      const over = new AbortController();

      async function watch(): Promise<void> {
        for (;;) {
          await clock.sleep(LOOK_EVERY_MS, over.signal);
          if (over.signal.aborted) return;
          // A switch that cannot be read means stop.
          if (await switches.mayRun(subsystem).catch(() => false)) continue;
          paused.abort(new PutOff(HELD_MS));
          return;
        }
      }

      const watching = watch();
      try {
        return await handler.run({ ...context, signal: AbortSignal.any([context.signal, paused.signal]) });
      } catch (error) {
        throw error instanceof AppError && error.code === "paused" ? new PutOff(HELD_MS) : error;
      } finally {
        over.abort();
        await watching;
      }
    },
  };
}

/** The same function for as long as the subsystem may run. @throws AppError paused, before anything is begun. */
export function whileRunning<A extends readonly unknown[], R>(
  switches: Switches,
  subsystem: Subsystem,
  work: (...args: A) => Promise<R>,
): (...args: A) => Promise<R> {
  return async (...args) => {
    await switches.requireRunning(subsystem);
    return work(...args);
  };
}
