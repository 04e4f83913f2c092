import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Outbox } from "../../src/core/catalogue/catalogue-store.ts";
import { jobId, scheduleId } from "../../src/core/ids.ts";
import type { JobQueue } from "../../src/core/jobs/job-queue.ts";
import type { JobStore } from "../../src/core/jobs/job-store.ts";
import type { Run, Schedule } from "../../src/core/schedules/schedule.ts";
import type { NewRun, RunOutcome, ScheduleStore } from "../../src/core/schedules/schedule-store.ts";
import { daily } from "../support/scheduling.ts";

interface Opened {
  readonly schedules: ScheduleStore;
  readonly jobs: JobStore;
  readonly queue: JobQueue;
  readonly outbox: Outbox;
  close(): Promise<void>;
}

const DUE = 1_700_000_000_000;
const NEXT = DUE + 60_000;
const SUCCEEDED: RunOutcome = { state: "succeeded", reason: null, exitCode: 0, signal: null, outputBytes: 2 };

/** What every ScheduleStore must do. One fresh database for the whole suite. */
export function scheduleStoreConformance(name: string, open: () => Promise<Opened>): void {
  describe(`ScheduleStore: ${name}`, () => {
    let opened: Opened;
    let store: ScheduleStore;
    before(async () => {
      opened = await open();
      store = opened.schedules;
    });
    after(() => opened?.close());

    let last = 0;
    /** Never due for what other tests ask, unless they say so. */
    const schedule = (given: Partial<Schedule> = {}): Schedule => {
      const id = `schedule-${String(++last).padStart(3, "0")}`;
      return { ...daily, id: scheduleId(id), name: id, nextDueAt: null, ...given };
    };
    async function kept(given: Partial<Schedule> = {}): Promise<Schedule> {
      const one = schedule(given);
      await store.put([one], "boot");
      return one;
    }
    let lastJob = 0;
    const newRun = (given: Partial<NewRun> = {}): NewRun =>
      ({ cause: "due", askedBy: null, dueAt: DUE, overlap: "skip", job: jobId(++lastJob), ...given }) as NewRun;
    const waiting = ({ id }: Schedule, given: Partial<NewRun> = {}): Promise<Run> => store.add(id, newRun(given), DUE);

    test("schedules come back as they were kept, and are listed by name with their newest run", async () => {
      const one = await kept({
        name: "it's Ü 漢🚢",
        environment: { PATH: "/a:/b", X: "é\n" },
        action: { kind: "program", file: "/bin/ls", args: ["a b"], user: "ada" },
        deadManMs: 5,
        silentAt: DUE * 2,
        nextDueAt: DUE * 2,
      });
      assert.deepEqual(await store.get(one.id), one);
      assert.deepEqual(await store.list({ name: one.name, limit: 10 }), [{ ...one, lastRun: null }]);
      await waiting(one);
      const newest = await waiting(one);
      const [listed] = await store.list({ name: one.name, limit: 10 });
      assert.deepEqual(listed?.lastRun, newest);
      const names = ["page-1", "page-2", "page-3"];
      for (const each of names) await kept({ name: each });
      const page = await store.list({ after: "page-1", limit: 2 });
      assert.deepEqual(
        page.map((each) => each.name),
        names.slice(1),
      );
      assert.equal(await store.get(scheduleId("nobody's")), undefined);
    });

    test("of many that are kept together all are or none, and a name is one's own unless it is replaced", async () => {
      const before = await kept({ name: "taken" });
      const fresh = schedule({ name: "fresh" });
      const same = schedule({ name: "taken", expression: "0 1 * * *" });
      await assert.rejects(store.put([fresh, same], "boot"), { code: "schedule_exists" });
      assert.equal(await store.get(fresh.id), undefined);
      await waiting(before);
      const [, replaced] = await store.put([fresh, same], "boot", true);
      assert.deepEqual([replaced?.id, replaced?.expression], [before.id, "0 1 * * *"]);
      assert.equal((await store.runs(before.id, { limit: 10 })).length, 1, "its history stays");
      await assert.rejects(store.change(fresh.id, { name: "taken" }, "boot", DUE), { code: "schedule_exists" });
      const changed = await store.change(fresh.id, { misfire: "all", paused: true }, "boot", DUE + 5);
      assert.deepEqual(changed, { ...fresh, misfire: "all", paused: true, changedAt: DUE + 5 });
      assert.deepEqual(await store.get(fresh.id), changed);
      assert.equal(await store.change(scheduleId("nobody's"), {}, "boot", DUE), undefined);
    });

    test("what is due is given with the longest due first, unless it is paused", async () => {
      const second = await kept({ nextDueAt: 200 });
      const first = await kept({ nextDueAt: 100 });
      await kept({ nextDueAt: 50, paused: true });
      await kept({ nextDueAt: 301 });
      const due = await store.due(300, 10);
      assert.deepEqual(due, [first, second]);
      assert.deepEqual(await store.due(300, 1), [first]);
    });

    test("of those who answer one due time at once one does: its runs are there with their jobs, and it is due later", async () => {
      const one = await kept({ nextDueAt: DUE * 3 });
      const missed: NewRun = {
        ...newRun(),
        job: null,
        state: "missed",
        reason: "Nobody was there.",
      };
      const answers = await Promise.all(
        Array.from({ length: 6 }, () =>
          store.fire(one.id, { dueAt: DUE * 3 }, DUE * 3 + 60_000, [missed, newRun({ overlap: "kill" })], DUE),
        ),
      );
      assert.equal(answers.filter(Boolean).length, 1);
      const [run, record, ...others] = await store.runs(one.id, { limit: 10 });
      assert.deepEqual(others, []);
      assert.ok(run?.job && record);
      const { state, overlap, createdAt, finishedAt } = run;
      assert.deepEqual([state, overlap, createdAt, finishedAt], ["waiting", "kill", DUE, null]);
      const told = [record.state, record.reason, record.job, record.finishedAt];
      assert.deepEqual(told, ["missed", "Nobody was there.", null, DUE]);
      const job = await opened.jobs.get(run.job);
      const asked = [job?.kind, job?.lane, job?.state, job?.owner, job?.input];
      assert.deepEqual(asked, ["run", "run", "queued", one.owner, { run: run.number }]);
      assert.equal((await store.get(one.id))?.nextDueAt, DUE * 3 + 60_000);
      await store.change(one.id, { paused: true }, "boot", DUE);
      assert.equal(await store.fire(one.id, { dueAt: DUE * 3 + 60_000 }, NEXT, [newRun()], DUE), false, "it is paused");
    });

    test("a start of a machine is answered once, and not by what was declared or changed since", async () => {
      const reboot = await kept({ expression: "@reboot" });
      const answer = (boot: string) => store.fire(reboot.id, { boot }, null, [newRun({ cause: "boot" })], DUE);
      assert.ok((await store.atBoot()).some(({ id }) => id === reboot.id));
      assert.equal(await answer("boot"), false, "it was declared in this start");
      const answers = await Promise.all(Array.from({ length: 4 }, () => answer("another")));
      assert.equal(answers.filter(Boolean).length, 1);
      await store.change(reboot.id, { paused: false }, "third", DUE);
      assert.equal(await answer("third"), false);
      assert.equal((await store.runs(reboot.id, { limit: 10 })).length, 1);
    });

    test("one run of a schedule runs; the next is told by whom it is held, and runs when that has ended", async () => {
      const one = await kept();
      const [first, second] = [await waiting(one), await waiting(one)];
      const begun = await store.begin(first.number, NEXT);
      assert.ok(begun.kind === "running" && !begun.again);
      assert.deepEqual([begun.run.state, begun.run.startedAt, begun.schedule], ["running", NEXT, one]);
      const held = await store.begin(second.number, NEXT);
      assert.ok(held.kind === "held");
      assert.deepEqual([held.holder, held.holderName, held.run], [begun.run, one.name, second]);
      const again = await store.begin(first.number, NEXT);
      assert.ok(again.kind === "running" && again.again, "its job was given to another worker");
      const finished = await store.finish(first.number, SUCCEEDED, [], NEXT + 5);
      assert.deepEqual(finished, { ...begun.run, ...SUCCEEDED, finishedAt: NEXT + 5 });
      assert.equal(await store.finish(first.number, SUCCEEDED, [], NEXT + 6), undefined);
      assert.equal((await store.begin(first.number, NEXT)).kind, "over");
      assert.equal((await store.begin(second.number, NEXT)).kind, "running");
      assert.equal((await store.begin(9_999_999, NEXT)).kind, "gone");
    });

    test("schedules that name the same lock hold each other, also when they begin at once", async () => {
      const those = await Promise.all(Array.from({ length: 4 }, () => kept({ lock: "shared" })));
      const other = await kept({ lock: "other" });
      const runs = await Promise.all(those.map((one) => waiting(one)));
      const begun = await Promise.all(runs.map(({ number }) => store.begin(number, NEXT)));
      const running = begun.filter(({ kind }) => kind === "running");
      assert.equal(running.length, 1, JSON.stringify(begun.map(({ kind }) => kind)));
      const held = begun.flatMap((one) => (one.kind === "held" ? [one] : []));
      const winner = running[0]?.kind === "running" ? running[0] : undefined;
      assert.ok(held.every(({ holderName }) => holderName === winner?.schedule.name));
      assert.equal((await store.begin((await waiting(other)).number, NEXT)).kind, "running");
    });

    test("those that are queued take turns: the one that has waited longest comes first", async () => {
      const one = await kept();
      const [first, second, third] = [
        await waiting(one, { overlap: "queue" }),
        await waiting(one, { overlap: "queue" }),
        await waiting(one, { overlap: "queue" }),
      ];
      const early = await store.begin(third.number, NEXT);
      assert.ok(early.kind === "held");
      assert.deepEqual([early.ahead, early.holder.number], [2, first.number]);
      assert.equal(await store.isHeld(first.number), false);
      assert.equal((await store.begin(first.number, NEXT)).kind, "running");
      assert.equal(await store.isHeld(second.number), true);
      await store.finish(first.number, SUCCEEDED, [], NEXT);
      assert.equal(await store.isHeld(second.number), false);
      assert.equal(await store.isHeld(third.number), true);
    });

    test("an end comes with its messages, and success moves the silence on that is told of once", async () => {
      const one = await kept({ deadManMs: 1_000, silentAt: 500 });
      const message = { key: `silent-${one.id}`, channel: "mail", target: "a@example.org", payload: { text: "x" } };
      assert.deepEqual(
        (await store.silent(500, 10)).map(({ id }) => id),
        [one.id],
      );
      const told = await Promise.all(Array.from({ length: 4 }, () => store.toldSilence(one.id, 500, [message], 600)));
      assert.equal(told.filter(Boolean).length, 1);
      assert.deepEqual(await store.silent(1_000, 10), []);
      assert.equal((await store.get(one.id))?.silentSince, 600);
      const test = await waiting(one, { cause: "test" });
      await store.begin(test.number, NEXT);
      await store.finish(test.number, SUCCEEDED, [], NEXT);
      assert.equal((await store.get(one.id))?.silentSince, 600, "a test proves nothing");
      const run = await waiting(one);
      await store.begin(run.number, NEXT);
      await store.finish(run.number, SUCCEEDED, [{ ...message, key: `ended-${one.id}` }], NEXT);
      const { silentAt, silentSince } = (await store.get(one.id)) ?? {};
      assert.deepEqual([silentAt, silentSince], [NEXT + 1_000, null]);
      const claimed = await opened.outbox.claim(NEXT, 1_000, 100);
      assert.deepEqual(claimed.map(({ key }) => key).sort(), [`ended-${one.id}`, `silent-${one.id}`]);
    });

    test("a schedule is removed with its history, but not while a run of it is open", async () => {
      const one = await kept();
      const run = await waiting(one);
      assert.equal(await store.remove(one.id), false);
      await store.begin(run.number, NEXT);
      assert.equal(await store.remove(one.id), false);
      await store.finish(run.number, SUCCEEDED, [], NEXT);
      assert.equal(await store.remove(one.id), true);
      assert.equal(await store.run(run.number), undefined);
      assert.equal(await store.remove(one.id), false);
      await assert.rejects(store.add(one.id, newRun() as Parameters<ScheduleStore["add"]>[1], DUE), {
        code: "schedule_unknown",
      });
    });

    test("runs beyond the newest are surplus, those of each schedule by themselves, and open ones never", async () => {
      const [one, other] = [await kept(), await kept()];
      const runs: Run[] = [];
      for (let number = 0; number < 5; number++) runs.push(await waiting(one));
      await waiting(other);
      for (const { number } of runs.slice(1)) await store.finish(number, SUCCEEDED, [], NEXT);
      const numbers = (list: readonly Run[]) =>
        list.filter(({ schedule: of }) => of === one.id).map(({ number }) => number);
      const [, second, third] = runs;
      assert.deepEqual(numbers(await store.surplus(2, 1_000)), [second?.number, third?.number]);
      await store.forget(runs.map(({ number }) => number));
      assert.deepEqual(numbers(await store.runs(one.id, { limit: 10 })), [runs[0]?.number]);
    });

    test("what was planned when the clock said more is found", async () => {
      const one = await kept({ plannedAt: DUE * 5, nextDueAt: DUE * 5 + 1 });
      assert.deepEqual(
        (await store.plannedAfter(DUE * 5 - 1, 10)).map(({ id }) => id),
        [one.id],
      );
      assert.deepEqual(await store.plannedAfter(DUE * 5, 10), []);
    });
  });
}
