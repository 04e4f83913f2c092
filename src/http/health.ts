import { AppError } from "../core/errors.ts";
import type { SwitchState } from "../core/switches/switches.ts";
import type { ServerDeps } from "./server-deps.ts";

/** A check that takes longer than this has failed: whoever asks has a time limit of their own. */
const LIMIT_MS = 5_000;
/** With less than this, not even what is to be noted of a job may fit. */
const LEAST_FREE_BYTES = 1024 ** 2;

export interface Check {
  readonly ok: boolean;
  readonly durationMs: number;
  /** Of the data folder, and of the storage where it can tell. With next to none the check has failed. */
  readonly freeBytes?: number;
}

export interface Health {
  /** What is paused is healthy. */
  readonly ok: boolean;
  /** `null` when the database does not tell. Why, the list of switches says to those who may see it. */
  readonly paused: {
    /** `all`, or those that may not run. */
    readonly subsystems: readonly string[];
    /** How many are paused. */
    readonly paths: number;
  } | null;
  readonly checks: Readonly<Record<"database" | "storage" | "data", Check>> & {
    /** Where this process searches. Without it, all but searching goes on: it is told, and makes nothing unhealthy. */
    readonly search?: Check;
  };
}

export interface Readiness extends Pick<Health, "checks"> {
  /** Whether requests should be sent here. */
  readonly ready: boolean;
  /** It has been told to stop. */
  readonly leaving: boolean;
}

export type HealthDeps = Pick<ServerDeps, "storage" | "switches" | "clock"> & {
  readonly observed: Pick<ServerDeps["observed"], "ping" | "dataFreeBytes" | "search" | "isLeaving">;
};

/** Whether to be asked something: healthy, and not about to stop. */
export async function readiness(
  deps: HealthDeps,
  onFailure: (error: unknown, check: string) => void,
): Promise<Readiness> {
  const { ok, checks } = await health(deps, onFailure);
  const leaving = deps.observed.isLeaving?.() ?? false;
  return { ready: ok && !leaving, leaving, checks };
}

/**
 * Asks the storage and the database for a sign of life, and whether there is room. Why one failed is for the log, through
 * `onFailure`.
 */
export async function health(
  { observed, storage, switches, clock }: HealthDeps,
  onFailure: (error: unknown, check: string) => void,
): Promise<Health> {
  async function check(name: string, ask: () => Promise<Pick<Check, "freeBytes">>): Promise<Check> {
    const begun = clock.now();
    const done = new AbortController();
    try {
      const late = clock.sleep(LIMIT_MS, done.signal).then(() => {
        throw new Error(`no answer after ${LIMIT_MS} ms`);
      });
      const facts = await Promise.race([ask(), late]);
      if (facts.freeBytes === undefined || facts.freeBytes >= LEAST_FREE_BYTES)
        return { ok: true, durationMs: clock.now() - begun, ...facts };
      onFailure(new AppError("storage_full", facts), name);
      return { ok: false, durationMs: clock.now() - begun, ...facts };
    } catch (error) {
      onFailure(error, name);
      return { ok: false, durationMs: clock.now() - begun };
    } finally {
      done.abort();
    }
  }

  let paused: Health["paused"] = null;
  const { search: askSearch } = observed;
  const [database, archive, data, search] = await Promise.all([
    check("database", async () => {
      await observed.ping();
      paused = stopped(await switches.list());
      return {};
    }),
    check("storage", async () => {
      // Any name will do, there or not: the storage has to look.
      await storage.stat("0=ocfl_1.1");
      const freeBytes = await storage.freeBytes();
      return freeBytes === undefined ? {} : { freeBytes };
    }),
    check("data", async () => ({ freeBytes: await observed.dataFreeBytes() })),
    askSearch &&
      check("search", async () => {
        await askSearch();
        return {};
      }),
  ]);
  return {
    ok: database.ok && archive.ok && data.ok,
    paused,
    checks: { database, storage: archive, data, ...(search && { search }) },
  };
}

function stopped(switches: readonly SwitchState[]): NonNullable<Health["paused"]> {
  const subjects = switches.filter(({ halt }) => halt).map(({ subject }) => subject);
  const subsystems = subjects.filter((subject) => !subject.startsWith("/"));
  return {
    subsystems: subsystems.includes("all") ? ["all"] : subsystems,
    paths: subjects.length - subsystems.length,
  };
}
