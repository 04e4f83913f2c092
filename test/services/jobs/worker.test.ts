import assert from "node:assert/strict";
import { test } from "node:test";
import { AppError } from "../../../src/core/errors.ts";
import type { Job } from "../../../src/core/jobs/job.ts";
import type { JobQueue } from "../../../src/core/jobs/job-queue.ts";
import { type JobContext, type JobHandler, PutOff } from "../../../src/core/jobs/worker.ts";
import { LEASE_MS, openJobs, request } from "../../support/jobs.ts";
import { until } from "../../support/until.ts";

/** A handler that stays in the middle of its work until it is let go, or asked to stop. */
function held() {
  const contexts: JobContext[] = [];
  const cleaned: Job[] = [];
  const let_go = Promise.withResolvers<void>();
  const handler: JobHandler = {
    async run(context) {
      contexts.push(context);
      const stopped = new Promise<void>((resolve) => {
        context.signal.addEventListener("abort", () => resolve());
        if (context.signal.aborted) resolve();
      });
      await Promise.race([let_go.promise, stopped]);
      context.signal.throwIfAborted();
      return { by: context.job.attempts };
    },
    async cleanUp(job) {
      cleaned.push(job);
    },
  };
  return { handlers: { work: handler }, contexts, cleaned, letGo: () => let_go.resolve() };
}

/** A queue whose heartbeats do not arrive, as those of a process that hangs. */
const silent = (queue: JobQueue): JobQueue => ({ ...queue, heartbeat: async (deliveries) => deliveries });

test("a worker runs a job to its result and leaves its lane free for the next", async (t) => {
  const ended: Job[] = [];
  const fixture = await openJobs(t, { work: { run: async ({ job }) => ({ of: job.id }) } });
  const submitted = await Promise.all(Array.from({ length: 20 }, () => fixture.jobs.submit(request())));
  fixture.worker({ onJobEnd: (job) => ended.push(job) });
  for (const job of submitted) {
    const done = await fixture.reaches(job, "succeeded");
    assert.deepEqual([done.result, done.attempts, done.error], [{ of: job.id }, 1, null]);
    assert.equal(done.finishedAt, fixture.clock.now());
  }
  await until("all are reported", () => ended.length === 20);
  assert.deepEqual(await fixture.stores.queue.depth(), { fast: 0, slow: 0, run: 0 });
});

test("no lane runs more jobs at a time than it is allowed, and a full one does not hold up the other", async (t) => {
  const { handlers, contexts, letGo } = held();
  const fixture = await openJobs(t, handlers);
  for (const lane of ["fast", "slow"] as const)
    for (let i = 0; i < 5; i++) await fixture.jobs.submit(request({ lane }));
  fixture.worker({ concurrency: { fast: 2, slow: 1 } });
  const running = (lane: string) => contexts.filter(({ job }) => job.lane === lane).length;
  await until("both lanes are full", () => running("fast") === 2 && running("slow") === 1);
  fixture.clock.pass(LEASE_MS / 4);
  assert.deepEqual([running("fast"), running("slow")], [2, 1]);
  letGo();
  await until("all have run", () => contexts.length === 10);
});

test("a job that meets something unavailable is tried again with growing pauses, and given up after eight attempts", async (t) => {
  const triedAt: number[] = [];
  const fixture = await openJobs(t, {
    work: {
      async run() {
        triedAt.push(fixture.clock.now());
        throw new AppError("storage_unavailable");
      },
    },
  });
  const job = await fixture.jobs.submit(request());
  fixture.worker();
  await until("the first try is over", async () => (await fixture.jobs.get(job.id)).attempts === 1);
  const waiting = await fixture.reaches(job, "queued");
  assert.equal(waiting.error?.code, "storage_unavailable");
  await fixture.passUntil("it is given up", async () => (await fixture.jobs.get(job.id)).state === "failed");
  const failed = await fixture.jobs.get(job.id);
  assert.deepEqual([failed.attempts, failed.error?.code], [8, "storage_unavailable"]);
  const pauses = triedAt.slice(1).map((at, i) => at - (triedAt[i] ?? 0));
  for (const [i, pause] of pauses.entries())
    assert.ok(pause >= Math.min(60_000, 1000 * 2 ** i), `pause ${i} was ${pause} ms`);
  assert.equal(pauses.length, 7);
});

