import assert from "node:assert/strict";
import { test } from "node:test";
import { timetable } from "../../../src/core/schedules/timetable.ts";
import { seededRandom } from "../../support/random.ts";
import { type Generated, generateExpression } from "./expressions.ts";

const MINUTE_MS = 60_000;
const DAY_MINUTES = 24 * 60;

/** Zones whose clocks change by an hour, by half an hour, at midnight, in the south, twice around Ramadan, and never. */
const ZONES = [
  "UTC",
  "Europe/London",
  "America/New_York",
  "Australia/Lord_Howe",
  "America/Santiago",
  "Africa/Casablanca",
  "Asia/Kolkata",
  "Asia/Beirut",
];
const YEARS = [2024, 2027];
const EXPRESSIONS = 70;
const TIMES_EACH = 150;

/** Minutes to add to UTC, for each half hour of the year and of the day before and after. */
interface Year {
  readonly firstMinute: number;
  readonly offsets: Int16Array;
}

/** Every change there ever was in these zones since 2023 is at a full or a half hour of UTC. */
function yearOf(zone: string, year: number): Year {
  const format = new Intl.DateTimeFormat("en-GB", {
    timeZone: zone,
    hourCycle: "h23",
    year: "numeric",
    month: "numeric",
    day: "numeric",
    hour: "numeric",
    minute: "numeric",
  });
  const firstMinute = Date.UTC(year, 0, 0) / MINUTE_MS;
  const offsets = Int16Array.from({ length: 368 * 48 }, (_, half) => {
    const minute = firstMinute + half * 30;
    const [day = 0, month = 0, ...rest] =
      format
        .format(minute * MINUTE_MS)
        .match(/\d+/g)
        ?.map(Number) ?? [];
    const [inYear = 0, hour = 0, inHour = 0] = rest;
    return Date.UTC(inYear, month - 1, day, hour, inHour) / MINUTE_MS - minute;
  });
  return { firstMinute, offsets };
}

/**
 * cron(8), minute by minute: times with `*` in minute or hour go by the clock as it is; any other is done once, when the
 * clock shows it or has passed it, unless the clock was set back to it.
 * @returns minutes since the epoch at which it is due.
 */
function naiveRuns({ fields }: Generated, { firstMinute, offsets }: Year): readonly number[] {
  const [minutes, hours, daysOfMonth, months, daysOfWeek] = fields;
  const byTheClock = minutes.starred || hours.starred;
  const dayMatches = new Map<number, boolean>();

  function matches(local: number): boolean {
    if (!minutes.values.has(local % 60) || !hours.values.has(Math.floor(local / 60) % 24)) return false;
    const day = Math.floor(local / DAY_MINUTES);
    let matching = dayMatches.get(day);
    if (matching === undefined) {
      const date = new Date(day * DAY_MINUTES * MINUTE_MS);
      const ofMonth = daysOfMonth.values.has(date.getUTCDate());
      const ofWeek = daysOfWeek.values.has(date.getUTCDay());
      const starred = daysOfMonth.starred || daysOfWeek.starred;
      matching = months.values.has(date.getUTCMonth() + 1) && (starred ? ofMonth && ofWeek : ofMonth || ofWeek);
      dayMatches.set(day, matching);
    }
    return matching;
  }

  const runs: number[] = [];
  let done = firstMinute + (offsets[0] ?? 0) - 1;
  for (let i = 0; i < offsets.length * 30; i++) {
    const local = firstMinute + i + (offsets[Math.floor(i / 30)] ?? 0);
    let due = byTheClock && matches(local);
    if (!byTheClock) for (let time = done + 1; time <= local; time++) due ||= matches(time);
    if (due) runs.push(firstMinute + i);
    done = Math.max(done, local);
  }
  return runs;
}

test("due times are those that a matcher finds minute by minute, over years and zones", (t) => {
  const random = seededRandom(t);
  const years = new Map<string, Year>();
  let compared = 0;
  for (let i = 0; i < EXPRESSIONS; i++) {
    const zone = ZONES[random(ZONES.length)] ?? "UTC";
    const year = YEARS[random(YEARS.length)] ?? 2026;
    const clocks = years.get(`${zone} ${year}`) ?? yearOf(zone, year);
    years.set(`${zone} ${year}`, clocks);
    const expression = generateExpression(random);
    // A day's grace: times skipped right before the first minute are known to neither.
    const from = clocks.firstMinute + DAY_MINUTES;
    const expected = naiveRuns(expression, clocks).filter((minute) => minute > from);
    const table = timetable(expression.text, zone);
    // All times of a year are compared where they are few, and some in a row where they are many.
    const start = random(Math.max(1, expected.length - TIMES_EACH));
    const wanted = expected.slice(start, start + TIMES_EACH);
    const after = start === 0 ? from : (expected[start - 1] ?? from);
    assert.deepEqual(
      table.nextRuns(after * MINUTE_MS, wanted.length).map((run) => new Date(run).toISOString()),
      wanted.map((minute) => new Date(minute * MINUTE_MS).toISOString()),
      `${expression.text} in ${zone}, ${year}`,
    );
    compared += wanted.length;
  }
  assert.ok(compared > 2_000, `only ${compared} times were compared`);
  t.diagnostic(`${compared} due times compared`);
});

test("from any moment between two due times, the next one is the same", (t) => {
  const random = seededRandom(t);
  const year = yearOf("Europe/London", 2027);
  for (let i = 0; i < 40; i++) {
    const expression = generateExpression(random);
    const runs = naiveRuns(expression, year);
    const table = timetable(expression.text, "Europe/London");
    // Around the hour that is skipped and the one that comes twice: 28 March and 31 October 2027, 01:00 UTC.
    for (const change of [Date.UTC(2027, 2, 28, 1), Date.UTC(2027, 9, 31, 1)]) {
      const after = change + (random(240) - 120) * MINUTE_MS + random(MINUTE_MS);
      const expected = runs.find((minute) => minute * MINUTE_MS > after);
      if (expected !== undefined)
        assert.equal(
          new Date(table.next(after) ?? 0).toISOString(),
          new Date(expected * MINUTE_MS).toISOString(),
          `${expression.text} after ${new Date(after).toISOString()}`,
        );
    }
  }
});
