/** Numbers as people write them in queries: plain ones, sizes with a unit, and dates. */
export interface Numbers {
  readonly first: number;
  /** Of a date, which is an interval (a day, a month, a year): its end, which no longer belongs to it. */
  readonly behind?: number;
}

/** Fields whose values are times (epoch ms): four digits are a year there. */
const TIME_FIELDS: ReadonlySet<string> = new Set(["created", "modified"]);

const NUMBER = /^([+-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?)([kmgtp]i?b|b)?$/i;
const DATE = /^(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,3}))?)?Z?)?)?)?$/;
const POWERS = "bkmgtp";

export function isTimeField(field: string): boolean {
  return TIME_FIELDS.has(field.toLowerCase());
}

/** @returns `undefined` for what is neither a number, a size nor a date (UTC). */
export function numbersOf(field: string, text: string): Numbers | undefined {
  return (/^\d{4}$/.test(text) && !isTimeField(field) ? undefined : dateOf(text)) ?? numberOf(text);
}

/** `kB` is 1000 bytes, `KiB` 1024. */
function numberOf(text: string): Numbers | undefined {
  const [, digits = "", unit = "b"] = NUMBER.exec(text.toLowerCase()) ?? [];
  if (digits === "") return undefined;
  const number = Number(digits) * (unit.includes("i") ? 1024 : 1000) ** POWERS.indexOf(unit.charAt(0));
  // There is no other way to write -0 than as 0.
  return Number.isFinite(number) ? { first: number === 0 ? 0 : number } : undefined;
}

function dateOf(text: string): Numbers | undefined {
  const parts = DATE.exec(text)?.slice(1);
  if (!parts) return undefined;
  const given = parts.filter((part) => part !== undefined).length;
  const [year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0] = parts.map((part) =>
    part === undefined ? undefined : Number(part),
  );
  const ms = Number((parts[6] ?? "").padEnd(3, "0"));
  const first = timeOf([year, month, day, hour, minute, second, ms]);
  // What is not on the calendar (30 February) comes out as another time.
  const shown = new Date(first).toISOString().slice(0, text.replace("Z", "").length);
  if (shown !== text.replace("Z", "")) return undefined;
  const next = [year, month, day, hour, minute, second, ms];
  const last = given - 1;
  next[last] = (next[last] ?? 0) + (last === 6 ? 10 ** (3 - (parts[6] ?? "").length) : 1);
  return { first, behind: timeOf(next) };
}

function timeOf([year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0, ms = 0]: readonly number[]): number {
  // Date.UTC takes years below 100 for those of the twentieth century.
  return new Date(0).setUTCFullYear(year, month - 1, day) + ((hour * 60 + minute) * 60 + second) * 1000 + ms;
}
