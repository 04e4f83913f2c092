import { isoTime } from "../clock.ts";
import { AppError, type Code, type Details } from "../errors.ts";
import type { Job } from "../jobs/job.ts";
import { type JobHandler, PutOff } from "../jobs/worker.ts";
import { type Machine, unmet } from "./conditions.ts";
import { cancelUnlessOver, type Performed, type PerformParts, perform } from "./perform.ts";
import type { RunNotices } from "./run-notices.ts";
import type { RunOutputs } from "./run-outputs.ts";
import { isCommand, isRepeatable, type Run, runMark, type Schedule } from "./schedule.ts";
import type { Begun, RunOutcome, ScheduleStore } from "./schedule-store.ts";

export interface RunJobParts extends PerformParts {
  readonly store: ScheduleStore;
  readonly outputs: RunOutputs;
  readonly machine: Machine;
  readonly notices: RunNotices;
  /** Whether runs may begin now: those that have begun are left to end. */
  readonly mayRun: () => Promise<boolean>;
}

/** Between two looks at whether others are done, conditions are met, and schedules may run. */
const QUEUE_PAUSE_MS = 1_000;
const CONDITION_PAUSE_MS = 15_000;
const SWITCH_PAUSE_MS = 5_000;
/** Runs of one schedule that wait for each other; those beyond are skipped. */
const MOST_QUEUED = 100;
/** Of the output, in mails. */
const SHOWN_BYTES = 8 * 1024;

const TIMED_OUT = new Error("The time given to the run is over.");

type Waiting = { readonly run: Run; readonly schedule: Schedule };
type Held = Extract<Begun, { readonly kind: "held" }>;
type Running = Extract<Begun, { readonly kind: "running" }>;
type Ended = Omit<RunOutcome, "outputBytes">;

/**
 * The `run` job: does what a schedule says, if nobody else is at it. Its input is the run's number.
 *
 * The run's row says how far it is: whoever gets the job again, for a worker has died with it, finds it `running` with its
 * locks, and ends it as `lost`; only what can be repeated is begun again.
 */
