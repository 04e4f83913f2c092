import type { Clock } from "../clock.ts";
import { AppError, type Details, errorRecord } from "../errors.ts";
import type { Job } from "./job.ts";
import type { JobChange } from "./job-store.ts";
import type { ChangeNote, JobKind, Jobs } from "./jobs.ts";
import { type TaskTracker, taskTracker } from "./task-tracker.ts";

/** A request that goes silent for this long is taken for dead, and its job for interrupted. */
export const FED_MS = 30_000;
const BEAT_MS = 5_000;

/** A job whose input is still coming in through a request of this process. */
export interface FedJob {
  readonly job: Job;
  readonly tasks: TaskTracker;
  /** Aborts with an `AppError` when the job is to be cancelled, or was taken for dead. */
  readonly signal: AbortSignal;
  /**
   * Everything is here and durable: a worker takes over from `checkpoint`.
   * @throws AppError job_state_conflict when the job was taken for dead.
   */
  handOver(checkpoint: Details): Promise<Job>;
  /**
   * The input is unusable or broke off. What was handed over, also when nobody could tell, is left to whoever has it.
   * @param answer whether the failed job is the answer to the request, also when it is repeated; if not, its idempotency
   * key is free for another try.
   * @returns the job as it stands then.
   */
  fail(error: unknown, answer: boolean): Promise<Job>;
}

/** Keeps a job alive that was created for a request, until the request hands it over or ends it. */
export function feedJob(
  job: Job,
  jobs: Pick<Jobs, "get" | "change" | "onChange">,
  kind: JobKind | undefined,
  clock: Clock,
): FedJob {
  /** Only while no worker has begun the job. */
  const change = (fields: JobChange, note?: ChangeNote) => jobs.change(job.id, ["running"], fields, note, 0);
  const tasks = taskTracker(job, clock, async (fields, task) => {
    await change(fields, task === undefined ? {} : { task });
  });
  const ended = new AbortController();
  const lost = new AbortController();

  function look(now: Job | undefined): void {
    if (now?.state !== "running") lost.abort(new AppError("upload_interrupted", { id: job.id }));
    else if (now.cancelRequested) lost.abort(new AppError("job_cancelled", { id: job.id }));
  }
  const unlisten = jobs.onChange((changed) => {
    if (changed.id === job.id) look(changed);
  });

  async function beat(): Promise<void> {
    while (!lost.signal.aborted) {
      await clock.sleep(BEAT_MS, ended.signal);
      if (ended.signal.aborted) return;
      try {
        look(await change({ fedUntil: clock.now() + FED_MS }));
      } catch {
        // The next beat makes up for it. When all fail, the job is taken for dead, and `handOver` says so.
      }
    }
  }
  const beating = beat();

  async function end(outcome: "done" | "stopped") {
    ended.abort();
    unlisten();
    await beating;
    return tasks.finish(outcome);
  }

  return {
    job,
    tasks,
    signal: lost.signal,
    async handOver(checkpoint) {
      const progress = await end("done");
      const queued = await change({ ...progress, checkpoint, state: "queued", fedUntil: null });
      if (queued) return queued;
      throw new AppError("job_state_conflict", {
        id: job.id,
        expected: "running",
        found: (await jobs.get(job.id)).state,
      });
    },
    async fail(error, answer) {
      const progress = await end("stopped");
      const isCancelled = error instanceof AppError && error.code === "job_cancelled";
      // A hand-over whose answer was lost with the database may have been written: what it has staged is a worker's then.
      // Only looked at: on a full disk nothing can be written before something is cleaned.
      const found = await jobs.get(job.id);
      if (found.state !== "running" || found.fedUntil === null) return found;
      // Clean first: if this process dies in between, the job is starved, and whoever adopts it cleans again.
      await kind?.cleanUp?.(job);
      const over = await change({
        ...progress,
        state: isCancelled ? "cancelled" : "failed",
        error: errorRecord(error),
        cancelRequested: false,
        fedUntil: null,
        finishedAt: clock.now(),
        ...(answer ? {} : { idempotencyKey: null }),
      });
      return over ?? jobs.get(job.id);
    },
  };
}
