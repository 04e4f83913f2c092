import assert from "node:assert/strict";
import { test } from "node:test";
import type { Job, JobState } from "../../../src/core/jobs/job.ts";
import type { JobHandler } from "../../../src/core/jobs/worker.ts";
import { type JobsFixture, openJobs, request } from "../../support/jobs.ts";

const NEVER: JobHandler = { run: () => new Promise(() => {}) };
const conflict = { code: "job_state_conflict" };

/** A job in each state, put there by the store itself. */
async function jobIn(state: JobState, { jobs, stores, clock }: JobsFixture): Promise<Job> {
  const job = await jobs.submit(request());
  const finishedAt = ["queued", "running"].includes(state) ? null : clock.now();
  await stores.jobs.update(job.id, ["queued"], { state, finishedAt, attempts: 1 }, clock.now());
  return jobs.get(job.id);
}

test("a submitted job is queued, and the same idempotency key of the same owner gives the earlier job", async (t) => {
  const { jobs } = await openJobs(t);
  const first = await jobs.submit(request({ idempotencyKey: "k" }));
  assert.equal(first.state, "queued");
  assert.equal((await jobs.submit(request({ idempotencyKey: "k" }))).id, first.id);
  assert.notEqual((await jobs.submit(request({ idempotencyKey: "k", owner: "bob" }))).id, first.id);
  assert.notEqual((await jobs.submit(request({ idempotencyKey: "l" }))).id, first.id);
  assert.notEqual((await jobs.submit(request())).id, first.id);
});

test("an unknown job is told from one that exists", async (t) => {
  const { jobs } = await openJobs(t);
  const { id } = await jobs.submit(request());
  const unknown = { code: "job_unknown" };
  const other = (id + 1) as typeof id;
  await assert.rejects(jobs.get(other), unknown);
  await assert.rejects(jobs.cancel(other, "ada"), unknown);
  await assert.rejects(jobs.retry(other, "ada"), unknown);
  await assert.rejects(jobs.setState(other, "failed", "ada", "why"), unknown);
});

test("a queued job is cancelled at once and cleaned up after, and no worker begins it", async (t) => {
  const cleaned: JobState[] = [];
  const runs: number[] = [];
  const fixture = await openJobs(t, {
    work: {
      run: async ({ job }) => {
        runs.push(job.id);
        return {};
      },
      cleanUp: async ({ state }) => {
        cleaned.push(state);
      },
    },
  });
  const job = await fixture.jobs.submit(request());
  const cancelled = await fixture.jobs.cancel(job.id, "ada");
  assert.deepEqual([cancelled.state, cancelled.error?.code], ["cancelled", "job_cancelled"]);
  assert.equal(cancelled.finishedAt, fixture.clock.now());
  assert.deepEqual(cleaned, ["cancelled"]);

  const later = await fixture.jobs.submit(request());
  fixture.worker();
  await fixture.reaches(later, "succeeded");
  assert.deepEqual(runs, [later.id]);
  assert.equal((await fixture.jobs.get(job.id)).state, "cancelled");
});

test("a queued job whose outcome is final already is not cancelled", async (t) => {
  const fixture = await openJobs(t, { work: { ...NEVER, committed: async () => true } });
  const job = await fixture.jobs.submit(request());
  await assert.rejects(fixture.jobs.cancel(job.id, "ada"), conflict);
  assert.equal((await fixture.jobs.get(job.id)).state, "queued");
});

test("a job that begins while it is being cancelled is asked to stop instead of being cancelled under its worker", async (t) => {
  const fixture: JobsFixture = await openJobs(t, {
    work: {
      ...NEVER,
      // Asked between the look at the job and the change: here a worker begins it.
      async committed(job) {
        await fixture.stores.jobs.update(job.id, ["queued"], { state: "running", attempts: 1 }, 0);
        return false;
      },
    },
  });
  const job = await fixture.jobs.submit(request());
  const asked = await fixture.jobs.cancel(job.id, "ada");
  assert.deepEqual([asked.state, asked.cancelRequested], ["running", true]);
});

test("only queued and running jobs can be cancelled, only failed and cancelled ones retried", async (t) => {
  const fixture = await openJobs(t);
  for (const state of ["succeeded", "failed", "cancelled"] as const) {
    const job = await jobIn(state, fixture);
    await assert.rejects(fixture.jobs.cancel(job.id, "ada"), { ...conflict, message: new RegExp(`found: ${state}`) });
  }
  for (const state of ["queued", "running", "succeeded"] as const) {
    const job = await jobIn(state, fixture);
    await assert.rejects(fixture.jobs.retry(job.id, "ada"), { ...conflict, message: new RegExp(`found: ${state}`) });
  }
});

