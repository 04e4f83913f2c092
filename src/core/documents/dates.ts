import { AppError } from "../errors.ts";

/**
 * Reads a date in one of an index's formats: epoch milliseconds, or `undefined` when it is in none of them.
 * @param end what the text leaves out of the time of day is the end of it, not its beginning: `2024-05-01` is 23:59:59.999.
 * @param offsetMinutes of the zone of texts that name none.
 */
export type DateReader = (text: string, end?: boolean, offsetMinutes?: number) => number | undefined;

export const DEFAULT_FORMAT = "strict_date_optional_time||epoch_millis";
/** What request scripts write, and Elasticsearch refuses unless a mapping names it. */
export const SPACED_FORMAT = "yyyy-MM-dd HH:mm:ss[.SSS]";

/** Names of Elasticsearch's for patterns in Java's letters. */
const NAMED: Readonly<Record<string, string>> = {
  strict_date_optional_time: "yyyy[-MM[-dd['T'[HH[:mm[:ss[.SSS]]]][X]]]]",
  strict_date_optional_time_nanos: "yyyy[-MM[-dd['T'[HH[:mm[:ss[.SSS]]]][X]]]]",
  date_optional_time: "yyyy[-M[-d['T'[H[:m[:s[.SSS]]]][X]]]]",
  strict_date: "yyyy-MM-dd",
  date: "yyyy-M-d",
  strict_date_time: "yyyy-MM-dd'T'HH:mm:ss.SSSX",
  date_time: "yyyy-M-d'T'H:m:s.SSSX",
  strict_date_time_no_millis: "yyyy-MM-dd'T'HH:mm:ssX",
  date_time_no_millis: "yyyy-M-d'T'H:m:sX",
  strict_date_hour_minute_second: "yyyy-MM-dd'T'HH:mm:ss",
  date_hour_minute_second: "yyyy-M-d'T'H:m:s",
  strict_year_month_day: "yyyy-MM-dd",
  strict_year_month: "yyyy-MM",
  strict_year: "yyyy",
  basic_date: "yyyyMMdd",
  basic_date_time: "yyyyMMdd'T'HHmmss.SSSX",
  basic_date_time_no_millis: "yyyyMMdd'T'HHmmssX",
};

/** Seconds to milliseconds: what the formats that are only a number count. */
const EPOCHS: Readonly<Record<string, number>> = { epoch_millis: 1, epoch_second: 1_000 };

/** By letter, what matches a pattern's run of them: twice or more is all the digits, once is no leading zero. */
const LETTERS: Readonly<Record<string, (length: number) => string>> = {
  y: () => "(?<y>\\d{4})",
  u: () => "(?<y>\\d{4})",
  M: (length) => `(?<M>${length > 1 ? "\\d\\d" : "\\d\\d?"})`,
  d: (length) => `(?<d>${length > 1 ? "\\d\\d" : "\\d\\d?"})`,
  H: (length) => `(?<H>${length > 1 ? "\\d\\d" : "\\d\\d?"})`,
  m: (length) => `(?<m>${length > 1 ? "\\d\\d" : "\\d\\d?"})`,
  s: (length) => `(?<s>${length > 1 ? "\\d\\d" : "\\d\\d?"})`,
  S: () => "(?<S>\\d{1,9})",
  X: () => ZONE,
  x: () => ZONE,
  Z: () => ZONE,
};
const ZONE = "(?<z>Z|[+-]\\d\\d(?::?\\d\\d)?)";

/**
 * @param formats names and patterns as a mapping has them, with `||` between alternatives.
 * @throws AppError document_index_invalid for a name or letter that is not known.
 */
export function dateReader(formats: string): DateReader {
  const known = compiled.get(formats);
  if (known) return known;
  const read = compile(formats);
  if (compiled.size >= MAX_COMPILED) compiled.clear();
  compiled.set(formats, read);
  return read;
}

/** Every date of every document asks for its format. */
const compiled = new Map<string, DateReader>();
const MAX_COMPILED = 1_000;

function compile(formats: string): DateReader {
  const readers = formats.split("||").map((format) => {
    const unitMs = EPOCHS[format];
    return unitMs === undefined ? patternReader(NAMED[format] ?? format) : epochReader(unitMs);
  });
  return (text, end = false, offsetMinutes = 0) => {
    for (const read of readers) {
      const found = read(text, end, offsetMinutes);
      if (found !== undefined) return found;
    }
    return undefined;
  };
}

function epochReader(unitMs: number): DateReader {
  return (text) => (/^-?\d{1,15}(\.\d{1,9})?$/.test(text) ? Math.floor(Number(text) * unitMs) : undefined);
}

function patternReader(pattern: string): DateReader {
  const form = new RegExp(`^${regExpOf(pattern)}$`);
  return (text, end, offsetMinutes = 0) => {
    const { groups } = form.exec(text) ?? {};
    if (!groups) return undefined;
    const [year, month, day] = [Number(groups.y ?? 1970), Number(groups.M ?? 1), Number(groups.d ?? 1)];
    const [hour, minute, second] = [groups.H, groups.m, groups.s].map((digits, i) =>
      Number(digits ?? (end ? [23, 59, 59][i] : 0)),
    ) as [number, number, number];
    const millis = Number((groups.S ?? (end ? "999" : "0")).padEnd(3, "0").slice(0, 3));
    if (hour > 23 || minute > 59 || second > 59) return undefined;
    const local = new Date(0);
    local.setUTCFullYear(year, month - 1, day);
    if (local.getUTCMonth() !== month - 1 || local.getUTCDate() !== day) return undefined;
    local.setUTCHours(hour, minute, second, millis);
    return local.getTime() - (groups.z === undefined ? offsetMinutes : zoneOffset(groups.z)) * 60_000;
  };
}