test("a job whose workers die is given up after eight attempts, whatever it was doing", async (t) => {
  let runs = 0;
  const fixture = await openJobs(t, {
    work: {
      run: async () => {
        runs++;
        return {};
      },
    },
  });
  const job = await fixture.jobs.submit(request());
  await fixture.stores.jobs.update(job.id, ["queued"], { attempts: 8 }, fixture.clock.now());
  fixture.worker();
  const failed = await fixture.reaches(job, "failed");
  assert.deepEqual([failed.error?.code, runs], ["job_attempts_exhausted", 0]);
});

test("whatever a handler throws ends its job, without its text when it is a defect", async (t) => {
  const thrown: unknown[] = [new Error("secret path"), "text", undefined, null, { code: "storage_full" }, 0];
  const fixture = await openJobs(t, {
    work: {
      async run({ job }) {
        throw thrown[Number(job.input.i)];
      },
    },
  });
  fixture.worker();
  for (const i of thrown.keys()) {
    const failed = await fixture.reaches(await fixture.jobs.submit(request({ input: { i } })), "failed");
    assert.deepEqual([failed.error?.code, failed.error?.details], ["internal", {}]);
    assert.doesNotMatch(failed.error?.message ?? "", /secret/);
  }
  assert.deepEqual(fixture.troubles, thrown);
});

test("a job of a kind that a worker does not know waits for one that does, and keeps no other waiting", async (t) => {
  const fixture = await openJobs(t, { work: { run: async () => ({}) } });
  fixture.worker({ concurrency: { fast: 1 } });
  const riddle = await fixture.jobs.submit(request({ kind: "riddle" }));
  await fixture.reaches(await fixture.jobs.submit(request()), "succeeded");
  assert.deepEqual((await fixture.jobs.get(riddle.id)).attempts, 0);
  fixture.another({ riddle: { run: async () => ({ answer: 42 }) } }).worker();
  assert.deepEqual((await fixture.reaches(riddle, "succeeded")).result, { answer: 42 });
});

test("a failed job is cleaned up after, again by another worker when the first clean-up does not work", async (t) => {
  const cleaned: Job[] = [];
  const fixture = await openJobs(t, {
    work: {
      async run() {
        throw new AppError("bundle_empty");
      },
      async cleanUp(job) {
        cleaned.push(job);
        if (cleaned.length === 1) throw new AppError("storage_unavailable");
      },
    },
  });
  const job = await fixture.jobs.submit(request());
  fixture.worker();
  await fixture.passUntil("it is cleaned twice", () => cleaned.length === 2);
  assert.deepEqual(
    cleaned.map(({ state, error }) => [state, error?.code]),
    [
      ["failed", "bundle_empty"],
      ["failed", "bundle_empty"],
    ],
  );
  await until("the queue is empty", async () => (await fixture.stores.queue.depth()).fast === 0);
  assert.equal((await fixture.jobs.get(job.id)).attempts, 1);
});

test("a running job is cancelled at its next step: at once here, by the next heartbeat elsewhere", async (t) => {
  for (const where of ["here", "elsewhere"] as const) {
    const { handlers, contexts, cleaned } = held();
    const fixture = await openJobs(t, handlers);
    const job = await fixture.jobs.submit(request());
    fixture.worker();
    await until("it runs", () => contexts.length === 1);
    await (where === "here" ? fixture.jobs : fixture.another().jobs).cancel(job.id, "ada");
    if (where === "elsewhere") fixture.clock.pass(LEASE_MS / 4);
    const cancelled = await fixture.reaches(job, "cancelled");
    assert.deepEqual([cancelled.error?.code, cancelled.cancelRequested], ["job_cancelled", false]);
    await until("it is cleaned up after", () => cleaned.length === 1);
    assert.equal((await fixture.jobs.retry(job.id, "ada")).state, "queued");
  }
});

