import type { Clock } from "../clock.ts";
import { AppError, type Details, errorRecord } from "../errors.ts";
import type { JobId } from "../ids.ts";
import { FINISHED_STATES, type Job, type JobEvent, type JobState, type Lane } from "./job.ts";
import type { JobChange, JobFilter, JobStore } from "./job-store.ts";
import { type TaskTracker, taskTracker } from "./task-tracker.ts";

/** A request that goes silent for this long is taken for dead, and its job for interrupted. */
const FED_MS = 30_000;
const FEED_BEAT_MS = 5_000;
/** How often a watcher looks for changes made by other processes. */
const WATCH_POLL_MS = 1_000;

export interface JobRequest {
  readonly kind: string;
  readonly lane: Lane;
  readonly owner: string;
  readonly input: Details;
  readonly idempotencyKey?: string;
}

/** A job whose input is still coming in through a request of this process. */
export interface FedJob {
  readonly job: Job;
  readonly tasks: TaskTracker;
  /** Aborts when the job is cancelled, or taken for dead, while it is fed. */
  readonly signal: AbortSignal;
  /** Everything is here and durable: a worker takes over from `checkpoint`. */
  handOver(checkpoint: Details): Promise<Job>;
  /** The input is unusable or broke off. */
  fail(error: unknown): Promise<Job>;
}

/** What a watcher sees: lines of the history, and the job as it stands now. */
export type JobNews =
  | { readonly type: "event"; readonly event: JobEvent }
  | { readonly type: "progress"; readonly job: Job };

/** What the job handlers know of one kind of job that the job service must ask. */
export interface JobKind {
  /** Removes what a job that failed or was cancelled left behind. Idempotent. */
  cleanUp?(job: Job): Promise<void>;
  /** Whether a failed job can be begun again: what it needs is still there. */
  retryable?(job: Job): Promise<boolean>;
}

export interface Jobs {
  /** Queues a job. With a known idempotency key: the earlier job. */
  submit(request: JobRequest): Promise<Job>;
  /**
   * Creates a job that the caller feeds.
   * @throws AppError idempotency_conflict while an earlier request with the same key is still being received;
   * an earlier job that was received is returned by `earlier` instead.
   */
  feed(request: JobRequest): Promise<FedJob | { readonly earlier: Job }>;
  /** @throws AppError job_unknown. */
  get(id: JobId): Promise<Job>;
  list(filter: JobFilter): Promise<readonly Job[]>;
  events(id: JobId, afterSeq: number, limit: number): Promise<readonly JobEvent[]>;
  /** History after `afterSeq`, then what happens, until the job is finished or `signal` aborts. */
  watch(id: JobId, afterSeq: number, signal: AbortSignal): AsyncGenerator<JobNews>;
  /** Stops a job: at once when queued, at the worker's next step when running. @throws AppError job_state_conflict. */
  cancel(id: JobId, actor: string): Promise<Job>;
  /** Queues a failed or cancelled job again. @throws AppError job_state_conflict when what it needs is gone. */
  retry(id: JobId, actor: string): Promise<Job>;
  /** An operator's decision about a job that no worker holds. @throws AppError job_state_conflict. */
  setState(id: JobId, state: JobState, actor: string, reason: string): Promise<Job>;
  /** The one way every job changes: compare-and-set, then watchers of this process are woken. */
  change(id: JobId, from: readonly JobState[], change: JobChange, note?: ChangeNote): Promise<Job | undefined>;
  /** Called with each job this process changes, as it stands then. @returns a function that stops it. */
  onChange(listener: (job: Job) => void): () => void;
  /** Queues fed jobs whose request died, so that a worker finds out what is there and ends them. */
  adoptStarved(): Promise<number>;
}

export interface ChangeNote {
  readonly task?: string;
  readonly text?: string;
  readonly actor?: string;
}

