import type { Clock } from "../clock.ts";
import { AppError, type Details, errorRecord } from "../errors.ts";
import { FINISHED_STATES, type Job, LANES, type Lane } from "./job.ts";
import type { Delivery, JobQueue } from "./job-queue.ts";
import type { JobChange } from "./job-store.ts";
import type { ChangeNote, JobKind, Jobs } from "./jobs.ts";
import { type TaskTracker, taskTracker } from "./task-tracker.ts";

/** A job that workers died with, or that found a service unavailable, this often is given up. */
const MAX_ATTEMPTS = 8;
const RETRY_FIRST_MS = 1_000;
const RETRY_LONGEST_MS = 60_000;
/** How long a worker waits for the queue to wake it before it looks by itself. */
const IDLE_MS = 5_000;

export interface JobContext {
  readonly job: Job;
  readonly tasks: TaskTracker;
  /**
   * Aborts with an error that says why: the job is to be cancelled (`job_cancelled`), its lease was lost, or the worker
   * shuts down. It may be aborted from the start.
   */
  readonly signal: AbortSignal;
  /** Saves what a later worker needs to continue from here. Throws when the job is no longer this worker's. */
  checkpoint(data: Details): Promise<void>;
}

/**
 * Thrown by a handler that can do nothing for a while but wait: the job goes back to the queue, so that others have its
 * place in the lane, and is begun again after the pause. The attempt does not count.
 */
export class PutOff extends Error {
  override readonly name = "PutOff";
  readonly pauseMs: number;
  constructor(pauseMs: number) {
    super(`Put off for ${pauseMs} ms.`);
    this.pauseMs = pauseMs;
  }
}

/** Does one kind of job. */
export interface JobHandler extends JobKind {
  /**
   * Runs or continues the job; must be idempotent from its last checkpoint on. Asked to stop, it throws the signal's
   * reason; past the point where stopping would leave half a thing behind, it finishes instead.
   * @returns the job's result. Throwing an `AppError` of a retryable kind queues the job again, with a growing pause;
   * throwing {@link PutOff}, after that pause.
   */
  run(context: JobContext): Promise<Details>;
  /**
   * How long a job must wait, before its state is changed: 0 to begin it now. Not asked of a job that is to be cancelled.
   * Unlike what {@link PutOff} does, this leaves no trace in the job's history.
   */
  heldMs?(job: Job): Promise<number>;
}

export interface WorkerOptions {
  readonly name: string;
  /** Jobs at a time, per lane; what is left out is left to other workers. */
  readonly concurrency: Readonly<Partial<Record<Lane, number>>>;
  /** Told of each job's end and of whatever goes wrong around jobs; for the log. */
  onJobEnd?(job: Job): void;
  onTrouble?(error: unknown, during: string): void;
}

export interface Worker {
  /** Stops claiming, asks running jobs to stop, gives unfinished ones back to the queue. Resolves when all is settled. */
  stop(): Promise<void>;
}

/** Why a worker stops a job other than to cancel it. */
const LEASE_LOST = new Error("Another worker has taken the job over.");
const SHUTDOWN = new Error("The worker is shutting down.");

const cancelled = () => new AppError("job_cancelled");

/** A job that this worker has begun. */
interface Run {
  readonly job: Job;
  readonly tasks: TaskTracker;
  /** Changes the job while it is this worker's. @throws LEASE_LOST, having stopped the handler, when it is not. */
  change(fields: JobChange, note?: ChangeNote): Promise<Job>;
}

