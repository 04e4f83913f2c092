import { needsBothDays, neverFires, readLoneExpression, type Times } from "../expression.ts";
import { DAYS, MONTHS } from "../fields.ts";
import { crontabInvalid, errorsOf, finding } from "../finding.ts";

/** A task to be written. */
export interface NewTask {
  readonly name: string;
  /** A command line of Windows. */
  readonly command: string;
  readonly expression: string;
  readonly user?: string;
}

/**
 * One line `schtasks /create …` for the task.
 * @throws AppError crontab_invalid when one line cannot say it: the Task Scheduler has no lists of times of day.
 */
export function writeSchtasks({ name, command, expression, user }: NewTask): string {
  const { expression: read, findings } = readLoneExpression(expression);
  if (read === undefined || errorsOf(findings).length > 0) throw crontabInvalid(findings);
  const trigger = read.times === undefined ? ["/sc", "ONSTART"] : triggerOf(read.times);
  if (trigger === undefined || /[\r\n\0]/.test(`${name}${command}${user ?? ""}`)) {
    const what = { field: "line", value: expression, expected: "times that one task can have" };
    const about = "has no equivalent in one line of schtasks";
    throw crontabInvalid([finding("error", "no_equivalent", { line: 1, column: 1 }, what, about)]);
  }
  const words = ["/tn", quoted(name), "/tr", quoted(command), ...trigger, ...(user ? ["/ru", quoted(user)] : [])];
  return `schtasks /create ${words.join(" ")}`;
}

function quoted(text: string): string {
  return `"${text.replaceAll('"', '\\"')}"`;
}

function triggerOf(times: Times): readonly string[] | undefined {
  if (neverFires(times)) return undefined;
  const { minute, hour, dayOfMonth, month, dayOfWeek } = times;
  const anyDay = dayOfMonth.values.length === 31;
  const anyMonth = month.values.length === 12;
  const anyWeekday = dayOfWeek.values.length === 7;
  const [at = 0, ...otherMinutes] = minute.values;
  const [from = 0, ...otherHours] = hour.values;
  if (otherMinutes.length === 0 && otherHours.length === 0) {
    const start = ["/st", clock(from, at)];
    if (anyDay && anyMonth && anyWeekday) return ["/sc", "DAILY", ...start];
    if (anyMonth && anyDay && needsBothDays(times))
      return ["/sc", "WEEKLY", "/d", dayOfWeek.values.map((day) => DAYS[day]?.toUpperCase()).join(","), ...start];
    const [day, ...otherDays] = dayOfMonth.values;
    if (!anyWeekday || !needsBothDays(times) || otherDays.length > 0) return undefined;
    const months = anyMonth ? [] : ["/m", month.values.map((one) => MONTHS[one - 1]?.toUpperCase()).join(",")];
    return ["/sc", "MONTHLY", "/d", `${day}`, ...months, ...start];
  }
  if (!(anyDay && anyMonth && anyWeekday)) return undefined;
  const everyMinutes = stepOf(minute.values, 60);
  if (hour.values.length === 24 && otherMinutes.length > 0 && everyMinutes !== undefined)
    return ["/sc", "MINUTE", "/mo", `${everyMinutes}`, "/st", clock(0, at)];
  const everyHours = stepOf(hour.values, 24);
  if (otherMinutes.length > 0 || everyHours === undefined) return undefined;
  return ["/sc", "HOURLY", "/mo", `${everyHours}`, "/st", clock(from, at)];
}

/** The distance between values that are evenly spread over all `count`, and go on so after the last. */
function stepOf(values: readonly number[], count: number): number | undefined {
  const step = count / values.length;
  const [first = 0] = values;
  return Number.isInteger(step) && values.every((value, i) => value === first + i * step) ? step : undefined;
}

function clock(hour: number, minute: number): string {
  return `${String(hour).padStart(2, "0")}:${String(minute).padStart(2, "0")}`;
}
