import type { Details, DetailValue, ErrorRecord, Problem } from "../errors.ts";
import type { JobId } from "../ids.ts";
import type { TraceParent } from "../tracing.ts";

/**
 * Terms. A *job* is work that outlives its request. Its *tasks* are named steps, each with a percentage. A job is *fed*
 * while the request that brings its input is still open; it is *queued* when it waits for a worker, *running* while a
 * worker holds its lease. A *checkpoint* is what a worker needs to continue another worker's job.
 *
 *     create(fed) ─► running ─► hand over ─► queued ─► running ─► succeeded | failed | cancelled
 *     create(queued) ────────────────────────►
 */
export const JOB_STATES = ["queued", "running", "succeeded", "failed", "cancelled"] as const;
export type JobState = (typeof JOB_STATES)[number];
export const FINISHED_STATES: readonly JobState[] = ["succeeded", "failed", "cancelled"];

/** `run` is for what schedules run: a command that never ends takes no place of other work. */
export const LANES = ["fast", "slow", "run"] as const;
export type Lane = (typeof LANES)[number];

export const PRIORITIES = { lowest: -10, highest: 10 } as const;

export interface TaskProgress {
  readonly name: string;
  /** 0 to 100, at most two decimals; 100 only when the task is done. */
  readonly percent: number;
  readonly doneFiles?: number;
  readonly doneBytes?: number;
  readonly doneRows?: number;
  /** Absent when it is not known before the end. */
  readonly totalFiles?: number;
  readonly totalBytes?: number;
  readonly totalRows?: number;
  /** Epoch milliseconds. */
  readonly startedAt: number;
  readonly finishedAt?: number;
}

export interface Job {
  readonly id: JobId;
  /** What work it is: `ingest`, `move`, `verify`, … */
  readonly kind: string;
  readonly lane: Lane;
  readonly state: JobState;
  /** Who asked for it: a principal's name. */
  readonly owner: string;
  /** From {@link PRIORITIES}`.lowest` to `.highest`, as a rule 0: higher is begun sooner, but nothing waits for ever. */
  readonly priority: number;
  /** In the order they were begun; the last one is the current one. */
  readonly tasks: readonly TaskProgress[];
  /** How often a worker has begun it. */
  readonly attempts: number;
  readonly error: ErrorRecord | null;
  /** What is wrong or worth knowing, one record per file; never the reason a finished job is incomplete. */
  readonly warnings: readonly Problem[];
  /** What was asked, as the handler of this kind reads it. Not shown to clients. */
  readonly input: Details;
  /** What a later worker continues from. Not shown to clients. */
  readonly checkpoint: Details;
  /** What came out, for clients. */
  readonly result: Details;
  /** Set when someone asked to cancel and the worker has not stopped yet. */
  readonly cancelRequested: boolean;
  readonly idempotencyKey: string | null;
  /** What asked for it is part of this. Not shown to clients. */
  readonly trace?: TraceParent;
  /** While the request that feeds it lives: the time at which it counts as gone, unless it says otherwise before. */
  readonly fedUntil: number | null;
  /** Epoch milliseconds, like every `…At` here. */
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly startedAt: number | null;
  readonly finishedAt: number | null;
}

/** A line of a job's history. `seq` grows over all jobs and is the SSE event id. */
export interface JobEvent {
  readonly seq: number;
  readonly jobId: JobId;
  readonly at: number;
  /** `state` (data: state, error?), `task` (data: name, percent) or `note` (data: text and who). */
  readonly type: "state" | "task" | "note";
  readonly data: { readonly [key: string]: DetailValue };
}