test("a retried job is queued anew with a clean slate, and its history says who did it", async (t) => {
  let failing = true;
  const fixture = await openJobs(t, {
    work: {
      run: async () => {
        if (failing) throw new Error("defect");
        return { done: true };
      },
    },
  });
  const job = await fixture.jobs.submit(request());
  fixture.worker();
  await fixture.reaches(job, "failed");
  failing = false;
  const retried = await fixture.jobs.retry(job.id, "opal");
  assert.deepEqual([retried.state, retried.attempts, retried.error, retried.finishedAt], ["queued", 0, null, null]);
  const done = await fixture.reaches(job, "succeeded");
  assert.deepEqual([done.attempts, done.error, done.result], [1, null, { done: true }]);
  const notes = (await fixture.jobs.events(job.id, 0, 100)).filter(({ type }) => type === "note");
  assert.deepEqual(
    notes.map(({ data }) => data),
    [{ text: "retried", actor: "opal" }],
  );
});

test("a failed job whose means are gone is not retried", async (t) => {
  const fixture = await openJobs(t, { work: { ...NEVER, retryable: async () => false } });
  const job = await jobIn("failed", fixture);
  await assert.rejects(fixture.jobs.retry(job.id, "ada"), conflict);
  assert.equal((await fixture.jobs.get(job.id)).state, "failed");
});

test("an operator puts a job that no worker holds into any other state but running", async (t) => {
  const fixture = await openJobs(t);
  for (const from of ["queued", "succeeded", "failed", "cancelled"] as const)
    for (const to of ["queued", "running", "succeeded", "failed", "cancelled"] as const) {
      const job = await jobIn(from, fixture);
      const setting = fixture.jobs.setState(job.id, to, "opal", "because");
      if (to === from || to === "running") {
        await assert.rejects(setting, conflict, `${from} → ${to}`);
        continue;
      }
      const set = await setting;
      assert.deepEqual([set.state, set.finishedAt === null], [to, to === "queued"], `${from} → ${to}`);
      const history = (await fixture.jobs.events(job.id, 0, 100)).slice(-2).map(({ type, data }) => ({ type, data }));
      assert.deepEqual(history, [
        { type: "note", data: { text: "because", actor: "opal" } },
        { type: "state", data: { state: to } },
      ]);
    }
  const running = await jobIn("running", fixture);
  await assert.rejects(fixture.jobs.setState(running.id, "failed", "opal", "because"), conflict);
});

test("a job that is given a higher priority is begun before others, and its history says who did it", async (t) => {
  const begun: number[] = [];
  const fixture = await openJobs(t, {
    work: {
      async run({ job }) {
        begun.push(job.id);
        return {};
      },
    },
  });
  const [first, second, third] = [
    await jobIn("queued", fixture),
    await jobIn("queued", fixture),
    await jobIn("queued", fixture),
  ];
  assert.equal((await fixture.jobs.setPriority(third.id, 3, "opal")).priority, 3);
  await fixture.jobs.setPriority(first.id, -1, "opal");
  fixture.worker({ concurrency: { fast: 1 } });
  await fixture.reaches(first, "succeeded");
  assert.deepEqual(begun, [third.id, second.id, first.id]);
  const notes = (await fixture.jobs.events(third.id, 0, 100)).filter(({ type }) => type === "note");
  assert.deepEqual(notes[0]?.data, { text: "priority 3", actor: "opal" });
});

test("the priority of a running job is kept for when it is queued again, and a finished one has none to change", async (t) => {
  const fixture = await openJobs(t);
  const running = await jobIn("running", fixture);
  const changed = await fixture.jobs.setPriority(running.id, 5, "opal");
  assert.deepEqual([changed.state, changed.priority], ["running", 5]);
  for (const state of ["succeeded", "failed", "cancelled"] as const)
    await assert.rejects(fixture.jobs.setPriority((await jobIn(state, fixture)).id, 5, "opal"), conflict);
});

test("a job an operator queues again is begun by a worker", async (t) => {
  const fixture = await openJobs(t, { work: { run: async () => ({ ran: true }) } });
  const job = await jobIn("succeeded", fixture);
  fixture.worker();
  await fixture.jobs.setState(job.id, "queued", "opal", "once more");
  const done = await fixture.reaches(job, "succeeded");
  assert.deepEqual(done.result, { ran: true });
});
