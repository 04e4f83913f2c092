import { randomBytes } from "node:crypto";
import { type Principal, requireScope } from "../access/access.ts";
import type { Clock } from "../clock.ts";
import { AppError } from "../errors.ts";
import { type JobId, type ScheduleId, scheduleId } from "../ids.ts";
import { FINISHED_STATES } from "../jobs/job.ts";
import type { Jobs } from "../jobs/jobs.ts";
import type { BuiltIns } from "./built-in.ts";
import type { CommandRunner } from "./command-runner.ts";
import { checkDefinition } from "./definition.ts";
import type { RunOutputs } from "./run-outputs.ts";
import { isCommand, OPEN_RUNS, type Run, runMark, type Schedule, type ScheduleDefinition } from "./schedule.ts";
import type { RunFilter, ScheduleFilter, ScheduleStore } from "./schedule-store.ts";
import { timetable } from "./timetable.ts";

export type ListedSchedule = Schedule & { readonly lastRun: Run | null };

/**
 * Schedules, as their users steer them. Whoever reads may see them; to change them takes the scope `operate`, and `admin`
 * where a command is run: whoever declares one can do on this machine whatever the server can.
 */
export interface Schedules {
  /** @throws AppError schedule_exists, schedule_invalid, crontab_invalid, time_zone_unknown, user_refused, scope_missing. */
  create(principal: Principal, definition: ScheduleDefinition): Promise<Schedule>;
  /** All or none. @param replace those of the same names are changed. */
  createAll(
    principal: Principal,
    definitions: readonly ScheduleDefinition[],
    options: { readonly replace: boolean },
  ): Promise<readonly Schedule[]>;
  /** What of {@link createAll} would be refused is refused, and nothing is kept. */
  checkAll(principal: Principal, definitions: readonly ScheduleDefinition[]): Promise<void>;
  /** @throws AppError schedule_unknown. */
  get(id: ScheduleId): Promise<ListedSchedule>;
  list(filter: ScheduleFilter): Promise<readonly ListedSchedule[]>;
  change(principal: Principal, id: ScheduleId, change: Partial<ScheduleDefinition>): Promise<Schedule>;
  /** With its history and outputs. @throws AppError schedule_state_conflict while it runs. */
  remove(principal: Principal, id: ScheduleId): Promise<Schedule>;
  /** What is due while it is paused is neither run nor made up for. */
  pause(principal: Principal, id: ScheduleId): Promise<Schedule>;
  resume(principal: Principal, id: ScheduleId): Promise<Schedule>;
  /** Runs it now, as it would be run when due, whatever its conditions are. A `test` is told to nobody. */
  runNow(principal: Principal, id: ScheduleId, cause: "manual" | "test"): Promise<Run>;
  /** Newest first. */
  runs(id: ScheduleId, filter: RunFilter): Promise<readonly Run[]>;
  /** @throws AppError run_unknown. */
  run(id: ScheduleId, number: number): Promise<Run>;
  cancelRun(principal: Principal, id: ScheduleId, number: number): Promise<Run>;
  /** Also while it runs. @throws AppError run_unknown, run_output_gone. */
  output(id: ScheduleId, number: number): Promise<AsyncIterable<Uint8Array>>;
  /** Names of the work that `built-in` actions can name. */
  builtIns(): Readonly<Record<string, string>>;
  /** Forgets runs beyond the newest of each schedule, with their outputs. */
  tidy(signal: AbortSignal): Promise<void>;
}

export interface SchedulesParts {
  readonly store: ScheduleStore;
  readonly outputs: RunOutputs;
  readonly runner: Pick<CommandRunner, "account">;
  readonly builtIns: () => BuiltIns;
  readonly jobs: Pick<Jobs, "cancel" | "get">;
  readonly clock: Clock;
  readonly nextJobId: () => Promise<JobId>;
  readonly boot: () => Promise<string>;
  readonly canMail: boolean;
  /** What was kept apart for a schedule of this name is forgotten with it. */
  readonly forget: (name: string) => Promise<void>;
}

/** Runs kept of each schedule. */
const KEPT_RUNS = 200;
const SWEPT_AT_ONCE = 500;

