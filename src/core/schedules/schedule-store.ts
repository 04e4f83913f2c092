import type { OutboxMessage } from "../catalogue/catalogue-store.ts";
import type { JobId, ScheduleId } from "../ids.ts";
import type { Run, RunCause, RunState, Schedule, ScheduleDefinition } from "./schedule.ts";

/** A run with its job, which is queued in the lane `run` with `{ run: number }` as input; or the record of none. */
export type NewRun = Pick<Run, "cause" | "askedBy" | "dueAt" | "overlap"> &
  (
    | { readonly job: JobId }
    | { readonly job: null; readonly state: Extract<RunState, "missed" | "replanned">; readonly reason: string }
  );

/** What is compared: a due time by the clock, or a start of a machine that has not been answered. */
export type Fired = { readonly dueAt: number } | { readonly boot: string };

export interface ScheduleFilter {
  /** To the letter. */
  readonly name?: string;
  /** By name: only those after it. */
  readonly after?: string;
  readonly limit: number;
}

export interface RunFilter {
  /** Newest first: only those with a smaller number. */
  readonly before?: number;
  readonly states?: readonly RunState[];
  readonly limit: number;
}

export interface RunOutcome extends Pick<Run, "reason" | "exitCode" | "signal" | "outputBytes"> {
  readonly state: Exclude<RunState, "waiting" | "running" | "missed" | "replanned">;
}

/** How a run stands that a worker wants to begin. */
export type Begun =
  /** It is this worker's: its locks are taken. `again`: an earlier worker had begun it. */
  | { readonly kind: "running"; readonly run: Run; readonly schedule: Schedule; readonly again: boolean }
  /** Others are before it: one holds a lock, or has waited longer and is queued as this one is. */
  | {
      readonly kind: "held";
      readonly run: Run;
      readonly schedule: Schedule;
      readonly holder: Run;
      /** Of the holder. */
      readonly holderName: string;
      /** Runs of the schedule that have waited longer. */
      readonly ahead: number;
    }
  | { readonly kind: "over"; readonly run: Run }
  /** Its schedule has been removed. */
  | { readonly kind: "gone" };

/**
 * Schedules, their runs, and who holds which lock. A lock belongs to a running run, and a run runs as long as its job has
 * not ended: if a worker dies, the job's lease decides, and the worker that takes the job over ends the run.
 *
 * Adapters: `adapters/db/schedule-store.ts` over SQLite and PostgreSQL. Contract: `test/conformance/schedule-store.ts`.
 */
export interface ScheduleStore {
  /**
   * Keeps all of them or none.
   * @param boot of this machine, which is taken as answered.
   * @param replace those of the same names take on what is declared, and keep id and history.
   * @throws AppError schedule_exists, with the name.
   */
  put(schedules: readonly Schedule[], boot: string, replace?: boolean): Promise<readonly Schedule[]>;
  get(id: ScheduleId): Promise<Schedule | undefined>;
  /** By name, each with its newest run. */
  list(filter: ScheduleFilter): Promise<readonly (Schedule & { readonly lastRun: Run | null })[]>;
  /** Takes on what is given. @throws AppError schedule_exists. */
  change(
    id: ScheduleId,
    change: Partial<
      ScheduleDefinition & Pick<Schedule, "paused" | "nextDueAt" | "plannedAt" | "silentAt" | "silentSince">
    >,
    boot: string,
    now: number,
  ): Promise<Schedule | undefined>;
  /** With its history. @returns false when there is none, or a run of it is open. */
  remove(id: ScheduleId): Promise<boolean>;

  /** Due by now and not paused, the longest due first. */
  due(now: number, limit: number): Promise<readonly Schedule[]>;
  /** Not paused, and planned when the clock said more than this: it has been set back since. */
  plannedAfter(at: number, limit: number): Promise<readonly Schedule[]>;
  /** Due with the start of a machine, and not paused. */
  atBoot(): Promise<readonly Schedule[]>;
  /**
   * In one transaction: makes sure that nobody else has answered this, notes when it is due next, and keeps the runs with
   * their jobs.
   * @returns whether this was the one to do it.
   */
  fire(id: ScheduleId, fired: Fired, nextDueAt: number | null, runs: readonly NewRun[], now: number): Promise<boolean>;
  /** A run that somebody asks for. @throws AppError schedule_unknown. */
  add(id: ScheduleId, run: NewRun & { readonly cause: RunCause }, now: number): Promise<Run>;
  /** Whose silence is to be told of. */
  silent(now: number, limit: number): Promise<readonly Schedule[]>;
  /** Notes that it has been told, and puts the messages into the outbox. @returns whether this was the one to do it. */
  toldSilence(id: ScheduleId, silentAt: number, messages: readonly OutboxMessage[], now: number): Promise<boolean>;

  run(number: number): Promise<Run | undefined>;
  /** Newest first. */
  runs(id: ScheduleId, filter: RunFilter): Promise<readonly Run[]>;
  /** Takes the run's locks and marks it as running, or says who is before it. Those that are queued take turns. */
  begin(number: number, now: number): Promise<Begun>;
  /** Whether a queued run has others before it, as things are now. */
  isHeld(number: number): Promise<boolean>;
  /**
   * Ends a run that is open, gives its locks back and puts the messages into the outbox; one that succeeded and is no test
   * moves the schedule's silence on.
   * @returns the run as it is now, or `undefined` when it was over already.
   */
  finish(
    number: number,
    outcome: RunOutcome,
    messages: readonly OutboxMessage[],
    now: number,
  ): Promise<Run | undefined>;
  /** Runs that are over, beyond the newest `keep` of each schedule. */
  surplus(keep: number, limit: number): Promise<readonly Run[]>;
  forget(numbers: readonly number[]): Promise<void>;
}