export function runJob(parts: RunJobParts): JobHandler {
  const { store, outputs, notices, machine, clock } = parts;

  return {
    async run({ job, signal }) {
      const number = numberOf(job);
      signal.throwIfAborted();
      const waiting = await waitingRun(number);
      const obstacle = waiting && (await obstacleOf(waiting));
      if (waiting && obstacle !== undefined)
        return outcomeOf(
          await finish(waiting.schedule, waiting.run, { ...NO_END, state: "skipped", reason: obstacle }),
        );
      const begun = await store.begin(number, clock.now());
      switch (begun.kind) {
        case "gone":
          return { run: number, state: "gone" };
        case "over":
          return outcomeOf(begun.run);
        case "held":
          return outcomeOf(await stepAside(begun));
        case "running":
          return outcomeOf(await work(begun, signal));
      }
    },

    /** Waiting here leaves no trace in the job's history, and no lock is held meanwhile. */
    async heldMs(job) {
      const waiting = await waitingRun(numberOf(job));
      if (!waiting) return 0;
      if (!(await parts.mayRun())) return SWITCH_PAUSE_MS;
      const { run, schedule } = waiting;
      const isPatient = clock.now() < run.createdAt + schedule.conditions.waitMs;
      if (isPatient && (await obstacleOf(waiting)) !== undefined) return CONDITION_PAUSE_MS;
      return run.overlap === "queue" && (await store.isHeld(run.number)) ? QUEUE_PAUSE_MS : 0;
    },

    /** A job that was cancelled before it began, or begun too often. */
    async cleanUp(job) {
      const run = await store.run(numberOf(job));
      const schedule = run && (await store.get(run.schedule));
      if (!run || !schedule || run.finishedAt !== null) return;
      await parts.runner.endMarked(runMark(run));
      const state = job.state === "cancelled" ? "cancelled" : job.error?.code === "internal" ? "failed" : "lost";
      await finish(schedule, run, { ...NO_END, state, reason: job.error?.message ?? null });
    },

    /** A run is one line of history: to have it done again, the schedule is run again. */
    retryable: async () => false,
  };

  async function work({ schedule, run, again }: Running, signal: AbortSignal): Promise<Run> {
    if (again && !isRepeatable(schedule)) return finish(schedule, run, await lost(schedule, run));
    if (again && isCommand(schedule.action)) await parts.runner.endMarked(runMark(run));
    const mark = runMark(run);
    const output = await outputs.create(mark);
    const over = new AbortController();
    const limit = limited(schedule.timeoutMs, signal, over.signal);
    let ended: Ended;
    try {
      ended = endOf(await perform(parts, schedule, run, output, limit));
    } catch (error) {
      ended = limit.aborted ? await stopped(schedule, limit) : failed(error);
    } finally {
      over.abort();
      await output.close();
    }
    return finish(schedule, run, ended, output.bytes);
  }

  async function waitingRun(number: number): Promise<Waiting | undefined> {
    const run = await store.run(number);
    if (run?.state !== "waiting") return undefined;
    const schedule = await store.get(run.schedule);
    return schedule && { run, schedule };
  }

  /** Whoever asks for a run himself gets it, whatever the conditions are. */
  async function obstacleOf({ run, schedule }: Waiting): Promise<string | undefined> {
    return run.askedBy === null ? unmet(schedule.conditions, schedule.timeZone, machine, clock.now()) : undefined;
  }

  async function stepAside(held: Held): Promise<Run> {
    const { run, schedule, holder, ahead } = held;
    const since = isoTime(holder.startedAt ?? holder.createdAt);
    const who = `run ${holder.number} of "${held.holderName}", since ${since}`;
    const skip = (reason: string) => finish(schedule, run, { ...NO_END, state: "skipped", reason });
    if (run.overlap === "skip") return skip(`Still ${holder.state}: ${who}.`);
    if (ahead >= MOST_QUEUED) return skip(`${ahead} runs are waiting already, for ${who}.`);
    // What another schedule does under the same lock is not for this one to end.
    if (run.overlap === "kill" && holder.schedule === schedule.id && holder.job !== null)
      await cancel(holder.job, `run ${run.number}`);
    throw new PutOff(QUEUE_PAUSE_MS);
  }

  async function cancel(id: NonNullable<Run["job"]>, actor: string): Promise<void> {
    const job = await parts.jobs().get(id);
    if (!job.cancelRequested) await cancelUnlessOver(parts.jobs(), job, actor);
  }

  async function finish(schedule: Schedule, run: Run, ended: Ended, outputBytes = 0): Promise<Run> {
    const outcome = { ...ended, outputBytes };
    const shown = outputBytes === 0 ? "" : await outputs.tail(runMark(run), SHOWN_BYTES);
    const { action } = schedule;
    const messages = [
      ...(action.kind === "mail" && ended.state === "succeeded" ? notices.message(schedule, run, action) : []),
      ...notices.ended(schedule, run, outcome, shown),
    ];
    const finished = await store.finish(run.number, outcome, messages, clock.now());
    // Whoever has ended it meanwhile has said how.
    return finished ?? (await store.run(run.number)) ?? run;
  }

  async function lost(schedule: Schedule, run: Run): Promise<Ended> {
    const left = isCommand(schedule.action) ? await parts.runner.endMarked(runMark(run)) : 0;
    const what =
      left === undefined
        ? " What it had started may still run."
        : left > 0
          ? ` ${left} of its processes still ran and were ended.`
          : "";
    const reason = `The process that worked on it ended before it; it is not run a second time.${what}`;
    return { ...NO_END, state: "lost", reason };
  }

  /** @throws the signal's reason when another worker goes on with it. */
  async function stopped(schedule: Schedule, { reason }: AbortSignal): Promise<Ended> {
    if (reason === TIMED_OUT) {
      const seconds = (schedule.timeoutMs ?? 0) / 1_000;
      return { ...NO_END, state: "timed_out", reason: `It was not over within ${seconds} s, and was ended.` };
    }
    if (reason instanceof AppError && reason.code === "job_cancelled")
      return { ...NO_END, state: "cancelled", reason: "It was cancelled." };
    if (isRepeatable(schedule)) throw reason;
    return { ...NO_END, state: "lost", reason: "The worker was stopped while it ran, and it was ended." };
  }

  /** Also aborts when the run's time is over; `over` ends the waiting for that. */
  function limited(timeoutMs: number | null, signal: AbortSignal, over: AbortSignal): AbortSignal {
    if (timeoutMs === null) return signal;
    const late = new AbortController();
    void clock.sleep(timeoutMs, over).then(() => {
      if (!over.aborted) late.abort(TIMED_OUT);
    });
    return AbortSignal.any([signal, late.signal]);
  }
}

const NO_END = { exitCode: null, signal: null } as const;

function endOf({ succeeded, ...how }: Performed): Ended {
  return { ...how, state: succeeded ? "succeeded" : "failed" };
}

/** What could not be begun, or broke: its sentence is the run's. */
function failed(error: unknown): Ended {
  if (!(error instanceof AppError)) throw error;
  return { ...NO_END, state: "failed", reason: error.message };
}

const FAILURES: Readonly<Partial<Record<Run["state"], Code>>> = {
  failed: "run_failed",
  timed_out: "run_timed_out",
  cancelled: "job_cancelled",
  lost: "run_lost",
};

/** The job's result. @throws AppError for a run that did not go well: the job ends as it did. */
function outcomeOf({ number, state, reason, exitCode }: Run): Details {
  const code = FAILURES[state];
  const facts = {
    run: number,
    state,
    ...(exitCode === null ? {} : { exitCode }),
    ...(reason === null ? {} : { reason }),
  };
  if (code !== undefined) throw new AppError(code, facts);
  return facts;
}

function numberOf({ input }: Job): number {
  return Number(input.run);
}
