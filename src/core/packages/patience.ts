import type { Clock } from "../clock.ts";
import { AppError, type Code } from "../errors.ts";
import { type JobContext, PutOff } from "../jobs/worker.ts";

/** From the first trouble on, as long as nothing more of a package can be saved. */
export const PATIENCE_MS = 2 * 3_600_000;
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 300_000;
const PASSING: readonly Code[] = ["portal_busy", "remote_unavailable"];

/**
 * Does work that needs a portal. One that is busy, or does not answer, is waited for up to {@link PATIENCE_MS}, with pauses
 * that grow; others have the place in the lane meanwhile.
 * @throws PutOff; AppError portal_refused, when it was waited for long enough; whatever else `work` throws.
 */
export async function patiently<T>(
  context: JobContext,
  clock: Clock,
  work: (context: JobContext) => Promise<T>,
): Promise<T> {
  let latest = context.job.checkpoint;
  const watched: JobContext = {
    ...context,
    async checkpoint(data) {
      await context.checkpoint(data);
      latest = data;
    },
  };
  try {
    return await work(watched);
  } catch (error) {
    if (context.signal.aborted || !(error instanceof AppError && PASSING.includes(error.code))) throw error;
    const now = clock.now();
    const since = typeof latest.troubleSince === "number" ? latest.troubleSince : now;
    if (now - since >= PATIENCE_MS) {
      const reason = `${error.code} for ${Math.round((now - since) / 60_000)} minutes`;
      throw new AppError("portal_refused", { ...error.details, reason }, { cause: error });
    }
    await context.checkpoint({ ...latest, troubleSince: since });
    throw new PutOff(Math.min(LONGEST_PAUSE_MS, Math.max(FIRST_PAUSE_MS, now - since)));
  }
}
