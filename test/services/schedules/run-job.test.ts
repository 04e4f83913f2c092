import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { NO_CONDITIONS } from "../../../src/core/schedules/schedule.ts";
import { ADA, openScheduling, type SchedulingOptions, shell, textOf } from "../../support/scheduling.ts";

async function working(t: TestContext, options: SchedulingOptions = {}) {
  const scheduling = await openScheduling(options);
  t.after(scheduling.close);
  scheduling.work();
  const { schedules, ended } = scheduling;
  return {
    ...scheduling,
    start: (id: Parameters<typeof schedules.runNow>[1]) => schedules.runNow(ADA, id, "manual"),
    run: async (id: Parameters<typeof schedules.runNow>[1], cause: "manual" | "test" = "manual") =>
      ended(await schedules.runNow(ADA, id, cause)),
    output: async (id: Parameters<typeof schedules.output>[0], run: number) => textOf(await schedules.output(id, run)),
  };
}

describe("runs of schedules", () => {
  test("a command that ends well has succeeded, another has failed with its exit code, and both outputs are kept in order", async (t) => {
    const { create, run, output, jobs } = await working(t);
    const { id } = await create({ action: shell("echo one; echo two >&2; echo three; exit 4") });
    const failed = await run(id);
    const facts = [failed.state, failed.exitCode, failed.signal, failed.reason, failed.outputBytes];
    assert.deepEqual(facts, ["failed", 4, null, "It ended with exit code 4.", 14]);
    assert.equal(await output(id, failed.number), "one\ntwo\nthree\n");
    assert.ok(failed.job);
    assert.equal((await jobs.get(failed.job)).error?.code, "run_failed");
    const well = await create({ name: "well", action: shell("exit 0") });
    const succeeded = await run(well.id);
    assert.deepEqual([succeeded.state, succeeded.exitCode, succeeded.reason], ["succeeded", 0, null]);
    assert.equal(await output(well.id, succeeded.number), "");
  });

  test("a test run shows what the command is given, kept-apart values by name only, and tells nobody", async (t) => {
    const { create, run, output, stores } = await working(t);
    const { id } = await create({
      action: { kind: "shell", command: 'cat; echo "$KEY $MODE"; tty', stdin: "to be read\n", user: null },
      environment: { MODE: "fast", LOGNAME: "nobody", CRON_TZ: "UTC" },
      required: ["KEY"],
      notify: { to: "ada@example.org", when: "always" },
    });
    const { number, state } = await run(id, "test");
    assert.equal(state, "failed", "tty(1) finds none");
    const text = await output(id, number);
    const [head = "", printed] = text.split("\n\n");
    assert.match(head, /^# {3}KEY=\(kept apart\)$/m);
    assert.match(head, /^# {3}MODE=fast$/m);
    assert.match(head, /^# {3}PATH=\/usr\/bin:\/bin$/m);
    assert.doesNotMatch(head, /CRON_TZ|LOGNAME=nobody|value of KEY/);
    assert.equal(printed, "to be read\nvalue of KEY fast\nnot a tty\n");
    assert.equal(await stores.outbox.depth(), 0);
  });

  test("a second run is skipped while the first one runs, and says by whom it is held", async (t) => {
    const { create, start, run, begun, schedules, ended } = await working(t);
    const { id } = await create({ name: "long", action: shell("sleep 60") });
    const first = await start(id);
    await begun(first);
    const second = await run(id);
    assert.equal(second.state, "skipped");
    assert.match(second.reason ?? "", new RegExp(`^Still running: run ${first.number} of "long", since 20`));
    await schedules.cancelRun(ADA, id, first.number);
    const cancelled = await ended(first);
    assert.deepEqual([cancelled.state, cancelled.reason], ["cancelled", "It was cancelled."]);
  });

  test("queued runs wait for each other, in order; a shared lock makes schedules wait, too", async (t) => {
    const { create, start, ended } = await working(t);
    const queued = { action: shell("sleep 0.2"), overlap: "queue", lock: "shared" } as const;
    const [one, other] = [await create({ ...queued, name: "one" }), await create({ ...queued, name: "other" })];
    const runs = [await start(one.id), await start(other.id), await start(one.id)];
    const over = [];
    for (const run of runs) over.push(await ended(run));
    assert.deepEqual(
      over.map(({ state }) => state),
      ["succeeded", "succeeded", "succeeded"],
    );
    const times = over
      .map(({ startedAt, finishedAt }) => [startedAt ?? 0, finishedAt ?? 0] as const)
      .sort(([a], [b]) => a - b);
    for (const [index, [startedAt]] of times.entries())
      assert.ok(index === 0 || startedAt >= (times[index - 1]?.[1] ?? 0), `two ran at once: ${JSON.stringify(times)}`);
    assert.ok((over[0]?.startedAt ?? 0) < (over[2]?.startedAt ?? 0));
  });

  test("with the policy kill the run before is ended, with all that it started, and the new one runs", async (t) => {
    const { create, start, begun, ended, run } = await working(t);
    const { id } = await create({
      action: shell("test -z $AGAIN && exit 0; setsid sleep 61 & sleep 61"),
      environment: { AGAIN: "x" },
      overlap: "kill",
    });
    const first = await start(id);
    await begun(first);
    const second = await start(id);
    assert.equal((await ended(first)).state, "cancelled");
    await begun(second);
    const third = await start(id);
    assert.equal((await ended(second)).state, "cancelled");
    await begun(third);
    const { id: quick } = await create({ name: "quick", overlap: "kill" });
    assert.equal((await run(quick)).state, "succeeded", "another schedule is not held");
  });

  test("a command that never ends is ended when its time is over", async (t) => {
    const { create, run, jobs } = await working(t);
    const { id } = await create({
      action: shell("echo begun; trap '' TERM; while :; do sleep 1; done"),
      timeoutMs: 300,
    });
    const over = await run(id);
    assert.deepEqual(
      [over.state, over.reason, over.outputBytes],
      ["timed_out", "It was not over within 0.3 s, and was ended.", 6],
    );
    assert.ok(over.job);
    assert.equal((await jobs.get(over.job)).error?.code, "run_timed_out");
  });

  test("conditions that are not met skip a run with a reason, or are waited for; who asks himself need not wait", async (t) => {
    let isOnline = false;
    const machine = { load: () => 3, freeBytes: async () => 100, isThere: async () => isOnline };
    const { create, store, stores, ended, run } = await working(t, { machine });
    const due = async (given: Parameters<typeof create>[0]) => {
      const { id } = await create(given);
      const job = await stores.sequences.reserve("upload_job", 1);
      return store.add(
        id,
        { cause: "due", askedBy: null, dueAt: Date.now(), overlap: "skip", job: job as never },
        Date.now(),
      );
    };
    const reasonOf = async (name: string, conditions: Partial<typeof NO_CONDITIONS>) => {
      const over = await ended(await due({ name, conditions: { ...NO_CONDITIONS, ...conditions } }));
      return `${over.state}: ${over.reason}`;
    };
    assert.equal(
      await reasonOf("load", { loadBelow: 2 }),
      "skipped: The machine is busy: its load per core is 3.00, not below 2.",
    );
    assert.equal(
      await reasonOf("free", { free: { path: "/x", bytes: 101 } }),
      "skipped: /x has 100 bytes free, and 101 are wanted.",
    );
    assert.equal(await reasonOf("gone", { online: ["/store"] }), "skipped: /store is not there.");
    const hour = new Date().getUTCHours();
    const clock = (later: number) => `${String((hour + later) % 24).padStart(2, "0")}:00`;
    assert.match(
      await reasonOf("window", { window: { from: clock(2), until: clock(3) } }),
      /^skipped: It runs only from /,
    );
    assert.match(await reasonOf("over midnight", { window: { from: clock(-1 + 24), until: clock(2) } }), /^succeeded/);
    const { id } = await create({ name: "asked", conditions: { ...NO_CONDITIONS, online: ["/store"] } });
    assert.equal((await run(id)).state, "succeeded");
    isOnline = true;
    assert.match(await reasonOf("back", { online: ["/store"], waitMs: 60_000 }), /^succeeded/);
  });

  test("who is told of what: failures, everything, output, nothing", async (t) => {
    const { create, run, stores } = await working(t);
    const told = async (name: string, command: string, when: "failure" | "always" | "output" | "never") => {
      const { id } = await create({ name, action: shell(command), notify: { to: "ada@example.org", when } });
      await run(id);
      const [mail, ...others] = await stores.outbox.claim(Date.now(), 1, 10);
      assert.deepEqual(others, []);
      if (mail) await stores.outbox.delivered(mail.key);
      return mail?.payload;
    };
    assert.equal(await told("well", "echo x", "failure"), undefined);
    const mail = await told("bad", "echo it broke; exit 7", "failure");
    assert.equal(mail?.subject, "bad: failed");
    assert.match(String(mail?.text), /Outcome: +failed, exit code 7\n.*\n\nOutput \(9 bytes\):\n\nit broke\n/);
    assert.equal((await told("all", "true", "always"))?.subject, "all: succeeded");
    assert.equal(await told("silent", "true", "output"), undefined);
    assert.equal((await told("speaking", "echo x", "output"))?.subject, "speaking: succeeded");
    assert.equal(await told("never", "false", "never"), undefined);
  });

  test("a mail that is an action is in the outbox when its run has succeeded", async (t) => {
    const { create, run, stores } = await working(t);
    const { id } = await create({ action: { kind: "mail", to: "eve@example.org", subject: "Hello", text: "There." } });
    assert.equal((await run(id)).state, "succeeded");
    const [mail] = await stores.outbox.claim(Date.now(), 1, 10);
    const { from, subject, text } = mail?.payload ?? {};
    assert.deepEqual(
      [mail?.target, from, subject, text],
      ["eve@example.org", "Longshore <longshore@example.org>", "Hello", "There."],
    );
  });

  test("Longshore's own work fails with its reason, and what its input must be is said before anything is kept", async (t) => {
    const builtIns = {
      break: {
        summary: "breaks",
        check: () => {},
        async run(_: unknown, { print, key }: { print(line: string): Promise<void>; key: string }) {
          await print(`about to break, ${key.replace(/\d+/, "N")}`);
          return { well: true };
        },
      },
    };
    const { create, run, output } = await working(t, { builtIns });
    const { id } = await create({ action: { kind: "built-in", name: "break", input: {} } });
    const { number, state } = await run(id);
    assert.equal(state, "succeeded");
    assert.equal(await output(id, number), 'about to break, run:N\n{"well":true}\n');
    await assert.rejects(create({ name: "x", action: { kind: "built-in", name: "brake", input: {} } }), {
      code: "schedule_invalid",
    });
    const url = "https://example.org/";
    const http = await create({ name: "http", action: { kind: "http", method: "GET", url, headers: {}, body: null } });
    const refused = await run(http.id);
    assert.deepEqual(
      [refused.state, refused.reason],
      ["failed", "Longshore is not set up to fetch from this address."],
    );
  });

  test("a run that is cancelled before it begins is over at once, and a removed schedule takes its runs along", async (t) => {
    const scheduling = await openScheduling();
    t.after(scheduling.close);
    const { create, schedules, store } = scheduling;
    const { id } = await create({});
    const { number } = await schedules.runNow(ADA, id, "manual");
    await assert.rejects(schedules.remove(ADA, id), { code: "schedule_state_conflict" });
    assert.equal((await schedules.cancelRun(ADA, id, number)).state, "cancelled");
    await assert.rejects(schedules.cancelRun(ADA, id, number), { code: "schedule_state_conflict" });
    await assert.rejects(schedules.output(id, number), { code: "run_output_gone" });
    await schedules.remove(ADA, id);
    assert.equal(await store.run(number), undefined);
    await assert.rejects(schedules.run(id, number), { code: "run_unknown" });
    await assert.rejects(schedules.get(id), { code: "schedule_unknown" });
  });
});

test("what cannot be a schedule is refused before it is kept, saying what is wrong", async (t) => {
  const { create, close, schedules } = await openScheduling();
  t.after(close);
  const refused = (given: Parameters<typeof create>[0], code: string) => assert.rejects(create(given), { code });
  await refused({ name: "" }, "schedule_invalid");
  await refused({ name: "a\nb" }, "schedule_invalid");
  await refused({ expression: "61 * * * *" }, "crontab_invalid");
  await refused({ timeZone: "Mars/Base" }, "time_zone_unknown");
  await refused({ action: shell("  ") }, "schedule_invalid");
  await refused({ action: { kind: "program", file: "ls", args: [], user: null } }, "schedule_invalid");
  await refused({ action: { kind: "shell", command: "x", stdin: null, user: "nobody-at-all" } }, "user_refused");
  await refused({ environment: { "A=B": "x" } }, "schedule_invalid");
  await refused({ lock: "two words" }, "schedule_invalid");
  await refused({ conditions: { ...NO_CONDITIONS, window: { from: "25:00", until: "01:00" } } }, "schedule_invalid");
  await refused({ notify: { to: "nobody", when: "always" } }, "schedule_invalid");
  await refused({ timeoutMs: 40 * 86_400_000 }, "schedule_invalid");
  const reader = { ...ADA, scopes: ["operate"] as const };
  await assert.rejects(schedules.create(reader, { ...(await create({})), name: "b" }), { code: "scope_missing" });
  assert.equal((await schedules.list({ limit: 10 })).length, 1);
});
