import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { AppError } from "../../../src/core/errors.ts";
import { jobId } from "../../../src/core/ids.ts";
import type { FedJob } from "../../../src/core/jobs/fed-job.ts";
import type { Job } from "../../../src/core/jobs/job.ts";
import type { Jobs } from "../../../src/core/jobs/jobs.ts";
import { openJobs, request } from "../../support/jobs.ts";
import { until } from "../../support/until.ts";

/** Longer than a feeding request may be silent. */
const SILENCE_MS = 31_000;
const interrupted = () => new AppError("upload_interrupted");

async function fed(jobs: Jobs, key?: string): Promise<FedJob> {
  const feeding = await jobs.feed(request(key === undefined ? {} : { idempotencyKey: key }));
  assert.ok(!("earlier" in feeding), "expected a new job");
  return feeding;
}

async function earlier(jobs: Jobs, key: string): Promise<Job> {
  const feeding = await jobs.feed(request({ idempotencyKey: key }));
  assert.ok("earlier" in feeding, "expected the earlier job");
  return feeding.earlier;
}

/** Handlers that note what they are asked. */
async function noting(t: TestContext) {
  const runs: Job[] = [];
  const cleaned: Job[] = [];
  const fixture = await openJobs(t, {
    work: {
      async run({ job }) {
        runs.push(job);
        if (job.checkpoint.received === undefined) throw interrupted();
        return {};
      },
      async cleanUp(job) {
        cleaned.push(job);
      },
    },
  });
  return { ...fixture, runs, cleaned };
}

test("a fed job runs from the start, is handed to a worker with its checkpoint, and succeeds there", async (t) => {
  const { jobs, runs, worker, reaches } = await noting(t);
  worker();
  const feeding = await fed(jobs);
  assert.equal(feeding.job.state, "running");
  await feeding.tasks.begin("receive", { bytes: 10 });
  feeding.tasks.advance({ bytes: 10 });
  assert.equal(runs.length, 0);
  const queued = await feeding.handOver({ received: 10 });
  assert.deepEqual([queued.state, queued.fedUntil, queued.tasks[0]?.percent], ["queued", null, 100]);
  const done = await reaches(feeding.job, "succeeded");
  assert.deepEqual([runs[0]?.checkpoint, done.attempts], [{ received: 10 }, 1]);
});

test("a fed job whose input is unusable fails with the reason, after what it left was removed", async (t) => {
  const { jobs, cleaned } = await noting(t);
  const feeding = await fed(jobs);
  await feeding.tasks.begin("receive", { bytes: 10 });
  const failed = await feeding.fail(new AppError("bundle_not_tar"), true);
  assert.deepEqual([failed.state, failed.error?.code, failed.fedUntil], ["failed", "bundle_not_tar", null]);
  assert.ok((failed.tasks[0]?.percent ?? 100) < 100);
  // Still running when it was cleaned: a process that dies in between leaves a job that is cleaned again.
  assert.deepEqual(
    cleaned.map(({ state }) => state),
    ["running"],
  );
});

test("a request that is alive keeps its job for as long as it takes, however slow its bytes are", async (t) => {
  const { jobs, clock, worker, runs } = await noting(t);
  worker();
  const feeding = await fed(jobs);
  for (let i = 0; i < 120; i++) {
    clock.pass(5_000);
    const { fedUntil } = await jobs.get(feeding.job.id);
    await until("the beat", async () => ((await jobs.get(feeding.job.id)).fedUntil ?? 0) >= clock.now() + 25_000);
    assert.ok(fedUntil !== null);
  }
  assert.equal((await feeding.handOver({ received: 1 })).state, "queued");
  assert.equal(runs.length, 0);
});

test("a job whose request died with its process is adopted by a worker, ended and cleaned up after", async (t) => {
  const fixture = await noting(t);
  const { stores, clock, reaches, cleaned, passUntil, jobs } = fixture;
  // As a dead process leaves it: a running job that nobody beats for.
  const asked = { kind: "work", lane: "fast", owner: "ada", input: {}, idempotencyKey: null } as const;
  const times = { now: clock.now(), fedUntil: clock.now() + 30_000 };
  const { job } = await stores.jobs.create({ id: jobId(4711), ...asked, ...times });
  fixture.worker();
  await passUntil("the job is adopted", async () => (await jobs.get(job.id)).state === "failed");
  const failed = await reaches(job, "failed");
  assert.equal(failed.error?.code, "upload_interrupted");
  assert.ok(clock.now() >= job.createdAt + 30_000, "not before the request had been silent for long enough");
  await until("it is cleaned up after", () => cleaned.some(({ id }) => id === job.id));
});

test("a request that comes back to life after its job was taken over changes nothing any more", async (t) => {
  const { jobs, clock, another, cleaned, worker, reaches } = await noting(t);
  const feeding = await fed(jobs);
  // Its process hangs: nothing beats while the other process's time passes.
  const other = another();
  await other.stores.jobs.update(feeding.job.id, ["running"], { fedUntil: clock.now() - 1 }, clock.now());
  assert.equal(await other.jobs.adoptStarved(), 1);
  clock.pass(5_000);
  await until("it is told", () => feeding.signal.aborted);
  assert.equal(feeding.signal.reason.code, "upload_interrupted");
  await assert.rejects(feeding.handOver({ received: 1 }), { code: "job_state_conflict" });

  worker();
  const failed = await reaches(feeding.job, "failed");
  const after = await feeding.fail(new AppError("bundle_not_tar"), true);
  assert.deepEqual([after.state, after.error?.code], ["failed", "upload_interrupted"]);
  assert.deepEqual(after, failed);
  assert.ok(cleaned.length > 0);
});

