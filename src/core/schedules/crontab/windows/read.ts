import { errorsOf, type Finding, finding, type Position, warningsOf } from "../finding.ts";
import { type Option, optionsOf, SCHEDULES, wordsOf } from "./command.ts";
import { type Clock, readClock, readDay, readStartDate, type StartDate } from "./times.ts";

/** A task of the Windows Task Scheduler, as an entry of a crontab. */
export interface WindowsTask {
  readonly line: number;
  /** `/tn`. */
  readonly name: string;
  /** `/tr`: a command line of Windows, as it is. */
  readonly command: string;
  readonly expression: string;
  /** `/ru`. */
  readonly user?: string;
}

export interface WindowsReading {
  /** Empty when there is a single problem. */
  readonly tasks: readonly WindowsTask[];
  readonly problems: readonly Finding[];
  readonly warnings: readonly Finding[];
}

/**
 * Reads lines `schtasks /create …`; blank lines and comments of batch files (`REM`, `::`) between them are skipped.
 * What a crontab cannot say (every third day, the last day of a month, an end) is a problem, never approximated.
 */
export function readSchtasks(text: string): WindowsReading {
  const tasks: WindowsTask[] = [];
  const findings: Finding[] = [];
  for (const [index, raw] of text.split(/\r?\n/).entries()) {
    if (/^\s*(?:$|@?rem\b|::)/i.test(raw)) continue;
    const at = { line: index + 1, column: 1 };
    const command = optionsOf(wordsOf(raw), at);
    const task = readTask(command.options, at, command.findings);
    findings.push(...task.findings);
    if (task.task !== undefined) tasks.push(task.task);
  }
  const problems = errorsOf(findings);
  return { tasks: problems.length === 0 ? tasks : [], problems, warnings: warningsOf(findings) };
}

interface TaskReading {
  readonly task?: WindowsTask;
  readonly findings: readonly Finding[];
}

type Options = ReadonlyMap<string, Option>;

function readTask(options: Options, at: Position, ofOptions: readonly Finding[]): TaskReading {
  const findings = [...ofOptions];
  const value = (name: string) => options.get(name)?.value ?? "";
  for (const name of ["/tn", "/tr", "/sc"])
    if (value(name) === "" && !ofOptions.some(({ code }) => code === "line_unusable"))
      findings.push(
        finding("error", "field_missing", at, { field: name, value: "", expected: "a value" }, "is missing"),
      );
  if (errorsOf(findings).length > 0) return { findings };
  const trigger = { options, at, findings };
  const expression = expressionOf(trigger);
  if (expression === undefined || errorsOf(findings).length > 0) return { findings };
  const user = options.get("/ru")?.value;
  const task = { line: at.line, name: value("/tn"), command: value("/tr"), expression };
  return { task: user ? { ...task, user } : task, findings };
}

interface Trigger {
  readonly options: Options;
  /** Where the line begins. */
  readonly at: Position;
  readonly findings: Finding[];
}

function expressionOf(trigger: Trigger): string | undefined {
  const { options } = trigger;
  const schedule = options.get("/sc")?.value.toUpperCase() ?? "";
  if (!SCHEDULES.includes(schedule))
    return refuse(trigger, "/sc", "value_unknown", SCHEDULES.join(", "), "is no schedule");
  if (schedule === "ONSTART") return "@reboot";
  if (["ONCE", "ONLOGON", "ONIDLE", "ONEVENT"].includes(schedule)) return noEquivalent(trigger, "/sc");
  const clock = readClock(options.get("/st")?.value ?? "00:00");
  if (clock === undefined) return refuse(trigger, "/st", "value_out_of_range", "00:00-23:59", "is not a time of day");
  const start = options.has("/sd") ? readStartDate(options.get("/sd")?.value ?? "") : undefined;
  if (options.has("/sd") && start === undefined)
    return refuse(trigger, "/sd", "value_unknown", "YYYY/MM/DD", "is not a date, or can be read as two");
  if (!options.has("/st")) warnOfStart(trigger, clock);
  if (start !== undefined) warnDropped(trigger, "/sd", "The schedule begins at once; pause it until then.");
  switch (schedule) {
    case "MINUTE":
      return everyMinutes(trigger, clock);
    case "HOURLY":
      return everyHours(trigger, clock);
    case "DAILY":
      return modifier(trigger, 365) === 1 ? `${clock.minute} ${clock.hour} * * *` : noEquivalent(trigger, "/mo");
    case "WEEKLY":
      return weekly(trigger, clock, start);
    default:
      return monthly(trigger, clock, start);
  }
}

function everyMinutes(trigger: Trigger, { hour, minute }: Clock): string | undefined {
  const every = modifier(trigger, 1439);
  if (every === undefined) return undefined;
  if (60 % every === 0) return `${stepped(minute % every, every, 60)} * * * *`;
  const hours = every / 60;
  if (!Number.isInteger(hours) || 24 % hours !== 0) return noEquivalent(trigger, "/mo");
  return `${minute} ${stepped(hour % hours, hours, 24)} * * *`;
}

function everyHours(trigger: Trigger, { hour, minute }: Clock): string | undefined {
  const every = modifier(trigger, 23);
  if (every === undefined) return undefined;
  return 24 % every === 0 ? `${minute} ${stepped(hour % every, every, 24)} * * *` : noEquivalent(trigger, "/mo");
}

