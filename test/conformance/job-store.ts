import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { AppError, errorRecord, problem } from "../../src/core/errors.ts";
import { jobId } from "../../src/core/ids.ts";
import { JOB_STATES, type Job, type JobState } from "../../src/core/jobs/job.ts";
import type { JobQueue } from "../../src/core/jobs/job-queue.ts";
import type { JobChange, JobFilter, JobStore, NewJob } from "../../src/core/jobs/job-store.ts";
import { withinTrace } from "../../src/core/tracing.ts";

interface Opened {
  readonly jobs: JobStore;
  readonly queue: JobQueue;
  /** Epoch milliseconds by the process's clock, which need not be the database's. */
  now(): number;
  close(): Promise<void>;
}

/** Text that a careless adapter loses: quotes, NUL, bytes beyond Latin-1 and beyond 16 bits, a right-to-left mark. */
const AWKWARD = 'O\'Neil "q" \\ %_? $1 \u0000 é 漢 🚢 \u200f\n';

/** What every JobStore must do. One fresh database for the whole suite, so each test uses jobs of its own. */
export function jobStoreConformance(name: string, open: () => Promise<Opened>): void {
  describe(`JobStore: ${name}`, () => {
    let opened: Opened;
    let store: JobStore;
    before(async () => {
      opened = await open();
      store = opened.jobs;
    });
    after(() => opened?.close());

    let lastId = 0;
    const newJob = (given: Partial<NewJob> = {}): NewJob => ({
      id: jobId(++lastId),
      kind: "ingest",
      lane: "fast",
      owner: `owner-${lastId}`,
      input: {},
      idempotencyKey: null,
      fedUntil: null,
      now: 1_000,
      ...given,
    });
    const create = async (given: Partial<NewJob> = {}): Promise<Job> => (await store.create(newJob(given))).job;

    test("create returns the whole job, get reads the same back, and unknown ids are undefined", async () => {
      const asked = newJob({
        input: { path: AWKWARD, nested: [1, null, { a: true }] },
        idempotencyKey: AWKWARD.slice(0, 9),
      });
      const { job, created } = await store.create(asked);
      const expected: Job = {
        id: asked.id,
        kind: "ingest",
        lane: "fast",
        state: "queued",
        owner: asked.owner,
        priority: 0,
        tasks: [],
        attempts: 0,
        error: null,
        warnings: [],
        input: asked.input,
        checkpoint: {},
        result: {},
        cancelRequested: false,
        idempotencyKey: asked.idempotencyKey,
        fedUntil: null,
        createdAt: 1_000,
        updatedAt: 1_000,
        startedAt: null,
        finishedAt: null,
      };
      assert.equal(created, true);
      assert.deepEqual(job, expected);
      assert.deepEqual(await store.get(asked.id), expected);
      assert.equal(await store.get(jobId(999_999_999)), undefined);
    });

    test("a job that is fed is running from the start, and in no queue until it is handed over", async () => {
      const waiting = await opened.queue.depth();
      const job = await create({ fedUntil: 31_000, lane: "slow" });
      assert.equal(job.state, "running");
      assert.notEqual(job.fedUntil, null);
      assert.deepEqual(await opened.queue.depth(), waiting);
      await store.update(job.id, ["running"], { state: "queued", fedUntil: null }, 2_000);
      assert.deepEqual(await opened.queue.depth(), { ...waiting, slow: waiting.slow + 1 });
    });

    test("an idempotency key belongs to its owner: the same owner gets the earlier job, another owner a new one", async () => {
      const first = await create({ owner: "ann", idempotencyKey: "k1" });
      const depth = await opened.queue.depth();
      const again = await store.create(newJob({ owner: "ann", idempotencyKey: "k1", kind: "verify" }));
      assert.deepEqual(again, { job: first, created: false });
      assert.deepEqual(await opened.queue.depth(), depth, "what was not created was not queued");
      assert.equal((await store.create(newJob({ owner: "bob", idempotencyKey: "k1" }))).created, true);
      assert.equal((await store.create(newJob({ owner: "ann", idempotencyKey: null }))).created, true);
    });

    test("racing creates with one idempotency key make one job", async () => {
      const asked = Array.from({ length: 12 }, () => newJob({ owner: "racer", idempotencyKey: "race" }));
      const answers = await Promise.all(asked.map((job) => store.create(job)));
      assert.equal(answers.filter((answer) => answer.created).length, 1);
      assert.equal(new Set(answers.map((answer) => answer.job.id)).size, 1);
      assert.equal((await store.list({ owner: "racer", limit: 100 })).length, 1);
    });

    test("an idempotency key that its job has given up is free again", async () => {
      const first = await create({ owner: "carl", idempotencyKey: "k" });
      await store.update(first.id, ["queued"], { idempotencyKey: null }, 2_000);
      const second = await store.create(newJob({ owner: "carl", idempotencyKey: "k" }));
      assert.equal(second.created, true);
      assert.notEqual(second.job.id, first.id);
    });

    test("an id that is taken is refused, and neither the job nor the queue changes", async () => {
      const job = await create();
      const depth = await opened.queue.depth();
      await assert.rejects(store.create(newJob({ id: job.id, owner: "thief" })));
      assert.deepEqual(await store.get(job.id), job);
      assert.deepEqual(await opened.queue.depth(), depth);
    });

    test("update changes what it is given, keeps the rest, and returns the job as get does", async () => {
      const job = await create({ input: { keep: true } });
      const change: JobChange = {
        state: "running",
        tasks: [{ name: "receive", percent: 12.34, doneBytes: Number.MAX_SAFE_INTEGER, startedAt: 5 }],
        attempts: 3,
        error: errorRecord(new AppError("digest_mismatch", { path: AWKWARD })),
        warnings: [problem("member_unlisted", { path: AWKWARD })],
        checkpoint: { at: [1, 2] },
        result: { text: AWKWARD },
        cancelRequested: true,
        idempotencyKey: "late",
        fedUntil: 40_000,
        startedAt: 2_000,
        finishedAt: 9_007_199_254_740_991,
      };
      const changed = await store.update(job.id, ["queued"], change, 3_000);
      assert.ok(changed?.fedUntil, "by the clock of the database");
      assert.deepEqual(changed, { ...job, ...change, fedUntil: changed.fedUntil, updatedAt: 3_000 });
      assert.deepEqual(await store.get(job.id), changed);
      const undone = { error: null, cancelRequested: false, fedUntil: null, finishedAt: null } as const;
      assert.deepEqual(await store.update(job.id, ["running"], undone, 4_000), {
        ...changed,
        ...undone,
        updatedAt: 4_000,
      });
    });

    test("update does nothing when the job is in another state, or unknown", async () => {
      const job = await create();
      const event = { type: "note", data: { text: "not to be seen" } } as const;
      assert.equal(
        await store.update(job.id, ["running", "failed"], { state: "succeeded" }, 2_000, [event]),
        undefined,
      );
      assert.equal(
        await store.update(jobId(999_999_999), JOB_STATES, { state: "succeeded" }, 2_000, [event]),
        undefined,
      );
      assert.deepEqual(await store.get(job.id), job);
      assert.equal((await store.events(job.id, 0, 10)).length, 1);
    });

    test("update changes nothing for a run of the job that is no longer the current one", async () => {
      const job = await create({ fedUntil: 31_000 });
      const write = (attempts: number, begun: number) =>
        store.update(job.id, ["running"], { attempts: begun }, 2_000, [{ type: "task", data: { begun } }], attempts);
      assert.equal(await write(1, 9), undefined);
      assert.equal((await write(0, 1))?.attempts, 1);
      assert.equal(await write(0, 9), undefined);
      assert.equal((await write(1, 2))?.attempts, 2);
      const begun = (await store.events(job.id, 0, 10)).map(({ data }) => data.begun);
      assert.deepEqual(begun, [undefined, 1, 2]);
    });

    test("of racing updates out of one state exactly one succeeds", async () => {
      const job = await create();
      const answers = await Promise.all(
        Array.from({ length: 16 }, (_, i) =>
          store.update(job.id, ["queued"], { state: "running", attempts: i }, 2_000, [{ type: "state", data: { i } }]),
        ),
      );
      const winners = answers.filter((answer) => answer !== undefined);
      assert.equal(winners.length, 1);
      assert.deepEqual(await store.get(job.id), winners[0]);
      const events = await store.events(job.id, 0, 100);
      assert.deepEqual(
        events.map((event) => event.data),
        [{ state: "queued" }, { i: winners[0]?.attempts }],
      );
    });

    test("a request to cancel is seen by the worker, and gone when the job is begun again", async () => {
      const job = await create();
      await store.update(job.id, ["queued"], { state: "running" }, 2_000);
      await store.update(job.id, ["running"], { cancelRequested: true }, 3_000);
      assert.equal((await store.get(job.id))?.cancelRequested, true);
      await store.update(job.id, ["running"], { state: "cancelled", cancelRequested: false }, 4_000);
      assert.equal((await store.get(job.id))?.cancelRequested, false);
    });

    test("events are paged in order of seq, with what was given, and only the job's own", async () => {
      const [job, other] = [await create(), await create()];
      await store.update(job.id, ["queued"], { state: "running" }, 2_000, [
        { type: "note", data: { text: AWKWARD } },
        { type: "state", data: { state: "running" } },
      ]);
      await store.update(other.id, ["queued"], { attempts: 1 }, 2_500, [{ type: "task", data: { name: "x" } }]);
      await store.update(job.id, ["running"], {}, 3_000, [{ type: "task", data: { name: "receive", percent: 1.5 } }]);
      const all = await store.events(job.id, 0, 10);
      assert.deepEqual(
        all.map(({ jobId: id, at, type, data }) => ({ id, at, type, data })),
        [
          { id: job.id, at: 1_000, type: "state", data: { state: "queued" } },
          { id: job.id, at: 2_000, type: "note", data: { text: AWKWARD } },
          { id: job.id, at: 2_000, type: "state", data: { state: "running" } },
          { id: job.id, at: 3_000, type: "task", data: { name: "receive", percent: 1.5 } },
        ],
      );
      assert.ok(all.every((event, i) => i === 0 || event.seq > (all[i - 1]?.seq ?? 0)));
      const second = all[1]?.seq ?? 0;
      assert.deepEqual(await store.events(job.id, second, 10), all.slice(2));
      assert.deepEqual(await store.events(job.id, 0, 2), all.slice(0, 2));
      assert.deepEqual(await store.events(job.id, all[3]?.seq ?? 0, 10), []);
    });

    test("a reader that continues from the last seq it saw misses no event of concurrent updates", async () => {
      const job = await create();
      const writes = Array.from({ length: 40 }, (_, i) =>
        store.update(job.id, ["queued"], { attempts: i }, 2_000, [{ type: "task", data: { i } }]),
      );
      let written = false;
      const writing = Promise.all(writes).finally(() => {
        written = true;
      });
      const seen: unknown[] = [];
      for (let seq = 0, last = false; !last; ) {
        last = written;
        for (const event of await store.events(job.id, seq, 7)) {
          seq = event.seq;
          last = false;
          seen.push(event.data.i);
        }
      }
      await writing;
      assert.deepEqual(
        seen.filter((i) => i !== undefined).sort((a, b) => Number(a) - Number(b)),
        Array.from({ length: 40 }, (_, i) => i),
      );
    });

    test("list answers every combination of filters, newest first, in pages that neither repeat nor skip", async () => {
      const mine: Job[] = [];
      for (let i = 0; i < 60; i++) {
        const job = await create({ owner: `lister-${i % 2}`, kind: `list-${i % 3}` });
        const state = JOB_STATES[i % JOB_STATES.length] as JobState;
        mine.push((await store.update(job.id, ["queued"], { state }, 2_000)) ?? job);
      }
      // The oracle: filtering the whole history in memory, page by page.
      const everything = await store.list({ limit: 100_000 });
      assert.equal(everything.length, (await Promise.all(everything.map((job) => store.get(job.id)))).length);
      assert.ok(everything.every((job, i) => i === 0 || job.id < (everything[i - 1]?.id ?? 0)));
      assert.deepEqual(everything.slice(0, 60), mine.toReversed());

      const states: readonly (readonly JobState[] | undefined)[] = [
        undefined,
        ["queued"],
        ["failed", "running"],
        JOB_STATES,
        [],
      ];
      for (const wanted of states)
        for (const kind of [undefined, "list-1", "no-such-kind"])
          for (const owner of [undefined, "lister-0", "nobody"]) {
            const filter = {
              limit: 7,
              ...(wanted && { states: wanted }),
              ...(kind && { kind }),
              ...(owner && { owner }),
            } satisfies JobFilter;
            const expected = everything.filter(
              (job) =>
                (wanted?.includes(job.state) ?? true) &&
                (!kind || job.kind === kind) &&
                (!owner || job.owner === owner),
            );
            assert.deepEqual(await pages(store, filter), expected, JSON.stringify(filter));
          }
    });

    test("countOpen counts queued and running jobs and no others", async () => {
      const base = await store.countOpen();
      for (const state of ["running", "succeeded", "failed", "cancelled"] as const)
        await store.update((await create()).id, ["queued"], { state }, 2_000);
      await create();
      assert.deepEqual(await store.countOpen(), { queued: base.queued + 1, running: base.running + 1 });
    });

    test("oldestQueued tells since when the oldest job of each lane is queued, and nothing of lanes that are empty", async () => {
      const queued = await pages(store, { states: ["queued"], limit: 100 });
      for (const { id } of queued) await store.update(id, ["queued"], { state: "cancelled" }, 1_000);
      assert.deepEqual(await store.oldestQueued(), {});
      const { id } = await create({ lane: "fast", now: 5_000 });
      await create({ lane: "fast", now: 7_000 });
      await create({ lane: "slow", now: 6_000 });
      assert.deepEqual(await store.oldestQueued(), { fast: 5_000, slow: 6_000 });
      await create({ lane: "fast", kind: "another", now: 8_000 });
      assert.deepEqual(await store.queuedKinds(), [
        { lane: "fast", kind: "another", jobs: 1, queuedAt: 8_000 },
        { lane: "fast", kind: "ingest", jobs: 2, queuedAt: 5_000 },
        { lane: "slow", kind: "ingest", jobs: 1, queuedAt: 6_000 },
      ]);
      await store.update(id, ["queued"], { state: "running" }, 9_000);
      assert.deepEqual(await store.oldestQueued(), { fast: 7_000, slow: 6_000 });
    });

    test("a job is part of what was going on when it was asked for, and its input is what it was", async () => {
      const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
      const [inside, outside] = await Promise.all([
        withinTrace(trace, () => create({ input: { path: "a" } })),
        create({ input: { path: "b" } }),
      ]);
      const [first, second] = [await store.get(inside.id), await store.get(outside.id)];
      assert.deepEqual([first?.trace, first?.input], [trace, { path: "a" }]);
      assert.deepEqual([second?.trace, second?.input], [undefined, { path: "b" }]);
    });

    test("listStarved finds running jobs whose time has come, the longest silent first, up to the limit", async () => {
      const now = opened.now();
      const fed = (untilMs: number) => create({ now, fedUntil: now + untilMs });
      const [late, early, done, living] = [
        await fed(-30_000),
        await fed(-40_000),
        await fed(-50_000),
        await fed(60_000),
      ];
      await store.update(done.id, ["running"], { state: "failed" }, 2_000);
      const found = async () => (await store.listStarved(opened.now(), 10)).map((job) => job.id);
      const silent = await found();
      assert.ok(silent.indexOf(early.id) >= 0 && silent.indexOf(early.id) < silent.indexOf(late.id));
      assert.ok(!silent.includes(done.id) && !silent.includes(living.id));
      assert.equal((await store.listStarved(opened.now(), 1)).length, 1);
      await store.update(late.id, ["running"], { fedUntil: opened.now() + 60_000 }, opened.now());
      assert.ok(!(await found()).includes(late.id), "it was heard of");
    });
  });
}

async function pages(store: JobStore, filter: JobFilter): Promise<readonly Job[]> {
  const all: Job[] = [];
  for (;;) {
    const last = all.at(-1);
    const page = await store.list({ ...filter, ...(last && { beforeId: last.id }) });
    all.push(...page);
    if (page.length < filter.limit) return all;
  }
}