test("a job that is asked to stop when it is too late for that succeeds", async (t) => {
  const begun = Promise.withResolvers<void>();
  const asked = Promise.withResolvers<void>();
  const fixture = await openJobs(t, {
    work: {
      async run() {
        begun.resolve();
        await asked.promise;
        return { published: true };
      },
    },
  });
  const job = await fixture.jobs.submit(request());
  fixture.worker();
  await begun.promise;
  await fixture.jobs.cancel(job.id, "ada");
  asked.resolve();
  const done = await fixture.reaches(job, "succeeded");
  assert.deepEqual([done.cancelRequested, done.result], [false, { published: true }]);
});

test("a job to be cancelled does not wait for what is unavailable", async (t) => {
  let runs = 0;
  const begun = Promise.withResolvers<void>();
  const asked = Promise.withResolvers<void>();
  const fixture = await openJobs(t, {
    work: {
      async run({ signal }) {
        signal.throwIfAborted();
        runs++;
        begun.resolve();
        await asked.promise;
        throw new AppError("remote_unavailable");
      },
    },
  });
  const job = await fixture.jobs.submit(request());
  fixture.worker();
  await begun.promise;
  await fixture.jobs.cancel(job.id, "ada");
  asked.resolve();
  await fixture.reaches(job, "cancelled"); // the clock stands still: a pause would never end
  assert.equal(runs, 1);
});

test("a worker that is stopped gives its jobs back, and their attempt does not count", async (t) => {
  const { handlers, contexts, letGo } = held();
  const fixture = await openJobs(t, handlers);
  const job = await fixture.jobs.submit(request());
  const first = fixture.worker();
  await until("it runs", () => contexts.length === 1);
  await contexts[0]?.checkpoint({ half: true });
  await first.stop();
  const back = await fixture.jobs.get(job.id);
  assert.deepEqual([back.state, back.attempts, back.error], ["queued", 0, null]);
  letGo();
  fixture.worker();
  const done = await fixture.reaches(job, "succeeded");
  assert.deepEqual([done.result, contexts[1]?.job.checkpoint], [{ by: 1 }, { half: true }]);
});

test("a job that only waits is put off: others have its place meanwhile, and its attempt does not count", async (t) => {
  let isThere = false;
  let looks = 0;
  const fixture = await openJobs(t, {
    wait: {
      async run({ checkpoint }) {
        looks++;
        await checkpoint({ looks });
        if (!isThere) throw new PutOff(60_000);
        return {};
      },
    },
    work: { run: async () => ({}) },
  });
  const waiting = await fixture.jobs.submit(request({ kind: "wait" }));
  fixture.worker({ concurrency: { fast: 1, slow: 1 } });
  await until("it is put off", async () => looks === 1 && (await fixture.jobs.get(waiting.id)).state === "queued");
  assert.deepEqual(
    [(await fixture.jobs.get(waiting.id)).attempts, (await fixture.jobs.get(waiting.id)).error],
    [0, null],
  );
  await fixture.reaches(await fixture.jobs.submit(request()), "succeeded");
  for (let n = 2; n <= 20; n++) {
    fixture.clock.pass(59_999);
    assert.equal(looks, n - 1);
    fixture.clock.pass(1);
    await until("it looks again", () => looks === n);
    await until("it is put off", async () => (await fixture.jobs.get(waiting.id)).state === "queued");
  }
  isThere = true;
  fixture.clock.pass(60_000);
  const done = await fixture.reaches(waiting, "succeeded");
  assert.deepEqual(done.checkpoint, { looks: 21 });
});