function weekly(trigger: Trigger, { hour, minute }: Clock, start: StartDate | undefined): string | undefined {
  if (modifier(trigger, 52) !== 1) return noEquivalent(trigger, "/mo");
  const days = trigger.options.get("/d")?.value;
  if (days === undefined && start === undefined)
    return refuse(
      trigger,
      "/d",
      "field_missing",
      "MON-SUN",
      "is missing: Windows would take the day it was created on",
    );
  const names = days === undefined ? `${start?.weekday}` : namesOf(days, readDay.weekday);
  if (names === undefined)
    return refuse(trigger, "/d", "value_unknown", "MON, TUE, WED, THU, FRI, SAT, SUN or *", "is no day");
  return `${minute} ${hour} * * ${names}`;
}

function monthly(trigger: Trigger, { hour, minute }: Clock, start: StartDate | undefined): string | undefined {
  const { options } = trigger;
  const modified = options.get("/mo")?.value.toUpperCase() ?? "1";
  if (/^(FIRST|SECOND|THIRD|FOURTH|LAST|LASTDAY)$/.test(modified)) return noEquivalent(trigger, "/mo");
  const every = modifier(trigger, 12);
  if (every === undefined) return undefined;
  const day = namesOf(options.get("/d")?.value ?? "1", readDay.ofMonth);
  if (day === undefined) return refuse(trigger, "/d", "value_out_of_range", "1-31", "is no day of a month");
  const months = namesOf(options.get("/m")?.value ?? "*", readDay.month);
  if (months === undefined) return refuse(trigger, "/m", "value_unknown", "JAN-DEC or *", "is no month");
  if (every === 1) return `${minute} ${hour} ${day} ${months} *`;
  if (start === undefined || 12 % every !== 0 || months !== "*") return noEquivalent(trigger, "/mo");
  return `${minute} ${hour} ${day} ${listed(start.month % every || every, every, 12)} *`;
}

/** @returns the number of `/mo`, 1 without one; `undefined` after noting that it is none. */
function modifier(trigger: Trigger, last: number): number | undefined {
  const text = trigger.options.get("/mo")?.value ?? "1";
  const every = Number(text);
  if (/^\d+$/.test(text) && every >= 1 && every <= last) return every;
  return refuse(trigger, "/mo", "value_out_of_range", `1-${last}`, `is not 1-${last}`);
}

/** The list in cron's words; `undefined` when one of its values is none. */
function namesOf(list: string, read: (value: string) => string | undefined): string | undefined {
  if (list === "*") return "*";
  const names = list.split(",").map((value) => read(value.trim()));
  return names.includes(undefined) ? undefined : names.join(",");
}

/** `*` as the first character where it can be: such times follow the clock when it is changed, as an interval does. */
function stepped(from: number, step: number, count: number): string {
  if (step === 1) return "*";
  if (step === count) return `${from}`;
  return from === 0 ? `*/${step}` : `${from}-${count - 1}/${step}`;
}

function listed(from: number, step: number, last: number): string {
  return Array.from({ length: Math.floor((last - from) / step) + 1 }, (_, i) => from + i * step).join(",");
}

const EQUIVALENTS: Readonly<Record<string, string>> = {
  ONCE: "Cron has no years. Run it now, or keep the schedule paused.",
  ONLOGON: "Cron does not know who logs on.",
  ONIDLE: "Cron does not know whether a machine is idle; give the schedule a condition instead.",
  ONEVENT: "Cron does not read event logs.",
  LASTDAY: "Cron has no last day of a month: take day 1 instead.",
};

function noEquivalent(trigger: Trigger, name: string): undefined {
  if (trigger.findings.some(({ severity }) => severity === "error")) return undefined;
  const value = trigger.options.get(name)?.value.toUpperCase() ?? "";
  const hint =
    EQUIVALENTS[value] ?? "Cron's steps begin anew with every hour, day, month and year, and it knows no weeks.";
  return refuse(trigger, name, "no_equivalent", "what a crontab can say", "has no equivalent in a crontab", hint);
}

function refuse(
  { options, at, findings }: Trigger,
  name: string,
  code: Finding["code"],
  expected: string,
  about: string,
  hint?: string,
): undefined {
  const option = options.get(name);
  const what = { field: name, value: option?.value ?? "", expected };
  findings.push(finding("error", code, option?.at ?? at, what, about, hint));
}

function warnOfStart({ at, findings, options }: Trigger, { hour, minute }: Clock): void {
  const time = `${String(hour).padStart(2, "0")}:${String(minute).padStart(2, "0")}`;
  const what = { field: "/st", value: "", expected: "HH:MM" };
  const hint = `Windows would take the time of day the task was created at; ${time} is taken here.`;
  findings.push(finding("warning", "option_dropped", options.get("/sc")?.at ?? at, what, "is missing", hint));
}

function warnDropped({ at, findings, options }: Trigger, name: string, hint: string): void {
  const option = options.get(name);
  const what = { field: name, value: option?.value ?? "", expected: "nothing" };
  findings.push(finding("warning", "option_dropped", option?.at ?? at, what, "is not kept in a crontab", hint));
}
