import type { ServerDeps } from "./server-deps.ts";

/** A check that takes longer than this has failed: whoever asks has a time limit of their own. */
const LIMIT_MS = 5_000;

export interface Check {
  readonly ok: boolean;
  readonly durationMs: number;
  /** Only of the storage, where it can tell. */
  readonly freeBytes?: number;
}

export interface Health {
  readonly ok: boolean;
  readonly checks: Readonly<Record<"database" | "storage", Check>>;
}

/** Asks the storage and the database for a sign of life. Why one failed is for the log, through `onFailure`. */
export async function health(
  { observed, storage, clock }: ServerDeps,
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
      return { ok: true, durationMs: clock.now() - begun, ...facts };
    } catch (error) {
      onFailure(error, name);
      return { ok: false, durationMs: clock.now() - begun };
    } finally {
      done.abort();
    }
  }

  const [database, archive] = await Promise.all([
    check("database", async () => {
      await observed.ping();
      return {};
    }),
    check("storage", async () => {
      // Any name will do, there or not: the storage has to look.
      await storage.stat("0=ocfl_1.1");
      const freeBytes = await storage.freeBytes();
      return freeBytes === undefined ? {} : { freeBytes };
    }),
  ]);
  return { ok: database.ok && archive.ok, checks: { database, storage: archive } };
}
