import { Cron } from "croner";
import cronstrue from "cronstrue";
import { AppError } from "../errors.ts";
import { needsBothDays, neverFires, readLoneExpression, type Times } from "./crontab/expression.ts";
import type { FieldTimes } from "./crontab/fields.ts";
import { crontabInvalid, errorsOf, type Finding } from "./crontab/finding.ts";

/** When something is due, as a crontab says it, by the clocks of one time zone. */
export interface Timetable {
  readonly expression: string;
  readonly timeZone: string;
  /** `@reboot`: due once when the service starts, and never by the clock. */
  readonly isReboot: boolean;
  /** What is odd about the expression without being wrong: that it never comes, a range that runs backwards. */
  readonly warnings: readonly Finding[];
  /**
   * The next time it is due.
   * @param after epoch milliseconds; the answer is later. @returns epoch milliseconds, or `null` when it is never due.
   */
  next(after: number): number | null;
  /** @returns up to `count` times, ascending. */
  nextRuns(after: number, count: number): readonly number[];
  /** In English, with the time zone. */
  describe(): string;
}

/**
 * The rule for clocks that are changed is that of Debian's cron(8). An expression whose minute or hour begins with `*`
 * follows the clock: times that are skipped are not made up for, times that come twice are due twice. Any other is due at
 * the first minute after the gap for all its times in it (together, where cron starts each), and once when a time is
 * repeated.
 * @param timeZone a name of the IANA's list.
 * @throws AppError crontab_invalid with all findings; time_zone_unknown.
 */
export function timetable(expression: string, timeZone: string): Timetable {
  const { expression: read, findings } = readLoneExpression(expression);
  if (read === undefined || errorsOf(findings).length > 0) throw crontabInvalid(findings);
  if (!isTimeZone(timeZone)) throw new AppError("time_zone_unknown", { timeZone });
  const { times, text } = read;
  const engine = times === undefined || neverFires(times) ? undefined : engineFor(times, timeZone);

  function next(after: number): number | null {
    return engine?.nextRun(new Date(after))?.getTime() ?? null;
  }

  return {
    expression: text,
    timeZone,
    isReboot: times === undefined,
    warnings: findings,
    next,
    nextRuns(after, count) {
      const runs: number[] = [];
      for (let run = next(after); run !== null && runs.length < count; run = next(run)) runs.push(run);
      return runs;
    },
    describe() {
      if (times === undefined) return "Once, when the service starts";
      return engine === undefined ? "Never" : `${describeTimes(times)}, by the clocks of ${timeZone}`;
    },
  };
}

/** Whether it is a name of the IANA's list, such as `Europe/London` or `UTC`. */
export function isTimeZone(name: string): boolean {
  // Offsets such as "+01:00" are taken by Intl as well, but have no clocks that are changed: they are no names.
  if (!/^[A-Za-z]/.test(name)) return false;
  try {
    new Intl.DateTimeFormat("en", { timeZone: name });
    return true;
  } catch (error) {
    if (error instanceof RangeError) return false;
    throw error;
  }
}

/**
 * croner knows other rules than Debian's cron for what is fixed in time and for which days are restricted, and refuses
 * ranges that run backwards and steps beyond the hour: so it is given values alone, and the rule in words of its own.
 */
function engineFor(times: Times, timeZone: string): Cron {
  const { minute, hour, dayOfMonth, month, dayOfWeek } = times;
  const followsClock = minute.starred || hour.starred;
  // A day field without values never matches: where one match is enough, the other field decides alone.
  const days = listOf(dayOfMonth);
  const weekdays = listOf(dayOfWeek);
  const pattern = [
    followsClock ? steppedListOf(minute) : listOf(minute),
    listOf(hour),
    days || "*",
    listOf(month),
    weekdays || "*",
  ];
  return new Cron(pattern.join(" "), {
    mode: "5-part",
    fixedTimeRule: "no-wildcard",
    domAndDow: needsBothDays(times) || days === "" || weekdays === "",
    timezone: timeZone,
    paused: true,
  });
}

function listOf({ values }: FieldTimes): string {
  return values.join(",");
}

/** The same values, with a step of one: croner takes an expression with a step for one that follows the clock. */
function steppedListOf({ values }: FieldTimes): string {
  return values.map((value) => `${value}-${value}/1`).join(",");
}

function describeTimes(times: Times): string {
  const { minute, hour, dayOfMonth, month, dayOfWeek } = times;
  const fields = [
    spoken(minute, 60),
    spoken(hour, 24),
    spoken(dayOfMonth, 31),
    spoken(month, 12),
    spoken(dayOfWeek, 7),
  ];
  const [, , days, , weekdays] = fields;
  const both = needsBothDays(times);
  const text = cronstrue.toString(fields.join(" "), {
    use24HourTimeFormat: true,
    verbose: false,
    logicalAndDayFields: both,
  });
  return both || days === "*" || weekdays === "*" ? text : `${text} (one of the two is enough)`;
}

/** A field as cronstrue reads it: steps as written, other values as ranges and single ones. */
function spoken({ text, values }: FieldTimes, all: number): string {
  if (values.length === all || values.length === 0) return "*";
  const [, step] = /^\*\/(\d+)$/.exec(text) ?? [];
  if (step !== undefined && Number(step) < all) return text;
  const runs: { readonly from: number; to: number }[] = [];
  for (const value of values) {
    const run = runs.at(-1);
    if (run?.to === value - 1) run.to = value;
    else runs.push({ from: value, to: value });
  }
  return runs
    .map(({ from, to }) => (from === to ? `${from}` : to - from === 1 ? `${from},${to}` : `${from}-${to}`))
    .join(",");
}
