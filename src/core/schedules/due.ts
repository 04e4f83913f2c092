import { isoTime } from "../clock.ts";
import type { Misfire, Overlap, RunCause, ScheduleDefinition } from "./schedule.ts";
import type { Timetable } from "./timetable.ts";

/** A due time that is answered within this is on time. */
export const ON_TIME_MS = 60_000;
/** Missed due times that are made up for, at most, and that are counted. */
const MOST_LATE = 100;
const MOST_COUNTED = 1_000;

export interface PlannedRun {
  readonly cause: Extract<RunCause, "due" | "late">;
  readonly dueAt: number;
  readonly overlap: Overlap;
}

export interface Plan {
  /** In the order of their due times. */
  readonly runs: readonly PlannedRun[];
  /** Due times that are not made up for, in a sentence; `null` when there are none. */
  readonly missed: { readonly dueAt: number; readonly reason: string } | null;
  readonly nextDueAt: number | null;
}

/**
 * What is to be done about a schedule that is due. What was due within the last minute is run; how many of those before
 * are made up for is its misfire policy: `none`, the latest `one`, or `all` (the latest hundred, one after the other,
 * whatever the overlap policy is).
 * @param dueAt the first due time that nobody has answered, in the past.
 */
export function planOf(
  table: Timetable,
  { misfire, overlap }: Pick<ScheduleDefinition, "misfire" | "overlap">,
  dueAt: number,
  now: number,
): Plan {
  const late = now - ON_TIME_MS;
  const onTime = timesBetween(table, Math.max(dueAt - 1, late), now);
  const missed = dueAt <= late ? timesBetween(table, dueAt - 1, late) : [];
  const made = { none: [], one: missed.slice(-1), all: missed.slice(-MOST_LATE) }[misfire satisfies Misfire];
  const left = missed.slice(0, missed.length - made.length);
  return {
    runs: [
      ...made.map((at) => ({ cause: "late", dueAt: at, overlap: misfire === "all" ? "queue" : overlap }) as const),
      ...onTime.map((at) => ({ cause: "due", dueAt: at, overlap }) as const),
    ],
    missed: missedRecord(left),
    nextDueAt: table.next(now),
  };
}

/** Due times after `from`, up to and with `until`; the first thousand. */
function timesBetween(table: Timetable, from: number, until: number): readonly number[] {
  const times: number[] = [];
  for (let at = table.next(from); at !== null && at <= until && times.length < MOST_COUNTED; at = table.next(at))
    times.push(at);
  return times;
}

function missedRecord(times: readonly number[]): Plan["missed"] {
  const [first] = times;
  const last = times.at(-1);
  if (first === undefined || last === undefined) return null;
  const many = times.length >= MOST_COUNTED ? `at least ${times.length}` : times.length;
  const reason =
    first === last
      ? `It was due at ${isoTime(first)}, and nobody was there to run it.`
      : `It was due ${many} times from ${isoTime(first)} to ${isoTime(last)}, and nobody was there to run it.`;
  return { dueAt: first, reason };
}
