import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { runNotices } from "../../../src/core/schedules/run-notices.ts";
import type { ScheduleDefinition } from "../../../src/core/schedules/schedule.ts";
import { answerBoot, startScheduler, tick } from "../../../src/core/schedules/scheduler.ts";
import { movingClock } from "../../support/moving-clock.ts";
import { ADA, openScheduling, type SchedulingOptions } from "../../support/scheduling.ts";
import { until } from "../../support/until.ts";

const HOUR_MS = 3_600_000;
const START = Date.parse("2027-06-01T00:30:00Z");

async function opened(t: TestContext, options: Omit<SchedulingOptions, "clock"> = {}) {
  const clock = movingClock(START);
  const scheduling = await openScheduling({ ...options, clock });
  t.after(scheduling.close);
  const history = async (id: Parameters<typeof scheduling.schedules.runs>[0]) => {
    const runs = await scheduling.store.runs(id, { limit: 1_000 });
    return runs
      .toReversed()
      .map(({ cause, dueAt, state }) => `${cause} ${new Date(dueAt).toISOString().slice(11, 16)} ${state}`);
  };
  const hourly = (given: Partial<ScheduleDefinition> = {}) =>
    scheduling.create({ name: "hourly", expression: "0 * * * *", ...given });
  return { ...scheduling, clock, history, hourly, tick: () => tick(scheduling.loop) };
}

