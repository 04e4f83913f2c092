import { DAYS, MONTHS } from "../fields.ts";

export interface Clock {
  readonly hour: number;
  readonly minute: number;
}

export interface StartDate {
  readonly year: number;
  /** From 1. */
  readonly month: number;
  readonly day: number;
  /** As cron names it: `mon`. */
  readonly weekday: string;
}

/** @param text `HH:mm` by 24 hours; Windows takes seconds as well, which have to be none. */
export function readClock(text: string): Clock | undefined {
  const [, hour, minute] = /^([01]?\d|2[0-3]):([0-5]\d)(?::00)?$/.exec(text) ?? [];
  return hour === undefined ? undefined : { hour: Number(hour), minute: Number(minute) };
}

/** Windows writes dates as the country does: one that could be two is none. */
export function readStartDate(text: string): StartDate | undefined {
  const parts = /^(\d{1,4})[/.-](\d{1,2})[/.-](\d{1,4})$/.exec(text)?.slice(1);
  if (parts === undefined) return undefined;
  const [a = 0, b = 0, c = 0] = parts.map(Number);
  const readings = (
    parts[0]?.length === 4
      ? [[a, b, c]]
      : [
          [c, a, b],
          [c, b, a],
        ]
  ).map(([year = 0, month = 0, day = 0]) => dateOf(year, month, day));
  const [first, second] = readings.filter((date) => date !== undefined);
  return second === undefined || (second.month === first?.month && second.day === first.day) ? first : undefined;
}

function dateOf(year: number, month: number, day: number): StartDate | undefined {
  const date = new Date(Date.UTC(year, month - 1, day));
  const exists = year >= 1900 && date.getUTCMonth() === month - 1 && date.getUTCDate() === day;
  return exists ? { year, month, day, weekday: DAYS[date.getUTCDay()] ?? "" } : undefined;
}

/** Values of `/d` and `/m` in cron's words; `undefined` for what is none. */
export const readDay = {
  weekday: (text: string) => DAYS.find((name) => name === text.toLowerCase()),
  month: (text: string) => MONTHS.find((name) => name === text.toLowerCase()),
  ofMonth: (text: string) => (/^([1-9]|[12]\d|3[01])$/.test(text) ? text : undefined),
} as const;
