import type { Clock } from "../clock.ts";
import { AppError, type Details, errorRecord } from "../errors.ts";
import { FINISHED_STATES, type Job, LANES, type Lane } from "./job.ts";
import type { Delivery, JobQueue } from "./job-queue.ts";
import type { JobKind, Jobs } from "./jobs.ts";
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
  /** Aborts with the reason: cancelled, lease lost, or the worker is shutting down. */
  readonly signal: AbortSignal;
  /** Saves what a later worker needs to continue from here. */
  checkpoint(data: Details): Promise<void>;
}

/** Does one kind of job. */
export interface JobHandler extends JobKind {
  /**
   * Runs or continues the job; must be idempotent from its last checkpoint on.
   * @returns the job's result. Throwing an `AppError` of a retryable kind queues the job again, with a growing pause.
   */
  run(context: JobContext): Promise<Details>;
}

export interface WorkerOptions {
  readonly name: string;
  /** Jobs at a time, per lane. */
  readonly concurrency: Readonly<Record<Lane, number>>;
  /** Told of each job's end and of whatever goes wrong around jobs; for the log. */
  onJobEnd?(job: Job): void;
  onTrouble?(error: unknown, during: string): void;
}

export interface Worker {
  /** Stops claiming, asks running jobs to stop, gives unfinished ones back to the queue. Resolves when all is settled. */
  stop(): Promise<void>;
}

/** Why a job's signal aborted. */
type StopReason = "cancelled" | "lease_lost" | "shutdown";

/** Claims jobs and runs them until `stop`. Starts at once. */
export function startWorker(
  jobs: Jobs,
  queue: JobQueue,
  handlers: Readonly<Record<string, JobHandler>>,
  clock: Clock,
  options: WorkerOptions,
): Worker {
  const running = new Map<Delivery, { readonly done: Promise<void>; readonly stop: (reason: StopReason) => void }>();
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
    const room = options.concurrency[lane] - busy;
    if (room <= 0) return;
    for (const delivery of await queue.claim(options.name, lane, room)) begin(delivery);
  }

  function begin(delivery: Delivery): void {
    const abort = new AbortController();
    const stop = (reason: StopReason) => abort.abort(reason);
    const done = work(delivery, abort.signal)
      .catch((error: unknown) => trouble(error, `job ${delivery.jobId}`))
      .finally(() => {
        running.delete(delivery);
        wake.resolve();
      });
    running.set(delivery, { done, stop });
    if (stopping.signal.aborted) stop("shutdown");
  }

  /**
   * One delivery, start to end. If this process dies on any line the lease runs out and the delivery is repeated:
   * an unfinished job continues from its checkpoint, a finished one is only cleaned up after.
   */
  async function work(delivery: Delivery, signal: AbortSignal): Promise<void> {
    const found = await jobs.get(delivery.jobId);
    const handler = handlers[found.kind];
    if (FINISHED_STATES.includes(found.state)) {
      if (found.state !== "succeeded") await handler?.cleanUp?.(found);
      return queue.done(delivery);
    }
    const job = await jobs.change(found.id, ["queued", "running"], {
      state: "running",
      attempts: found.attempts + 1,
      startedAt: found.startedAt ?? clock.now(),
      fedUntil: null,
    });
    if (!job) return queue.release(delivery, 0);
    const tasks = taskTracker(job, clock, async (change, task) => {
      await jobs.change(job.id, ["running"], change, task === undefined ? {} : { task });
    });

    let result: Details;
    try {
      if (!handler) throw new AppError("job_kind_unknown", { kind: job.kind });
      if (job.attempts > MAX_ATTEMPTS) throw new AppError("job_attempts_exhausted", { attempts: MAX_ATTEMPTS });
      if (job.cancelRequested) throw new AppError("job_cancelled", {});
      const checkpoint = async (data: Details) => {
        await jobs.change(job.id, ["running"], { checkpoint: data });
      };
      result = await handler.run({ job, tasks, signal, checkpoint });
    } catch (error) {
      return endUnfinished(delivery, job, tasks, handler, signal, error);
    }
    const progress = await tasks.finish("done");
    await jobs.change(job.id, ["running"], {
      ...progress,
      state: "succeeded",
      result,
      error: null,
      cancelRequested: false,
      finishedAt: clock.now(),
    });
    await queue.done(delivery);
    options.onJobEnd?.(await jobs.get(job.id));
  }

  async function endUnfinished(
    delivery: Delivery,
    job: Job,
    tasks: TaskTracker,
    handler: JobHandler | undefined,
    signal: AbortSignal,
    error: unknown,
  ): Promise<void> {
    const reason: StopReason | undefined = signal.aborted ? signal.reason : undefined;
    if (reason === "lease_lost") return;
    const progress = await tasks.finish("stopped");
    const giveUp = job.attempts >= MAX_ATTEMPTS;

    if (reason === "shutdown") {
      // Not the job's fault: the attempt does not count.
      await jobs.change(job.id, ["running"], { ...progress, state: "queued", attempts: job.attempts - 1 });
      return queue.done(delivery);
    }
    const cancelled = reason === "cancelled" || (error instanceof AppError && error.code === "job_cancelled");
    if (!cancelled && error instanceof AppError && error.retryable && !giveUp) {
      const pauseMs = Math.min(RETRY_LONGEST_MS, RETRY_FIRST_MS * 2 ** (job.attempts - 1));
      const later = { state: "queued", error: errorRecord(error), dueAt: clock.now() + pauseMs } as const;
      await jobs.change(job.id, ["running"], { ...progress, ...later });
      return queue.done(delivery);
    }
    if (!(error instanceof AppError)) trouble(error, `job ${job.id}`);
    const ended = await jobs.change(job.id, ["running"], {
      ...progress,
      state: cancelled ? "cancelled" : "failed",
      error: errorRecord(cancelled ? new AppError("job_cancelled", {}) : error),
      cancelRequested: false,
      finishedAt: clock.now(),
    });
    const known = ended ?? (await jobs.get(job.id));
    await handler?.cleanUp?.(known);
    await queue.done(delivery);
    options.onJobEnd?.(known);
  }

  /** Keeps the leases, passes on requests to cancel, adopts jobs whose feeding request died. */
  async function heartbeatLoop(): Promise<void> {
    while (!stopping.signal.aborted || running.size > 0) {
      await clock.sleep(queue.leaseMs / 4, finished.signal);
      if (finished.signal.aborted) return;
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
      for (const delivery of deliveries) {
        if (!held.has(delivery.receipt)) running.get(delivery)?.stop("lease_lost");
        else if ((await jobs.get(delivery.jobId)).cancelRequested) running.get(delivery)?.stop("cancelled");
      }
    }
    if (!stopping.signal.aborted) await jobs.adoptStarved();
  }

  /** A cancel asked for in this process need not wait for the next beat. */
  const unlistenJobs = jobs.onChange((job) => {
    if (!job.cancelRequested) return;
    for (const [delivery, { stop }] of running) if (delivery.jobId === job.id) stop("cancelled");
  });

  const finished = new AbortController();
  const loops = [claimLoop(), heartbeatLoop()];

  return {
    async stop() {
      stopping.abort();
      wake.resolve();
      await loops[0];
      for (const { stop } of running.values()) stop("shutdown");
      await Promise.all([...running.values()].map(({ done }) => done));
      finished.abort();
      await Promise.all(loops);
      unlisten();
      unlistenJobs();
    },
  };
}
