import type { Details } from "../errors.ts";
import type { JobId } from "../ids.ts";
import type { TraceParent } from "../tracing.ts";
import type { Job, JobEvent, JobState, Lane } from "./job.ts";

export interface NewJob {
  readonly id: JobId;
  readonly kind: string;
  readonly lane: Lane;
  readonly owner: string;
  /** {@link Job.priority}; 0 when left out. */
  readonly priority?: number;
  readonly input: Details;
  readonly idempotencyKey: string | null;
  /** Left out: what the running code is part of. */
  readonly trace?: TraceParent | null;
  /** `null`: queued at once. A time: running, fed by a request until then; counted from `now`, whatever the clock it is of. */
  readonly fedUntil: number | null;
  readonly now: number;
}

/** Every field that changes after creation. What is left out stays. */
export type JobChange = Partial<
  Pick<
    Job,
    | "state"
    | "priority"
    | "tasks"
    | "attempts"
    | "error"
    | "warnings"
    | "checkpoint"
    | "result"
    | "cancelRequested"
    | "idempotencyKey"
    | "fedUntil"
    | "startedAt"
    | "finishedAt"
  >
> & {
  /** Only with `state: "queued"`: the queue delivers it no sooner than this. */
  readonly dueAt?: number;
};

export interface JobFilter {
  readonly states?: readonly JobState[];
  readonly kind?: string;
  readonly owner?: string;
  /** Newest first: only jobs with a smaller id than this. */
  readonly beforeId?: JobId;
  readonly limit: number;
}

/** Jobs of one kind that are queued in one lane. */
export interface QueuedKind {
  readonly lane: Lane;
  readonly kind: string;
  readonly jobs: number;
  /** Since when the oldest of them is; epoch milliseconds. */
  readonly queuedAt: number;
}

/**
 * Jobs as rows. Whatever puts a job into the state `queued` also puts it into the queue, in the same transaction: the
 * adapter is made with the queue of its database. So a job is never queued twice nor forgotten, wherever a process dies.
 * Whatever puts one into the state `succeeded` takes it out of the queue; one that ends otherwise is there until its delivery
 * is done, as its worker has to clean up after it.
 *
 * Adapters: `adapters/db/job-store.ts` over SQLite and PostgreSQL. Contract: `test/conformance/job-store.ts`.
 */
export interface JobStore {
  /**
   * Saves a new job and its first event.
   * @returns the job, or the earlier job of this owner with the same idempotency key, with `created: false`.
   */
  create(job: NewJob): Promise<{ readonly job: Job; readonly created: boolean }>;
  get(id: JobId): Promise<Job | undefined>;
  /** Newest first by id. Cost does not grow with the number of finished jobs. */
  list(filter: JobFilter): Promise<readonly Job[]>;
  /** How many jobs are in each state that is not finished. */
  countOpen(): Promise<Readonly<Record<"queued" | "running", number>>>;
  /** When the job that has been queued for longest was queued, in each lane that has one. */
  oldestQueued(): Promise<Readonly<Partial<Record<Lane, number>>>>;
  /** By lane and kind. */
  queuedKinds(): Promise<readonly QueuedKind[]>;
  /**
   * Compare-and-set: applies `change` when the job is in one of the states `from`, and appends `events`.
   * @param attempts when given, only while the job has been begun this often: whoever works on a job that another has
   * taken over meanwhile changes nothing any more. 0 is the request that feeds it.
   * @returns the changed job, or `undefined` when it was not like that (or is unknown).
   */
  update(
    id: JobId,
    from: readonly JobState[],
    change: JobChange,
    now: number,
    events?: readonly Pick<JobEvent, "type" | "data">[],
    attempts?: number,
  ): Promise<Job | undefined>;
  /** Running jobs whose feeding request went silent. */
  listStarved(now: number, limit: number): Promise<readonly Job[]>;
  /** A job's events with a larger `seq`, oldest first. */
  events(id: JobId, afterSeq: number, limit: number): Promise<readonly JobEvent[]>;
}
