import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { systemClock } from "../../../src/adapters/system-clock.ts";
import type { ObjectStorage } from "../../../src/core/archive/object-storage.ts";
import type { Clock } from "../../../src/core/clock.ts";
import { AppError } from "../../../src/core/errors.ts";
import type { Job } from "../../../src/core/jobs/job.ts";
import { bundleTar, declared, TRANSACTION } from "../../support/bundles.ts";
import { type Fault, type FaultyStorage, faultyStorage } from "../../support/faulty-storage.ts";
import { type IngestFixture, openIngest } from "../../support/ingest.ts";
import { chunked } from "../../support/tars.ts";
import { until } from "../../support/until.ts";

const FILES = { "data/a.txt": "hello", "data/b/c.txt": "world" };
const AT_ONCE = 3;

/** Ten times as fast as the machine's own: pauses and leases are over before anybody falls asleep. */
const hastyClock: Clock = {
  now: () => systemClock.now() * 10,
  sleep: (ms, signal) => systemClock.sleep(ms / 10, signal),
};

/** One file's digest is computed later, one member is not listed. */
const GOOD = await bundleTar(
  { ...FILES, "data/unlisted": "x" },
  {
    metadata: () => [
      ...TRANSACTION,
      declared("data/a.txt", "hello", { hashtype: "md5" }),
      declared("data/b/c.txt", "world"),
    ],
  },
);
const REFUSED_EARLY = GOOD.subarray(0, 1536);
const REFUSED_LATE = await bundleTar(FILES, { metadata: (right) => [...right, declared("data/gone", "")] });

interface FaultyIngest extends IngestFixture {
  /** From now on the storage has this fault, and counts its steps anew. */
  strike(fault?: Fault): FaultyStorage;
}

async function openFaulty(t: TestContext): Promise<FaultyIngest> {
  let plain: ObjectStorage | undefined;
  let current: FaultyStorage | undefined;
  const fixture = await openIngest(t, {
    clock: hastyClock,
    wrap(storage) {
      plain = storage;
      current = faultyStorage(storage);
      return new Proxy(storage, { get: (_, name) => Reflect.get(current as FaultyStorage, name) });
    },
  });
  return {
    ...fixture,
    strike(fault) {
      assert.ok(plain);
      current = faultyStorage(plain, fault);
      return current;
    },
  };
}

/** Sends a bundle. @returns its job when it is over, and whether the sender was told of a failure instead. */
async function send({ deposit, over, jobs }: FaultyIngest, bundle: Uint8Array): Promise<{ job: Job; told: unknown }> {
  const told = await deposit(bundle).catch((error: unknown) => error);
  const [job] = await jobs.list({ limit: 1 });
  assert.ok(job);
  return { job: await over(job), told };
}

const full = () => new AppError("storage_full");
const defect = () => new Error("a defect");