test("stopping waits for a job that finishes regardless, and claims nothing new", async (t) => {
  const begun = Promise.withResolvers<void>();
  const finish = Promise.withResolvers<void>();
  const fixture = await openJobs(t, {
    work: {
      async run() {
        begun.resolve();
        await finish.promise;
        return {};
      },
    },
  });
  const job = await fixture.jobs.submit(request());
  const worker = fixture.worker();
  await begun.promise;
  let stopped = false;
  const stopping = worker.stop().then(() => {
    stopped = true;
  });
  const next = await fixture.jobs.submit(request());
  assert.equal(stopped, false);
  finish.resolve();
  await stopping;
  assert.equal((await fixture.jobs.get(job.id)).state, "succeeded");
  assert.equal((await fixture.jobs.get(next.id)).state, "queued");
});

test("a dead worker's job is taken over when its lease is over and continues from the checkpoint", async (t) => {
  const { handlers, contexts, letGo } = held();
  const fixture = await openJobs(t, handlers);
  const { stores, jobs, clock } = fixture;
  const job = await jobs.submit(request());
  // As a killed process leaves it: claimed and begun, and nobody there.
  await stores.queue.claim("dead", "fast", 1);
  await jobs.change(job.id, ["queued"], { state: "running", attempts: 1, checkpoint: { at: 7 } });
  letGo();
  fixture.worker();
  const died = clock.now();
  await fixture.passUntil("it is taken over", () => contexts.length === 1);
  assert.ok(clock.now() - died >= LEASE_MS);
  assert.ok(clock.now() - died <= 2 * LEASE_MS, `taken over after ${clock.now() - died} ms`);
  const done = await fixture.reaches(job, "succeeded");
  assert.deepEqual([done.attempts, contexts[0]?.job.checkpoint], [2, { at: 7 }]);
});

test("a worker that hung until its job was taken over stops, and changes nothing of it", async (t) => {
  const first = held();
  const second = held();
  const fixture = await openJobs(t, first.handlers);
  const other = fixture.another(second.handlers);
  const job = await fixture.jobs.submit(request());
  const hanging = fixture.worker({ queue: silent(fixture.stores.queue), concurrency: { fast: 1, slow: 0 } });
  await until("the first runs it", () => first.contexts.length === 1);
  other.worker();
  await fixture.passUntil("the second runs it", () => second.contexts.length === 1);
  const taken = await fixture.jobs.get(job.id);
  assert.equal(taken.attempts, 2);

  const [stale] = first.contexts;
  assert.ok(stale);
  await assert.rejects(stale.checkpoint({ wrong: true }), /taken the job over/);
  await assert.rejects(stale.tasks.begin("wrong"), /taken the job over/);
  assert.equal(stale.signal.aborted, true);
  await hanging.stop();
  const { updatedAt: _, ...now } = await fixture.jobs.get(job.id);
  const { updatedAt: __, ...then } = taken;
  assert.deepEqual(now, then);
  assert.deepEqual([first.cleaned, fixture.troubles], [[], []]);

  second.letGo();
  assert.deepEqual((await fixture.reaches(job, "succeeded")).result, { by: 2 });
});

test("a worker whose heartbeats failed for too long stops the job as soon as one arrives", async (t) => {
  const first = held();
  const second = held();
  const fixture = await openJobs(t, first.handlers);
  const { queue } = fixture.stores;
  const job = await fixture.jobs.submit(request());
  let failing = true;
  fixture.worker({
    concurrency: { fast: 1, slow: 0 },
    queue: {
      ...queue,
      heartbeat: async (deliveries) => {
        if (failing) throw new AppError("database_unavailable");
        return queue.heartbeat(deliveries);
      },
    },
  });
  await until("the first runs it", () => first.contexts.length === 1);
  fixture.another(second.handlers).worker();
  await fixture.passUntil("the second runs it", () => second.contexts.length === 1);
  assert.equal(first.contexts[0]?.signal.aborted, false);
  failing = false;
  await fixture.passUntil("the first is told", () => first.contexts[0]?.signal.aborted === true);
  second.letGo();
  assert.deepEqual((await fixture.reaches(job, "succeeded")).result, { by: 2 });
});