/** Claims jobs and runs them until `stop`. Starts at once. */
export function startWorker(
  jobs: Jobs,
  queue: JobQueue,
  handlers: Readonly<Record<string, JobHandler>>,
  clock: Clock,
  options: WorkerOptions,
): Worker {
  const running = new Map<Delivery, { readonly done: Promise<void>; readonly stop: (reason: Error) => void }>();
  /** Jobs of other kinds are left to workers that know them, as those of the next release do beside this one. */
  const kinds = Object.keys(handlers);
  const stopping = new AbortController();
  let wake = Promise.withResolvers<void>();
  const unlisten = queue.onAvailable(() => wake.resolve());
  const trouble = (error: unknown, during: string) => options.onTrouble?.(error, during);

  /** Claims what there is room for; sleeps until something is available or a job ends. */
  async function claimLoop(): Promise<void> {
    while (!stopping.signal.aborted) {
      wake = Promise.withResolvers<void>();
      try {
        for (const lane of LANES) await claimLane(lane);
      } catch (error) {
        trouble(error, "claiming jobs");
      }
      const waited = new AbortController();
      await Promise.race([wake.promise, clock.sleep(IDLE_MS, AbortSignal.any([stopping.signal, waited.signal]))]);
      waited.abort();
    }
  }

  async function claimLane(lane: Lane): Promise<void> {
    const busy = [...running.keys()].filter((delivery) => delivery.lane === lane).length;
    const room = (options.concurrency[lane] ?? 0) - busy;
    if (room <= 0) return;
    for (const delivery of await queue.claim(options.name, lane, room, kinds)) begin(delivery);
  }

  function begin(delivery: Delivery): void {
    const abort = new AbortController();
    const stop = (reason: Error) => abort.abort(reason);
    const done = work(delivery, abort.signal, stop)
      .catch((error: unknown) => trouble(error, `job ${delivery.jobId}`))
      .finally(() => {
        running.delete(delivery);
        wake.resolve();
      });
    running.set(delivery, { done, stop });
    if (stopping.signal.aborted) stop(SHUTDOWN);
  }

  /**
   * One delivery, start to end. If this process dies on any line the lease runs out and the delivery is repeated:
   * an unfinished job continues from its checkpoint, a finished one is only cleaned up after.
   */
  async function work(delivery: Delivery, signal: AbortSignal, stop: (reason: Error) => void): Promise<void> {
    const found = await jobs.get(delivery.jobId);
    const handler = handlers[found.kind];
    if (!handler) return queue.release(delivery, IDLE_MS);
    if (FINISHED_STATES.includes(found.state)) {
      if (found.state !== "succeeded") await handler.cleanUp?.(found);
      return queue.done(delivery);
    }
    const heldMs = found.cancelRequested ? 0 : ((await handler.heldMs?.(found)) ?? 0);
    if (heldMs > 0) return queue.release(delivery, heldMs);
    const begun = {
      state: "running",
      attempts: found.attempts + 1,
      startedAt: found.startedAt ?? clock.now(),
      fedUntil: null,
    } as const;
    const job = await jobs.change(found.id, ["queued", "running"], begun, {}, found.attempts);
    if (!job) return queue.release(delivery, 0);

    const run: Run = {
      job,
      async change(fields, note) {
        const changed = await jobs.change(job.id, ["running"], fields, note, job.attempts);
        if (changed) return changed;
        stop(LEASE_LOST);
        throw LEASE_LOST;
      },
      tasks: taskTracker(job, clock, async (fields, task) => {
        await run.change(fields, task === undefined ? {} : { task });
      }),
    };
    const ended = await end(run, handler, signal).catch((error: unknown) => {
      if (error !== LEASE_LOST) throw error;
    });
    if (!ended) return;
    if (ended.state === "failed" || ended.state === "cancelled") await handler.cleanUp?.(ended);
    // One that has succeeded was taken out of the queue with its last change.
    if (ended.state !== "succeeded") await queue.done(delivery);
    if (FINISHED_STATES.includes(ended.state)) options.onJobEnd?.(ended);
  }

  /** Runs the job and saves how that ended. @throws LEASE_LOST when it is no longer this worker's. */
  async function end({ job, tasks, change }: Run, handler: JobHandler, signal: AbortSignal): Promise<Job> {
    let result: Details;
    try {
      if (job.attempts > MAX_ATTEMPTS) throw new AppError("job_attempts_exhausted", { attempts: MAX_ATTEMPTS });
      const checkpoint = async (data: Details) => {
        await change({ checkpoint: data });
      };
      result = await handler.run({ job, tasks, signal, checkpoint });
    } catch (error) {
      const progress = await tasks.finish("stopped");
      return change({ ...progress, ...unfinished(job, error, signal) });
    }
    const progress = await tasks.finish("done");
    const over = { state: "succeeded", error: null, cancelRequested: false, finishedAt: clock.now() } as const;
    return change({ ...progress, ...over, result });
  }

  /** What becomes of a job whose handler threw. */
  function unfinished(job: Job, error: unknown, signal: AbortSignal): JobChange {
    if (error === LEASE_LOST || signal.reason === LEASE_LOST) throw LEASE_LOST;
    // Not the job's fault: the attempt does not count.
    if (signal.reason === SHUTDOWN) return { state: "queued", attempts: job.attempts - 1 };
    if (error instanceof PutOff)
      return { state: "queued", attempts: job.attempts - 1, dueAt: clock.now() + (signal.aborted ? 0 : error.pauseMs) };
    const isCancelled = error instanceof AppError && error.code === "job_cancelled";
    if (error instanceof AppError && error.retryable && job.attempts < MAX_ATTEMPTS) {
      // A job that is to be cancelled need not wait for what is unavailable.
      const pauseMs = signal.aborted ? 0 : Math.min(RETRY_LONGEST_MS, RETRY_FIRST_MS * 2 ** (job.attempts - 1));
      return { state: "queued", error: errorRecord(error), dueAt: clock.now() + pauseMs };
    }
    if (!(error instanceof AppError)) trouble(error, `job ${job.id}`);
    return {
      state: isCancelled ? "cancelled" : "failed",
      error: errorRecord(error),
      cancelRequested: false,
      finishedAt: clock.now(),
    };
  }

  /** Keeps the leases, passes on requests to cancel, adopts jobs whose feeding request died. */
  async function heartbeatLoop(): Promise<void> {
    const pause = () => clock.sleep(queue.leaseMs / 4, finished.signal);
    let next = pause();
    while (!stopping.signal.aborted || running.size > 0) {
      await next;
      if (finished.signal.aborted) return;
      next = pause(); // before the beat, however long that takes
      try {
        await beat();
      } catch (error) {
        trouble(error, "keeping leases");
      }
    }
  }

  async function beat(): Promise<void> {
    const deliveries = [...running.keys()];
    if (deliveries.length > 0) {
      const held = new Set((await queue.heartbeat(deliveries)).map((delivery) => delivery.receipt));
      const look = async (delivery: Delivery) => {
        if (!held.has(delivery.receipt)) running.get(delivery)?.stop(LEASE_LOST);
        else if ((await jobs.get(delivery.jobId)).cancelRequested) running.get(delivery)?.stop(cancelled());
      };
      await Promise.all(deliveries.map(look));
    }
    if (!stopping.signal.aborted) await jobs.adoptStarved();
  }

  /** A cancel asked for in this process need not wait for the next beat; one asked for earlier shows as the job begins. */
  const unlistenJobs = jobs.onChange((job) => {
    if (!job.cancelRequested) return;
    for (const [delivery, { stop }] of running) if (delivery.jobId === job.id) stop(cancelled());
  });

  const finished = new AbortController();
  const loops = [claimLoop(), heartbeatLoop()];

  return {
    async stop() {
      stopping.abort();
      wake.resolve();
      await loops[0];
      for (const { stop } of running.values()) stop(SHUTDOWN);
      await Promise.all([...running.values()].map(({ done }) => done));
      finished.abort();
      await Promise.all(loops);
      unlisten();
      unlistenJobs();
    },
  };
}