describe("a storage that fails once, at any step,", { concurrency: 6 }, () => {
  /** Tries a fault at every step that the bundle takes, in several archives at once. */
  function everyStep(
    what: string,
    bundle: Uint8Array,
    leastSteps: number,
    when: Fault["when"],
    error: () => Error,
    look: (fixture: FaultyIngest, job: Job, told: unknown) => Promise<void>,
  ) {
    for (let lane = 0; lane < AT_ONCE; lane++)
      test(`${what} (steps ${lane + 1}, ${lane + 1 + AT_ONCE} …)`, async (t) => {
        const fixture = await openFaulty(t);
        const trace = fixture.strike();
        await send(fixture, bundle);
        const { length } = trace.steps;
        assert.ok(length >= leastSteps, `${length} steps: the watch no longer sees what ingest does`);
        for (let step = lane + 1; step <= length; step += AT_ONCE) {
          // Nothing stops a writer that was never told to stop; the port says that telling it is always safe.
          if (trace.steps[step - 1]?.operation === "writer.abort") continue;
          fixture.strike({ step, when, what: error() });
          const { job, told } = await send(fixture, bundle);
          try {
            await look(fixture, job, told);
            await fixture.unharmed();
          } catch (cause) {
            throw new Error(`a fault ${when} step ${step}, ${JSON.stringify(trace.steps[step - 1])}`, { cause });
          }
          fixture.takeTroubles();
        }
      });
  }

  for (const when of ["before", "after"] as const)
    everyStep(
      `a disk that is full ${when} it: the sender is told, or the job succeeds later`,
      GOOD,
      30,
      when,
      full,
      async (fixture, job, told) => {
        if (told instanceof AppError) {
          assert.deepEqual([told.code, job.state, job.error?.code], ["storage_full", "failed", "storage_full"]);
          return;
        }
        assert.equal(job.state, "succeeded", JSON.stringify(job.error));
        assert.deepEqual(await fixture.contents(job), FILES);
      },
    );

  everyStep(
    "a defect: the sender is told, or the job fails and a retry succeeds",
    GOOD,
    30,
    "before",
    defect,
    async (fixture, job, told) => {
      if (told instanceof Error) {
        assert.deepEqual([told.message, job.state], ["a defect", "failed"]);
        return;
      }
      if (job.state === "failed") {
        assert.equal(job.error?.code, "internal");
        await fixture.jobs.retry(job.id, "opal");
        const again = await fixture.over(job);
        assert.equal(again.state, "succeeded", JSON.stringify(again.error));
      }
      assert.deepEqual(await fixture.contents(job), FILES);
    },
  );

  for (const [name, bundle, leastSteps, code] of [
    ["early", REFUSED_EARLY, 9, "bundle_truncated"],
    ["late", REFUSED_LATE, 20, "file_missing"],
  ] as const)
    everyStep(
      `a bundle refused ${name}, when the disk is full: it fails, and is cleaned up after`,
      bundle,
      leastSteps,
      "before",
      full,
      async (_, job) => {
        assert.equal(job.state, "failed");
        assert.ok(
          [code, "storage_full", "upload_interrupted"].includes(job.error?.code ?? ""),
          JSON.stringify(job.error),
        );
      },
    );
});

test("nothing is left of a job whose clean-up failed with its request", async (t) => {
  const fixture = await openFaulty(t);
  const trace = fixture.strike();
  await send(fixture, REFUSED_EARLY);
  fixture.strike({ step: stepOf(trace, "tree.discard"), when: "before", what: full() });
  const told = await fixture.deposit(REFUSED_EARLY).catch((error: unknown) => error);
  assert.equal((told as AppError).code, "storage_full");
  const [job] = await fixture.jobs.list({ limit: 1 });
  assert.equal(job?.state, "running"); // until its request has been silent for long enough
  await until("it is ended by a worker", async () => (await fixture.jobs.get(job?.id as never)).state === "failed");
  await fixture.unharmed();
});

/** The number of the step that does this to a bundle. */
function stepOf({ steps }: FaultyStorage, operation: string): number {
  const step = steps.findIndex((one) => one.operation === operation) + 1;
  assert.ok(step > 0, operation);
  return step;
}

test("a job whose publication worked and was reported as failed goes on with what is published", async (t) => {
  const fixture = await openFaulty(t);
  const trace = fixture.strike();
  await send(fixture, GOOD);
  fixture.strike({ step: stepOf(trace, "tree.publish"), when: "after", what: defect() });
  const { job } = await send(fixture, GOOD);
  assert.deepEqual([job.state, job.attempts, fixture.takeTroubles()], ["succeeded", 1, []]);
});

test("a spooled upload that met a full disk is read again from its first byte", async (t) => {
  const fixture = await openFaulty(t);
  const { uploads, ingest, over, contents } = fixture;
  const deposit = async (id: string) => {
    await uploads.create({ id, owner: "ada", sizeBytes: GOOD.length, metadata: {} });
    await uploads.append(id, 0, chunked(GOOD));
    await uploads.seal(id);
    return over(await ingest.receiveSpooled(id, { owner: "ada" }));
  };
  const trace = fixture.strike();
  await deposit("1".repeat(32));
  fixture.strike({ step: stepOf(trace, "tree.sync"), when: "before", what: full() });
  const job = await deposit("2".repeat(32));
  assert.deepEqual([job.state, job.attempts], ["succeeded", 2]);
  assert.deepEqual(await contents(job), FILES);
});
