import type { Clock } from "../core/clock.ts";
import { AppError } from "../core/errors.ts";

/** How long the same trouble of the same loop is only counted. */
const QUIET_MS = 60_000;
/** Loops and kinds of trouble that are kept in mind. */
const KEPT = 1_000;

export interface Trouble {
  /** What a person needs: of trouble with what others serve, no stack. */
  readonly facts: Readonly<Record<string, unknown>>;
  readonly during: string;
  /** How often it has come since it was last told of. */
  readonly times: number;
}

/**
 * Passes trouble on once, and from then on once a minute, with how often it came: while the database is away every loop meets it
 * every second.
 */
export function sparing(clock: Clock, tell: (trouble: Trouble) => void): (error: unknown, during: string) => void {
  const told = new Map<string, { at: number; times: number }>();
  return (error, during) => {
    const now = clock.now();
    const key = `${during} ${error instanceof AppError ? error.code : String(error)}`;
    const last = told.get(key);
    const times = (last?.times ?? 0) + 1;
    if (last && now - last.at < QUIET_MS) {
      last.times = times;
      return;
    }
    told.delete(key);
    told.set(key, { at: now, times: 0 });
    for (const [oldest] of told) {
      if (told.size <= KEPT) break;
      told.delete(oldest);
    }
    tell({ facts: factsOf(error), during, times });
  };
}

function factsOf(error: unknown): Trouble["facts"] {
  if (error instanceof AppError && error.kind === "unavailable")
    return { code: error.code, message: error.message, details: error.details };
  return { err: error };
}
