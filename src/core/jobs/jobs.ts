import type { Clock } from "../clock.ts";
import { AppError, type Details, errorRecord } from "../errors.ts";
import type { JobId } from "../ids.ts";
import { FED_MS, type FedJob, feedJob } from "./fed-job.ts";
import { FINISHED_STATES, type Job, type JobEvent, type JobState, type Lane } from "./job.ts";
import type { JobChange, JobFilter, JobStore } from "./job-store.ts";

/** How often a watcher looks for changes made by other processes. */
const WATCH_POLL_MS = 1_000;
const WATCH_PAGE = 1_000;
/** What a job that is queued again forgets of its end. */
const BEGUN_ANEW = { finishedAt: null, error: null, attempts: 0, cancelRequested: false } as const;

export interface JobRequest {
  readonly kind: string;
  readonly lane: Lane;
  readonly owner: string;
  /** {@link Job.priority}; 0 when left out. */
  readonly priority?: number;
  readonly input: Details;
  readonly idempotencyKey?: string;
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
  /** Whether what the job makes is final already, though the job is not over: then it can no longer be cancelled. */
  committed?(job: Job): Promise<boolean>;
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
  /**
   * Stops a job: at once when it is queued; when it is running, whoever works on it stops at the next step, or finishes
   * when it is too late for that.
   * @throws AppError job_state_conflict when the job is finished, or what it makes is final already.
   */
  cancel(id: JobId, actor: string): Promise<Job>;
  /** Queues a failed or cancelled job again. @throws AppError job_state_conflict when what it needs is gone. */
  retry(id: JobId, actor: string): Promise<Job>;
  /** An operator's decision about a job that no worker holds. @throws AppError job_state_conflict. */
  setState(id: JobId, state: JobState, actor: string, reason: string): Promise<Job>;
  /**
   * Lets a job be begun sooner or later than others: see {@link Job.priority}. One that waits is due at once; of a running one
   * it counts when it is queued again. @throws AppError job_state_conflict when the job is finished.
   */
  setPriority(id: JobId, priority: number, actor: string): Promise<Job>;
  /**
   * The one way every job changes: compare-and-set, then watchers of this process are woken.
   * @param attempts names the run of the job that the caller stands for, see {@link JobStore.update}.
   */
  change(
    id: JobId,
    from: readonly JobState[],
    change: JobChange,
    note?: ChangeNote,
    attempts?: number,
  ): Promise<Job | undefined>;
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

  const change: Jobs["change"] = async (id, from, fields, note = {}, attempts) => {
    const changed = await store.update(id, from, fields, clock.now(), eventsOf(fields, note), attempts);
    if (changed) for (const listener of listeners) listener(changed);
    return changed;
  };

  function onChange(listener: (job: Job) => void) {
    listeners.add(listener);
    return () => listeners.delete(listener);
  }

  async function get(id: JobId): Promise<Job> {
    const job = await store.get(id);
    if (!job) throw new AppError("job_unknown", { id });
    return job;
  }

  /** @throws AppError job_state_conflict, saying how the job stands. */
  async function changeOrExplain(id: JobId, from: readonly JobState[], fields: JobChange, note: ChangeNote) {
    const changed = await change(id, from, fields, note);
    if (changed) return changed;
    throw conflict(await get(id), from.join(" or "));
  }

  async function create(request: JobRequest, fedUntil: number | null) {
    const created = await store.create({
      id: await nextId(),
      kind: request.kind,
      lane: request.lane,
      owner: request.owner,
      ...(request.priority === undefined ? {} : { priority: request.priority }),
      input: request.input,
      idempotencyKey: request.idempotencyKey ?? null,
      fedUntil,
      now: clock.now(),
    });
    if (created.created) for (const listener of listeners) listener(created.job);
    return created;
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
      for (;;) {
        const { job, created } = await create(request, clock.now() + FED_MS);
        if (created) return feedJob(job, { get, change, onChange }, kinds[job.kind], clock);
        if (job.fedUntil !== null)
          throw new AppError("idempotency_conflict", { id: job.id, key: request.idempotencyKey ?? "" });
        if (job.error?.code !== "upload_interrupted") return { earlier: job };
        // Its bytes never arrived: the key is free for another try.
        await store.update(job.id, FINISHED_STATES, { idempotencyKey: null }, clock.now());
      }
    },

