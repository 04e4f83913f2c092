import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { AppError } from "../../../src/core/errors.ts";
import { isTimeZone, timetable } from "../../../src/core/schedules/timetable.ts";

const LONDON = "Europe/London";

function runs(expression: string, after: string, count: number, zone = LONDON): readonly string[] {
  return timetable(expression, zone)
    .nextRuns(Date.parse(after), count)
    .map((run) => new Date(run).toISOString().slice(0, 16));
}

/**
 * Clocks go forward on 28 March 2027 from 01:00 to 02:00, and back on 31 October from 02:00 to 01:00; both at 01:00 UTC.
 * Expected: cron(8) of Debian, "NOTES": what is at a particular time and falls into the gap runs soon after it, and is
 * not repeated; what has `*` in hour or minute, and @hourly, goes by the new time at once.
 */
const CHANGES: readonly (readonly [expression: string, forward: readonly string[], back: readonly string[]])[] = [
  // At a particular time: at 02:00 summer time instead, and once.
  ["30 1 * * *", ["03-28T01:00", "03-29T00:30"], ["10-31T00:30", "11-01T01:30"]],
  ["30 1,13 * * *", ["03-28T01:00", "03-28T12:30"], ["10-31T00:30", "10-31T13:30"]],
  ["30 1-2 * * *", ["03-28T01:00", "03-28T01:30"], ["10-31T00:30", "10-31T02:30"]],
  ["30 1-3/2 * * *", ["03-28T01:00", "03-28T02:30"], ["10-31T00:30", "10-31T03:30"]],
  ["0,30 1 * * *", ["03-28T01:00", "03-29T00:00"], ["10-31T00:00", "10-31T00:30", "11-01T01:00"]],
  ["0 2 * * *", ["03-28T01:00", "03-29T01:00"], ["10-31T02:00", "11-01T02:00"]],
  ["30 0 * * *", ["03-28T00:30", "03-28T23:30"], ["10-30T23:30", "11-01T00:30"]],
  // By the clock: not at all in the gap, and twice in the hour that comes twice.
  ["@hourly", ["03-28T01:00", "03-28T02:00"], ["10-31T00:00", "10-31T01:00", "10-31T02:00"]],
  ["30 * * * *", ["03-28T00:30", "03-28T01:30"], ["10-30T23:30", "10-31T00:30", "10-31T01:30", "10-31T02:30"]],
  ["*/30 1 * * *", ["03-29T00:00", "03-29T00:30"], ["10-31T00:00", "10-31T00:30", "10-31T01:00", "10-31T01:30"]],
  ["*/90 1 * * *", ["03-29T00:00"], ["10-31T00:00", "10-31T01:00", "11-01T01:00"]],
  ["0 */2 * * *", ["03-28T01:00", "03-28T03:00"], ["10-31T02:00", "10-31T04:00"]],
];

describe("when the clocks are changed", () => {
  for (const [expression, forward, back] of CHANGES)
    test(`${expression} is due as Debian's cron has it`, () => {
      const inYear = (times: readonly string[]) => times.map((time) => `2027-${time}`);
      assert.deepEqual(runs(expression, "2027-03-28T00:00Z", forward.length), inYear(forward), "forward");
      assert.deepEqual(runs(expression, "2027-10-30T23:00Z", back.length), inYear(back), "back");
    });
});

// 2026-11-22 is a Sunday. That `*/2` has both days match was seen in Debian's cron 3.0pl1-162 while it ran.
const DAYS: readonly (readonly [expression: string, days: readonly string[]])[] = [
  ["0 0 1 * 1", ["11-23", "11-30", "12-01", "12-07"]],
  ["0 0 */2 * 1", ["11-23", "12-07", "12-21"]],
  ["0 0 1 * */2", ["12-01"]],
  ["0 0 1-31 * 1", ["11-23", "11-24", "11-25"]],
  ["0 0 5,* * 1", ["11-23", "11-24", "11-25"]],
  ["0 0 24 * 5-1", ["11-24", "12-24"]],
  ["0 0 30 2 mon", ["02-01"]],
  ["0 0 * * 0", ["11-29"]],
  ["0 0 * * 7", ["11-29"]],
  ["0 0 * * SUN", ["11-29"]],
  ["0 0 * * 5-7", ["11-27", "11-28", "11-29", "12-04"]],
  ["0 0 * Jan Mon-Fri/2", ["01-01", "01-04", "01-06"]],
  ["@yearly", ["01-01"]],
  ["@annually", ["01-01"]],
  ["@monthly", ["12-01", "01-01"]],
  ["@weekly", ["11-29", "12-06"]],
  ["@daily", ["11-23", "11-24"]],
  ["@midnight", ["11-23", "11-24"]],
];

