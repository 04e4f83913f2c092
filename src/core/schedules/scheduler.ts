import type { Clock } from "../clock.ts";
import { isoTime } from "../clock.ts";
import type { JobId } from "../ids.ts";
import { planOf } from "./due.ts";
import type { RunNotices } from "./run-notices.ts";
import type { Schedule } from "./schedule.ts";
import type { NewRun, ScheduleStore } from "./schedule-store.ts";
import { timetable } from "./timetable.ts";

/** How often the database is asked what is due: clocks may jump, and machines sleep, so no timer is longer. */
const TICK_MS = 1_000;
const AT_A_TIME = 100;
/** A clock that goes back by more than this has been corrected (the rule of Debian's cron); by less, nothing is due twice. */
const CORRECTION_MS = 3 * 3_600_000;

export interface SchedulerParts {
  readonly store: ScheduleStore;
  readonly notices: RunNotices;
  readonly clock: Clock;
  readonly nextJobId: () => Promise<JobId>;
  /** Differs after each start of the machine. */
  readonly boot: () => Promise<string>;
  /** Whether schedules may run now; what is due meanwhile is missed. */
  readonly mayRun: () => Promise<boolean>;
  /** Told of what goes wrong; it is tried again a second later. */
  onTrouble?(error: unknown, during: string): void;
}

export interface Scheduler {
  /** Resolves when what is under way is done. */
  stop(): Promise<void>;
}

/**
 * Turns due times into runs until it is stopped. It only fires: what a run does is its job's business. Each firing is one
 * transaction that compares the due time it answers, so any number of these loops on one database fire each due time
 * once, and one that dies on any line has either fired or not.
 */
export function startScheduler({ onTrouble, ...parts }: SchedulerParts): Scheduler {
  const { clock } = parts;
  const stopping = new AbortController();
  const attempt = (what: string, work: () => Promise<unknown>) =>
    work().then(
      () => true,
      (error: unknown) => {
        onTrouble?.(error, what);
        return false;
      },
    );

  async function loop(): Promise<void> {
    let isBooted = false;
    while (!stopping.signal.aborted) {
      if (!isBooted) isBooted = await attempt("answering the machine's start", () => answerBoot(parts));
      await attempt("looking for what is due", () => tick(parts));
      await clock.sleep(TICK_MS, stopping.signal);
    }
  }

  const running = loop();
  return {
    async stop() {
      stopping.abort();
      await running;
    },
  };
}

type TickParts = Omit<SchedulerParts, "onTrouble">;

/** Everything that is due now. */
export async function tick(parts: TickParts): Promise<void> {
  const { store, clock } = parts;
  if (!(await parts.mayRun())) return;
  const now = clock.now();
  for (const schedule of await store.plannedAfter(now + CORRECTION_MS, AT_A_TIME)) await replan(parts, schedule, now);
  for (const schedule of await store.due(now, AT_A_TIME)) await fire(parts, schedule, now);
  for (const schedule of await store.silent(now, AT_A_TIME))
    if (schedule.silentAt !== null)
      await store.toldSilence(schedule.id, schedule.silentAt, parts.notices.silent(schedule), now);
}

async function fire({ store, nextJobId }: TickParts, schedule: Schedule, now: number): Promise<void> {
  if (schedule.nextDueAt === null) return;
  const { runs, missed, nextDueAt } = planOf(
    timetable(schedule.expression, schedule.timeZone),
    schedule,
    schedule.nextDueAt,
    now,
  );
  const rows: NewRun[] = [];
  if (missed) {
    const record = { cause: "due", askedBy: null, job: null, state: "missed", overlap: schedule.overlap } as const;
    rows.push({ ...record, ...missed });
  }
  for (const run of runs) rows.push({ ...run, askedBy: null, job: await nextJobId() });
  await store.fire(schedule.id, { dueAt: schedule.nextDueAt }, nextDueAt, rows, now);
}

/** The clock has been set back by hours: what it said before counts for nothing. */
async function replan({ store }: TickParts, schedule: Schedule, now: number): Promise<void> {
  if (schedule.nextDueAt === null) return;
  const nextDueAt = timetable(schedule.expression, schedule.timeZone).next(now);
  const when = nextDueAt === null ? "never" : `at ${isoTime(nextDueAt)}`;
  const record: NewRun = {
    cause: "due",
    askedBy: null,
    dueAt: schedule.nextDueAt,
    overlap: schedule.overlap,
    job: null,
    state: "replanned",
    reason: `The clock went back from ${isoTime(schedule.plannedAt)} to ${isoTime(now)}: it is due ${when}.`,
  };
  await store.fire(schedule.id, { dueAt: schedule.nextDueAt }, nextDueAt, [record], now);
}

/** Once for each start of the machine, whichever process of it comes first. */
export async function answerBoot({ store, clock, boot, nextJobId }: TickParts): Promise<void> {
  const now = clock.now();
  const started = await boot();
  for (const { id, overlap } of await store.atBoot()) {
    const run: NewRun = { cause: "boot", askedBy: null, dueAt: now, overlap, job: await nextJobId() };
    await store.fire(id, { boot: started }, null, [run], now);
  }
}
