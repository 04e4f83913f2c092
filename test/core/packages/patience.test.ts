import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { AppError, type Details } from "../../../src/core/errors.ts";
import { type JobContext, PutOff } from "../../../src/core/jobs/worker.ts";
import { PATIENCE_MS, patiently } from "../../../src/core/packages/patience.ts";

/** One attempt after another on a job, as the worker makes them: each gets what the one before has left. */
function attempts() {
  let checkpoint: Details = {};
  let time = 1_000_000;
  const clock = { now: () => time, sleep: () => Promise.reject(new Error("nobody sleeps here")) };
  const stop = new AbortController();
  return {
    stop,
    clock,
    pass: (ms: number) => {
      time += ms;
    },
    saved: () => checkpoint,
    async attempt(work: (context: JobContext) => Promise<unknown>): Promise<unknown> {
      const context = {
        job: { checkpoint },
        signal: stop.signal,
        async checkpoint(data: Details) {
          checkpoint = JSON.parse(JSON.stringify(data));
        },
      } as unknown as JobContext;
      return patiently(context, clock, work).catch((error: unknown) => error);
    },
  };
}

const busy = () => Promise.reject(new AppError("portal_busy", { portal: "https://p", status: 503, found: "no" }));

describe("a portal that is busy", () => {
  test("is waited for with pauses that grow, and given up with the reason after two hours", async () => {
    const job = attempts();
    const pauses: number[] = [];
    for (let waited = 0; waited < PATIENCE_MS; ) {
      const found = await job.attempt(busy);
      assert.ok(found instanceof PutOff, `after ${waited} ms: ${found}`);
      pauses.push(found.pauseMs);
      waited += found.pauseMs;
      job.pass(found.pauseMs);
    }
    assert.deepEqual(pauses.slice(0, 5), [1_000, 1_000, 2_000, 4_000, 8_000]);
    assert.equal(Math.max(...pauses), 300_000);
    const found = await job.attempt(busy);
    assert.ok(found instanceof AppError && found.code === "portal_refused", String(found));
    assert.match(found.message, /status: 503.*portal_busy for 12\d minutes/);
    assert.equal(found.retryable, false);
  });

  test("has all the time again once more of the package was saved", async () => {
    const job = attempts();
    await job.attempt(busy);
    job.pass(PATIENCE_MS + 1);
    const found = await job.attempt(async (context) => {
      await context.checkpoint({ rowCount: 5 });
      await busy();
    });
    assert.ok(found instanceof PutOff);
    assert.deepEqual(job.saved(), { rowCount: 5, troubleSince: job.clock.now() });
  });

  test("is not waited for by a job that is to stop, nor is any other trouble", async () => {
    const job = attempts();
    const full = new AppError("storage_full", {});
    assert.equal(await job.attempt(() => Promise.reject(full)), full);
    assert.equal(await job.attempt(() => Promise.resolve("made")), "made");
    job.stop.abort();
    const found = await job.attempt(busy);
    assert.ok(found instanceof AppError && found.code === "portal_busy");
    assert.deepEqual(job.saved(), {});
  });
});