for (const [expression, days] of DAYS)
  test(`${expression} is due on the days that Debian's cron takes`, () => {
    assert.deepEqual(
      runs(expression, "2026-11-22T00:00Z", days.length, "UTC").map((run) => run.slice(5)),
      days.map((day) => `${day}T00:00`),
    );
  });

test("the next time is later than the moment asked about, to the millisecond", () => {
  const { next } = timetable("0 * * * *", "UTC");
  assert.equal(next(0), 3_600_000);
  assert.equal(next(3_599_999), 3_600_000);
  assert.equal(next(3_600_000), 7_200_000);
});

test("the 29th of February is found over years without one", () => {
  assert.deepEqual(runs("0 0 29 2 *", "2096-03-01T00:00Z", 1, "UTC"), ["2104-02-29T00:00"]);
});

test("what never comes has no next time and a warning", () => {
  for (const expression of ["0 0 30 2 *", "0 0 31 4,6,9,11 *", "5-1 * * * *", "0 0 */40 2 5-1", "0 0 30 feb 5-1"]) {
    const table = timetable(expression, LONDON);
    assert.equal(table.next(0), null, expression);
    assert.deepEqual(table.nextRuns(0, 3), []);
    assert.ok(
      table.warnings.some(({ code }) => code === "never_fires"),
      expression,
    );
    assert.equal(table.describe(), "Never");
  }
});

test("@reboot is an event, without times", () => {
  const table = timetable("@reboot", LONDON);
  assert.equal(table.isReboot, true);
  assert.equal(table.next(0), null);
  assert.deepEqual(table.warnings, []);
  assert.equal(timetable("@daily", LONDON).isReboot, false);
});

test("times are described in English, with the zone by whose clocks they go", () => {
  const described = [
    ["30 1 * * *", "At 01:30"],
    ["*/15 * * * *", "Every 15 minutes"],
    ["*/5 9-17 * * mon-fri", "Every 5 minutes, between 09:00 and 17:59, Monday through Friday"],
    ["*/90 1 * * *", "At 01:00"],
    ["0 0 */2 * 1", "At 00:00, every 2 days in a month, only on Monday"],
    ["0 0 1 * 1", "At 00:00, on day 1 of the month, and on Monday (one of the two is enough)"],
  ] as const;
  for (const [expression, words] of described)
    assert.equal(timetable(expression, LONDON).describe(), `${words}, by the clocks of Europe/London`);
});

test("times that cron does not read are refused with all that is wrong with them", () => {
  assert.throws(
    () => timetable("60 24 * * 8", LONDON),
    (error) => {
      assert.ok(error instanceof AppError);
      assert.equal(error.code, "crontab_invalid");
      assert.match(error.message, /minute "60" is not 0-59/);
      assert.equal((error.details.findings as readonly unknown[]).length, 3);
      return true;
    },
  );
  for (const text of ["", "* * * *", "* * * * * *", "@every", "0 0 L * *"])
    assert.throws(() => timetable(text, LONDON), { code: "crontab_invalid" }, text);
});

test("a time zone that nobody has is refused, and so is an offset, which has no clocks that are changed", () => {
  for (const zone of ["Mars/Olympus", "", "+01:00", "Europe/Lond"]) {
    assert.throws(() => timetable("@daily", zone), { code: "time_zone_unknown" }, zone);
    assert.equal(isTimeZone(zone), false);
  }
  assert.equal(isTimeZone("UTC"), true);
});