export function jobService(
  store: JobStore,
  nextId: () => Promise<JobId>,
  clock: Clock,
  kinds: Readonly<Record<string, JobKind>>,
): Jobs {
  const listeners = new Set<(job: Job) => void>();

  const change: Jobs["change"] = async (id, from, fields, note = {}) => {
    const changed = await store.update(id, from, fields, clock.now(), eventsOf(fields, note));
    if (changed) for (const listener of listeners) listener(changed);
    return changed;
  };

  async function get(id: JobId): Promise<Job> {
    const job = await store.get(id);
    if (!job) throw new AppError("job_unknown", { id });
    return job;
  }

  /** @throws AppError job_state_conflict, saying how the job stands. */
  async function changeOrExplain(id: JobId, from: readonly JobState[], fields: JobChange, note: ChangeNote) {
    const changed = await change(id, from, fields, note);
    if (changed) return changed;
    throw new AppError("job_state_conflict", { id, expected: from.join(" or "), found: (await get(id)).state });
  }

  async function create(request: JobRequest, fedUntil: number | null) {
    const created = await store.create({
      id: await nextId(),
      kind: request.kind,
      lane: request.lane,
      owner: request.owner,
      input: request.input,
      idempotencyKey: request.idempotencyKey ?? null,
      fedUntil,
      now: clock.now(),
    });
    if (created.created) for (const listener of listeners) listener(created.job);
    return created;
  }

  function feeding(job: Job): FedJob {
    const tasks = taskTracker(job, clock, async (fields, task) => {
      await change(job.id, ["running"], fields, task === undefined ? {} : { task });
    });
    const ended = new AbortController();
    const lost = new AbortController();
    const cancelled = () => lost.abort(new AppError("job_cancelled", { id: job.id }));
    const listener = (changed: Job) => {
      if (changed.id === job.id && changed.cancelRequested) cancelled();
    };
    listeners.add(listener);

    async function beat(): Promise<void> {
      for (;;) {
        await clock.sleep(FEED_BEAT_MS, ended.signal);
        if (ended.signal.aborted) return;
        const alive = await store.update(job.id, ["running"], { fedUntil: clock.now() + FED_MS }, clock.now());
        if (!alive || alive.cancelRequested) return cancelled();
      }
    }
    let beatFailure: unknown;
    const beating = beat().catch((error: unknown) => {
      beatFailure = error;
    });
    async function end(outcome: "done" | "stopped") {
      ended.abort();
      listeners.delete(listener);
      await beating;
      return tasks.finish(outcome);
    }

    return {
      job,
      tasks,
      signal: lost.signal,
      async handOver(checkpoint) {
        const progress = await end("done");
        if (beatFailure !== undefined) throw beatFailure;
        return changeOrExplain(job.id, ["running"], { ...progress, checkpoint, state: "queued", fedUntil: null }, {});
      },
      async fail(error) {
        const progress = await end("stopped");
        const isCancelled = error instanceof AppError && error.code === "job_cancelled";
        // Clean first: if this process dies in between, the job is starved, and whoever adopts it cleans again.
        await kinds[job.kind]?.cleanUp?.(job);
        const over = await change(job.id, ["running"], {
          ...progress,
          state: isCancelled ? "cancelled" : "failed",
          error: errorRecord(error),
          cancelRequested: false,
          fedUntil: null,
          finishedAt: clock.now(),
        });
        return over ?? get(job.id);
      },
    };
  }

  return {
    change,
    get,
    list: (filter) => store.list(filter),
    events: (id, afterSeq, limit) => store.events(id, afterSeq, limit),

    async submit(request) {
      return (await create(request, null)).job;
    },

    async feed(request) {
      const { job, created } = await create(request, clock.now() + FED_MS);
      if (created) return feeding(job);
      if (job.fedUntil !== null)
        throw new AppError("idempotency_conflict", { id: job.id, key: request.idempotencyKey ?? "" });
      if (job.error?.code !== "upload_interrupted") return { earlier: job };
      // Its bytes never arrived: the key is free for another try.
      await store.update(job.id, FINISHED_STATES, { idempotencyKey: null }, clock.now());
      const again = await create(request, clock.now() + FED_MS);
      return again.created ? feeding(again.job) : { earlier: again.job };
    },

    async *watch(id, afterSeq, signal) {
      let seq = afterSeq;
      let shown = -1;
      let changed = Promise.withResolvers<void>();
      const listener = (job: Job) => {
        if (job.id === id) changed.resolve();
      };
      listeners.add(listener);
      try {
        for (;;) {
          changed = Promise.withResolvers<void>();
          // The job is read before its events: when it is finished here, the events below include the last one.
          const job = await get(id);
          for (const event of await store.events(id, seq, 1000)) {
            seq = event.seq;
            yield { type: "event", event };
          }
          if (job.updatedAt !== shown) yield { type: "progress", job };
          shown = job.updatedAt;
          if (signal.aborted || FINISHED_STATES.includes(job.state)) return;
          const waiting = new AbortController();
          await Promise.race([changed.promise, clock.sleep(WATCH_POLL_MS, AbortSignal.any([signal, waiting.signal]))]);
          waiting.abort();
        }
      } finally {
        listeners.delete(listener);
      }
    },

    async cancel(id, actor) {
      const job = await get(id);
      const note = { actor, text: job.state === "running" ? "cancel requested" : "cancelled" };
      if (job.state === "running") return changeOrExplain(id, ["running"], { cancelRequested: true }, note);
      // Its queue entry stays: the worker that gets it finds the job cancelled and cleans up, should this process die.
      const cancelled = await changeOrExplain(
        id,
        ["queued"],
        {
          state: "cancelled",
          error: errorRecord(new AppError("job_cancelled", { by: actor })),
          finishedAt: clock.now(),
        },
        note,
      );
      await kinds[cancelled.kind]?.cleanUp?.(cancelled);
      return cancelled;
    },

    async retry(id, actor) {
      const job = await get(id);
      const possible = (await kinds[job.kind]?.retryable?.(job)) ?? true;
      if (!possible)
        throw new AppError("job_state_conflict", {
          id,
          found: job.state,
          hint: "what the job needs is no longer there; send it anew",
        });
      return changeOrExplain(
        id,
        ["failed", "cancelled"],
        { state: "queued", error: null, attempts: 0, cancelRequested: false, finishedAt: null },
        { actor, text: "retried" },
      );
    },

    async setState(id, state, actor, reason) {
      const job = await get(id);
      if (job.state === "running")
        throw new AppError("job_state_conflict", { id, found: job.state, hint: "cancel it first: a worker holds it" });
      const finished = FINISHED_STATES.includes(state);
      if (state === "running" || state === job.state)
        throw new AppError("job_state_conflict", {
          id,
          found: job.state,
          expected: "another state that is not running",
        });
      const changed = await changeOrExplain(
        id,
        [job.state],
        { state, finishedAt: finished ? clock.now() : null, ...(finished ? {} : { attempts: 0, error: null }) },
        { actor, text: reason },
      );
      if (state === "cancelled") await kinds[changed.kind]?.cleanUp?.(changed);
      return changed;
    },

    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },

    async adoptStarved() {
      const starved = await store.listStarved(clock.now(), 100);
      let adopted = 0;
      for (const job of starved) {
        const note = { text: "the request that fed this job died" };
        if (await change(job.id, ["running"], { state: "queued", fedUntil: null }, note)) adopted++;
      }
      return adopted;
    },
  };
}

function eventsOf(change: JobChange, note: ChangeNote): Pick<JobEvent, "type" | "data">[] {
  const events: Pick<JobEvent, "type" | "data">[] = [];
  if (note.text !== undefined)
    events.push({
      type: "note",
      data: { text: note.text, ...(note.actor === undefined ? {} : { actor: note.actor }) },
    });
  if (note.task !== undefined) events.push({ type: "task", data: { name: note.task } });
  if (change.state !== undefined)
    events.push({
      type: "state",
      data: { state: change.state, ...(change.error ? { error: { ...change.error } } : {}) },
    });
  return events;
}