describe("the loop that fires schedules", () => {
  test("each due time is one run, and nothing is run before", async (t) => {
    const { hourly, clock, tick: look, history } = await opened(t);
    const { id } = await hourly();
    await look();
    assert.deepEqual(await history(id), []);
    for (let hour = 0; hour < 3; hour++) {
      clock.pass(HOUR_MS / 2);
      await look();
      await look();
      clock.pass(HOUR_MS / 2);
      await look();
    }
    assert.deepEqual(await history(id), ["due 01:00 waiting", "due 02:00 waiting", "due 03:00 waiting"]);
  });

  test("four loops at once on one database fire each due time once", async (t) => {
    const { hourly, clock, loop, history, store } = await opened(t);
    const { id } = await hourly({ expression: "* * * * *" });
    const loops = Array.from({ length: 4 }, () => startScheduler(loop));
    t.after(() => Promise.all(loops.map((one) => one.stop())));
    await until("twenty due times are answered", async () => {
      clock.pass(15_000);
      return (await history(id)).length >= 20;
    });
    const runs = await store.runs(id, { limit: 1_000 });
    const oldest = runs.at(-1)?.dueAt ?? 0;
    assert.deepEqual(
      runs.map(({ dueAt }) => (dueAt - oldest) / 60_000),
      runs.map((_, index) => runs.length - 1 - index),
      "one run for each minute",
    );
  });

  test("a process that slept over ten due times tells so, and makes up for them as the policy says", async (t) => {
    const { hourly, clock, tick: look, history } = await opened(t);
    const [none, one, all] = [
      await hourly({ name: "none" }),
      await hourly({ name: "one", misfire: "one" }),
      await hourly({ name: "all", misfire: "all" }),
    ];
    clock.pass(10 * HOUR_MS);
    await look();
    assert.deepEqual(await history(none.id), ["due 01:00 missed"]);
    assert.deepEqual(await history(one.id), ["due 01:00 missed", "late 10:00 waiting"]);
    const runs = await history(all.id);
    assert.deepEqual([runs.length, runs[0], runs[9]], [10, "late 01:00 waiting", "late 10:00 waiting"]);
    clock.pass(HOUR_MS / 2);
    await look();
    assert.equal((await history(none.id)).at(-1), "due 11:00 waiting");
  });

  test("set back by an hour, nothing is due twice; by a day, it is due by the new time, and its history says so", async (t) => {
    const { hourly, clock, tick: look, history, store } = await opened(t);
    const { id } = await hourly();
    clock.pass(HOUR_MS);
    await look();
    clock.pass(-HOUR_MS);
    for (let minute = 0; minute < 60; minute++) {
      clock.pass(60_000);
      await look();
    }
    assert.equal((await history(id)).length, 1);
    clock.pass(-24 * HOUR_MS);
    await look();
    assert.equal((await history(id)).at(-1), "due 02:00 replanned");
    const [record] = await store.runs(id, { limit: 1 });
    assert.match(
      record?.reason ?? "",
      /^The clock went back from 2027-06-01T01:30.* to 2027-05-31T01:30.*: it is due at 2027-05-31T02:00/,
    );
    clock.pass(HOUR_MS / 2);
    await look();
    assert.equal((await history(id)).at(-1), "due 02:00 waiting");
  });

  test("what is due while a schedule is paused is not made up for", async (t) => {
    const { hourly, clock, tick: look, history, schedules } = await opened(t);
    const { id } = await hourly({ misfire: "all" });
    await schedules.pause(ADA, id);
    clock.pass(5 * HOUR_MS);
    await look();
    assert.equal((await schedules.resume(ADA, id)).nextDueAt, Date.parse("2027-06-01T06:00:00Z"));
    await look();
    assert.deepEqual(await history(id), []);
  });

  test("@reboot is due once with each start of the machine, and not with those of the service", async (t) => {
    const { create, loop, history } = await opened(t, { boot: "first" });
    const { id } = await create({ name: "boot", expression: "@reboot" });
    await answerBoot(loop);
    assert.deepEqual(await history(id), [], "the machine started before it was declared");
    const started = { ...loop, boot: async () => "second" };
    await Promise.all([answerBoot(started), answerBoot(started), answerBoot(started)]);
    await answerBoot(started);
    assert.deepEqual(await history(id), ["boot 00:30 waiting"]);
  });

  test("silence is told of once, and again when it has succeeded in between", async (t) => {
    const { hourly, clock, tick: look, stores, store, schedules } = await opened(t);
    const { id } = await hourly({ deadManMs: 2 * HOUR_MS, notify: { to: "ada@example.org", when: "never" } });
    const mails = async () =>
      (await stores.outbox.claim(clock.now(), 1, 100)).map(({ target, payload }) => [target, payload.text]);
    clock.pass(2 * HOUR_MS - 1);
    await look();
    assert.deepEqual(await mails(), []);
    clock.pass(1);
    await look();
    await look();
    assert.deepEqual(await mails(), [
      ["ada@example.org", "Schedule: hourly\nNo run of it has succeeded since 2027-06-01T00:30:00.000Z.\n"],
    ]);
    assert.equal((await schedules.get(id)).silentSince, clock.now());
    const run = await schedules.runNow(ADA, id, "manual");
    await store.begin(run.number, clock.now());
    await store.finish(
      run.number,
      { state: "succeeded", reason: null, exitCode: 0, signal: null, outputBytes: 0 },
      [],
      clock.now(),
    );
    assert.equal((await schedules.get(id)).silentSince, null);
    clock.pass(2 * HOUR_MS);
    await look();
    assert.equal((await mails()).length, 2, "the one that was told before is still there");
  });

  test("a database that fails is asked again a second later", async (t) => {
    const { hourly, clock, loop, history, troubles } = await opened(t);
    const { id } = await hourly();
    let failures = 2;
    const due: typeof loop.store.due = (...asked) => {
      if (failures-- > 0) throw new Error("it fails");
      return loop.store.due(...asked);
    };
    const failing = startScheduler({ ...loop, notices: runNotices("a@b"), store: { ...loop.store, due } });
    t.after(failing.stop);
    clock.pass(HOUR_MS / 2);
    await until("it has fired", async () => {
      clock.pass(1_000);
      return (await history(id)).length > 0;
    });
    assert.equal(troubles.length, 2);
    assert.deepEqual(await history(id), ["due 01:00 waiting"]);
  });
});
