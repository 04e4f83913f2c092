import assert from "node:assert/strict";
import { test } from "node:test";
import type { Job, JobEvent } from "../../../src/core/jobs/job.ts";
import type { JobNews, Jobs } from "../../../src/core/jobs/jobs.ts";
import { openJobs, request } from "../../support/jobs.ts";
import { until } from "../../support/until.ts";

/** Collects what a watcher sees, until it ends or is told to stop. */
function watching(jobs: Jobs, job: Job, afterSeq = 0) {
  const stop = new AbortController();
  const news: JobNews[] = [];
  const ended = (async () => {
    for await (const one of jobs.watch(job.id, afterSeq, stop.signal)) news.push(one);
  })();
  return {
    ended,
    stop: () => stop.abort(),
    events: (): JobEvent[] => news.flatMap((one) => (one.type === "event" ? [one.event] : [])),
    shown: (): Job[] => news.flatMap((one) => (one.type === "progress" ? [one.job] : [])),
  };
}

test("a watcher sees the history, then each change in order, and ends with the finished job", async (t) => {
  const { jobs } = await openJobs(t);
  const job = await jobs.submit(request());
  const watcher = watching(jobs, job);
  await until("the history", () => watcher.shown().length === 1);
  for (const task of ["receive", "metadata", "files"]) await jobs.change(job.id, ["queued"], {}, { task });
  await jobs.change(job.id, ["queued"], { state: "succeeded" });
  await watcher.ended;

  const events = watcher.events();
  assert.deepEqual(
    events.map(({ data }) => data.state ?? data.name),
    ["queued", "receive", "metadata", "files", "succeeded"],
  );
  assert.deepEqual(events, await jobs.events(job.id, 0, 100));
  assert.equal(watcher.shown().at(-1)?.state, "succeeded");
});

test("a watcher that continues from the last seq it saw misses no event and sees none twice", async (t) => {
  const { jobs } = await openJobs(t);
  const job = await jobs.submit(request());
  for (let i = 0; i < 10; i++) await jobs.change(job.id, ["queued"], {}, { text: `note ${i}` });
  await jobs.change(job.id, ["queued"], { state: "failed" });
  const all = await jobs.events(job.id, 0, 100);
  assert.equal(all.length, 12);
  for (const [i, { seq }] of all.entries()) {
    const watcher = watching(jobs, job, seq);
    await watcher.ended;
    assert.deepEqual(watcher.events(), all.slice(i + 1));
    assert.equal(watcher.shown().length, 1);
  }
});

test("a history of more events than one page is seen to its end", async (t) => {
  const { jobs, stores, clock } = await openJobs(t);
  const job = await jobs.submit(request());
  const notes = Array.from({ length: 2500 }, (_, i) => ({ type: "note", data: { text: `${i}` } }) as const);
  for (let at = 0; at < notes.length; at += 500)
    await stores.jobs.update(job.id, ["queued"], {}, clock.now(), notes.slice(at, at + 500));
  await jobs.change(job.id, ["queued"], { state: "succeeded" });
  const watcher = watching(jobs, job);
  await watcher.ended;
  assert.equal(watcher.events().length, 2502);
  assert.equal(watcher.events().at(-1)?.data.state, "succeeded");
});

test("a change within the same millisecond as the one before is shown", async (t) => {
  const { jobs } = await openJobs(t); // its clock stands still
  const job = await jobs.submit(request());
  const watcher = watching(jobs, job);
  await until("the job", () => watcher.shown().length === 1);
  await jobs.change(job.id, ["queued"], { checkpoint: { step: 1 } });
  await until("the change", () => watcher.shown().length === 2);
  await jobs.change(job.id, ["queued"], { state: "cancelled" });
  await watcher.ended;
  assert.equal(watcher.shown().at(-1)?.state, "cancelled");
});

test("changes made by another process are seen", async (t) => {
  const { jobs, another, passUntil } = await openJobs(t);
  const job = await jobs.submit(request());
  const watcher = watching(another().jobs, job);
  await until("the job", () => watcher.shown().length === 1);
  await jobs.change(job.id, ["queued"], { state: "succeeded" }, { text: "elsewhere" });
  let over = false;
  watcher.ended.then(() => {
    over = true;
  });
  await passUntil("the watcher ends", () => over);
  assert.deepEqual(
    watcher.events().map(({ data }) => data.text ?? data.state),
    ["queued", "elsewhere", "succeeded"],
  );
});

test("a watcher ends when it is told to, and one that is left early is forgotten", async (t) => {
  const { jobs } = await openJobs(t);
  const job = await jobs.submit(request());
  const watcher = watching(jobs, job);
  await until("the job", () => watcher.shown().length === 1);
  watcher.stop();
  await watcher.ended;
  for await (const _ of jobs.watch(job.id, 0, new AbortController().signal)) break;
  await jobs.change(job.id, ["queued"], { state: "succeeded" });
  assert.equal(watcher.shown().length, 1);
});

test("watching an unknown job fails", async (t) => {
  const { jobs } = await openJobs(t);
  const { id } = await jobs.submit(request());
  const watching = jobs.watch((id + 1) as typeof id, 0, new AbortController().signal);
  await assert.rejects(watching.next(), { code: "job_unknown" });
});
