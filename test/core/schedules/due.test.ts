import assert from "node:assert/strict";
import { test } from "node:test";
import { planOf } from "../../../src/core/schedules/due.ts";
import type { Misfire } from "../../../src/core/schedules/schedule.ts";
import { timetable } from "../../../src/core/schedules/timetable.ts";

const at = (time: string) => Date.parse(`2027-06-01T${time}Z`);
const shown = (time: number | null | undefined) => (time == null ? null : new Date(time).toISOString().slice(11, 19));
const HOURLY = timetable("0 * * * *", "UTC");

function plan(misfire: Misfire, dueAt: string, now: string, table = HOURLY) {
  const { runs, missed, nextDueAt } = planOf(table, { misfire, overlap: "skip" }, at(dueAt), at(now));
  return {
    runs: runs.map((run) => `${run.cause} ${shown(run.dueAt)} ${run.overlap}`),
    missed: missed && shown(missed.dueAt),
    next: shown(nextDueAt),
    reason: missed?.reason,
  };
}

test("what was due within the last minute is run, whatever the policy is, and nothing is missed", () => {
  for (const misfire of ["none", "one", "all"] as const)
    assert.deepEqual(plan(misfire, "10:00:00", "10:00:59"), {
      runs: ["due 10:00:00 skip"],
      missed: null,
      next: "11:00:00",
      reason: undefined,
    });
});

test("of ten due times that were slept over none, one or all are made up for, and the others are told", () => {
  const none = plan("none", "01:00:00", "10:30:00");
  assert.deepEqual([none.runs, none.missed, none.next], [[], "01:00:00", "11:00:00"]);
  assert.equal(
    none.reason,
    "It was due 10 times from 2027-06-01T01:00:00.000Z to 2027-06-01T10:00:00.000Z, and nobody was there to run it.",
  );
  const one = plan("one", "01:00:00", "10:30:00");
  assert.deepEqual([one.runs, one.missed], [["late 10:00:00 skip"], "01:00:00"]);
  assert.match(one.reason ?? "", /^It was due 9 times .* to 2027-06-01T09:00/);
  const all = plan("all", "01:00:00", "10:30:00");
  assert.equal(all.runs.length, 10);
  assert.deepEqual([all.runs[0], all.runs[9], all.missed], ["late 01:00:00 queue", "late 10:00:00 queue", null]);
});

test("who wakes up at a due time runs it on time, beside what was missed", () => {
  assert.deepEqual(plan("none", "08:00:00", "10:00:05").runs, ["due 10:00:00 skip"]);
  assert.deepEqual(plan("one", "08:00:00", "10:00:05").runs, ["late 09:00:00 skip", "due 10:00:00 skip"]);
  assert.equal(
    plan("none", "09:00:00", "10:00:05").reason,
    "It was due at 2027-06-01T09:00:00.000Z, and nobody was there to run it.",
  );
});

test("a year of minutes that was slept over is counted as far as makes sense, and at most a hundred are made up for", () => {
  const minutely = timetable("* * * * *", "UTC");
  const now = at("00:00:30");
  const { runs, missed, nextDueAt } = planOf(
    minutely,
    { misfire: "all", overlap: "kill" },
    now - 365 * 86_400_000 + 30_000,
    now,
  );
  assert.equal(runs.filter(({ cause }) => cause === "late").length, 100);
  assert.match(missed?.reason ?? "", /^It was due 900 times/);
  assert.equal(shown(nextDueAt), "00:01:00");
});
