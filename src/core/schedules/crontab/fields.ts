import { closest } from "./closest.ts";
import { type Finding, finding, further, type Position } from "./finding.ts";

export interface Field {
  readonly name: "minute" | "hour" | "day of month" | "month" | "day of week";
  readonly first: number;
  readonly last: number;
  /** Names of the values from `first` on; the three letters that Debian's cron knows. */
  readonly names: readonly string[];
}

export const MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
export const DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/** In the order they are written. Days of the week go to 7, which is Sunday as well as 0. */
export const FIELDS: readonly [Field, Field, Field, Field, Field] = [
  { name: "minute", first: 0, last: 59, names: [] },
  { name: "hour", first: 0, last: 23, names: [] },
  { name: "day of month", first: 1, last: 31, names: [] },
  { name: "month", first: 1, last: 12, names: MONTHS },
  { name: "day of week", first: 0, last: 7, names: DAYS },
];

/** What one field of an expression says. */
export interface FieldTimes {
  readonly text: string;
  /** Ascending, each once; Sunday is 0. Empty for a range that runs backwards. */
  readonly values: readonly number[];
  /** The text begins with `*`: what cron goes by when it combines day fields and when clocks are changed. */
  readonly starred: boolean;
}

export interface FieldReading {
  readonly times: FieldTimes;
  readonly findings: readonly Finding[];
}

/** `0-59`, `1-12 or jan-dec`. */
export function expectedOf({ first, last, names }: Field): string {
  return names.length === 0 ? `${first}-${last}` : `${first}-${last} or ${names[0]}-${names.at(-1)}`;
}

/**
 * Reads `*`, values, names, ranges and lists of them, with steps after `*` and ranges: what Debian's cron reads, without
 * what it skips in silence (it takes `5?` for `5`, and `1.5` for `1`).
 * @param at where the text stands, for the findings.
 */
export function readField(text: string, field: Field, at: Position): FieldReading {
  const findings: Finding[] = [];
  const values = new Set<number>();
  let offset = 0;
  for (const item of text.split(",")) {
    const range = readRange(item, field, further(at, offset), findings, text);
    if (range !== undefined)
      for (let value = range.from; value <= range.to; value += range.step)
        values.add(field.name === "day of week" ? value % 7 : value);
    offset += item.length + 1;
  }
  return {
    times: { text, values: [...values].sort((a, b) => a - b), starred: text.startsWith("*") },
    findings,
  };
}

interface Range {
  readonly from: number;
  readonly to: number;
  readonly step: number;
}

const RANGE = /^(?:(?<star>\*)|(?<from>[^-/]*)(?:-(?<to>[^-/]*))?)(?:\/(?<step>.*))?$/;

/** @param list the whole field, which is named where an item is empty. */
function readRange(item: string, field: Field, at: Position, findings: Finding[], list: string): Range | undefined {
  const { star, from = "", to, step } = RANGE.exec(item)?.groups ?? {};
  const low = star === undefined ? readValue(from, field) : field.first;
  const high = star !== undefined ? field.last : to === undefined ? low : readValue(to, field);
  if (low === undefined || high === undefined) {
    findings.push(unreadable(item, list, field, at));
    return undefined;
  }
  const stepped = step === undefined ? 1 : /^\d+$/.test(step) ? Number(step) : 0;
  const what = { field: field.name, value: item, expected: expectedOf(field) };
  for (const value of [low, high])
    if (value < field.first || value > field.last) {
      const about = `is not ${what.expected}`;
      findings.push(finding("error", "value_out_of_range", at, what, about, outOfRangeHint(value, field)));
      return undefined;
    }
  if (stepped < 1 || stepped > Number.MAX_SAFE_INTEGER) {
    const expected = { ...what, expected: "a step from 1" };
    findings.push(finding("error", "value_out_of_range", at, expected, "has a step that is not a number from 1 up"));
    return undefined;
  }
  if (step !== undefined && star === undefined && to === undefined) {
    const hint = `Did you mean "${from}-${field.last}/${step}", or "*/${step}"?`;
    findings.push(finding("error", "value_unknown", at, what, "has a step after a single value", hint));
    return undefined;
  }
  if (low > high) {
    const hint =
      field.name === "day of week" && high === 0
        ? `sun counts as 0, before mon; after ${from} write 7.`
        : `Write "${from}-${field.last},${field.first}-${to}" to go on past ${field.last}.`;
    const about = "runs backwards: cron takes it, and nothing matches it";
    findings.push(finding("warning", "range_backwards", at, what, about, hint));
  } else if (stepped > high - low && step !== undefined) {
    const about = `has a step longer than its range: only ${low} matches`;
    findings.push(finding("warning", "step_too_large", at, what, about, tooLargeHint(stepped, field)));
  }
  return { from: low, to: high, step: stepped };
}

/** A number of any length is read, for its range to be judged; `undefined` when it is neither a number nor a name. */
function readValue(text: string, { names, first }: Field): number | undefined {
  if (/^\d+$/.test(text)) return Number(text);
  const index = names.indexOf(text.toLowerCase());
  return index === -1 ? undefined : first + index;
}

function unreadable(item: string, list: string, field: Field, at: Position): Finding {
  const what = { field: field.name, value: item || list, expected: expectedOf(field) };
  return finding("error", "value_unknown", at, what, `is not ${what.expected}`, unreadableHint(item, field));
}

function unreadableHint(item: string, field: Field): string | undefined {
  if (item === "") return "A comma stands before the first or after the last value, or twice.";
  if (/[?#]|^\d*[LW]$/i.test(item)) return "?, L, W and # are Quartz's: cron has no such values.";
  const word = item.split("-").find((part) => /^[a-z]+$/i.test(part) && !field.names.includes(part.toLowerCase()));
  if (word === undefined) return undefined;
  const own = field.names.some((name) => word.toLowerCase().startsWith(name));
  const other = FIELDS.find(({ names }) => names.some((name) => word.toLowerCase().startsWith(name)));
  if (!own && other !== undefined)
    return `"${word}" looks like a ${other.name}: the order is minute, hour, day of month, month, day of week.`;
  const meant = closest(word, field.names);
  return meant && `Did you mean "${meant}"? Names have three letters.`;
}

function outOfRangeHint(value: number, field: Field): string | undefined {
  if (field.name === "hour" && value === 24) return "Midnight is hour 0.";
  if (field.name === "minute" && value === 60) return "The full hour is minute 0.";
  if (value === 0) return `A ${field.name} is counted from 1.`;
  if (field.name === "day of week") return "0 and 7 are Sunday, 1 is Monday.";
  return undefined;
}

function tooLargeHint(step: number, { name }: Field): string | undefined {
  if (name !== "minute" || step < 60) return undefined;
  const hours = step / 60;
  return Number.isInteger(hours) && hours < 24
    ? `For every ${hours === 1 ? "hour" : `${hours} hours`} write "0 ${hours === 1 ? "*" : `*/${hours}`}" as minute and hour.`
    : `Steps begin anew every hour: cron cannot say "every ${step} minutes" in one line.`;
}