test("a worker whose lease was lost does not end the job, whether its handler succeeds or fails", async (t) => {
  for (const outcome of ["succeeds", "fails", "is cancelled"] as const) {
    const begun = Promise.withResolvers<void>();
    const finish = Promise.withResolvers<void>();
    const cleaned: Job[] = [];
    const second = held();
    const fixture = await openJobs(t, {
      work: {
        async run() {
          begun.resolve();
          await finish.promise;
          if (outcome === "fails") throw new AppError("object_missing");
          if (outcome === "is cancelled") throw new AppError("job_cancelled");
          return { wrong: true };
        },
        async cleanUp(job) {
          cleaned.push(job);
        },
      },
    });
    const other = fixture.another(second.handlers);
    const job = await fixture.jobs.submit(request());
    const hanging = fixture.worker({ queue: silent(fixture.stores.queue), concurrency: { fast: 1, slow: 0 } });
    await begun.promise;
    other.worker();
    await fixture.passUntil("the second runs it", () => second.contexts.length === 1);
    finish.resolve();
    await hanging.stop();
    const taken = await fixture.jobs.get(job.id);
    assert.deepEqual([taken.state, taken.attempts, taken.result], ["running", 2, {}], outcome);
    assert.deepEqual(cleaned, [], outcome);
    second.letGo();
    assert.deepEqual((await fixture.reaches(job, "succeeded")).result, { by: 2 });
  }
});

test("a worker keeps the lease of a long job for as long as it lives", async (t) => {
  const { handlers, contexts, letGo } = held();
  const fixture = await openJobs(t, handlers);
  const other = fixture.another();
  const { queue } = fixture.stores;
  let beats = 0;
  const job = await fixture.jobs.submit(request());
  fixture.worker({
    queue: {
      ...queue,
      heartbeat: (deliveries) => queue.heartbeat(deliveries).finally(() => beats++),
    },
  });
  await until("it runs", () => contexts.length === 1);
  other.worker();
  for (let beat = 1; beat <= 40; beat++) {
    fixture.clock.pass(LEASE_MS / 4);
    await until("the beat", () => beats === beat);
  }
  letGo();
  assert.equal((await fixture.reaches(job, "succeeded")).attempts, 1);
  assert.equal(contexts.length, 1);
});

test("two workers on one database share the jobs, and none is run twice", async (t) => {
  const runs = new Map<number, number>();
  const handlers = (mine: number[]) => ({
    work: {
      async run({ job }: JobContext) {
        runs.set(job.id, (runs.get(job.id) ?? 0) + 1);
        mine.push(job.id);
        await new Promise(setImmediate);
        return {};
      },
    },
  });
  const here: number[] = [];
  const there: number[] = [];
  const fixture = await openJobs(t, handlers(here));
  const other = fixture.another(handlers(there));
  fixture.worker();
  other.worker();
  const submitted: Job[] = [];
  for (let i = 0; i < 100; i++) submitted.push(await (i % 2 ? fixture : other).jobs.submit(request()));
  for (const job of submitted) await fixture.reaches(job, "succeeded");
  assert.deepEqual([...runs.values()], Array(100).fill(1));
  assert.ok(here.length > 0 && there.length > 0, `${here.length} here, ${there.length} there`);
});

test("a queue that fails for a while is trouble, and the jobs are run when it answers again", async (t) => {
  const fixture = await openJobs(t, { work: { run: async () => ({}) } });
  let failing = true;
  const { queue } = fixture.stores;
  const failed = new AppError("database_unavailable");
  fixture.worker({
    queue: {
      ...queue,
      claim: async (...args) => {
        if (failing) throw failed;
        return queue.claim(...args);
      },
    },
  });
  const job = await fixture.jobs.submit(request());
  await until("the trouble is reported", () => fixture.troubles.includes(failed));
  failing = false;
  await fixture.passUntil("it is run", async () => (await fixture.jobs.get(job.id)).state === "succeeded");
});
