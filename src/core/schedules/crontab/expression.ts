import { closest } from "./closest.ts";
import { expectedOf, FIELDS, type FieldTimes, readField } from "./fields.ts";
import { type Finding, finding, further, type Position } from "./finding.ts";

/** Names for expressions, in lower case only, as Debian's cron has them. */
const MACROS: Readonly<Record<string, string>> = {
  "@yearly": "0 0 1 1 *",
  "@annually": "0 0 1 1 *",
  "@monthly": "0 0 1 * *",
  "@weekly": "0 0 * * 0",
  "@daily": "0 0 * * *",
  "@midnight": "0 0 * * *",
  "@hourly": "0 * * * *",
};
const REBOOT = "@reboot";

/** The times of one crontab entry. */
export interface Expression {
  /** As written, from the first field to the last. */
  readonly text: string;
  /** `undefined` for `@reboot`, which is no time but an event. */
  readonly times?: Times;
}

export interface Times {
  readonly minute: FieldTimes;
  readonly hour: FieldTimes;
  readonly dayOfMonth: FieldTimes;
  readonly month: FieldTimes;
  readonly dayOfWeek: FieldTimes;
}

export interface ExpressionReading {
  /** `undefined` when there is an error among the findings. */
  readonly expression?: Expression;
  /** Characters up to the end of the expression, blanks before it included. */
  readonly length: number;
  readonly findings: readonly Finding[];
}

/** Reads the times at the beginning of a line; what follows them is the caller's. */
export function readExpression(line: string, at: Position): ExpressionReading {
  const start = line.search(/[^ \t]/);
  if (line[start] === "@") return readMacro(line, start, at);
  const fields: FieldTimes[] = [];
  const findings: Finding[] = [];
  let length = 0;
  for (const field of FIELDS) {
    const [, blanks = "", text = ""] = /^([ \t]*)([^ \t]*)/.exec(line.slice(length)) ?? [];
    const position = further(at, length + blanks.length);
    length += blanks.length + text.length;
    if (text === "") {
      const what = { field: field.name, value: "", expected: expectedOf(field) };
      const hint = "Five fields say when: minute, hour, day of month, month, day of week.";
      findings.push(finding("error", "field_missing", position, what, "is missing", hint));
      return { length, findings };
    }
    const reading = readField(text, field, position);
    fields.push(reading.times);
    findings.push(...reading.findings);
  }
  const [minute, hour, dayOfMonth, month, dayOfWeek] = fields;
  if (!minute || !hour || !dayOfMonth || !month || !dayOfWeek || findings.some((one) => one.severity === "error"))
    return { length, findings: withMissingField(line, findings) };
  const times: Times = { minute, hour, dayOfMonth, month, dayOfWeek };
  const text = line.slice(start, length);
  return { expression: { text, times }, length, findings: [...findings, ...oddities(text, times, further(at, start))] };
}

/**
 * Reads times that stand alone.
 * @throws never: what is wrong is among the findings. Text after the times is an error.
 */
export function readLoneExpression(text: string): ExpressionReading {
  const at = { line: 1, column: 1 };
  const reading = readExpression(text, at);
  const rest = text.slice(reading.length).trimStart();
  if (reading.expression === undefined || rest === "") return reading;
  const what = { field: "line", value: rest, expected: "nothing" };
  const hint = "Five fields say when; cron has no seconds and no years.";
  const position = further(at, text.length - rest.length);
  const extra = finding("error", "line_unusable", position, what, "follows the five fields", hint);
  return { length: text.length, findings: [...reading.findings, extra] };
}

/** Both day fields have to match: one of them begins with `*`. Otherwise one that matches is enough. */
export function needsBothDays({ dayOfMonth, dayOfWeek }: Times): boolean {
  return dayOfMonth.starred || dayOfWeek.starred;
}

/** No minute of any year matches, as in `0 0 30 2 *`. */
export function neverFires(times: Times): boolean {
  const { minute, hour, dayOfMonth, month, dayOfWeek } = times;
  if (minute.values.length === 0 || hour.values.length === 0 || month.values.length === 0) return true;
  const inSomeMonth = month.values.some((one) => dayOfMonth.values.some((day) => day <= longestOf(one)));
  const someWeekday = dayOfWeek.values.length > 0;
  return needsBothDays(times) ? !(inSomeMonth && someWeekday) : !(inSomeMonth || someWeekday);
}

function longestOf(month: number): number {
  return month === 2 ? 29 : [4, 6, 9, 11].includes(month) ? 30 : 31;
}

function readMacro(line: string, start: number, at: Position): ExpressionReading {
  const [text = ""] = /^[^ \t]+/.exec(line.slice(start)) ?? [];
  const length = start + text.length;
  if (text === REBOOT) return { expression: { text }, length, findings: [] };
  const meaning = MACROS[text];
  const times = meaning === undefined ? undefined : readExpression(meaning, at).expression?.times;
  if (times !== undefined) return { expression: { text, times }, length, findings: [] };
  const names = [...Object.keys(MACROS), REBOOT];
  const what = { field: "line", value: text, expected: names.join(", ") };
  const meant = names.includes(text.toLowerCase()) ? text.toLowerCase() : closest(text, names);
  const hint = meant && `Did you mean "${meant}"?${meant === text.toLowerCase() ? " Lower case only." : ""}`;
  return { length, findings: [finding("error", "macro_unknown", further(at, start), what, "is not a time", hint)] };
}

/** A word of the command where the last field should be shows that a field was left out. */
function withMissingField(line: string, findings: readonly Finding[]): readonly Finding[] {
  const last = findings.at(-1);
  const alone = findings.filter(({ severity }) => severity === "error").length === 1;
  if (!alone || last?.field !== "day of week" || last.hint !== undefined || !/^[/~.$]|[a-z]{4}/i.test(last.value))
    return findings;
  const fields = line
    .trim()
    .split(/[ \t]+/, 4)
    .join(" ");
  return [...findings.slice(0, -1), { ...last, hint: `Five fields say when; here are four, "${fields}".` }];
}

function oddities(text: string, times: Times, at: Position): readonly Finding[] {
  const what = { field: "line", value: text, expected: "times that come" };
  if (neverFires(times))
    return [finding("warning", "never_fires", at, what, "never comes", "No calendar has such a day or time.")];
  const everyMinute = times.minute.values.length === 60 && !times.hour.starred && times.minute.text === "*";
  if (!everyMinute) return [];
  const hint = `For once at the full hour write 0 for the minute: "0 ${text
    .split(/[ \t]+/)
    .slice(1)
    .join(" ")}".`;
  const minute = { field: "minute", value: "*", expected: expectedOf(FIELDS[0]) };
  return [finding("warning", "every_minute", at, minute, "runs in every minute of the hours given", hint)];
}
