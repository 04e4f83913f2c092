import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { JobContext, JobHandler } from "../../../src/core/jobs/worker.ts";
import { pausable, whileRunning } from "../../../src/core/switches/pausable.ts";
import { switchService } from "../../../src/core/switches/switches.ts";
import { openJobs, request } from "../../support/jobs.ts";
import { until } from "../../support/until.ts";

async function open(t: TestContext, handlers: Readonly<Record<string, JobHandler>>) {
  const { stores, clock, another, passUntil } = await openJobs(t);
  const switches = switchService({ store: stores.switches, clock });
  return { switches, clock, passUntil, ...another(pausable(handlers, switches, clock)) };
}

const quick: JobHandler = { run: async () => ({}) };

test("jobs of a paused part wait without a trace, others run, and they run when it is resumed", async (t) => {
  const { switches, jobs, worker, reaches, passUntil, stores } = await open(t, { ingest: quick, crawl: quick });
  await switches.pause("ingest", "ada");
  const held = await jobs.submit(request({ kind: "ingest" }));
  worker();
  await reaches(await jobs.submit(request({ kind: "crawl" })), "succeeded");
  let looks = 0;
  await passUntil("it was looked at again", () => ++looks > 20);
  assert.deepEqual([(await jobs.get(held.id)).state, (await jobs.get(held.id)).attempts], ["queued", 0]);
  assert.equal((await jobs.events(held.id, 0, 10)).length, 1, "nothing but its beginning");
  await switches.resume("ingest");
  await passUntil("it is over", async () => (await jobs.get(held.id)).state === "succeeded");
  assert.deepEqual(await stores.queue.depth(), { fast: 0, slow: 0, run: 0 });
});

test("a kind of job that is no part's is held by the pause of everything alone", async (t) => {
  const { switches, jobs, worker, reaches, passUntil } = await open(t, { other: quick });
  for (const part of ["ingest", "crawls", "fixity"] as const) await switches.pause(part, "ada");
  worker();
  await reaches(await jobs.submit(request({ kind: "other" })), "succeeded");
  await switches.pause("all", "ada");
  const held = await jobs.submit(request({ kind: "other" }));
  let looks = 0;
  await passUntil("it was looked at again", () => ++looks > 20);
  assert.equal((await jobs.get(held.id)).state, "queued");
});

test("a job under way stops at its next step, and continues from its checkpoint; no attempt counts", async (t) => {
  const runs: JobContext[] = [];
  const { switches, jobs, worker, passUntil } = await open(t, {
    crawl: {
      async run(context) {
        runs.push(context);
        if (context.job.checkpoint.half) return { continued: true };
        await context.checkpoint({ half: true });
        await new Promise((resolve) => context.signal.addEventListener("abort", resolve));
        throw context.signal.reason;
      },
    },
  });
  const job = await jobs.submit(request({ kind: "crawl" }));
  worker();
  await until("it runs", () => runs.length === 1);
  await switches.pause("crawls", "ada");
  await passUntil("it is put off", async () => (await jobs.get(job.id)).state === "queued");
  assert.deepEqual([(await jobs.get(job.id)).attempts, (await jobs.get(job.id)).error], [0, null]);
  await switches.resume("crawls");
  await passUntil("it is over", async () => (await jobs.get(job.id)).state === "succeeded");
  assert.deepEqual([(await jobs.get(job.id)).result, (await jobs.get(job.id)).attempts], [{ continued: true }, 1]);
});

test("a job that meets a paused path at one of its items is put off, however often, and never given up", async (t) => {
  let looks = 0;
  const { switches, jobs, worker, passUntil } = await open(t, {
    "drop-look": {
      async run() {
        looks++;
        await switches.requireRunning("drops", "/srv/drop/a");
        return {};
      },
    },
  });
  await switches.pause("/srv/drop", "ada");
  const job = await jobs.submit(request({ kind: "drop-look" }));
  worker();
  await passUntil("it was begun more often than any job is tried", () => looks > 8);
  await switches.resume("/srv/drop");
  await passUntil("it is over", async () => (await jobs.get(job.id)).state === "succeeded");
});

test("a paused job can be cancelled, queued or put off", async (t) => {
  const cleaned: number[] = [];
  const { switches, jobs, worker, reaches } = await open(t, {
    ingest: {
      ...quick,
      async cleanUp({ id }) {
        cleaned.push(id);
      },
    },
  });
  await switches.pause("all", "ada");
  const job = await jobs.submit(request({ kind: "ingest" }));
  worker();
  await jobs.cancel(job.id, "ada");
  await reaches(job, "cancelled");
  await until("it is cleaned up after", () => cleaned.includes(job.id));
});

test("what begins work refuses while its part is paused, and goes on otherwise", async (t) => {
  const { switches } = await open(t, {});
  const order = whileRunning(switches, "packages", async (what: string) => `ordered ${what}`);
  assert.equal(await order("x"), "ordered x");
  await switches.pause("packages", "ada", "portal is down");
  await assert.rejects(order("x"), { code: "paused", details: { switch: "packages", reason: "portal is down" } });
});