/** Java's DateTimeFormatter, as far as dates of requests go: letters, quoted text, and `[optional parts]`. */
function regExpOf(pattern: string): string {
  const parts = pattern.matchAll(/'([^']*)'|([A-Za-z])\2*|[[\]]|[^A-Za-z'[\]]+/g);
  let expression = "";
  let length = 0;
  for (const { 0: part, 1: quoted, 2: letter } of parts) {
    length += part.length;
    if (quoted !== undefined) expression += literally(quoted);
    else if (part === "[") expression += "(?:";
    else if (part === "]") expression += ")?";
    else if (letter === undefined) expression += literally(part);
    else if (Object.hasOwn(LETTERS, letter)) expression += LETTERS[letter]?.(part.length);
    else throw invalidFormat(pattern);
  }
  try {
    new RegExp(expression);
  } catch (cause) {
    throw invalidFormat(pattern, cause);
  }
  if (pattern === "" || length < pattern.length) throw invalidFormat(pattern);
  return expression;
}

const literally = (text: string) => text.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&");

function invalidFormat(pattern: string, cause?: unknown): AppError {
  const reason = `Invalid format: [${pattern}]`;
  return new AppError("document_index_invalid", { type: "mapper_parsing_exception", reason }, { cause });
}

/** Minutes east of UTC that `Z`, `+01`, `+0100` or `+01:00` say; `undefined`: it is none of these. */
export function zoneOffset(zone: string): number;
export function zoneOffset(zone: string | undefined): number | undefined;
export function zoneOffset(zone = "Z"): number | undefined {
  if (zone === "Z" || zone === "UTC") return 0;
  const [, sign, hours, minutes = "0"] = /^([+-])(\d\d)(?::?(\d\d))?$/.exec(zone) ?? [];
  return sign === undefined ? undefined : (sign === "-" ? -1 : 1) * (Number(hours) * 60 + Number(minutes));
}

type Unit = "y" | "M" | "w" | "d" | "h" | "H" | "m" | "s";
const UNIT_MS: Readonly<Partial<Record<Unit, number>>> = {
  w: 7 * 86_400_000,
  d: 86_400_000,
  h: 3_600_000,
  H: 3_600_000,
  m: 60_000,
  s: 1_000,
};

/** Whether the text begins as date math does, whatever the formats. */
export const isDateMath = (text: string) => text.startsWith("now") || text.includes("||");

/**
 * A bound of a range: a date, `now`, or either (a date with `||` behind it) followed by `+1d`, `-2h`, `/d` and so on.
 * @param end what is left out or rounded is the end of it, to the millisecond, and not its beginning.
 * @returns `undefined` when it is none.
 */
export function dateMath(
  text: string,
  read: DateReader,
  { now, end, offsetMinutes }: { readonly now: number; readonly end: boolean; readonly offsetMinutes: number },
): number | undefined {
  const [date, operations] = text.startsWith("now")
    ? [now, text.slice(3)]
    : text.includes("||")
      ? [read(text.slice(0, text.indexOf("||")), false, offsetMinutes), text.slice(text.indexOf("||") + 2)]
      : [read(text, end, offsetMinutes), ""];
  if (date === undefined || !/^([+-]\d{0,9}[yMwdhHms]|\/[yMwdhHms])*$/.test(operations)) return undefined;
  // In the zone's own time, where its days begin.
  let local = date + offsetMinutes * 60_000;
  for (const [, sign = "", count = "", unit] of operations.matchAll(/([+\-/])(\d*)([yMwdhHms])/g)) {
    if (sign === "/") local = rounded(local, unit as Unit, end);
    else local = moved(local, unit as Unit, Number(`${sign}${count || 1}`));
  }
  return Number.isNaN(local) ? undefined : local - offsetMinutes * 60_000;
}

/** The 31st moved to a month without one is that month's last day. */
function moved(epochMs: number, unit: Unit, count: number): number {
  const unitMs = UNIT_MS[unit];
  if (unitMs !== undefined) return epochMs + count * unitMs;
  const date = new Date(epochMs);
  const day = date.getUTCDate();
  date.setUTCMonth(date.getUTCMonth() + (unit === "y" ? 12 : 1) * count);
  if (date.getUTCDate() !== day) date.setUTCDate(0);
  return date.getTime();
}

/** Weeks begin on Monday. */
function rounded(epochMs: number, unit: Unit, end: boolean): number {
  const start = startOf(epochMs, unit);
  return end ? moved(start, unit, 1) - 1 : start;
}

function startOf(epochMs: number, unit: Unit): number {
  const date = new Date(epochMs);
  if (unit === "y") return Date.UTC(date.getUTCFullYear(), 0);
  if (unit === "M") return Date.UTC(date.getUTCFullYear(), date.getUTCMonth());
  // The epoch was a Thursday.
  const shiftMs = unit === "w" ? 3 * 86_400_000 : 0;
  const unitMs = UNIT_MS[unit] ?? 1;
  return Math.floor((epochMs + shiftMs) / unitMs) * unitMs - shiftMs;
}