export function scheduleService(parts: SchedulesParts): Schedules {
  const { store, outputs, runner, jobs, clock, nextJobId, boot } = parts;

  async function found(id: ScheduleId): Promise<Schedule> {
    const schedule = await store.get(id);
    if (!schedule) throw new AppError("schedule_unknown", { id });
    return schedule;
  }

  async function check(principal: Principal, definition: ScheduleDefinition): Promise<void> {
    const { action } = definition;
    requireScope(principal, isCommand(action) ? "admin" : "operate");
    checkDefinition(definition, parts.builtIns());
    if (isCommand(action)) await runner.account(action.user);
    if (!parts.canMail && (definition.notify.to !== null || action.kind === "mail"))
      throw new AppError("schedule_invalid", { name: definition.name, reason: "mail needs LONGSHORE_SMTP_URL" });
  }

  function planned(definition: ScheduleDefinition, now: number) {
    return {
      nextDueAt: timetable(definition.expression, definition.timeZone).next(now),
      plannedAt: now,
      silentAt: definition.deadManMs === null ? null : now + definition.deadManMs,
      silentSince: null,
    };
  }

  function made(principal: Principal, definition: ScheduleDefinition): Schedule {
    const now = clock.now();
    return {
      ...definition,
      id: randomId(),
      owner: principal.name,
      paused: false,
      ...planned(definition, now),
      createdAt: now,
      changedAt: now,
    };
  }

  async function change(id: ScheduleId, fields: Parameters<ScheduleStore["change"]>[1]): Promise<Schedule> {
    const changed = await store.change(id, fields, await boot(), clock.now());
    if (!changed) throw new AppError("schedule_unknown", { id });
    return changed;
  }

  async function runOf(id: ScheduleId, number: number): Promise<Run> {
    const run = await store.run(number);
    if (run?.schedule !== id) throw new AppError("run_unknown", { schedule: id, run: number });
    return run;
  }

  return {
    async create(principal, definition) {
      await check(principal, definition);
      const [schedule] = await store.put([made(principal, definition)], await boot());
      if (!schedule) throw new TypeError("a store keeps what it is given");
      return schedule;
    },

    async createAll(principal, definitions, { replace }) {
      for (const definition of definitions) await check(principal, definition);
      const schedules = definitions.map((definition) => made(principal, definition));
      return store.put(schedules, await boot(), replace);
    },

    async checkAll(principal, definitions) {
      for (const definition of definitions) await check(principal, definition);
    },

    async get(id) {
      const { name } = await found(id);
      const [listed] = await store.list({ name, limit: 1 });
      if (listed?.id !== id) throw new AppError("schedule_unknown", { id });
      return listed;
    },

    list: (filter) => store.list(filter),

    async change(principal, id, fields) {
      const before = await found(id);
      if (isCommand(before.action)) requireScope(principal, "admin");
      const after = { ...before, ...fields };
      await check(principal, after);
      const isOtherTime = after.expression !== before.expression || after.timeZone !== before.timeZone;
      const { nextDueAt, plannedAt, silentAt, silentSince } = planned(after, clock.now());
      const isOtherLimit = after.deadManMs !== before.deadManMs;
      return change(id, {
        ...fields,
        ...(isOtherTime && { nextDueAt, plannedAt }),
        ...(isOtherLimit && !before.paused && { silentAt, silentSince }),
      });
    },

    async remove(principal, id) {
      const schedule = await found(id);
      requireScope(principal, isCommand(schedule.action) ? "admin" : "operate");
      if (!(await store.remove(id))) {
        const [open] = await store.runs(id, { states: OPEN_RUNS, limit: 1 });
        throw new AppError("schedule_state_conflict", {
          id,
          expected: "a schedule that does not run",
          found: open ? `run ${open.number} is ${open.state}` : "it has been removed",
        });
      }
      await outputs.removeAll(id);
      await parts.forget(schedule.name);
      return schedule;
    },

    async pause(principal, id) {
      requireScope(principal, "operate");
      return change(id, { paused: true, silentAt: null });
    },

    async resume(principal, id) {
      requireScope(principal, "operate");
      const schedule = await found(id);
      return schedule.paused ? change(id, { paused: false, ...planned(schedule, clock.now()) }) : schedule;
    },

    async runNow(principal, id, cause) {
      requireScope(principal, "operate");
      const { overlap } = await found(id);
      const now = clock.now();
      const run = { cause, askedBy: principal.name, dueAt: now, overlap, job: await nextJobId() };
      return store.add(id, run, now);
    },

    async runs(id, filter) {
      await found(id);
      return store.runs(id, filter);
    },

    run: runOf,

    async cancelRun(principal, id, number) {
      requireScope(principal, "operate");
      const { job } = await runOf(id, number);
      if (job === null || FINISHED_STATES.includes((await jobs.get(job)).state))
        throw new AppError("schedule_state_conflict", { id, run: number, expected: "a run that is not over" });
      await jobs.cancel(job, principal.name);
      return runOf(id, number);
    },

    async output(id, number) {
      const run = await runOf(id, number);
      const text = await outputs.read(runMark(run));
      if (text) return text;
      if (OPEN_RUNS.includes(run.state) || (run.startedAt !== null && run.outputBytes === 0)) return nothing();
      throw new AppError("run_output_gone", { schedule: id, run: number });
    },

    builtIns: () => Object.fromEntries(Object.entries(parts.builtIns()).map(([name, { summary }]) => [name, summary])),

    async tidy(signal) {
      while (!signal.aborted) {
        const surplus = await store.surplus(KEPT_RUNS, SWEPT_AT_ONCE);
        if (surplus.length === 0) return;
        for (const run of surplus) await outputs.remove(runMark(run));
        await store.forget(surplus.map(({ number }) => number));
      }
    },
  };
}

async function* nothing(): AsyncGenerator<Uint8Array> {}

/** 127 random bits; the first character is no `-`, which command lines would take for an option. */
function randomId(): ScheduleId {
  const bytes = randomBytes(16);
  bytes[0] = (bytes[0] ?? 0) & 0x7f;
  return scheduleId(bytes.toString("base64url"));
}