test("adopting takes a job only while no worker has begun it", async (t) => {
  const { jobs, clock, stores } = await noting(t);
  const feeding = await fed(jobs);
  const stale = { fedUntil: clock.now() - 1, attempts: 1 };
  await stores.jobs.update(feeding.job.id, ["running"], stale, clock.now());
  assert.equal(await jobs.adoptStarved(), 0);
  assert.equal((await jobs.get(feeding.job.id)).state, "running");
  await assert.rejects(feeding.handOver({}), { code: "job_state_conflict" });
});

test("a request is told at once when its job is to be cancelled here, and by its next beat when elsewhere", async (t) => {
  const { jobs, another, clock } = await noting(t);
  for (const where of ["here", "elsewhere"] as const) {
    const feeding = await fed(jobs);
    const asked = await (where === "here" ? jobs : another().jobs).cancel(feeding.job.id, "ada");
    assert.deepEqual([asked.state, asked.cancelRequested], ["running", true]);
    if (where === "elsewhere") {
      assert.equal(feeding.signal.aborted, false);
      clock.pass(5_000);
    }
    await until("the signal", () => feeding.signal.aborted);
    assert.equal(feeding.signal.reason.code, "job_cancelled");
    const cancelled = await feeding.fail(feeding.signal.reason, true);
    assert.deepEqual([cancelled.state, cancelled.error?.code], ["cancelled", "job_cancelled"]);
  }
});

test("a cancel that comes with the last byte is carried out by the worker", async (t) => {
  const stopped: unknown[] = [];
  const fixture = await openJobs(t, {
    work: {
      async run({ signal }) {
        stopped.push(signal.reason);
        signal.throwIfAborted();
        return {};
      },
    },
  });
  const feeding = await fed(fixture.jobs);
  await fixture.jobs.cancel(feeding.job.id, "ada");
  await feeding.handOver({ received: 1 });
  fixture.worker();
  const cancelled = await fixture.reaches(feeding.job, "cancelled");
  assert.equal(cancelled.cancelRequested, false);
  assert.equal((stopped[0] as AppError).code, "job_cancelled");
});

test("a repeated key gives the earlier job once it was received, and is refused while it is being received", async (t) => {
  const { jobs } = await noting(t);
  const feeding = await fed(jobs, "k");
  await assert.rejects(jobs.feed(request({ idempotencyKey: "k" })), { code: "idempotency_conflict" });
  await feeding.handOver({ received: 1 });
  assert.equal((await earlier(jobs, "k")).id, feeding.job.id);
});

test("the key of a bundle that was refused keeps its answer", async (t) => {
  const { jobs } = await noting(t);
  const feeding = await fed(jobs, "k");
  await feeding.fail(new AppError("bundle_not_tar"), true);
  assert.equal((await earlier(jobs, "k")).error?.code, "bundle_not_tar");
});

test("the key of a request that broke off, or that the server failed, is free for another try", async (t) => {
  const { jobs, worker, passUntil, stores, clock } = await noting(t);
  const broken = await fed(jobs, "k");
  await broken.fail(interrupted(), false);
  const refused = await fed(jobs, "k");
  await refused.fail(new AppError("storage_full"), false);
  const silent = await fed(jobs, "k");
  await stores.jobs.update(silent.job.id, ["running"], { fedUntil: clock.now() - SILENCE_MS }, clock.now());
  worker();
  await passUntil("the silent one is ended", async () => (await jobs.get(silent.job.id)).state === "failed");
  const last = await fed(jobs, "k");
  assert.equal(new Set([broken, refused, silent, last].map(({ job }) => job.id)).size, 4);
});

test("the key of a request that died is free as soon as its job is adopted, not only when that has ended", async (t) => {
  const { jobs, stores, clock } = await noting(t);
  const silent = await fed(jobs, "k");
  await stores.jobs.update(silent.job.id, ["running"], { fedUntil: clock.now() - SILENCE_MS }, clock.now());
  assert.equal(await jobs.adoptStarved(), 1);
  assert.notEqual((await fed(jobs, "k")).job.id, silent.job.id);
});

test("what was handed over is a worker's, also when the answer of the database was lost", async (t) => {
  const { jobs, stores, clock, cleaned, worker, reaches } = await noting(t);
  const feeding = await fed(jobs, "k");
  const written = { checkpoint: { received: 1 }, state: "queued", fedUntil: null } as const;
  await stores.jobs.update(feeding.job.id, ["running"], written, clock.now());
  const { state } = await feeding.fail(new AppError("database_unavailable"), false);
  assert.equal(state, "queued");
  assert.deepEqual(cleaned, [], "what it has staged is still there");
  assert.equal((await earlier(jobs, "k")).id, feeding.job.id);
  worker();
  await reaches(feeding.job, "succeeded");
});

test("of requests racing with the key of a broken one, one is fed and the others are refused", async (t) => {
  const { jobs } = await noting(t);
  await (await fed(jobs, "k")).fail(interrupted(), true);
  const tries = await Promise.allSettled(Array.from({ length: 8 }, () => jobs.feed(request({ idempotencyKey: "k" }))));
  const outcomes = tries.map((one) => (one.status === "fulfilled" ? "earlier" in one.value : one.reason.code));
  assert.deepEqual(outcomes.toSorted(), [...Array(1).fill(false), ...Array(7).fill("idempotency_conflict")].toSorted());
});