    async *watch(id, afterSeq, signal) {
      let seq = afterSeq;
      let shownAt = -1;
      let isChanged = false;
      let changed = Promise.withResolvers<void>();
      const unlisten = onChange((job) => {
        if (job.id !== id) return;
        isChanged = true;
        changed.resolve();
      });
      try {
        for (;;) {
          changed = Promise.withResolvers<void>();
          // Two changes may bear the same millisecond: here we are told of each, and a finished job is always shown.
          const wasChanged = isChanged;
          isChanged = false;
          // The job is read before its events: when it is finished here, the events below include the last one.
          const job = await get(id);
          const isFinished = FINISHED_STATES.includes(job.state);
          for (let more = true; more; ) {
            const events = await store.events(id, seq, WATCH_PAGE);
            for (const event of events) {
              seq = event.seq;
              yield { type: "event", event };
            }
            more = events.length === WATCH_PAGE;
          }
          if (wasChanged || isFinished || job.updatedAt !== shownAt) yield { type: "progress", job };
          shownAt = job.updatedAt;
          if (signal.aborted || isFinished) return;
          const waiting = new AbortController();
          await Promise.race([changed.promise, clock.sleep(WATCH_POLL_MS, AbortSignal.any([signal, waiting.signal]))]);
          waiting.abort();
        }
      } finally {
        unlisten();
      }
    },

    async cancel(id, actor) {
      // By compare-and-set: between two looks a queued job may begin, and a running one end or go back to the queue.
      for (;;) {
        const job = await get(id);
        if (FINISHED_STATES.includes(job.state)) throw conflict(job, "queued or running");
        if (job.state === "running") {
          const asked = await change(id, ["running"], { cancelRequested: true }, { actor, text: "cancel requested" });
          if (asked) return asked;
          continue;
        }
        if (await kinds[job.kind]?.committed?.(job))
          throw conflict(job, "a job that can still be undone", "what it makes is final already");
        // Its queue entry stays: the worker that gets it finds the job cancelled and cleans up, should this process die.
        const error = errorRecord(new AppError("job_cancelled", { by: actor }));
        const fields = { state: "cancelled", error, finishedAt: clock.now() } as const;
        const cancelled = await change(id, ["queued"], fields, { actor, text: "cancelled" }, job.attempts);
        if (!cancelled) continue;
        await kinds[cancelled.kind]?.cleanUp?.(cancelled);
        return cancelled;
      }
    },

    async retry(id, actor) {
      const job = await get(id);
      const from: readonly JobState[] = ["failed", "cancelled"];
      if (!from.includes(job.state)) throw conflict(job, from.join(" or "));
      const possible = (await kinds[job.kind]?.retryable?.(job)) ?? true;
      if (!possible) throw conflict(job, "a job that can be begun again", "what it needs is gone; send it anew");
      return changeOrExplain(id, from, { state: "queued", ...BEGUN_ANEW }, { actor, text: "retried" });
    },

    async setState(id, state, actor, reason) {
      const job = await get(id);
      if (job.state === "running") throw conflict(job, "a job that no worker holds", "cancel it first");
      if (state === "running" || state === job.state) throw conflict(job, "another state that is not running");
      const over = { finishedAt: clock.now(), ...(state === "succeeded" ? { error: null } : {}) };
      const fields = { state, ...(FINISHED_STATES.includes(state) ? over : BEGUN_ANEW) };
      const changed = await changeOrExplain(id, [job.state], fields, { actor, text: reason });
      if (state === "cancelled") await kinds[changed.kind]?.cleanUp?.(changed);
      return changed;
    },

    async setPriority(id, priority, actor) {
      const note = { actor, text: `priority ${priority}` };
      for (;;) {
        const { state } = await get(id);
        const fields = state === "queued" ? { priority, state } : { priority };
        const from = state === "queued" || state === "running" ? [state] : [];
        if (from.length === 0) return changeOrExplain(id, ["queued", "running"], fields, note);
        const changed = await change(id, from, fields, note);
        if (changed) return changed;
      }
    },

    onChange,

    async adoptStarved() {
      const starved = await store.listStarved(clock.now(), 100);
      let adopted = 0;
      for (const job of starved) {
        const note = { text: "the request that fed this job died" };
        // Nothing can come of it but its end: whoever asks again under its key must not be given it for an answer.
        const fields = { state: "queued", fedUntil: null, idempotencyKey: null } as const;
        if (await change(job.id, ["running"], fields, note, 0)) adopted++;
      }
      return adopted;
    },
  };
}

function conflict({ id, state }: Job, expected: string, hint?: string): AppError {
  return new AppError("job_state_conflict", { id, expected, found: state, ...(hint === undefined ? {} : { hint }) });
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
