import type { z } from "zod";
import { list, port, text, whole } from "./setting-forms.ts";

const SECOND_MS = 1_000;

/** How a process starts and stops, and what it takes on; a part of `SETTINGS` in `config.ts`. */
export const START_SETTINGS = {
  LONGSHORE_TASKS: list((kind) => kind)
    .optional()
    .describe(
      "Kinds of jobs, separated by commas, that this process takes: ingest,stage. Others are left to other processes. All when not set.",
    ),
  LONGSHORE_HEALTH_PORT: port
    .optional()
    .describe("Port on which longshore worker answers /livez, /readyz, /healthz and /metrics. None when not set."),
  LONGSHORE_START_ATTEMPTS: text
    .transform((input, context) => whole(input, context, { most: 1_000_000 }))
    .prefault("30")
    .describe("How often a starting server or worker tries the database and the archive while they do not answer."),
  LONGSHORE_START_WAIT: text
    .transform((input, context) => whole(input, context, { most: 3_600 }))
    .prefault("2")
    .describe("Seconds between these tries."),
  LONGSHORE_DRAIN_SECONDS: text
    .transform((input, context) => whole(input, context, { least: 0, most: 3_600 }))
    .prefault("0")
    .describe(
      "Seconds for which a server that is told to stop still takes requests while /readyz says that it is leaving: for load balancers.",
    ),
  LONGSHORE_STOP_SECONDS: text
    .transform((input, context) => whole(input, context, { most: 86_400 }))
    .prefault("20")
    .describe(
      "Seconds that requests and jobs under way then have to come to an end. Jobs go on elsewhere from where they were.",
    ),
} as const;

export function startConfig(e: z.output<z.ZodObject<typeof START_SETTINGS>>) {
  return {
    /** Kinds of jobs; `undefined`: all. */
    tasks: e.LONGSHORE_TASKS,
    healthPort: e.LONGSHORE_HEALTH_PORT,
    startAttempts: e.LONGSHORE_START_ATTEMPTS,
    startWaitMs: e.LONGSHORE_START_WAIT * SECOND_MS,
    drainMs: e.LONGSHORE_DRAIN_SECONDS * SECOND_MS,
    stopMs: e.LONGSHORE_STOP_SECONDS * SECOND_MS,
    /** Of the time to stop, what requests under way have; the rest is for jobs. */
    closeGraceMs: (e.LONGSHORE_STOP_SECONDS * SECOND_MS) / 2,
  } as const;
}
