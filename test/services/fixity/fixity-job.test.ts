import assert from "node:assert/strict";
import { renameSync, rmSync, writeFileSync } from "node:fs";
import { after, before, describe, type TestContext, test } from "node:test";
import { audit } from "../../../src/core/access/audit.ts";
import { ocflArchive } from "../../../src/core/archive/archive.ts";
import type { ObjectStorage } from "../../../src/core/archive/object-storage.ts";
import { preservationEvents } from "../../../src/core/archive/premis-events.ts";
import { fixityService } from "../../../src/core/fixity/fixity.ts";
import { fixityAlert } from "../../../src/core/fixity/fixity-alert.ts";
import { DAY_MS, type FixityLimits, fixityJob } from "../../../src/core/fixity/fixity-job.ts";
import type { FixityRequest } from "../../../src/core/fixity/fixity-request.ts";
import { jobId, type TransactionId, transactionId } from "../../../src/core/ids.ts";
import { FINISHED_STATES, type Job } from "../../../src/core/jobs/job.ts";
import { jobService } from "../../../src/core/jobs/jobs.ts";
import { startWorker } from "../../../src/core/jobs/worker.ts";
import { ALERTS_AT_ONCE } from "../../../src/core/notify/alerts.ts";
import { type TestArchive, testArchive } from "../../support/archive.ts";
import { type MovingClock, movingClock } from "../../support/moving-clock.ts";
import { until } from "../../support/until.ts";

const OBJECTS = 4;
const BIG_BYTES = 300_000;
/** Payload of each object. */
const OBJECT_BYTES = 2 * BIG_BYTES + 2;

interface Lab extends TestArchive {
  readonly clock: MovingClock;
  readonly fixity: ReturnType<typeof fixityService>;
  /** Asks for a run and waits until it is over. */
  run(request?: FixityRequest, limits?: Partial<FixityLimits>): Promise<Job>;
  eventsOf(id: number): ReturnType<ReturnType<typeof preservationEvents>["list"]>;
}

type Wrap = (storage: ObjectStorage, clock: MovingClock) => ObjectStorage;

describe("a fixity run", () => {
  let original: TestArchive;
  before(async () => {
    original = await testArchive();
    for (let n = 1; n <= OBJECTS; n++)
      await original.deposit({
        "a.txt": `${n}\n`,
        "b.bin": Buffer.alloc(BIG_BYTES, n),
        "deep/c.bin": Buffer.alloc(BIG_BYTES, `${n}x`),
      });
  });
  after(() => original.close());

  /** A copy of the archive with a clock of its own, which stands still: in the past, so that the queue, which goes by the system's, holds nothing back. */
  async function lab(t: TestContext, wrap: Wrap = (storage) => storage): Promise<Lab> {
    const copied = await original.copy();
    const clock = movingClock(Date.parse("2020-11-22T12:00:00Z"));
    const { stores } = copied;
    const archive = ocflArchive(wrap(copied.storage, clock), copied.archive.algorithm);
    const nextId = async () => jobId(await stores.sequences.reserve("upload_job", 1));
    const limits = { days: 90 };
    const handlersOf = (given: Partial<FixityLimits> = {}) => ({
      fixity: fixityJob({
        store: stores.fixity,
        archive,
        catalogue: stores.catalogue,
        jobs: stores.jobs,
        clock,
        limits: { ...limits, ...given },
        software: "Longshore/1.2.3",
        alert: fixityAlert({ from: "longshore@example.org", to: ["ops@example.org", "chief@example.org"] }),
      }),
    });
    const serviceOf = (given: Partial<FixityLimits> = {}) => {
      const jobs = jobService(stores.jobs, nextId, clock, handlersOf(given));
      return { jobs, fixity: fixityService({ store: stores.fixity, jobs, clock, limits: { ...limits, ...given } }) };
    };
    t.after(async () => {
      const { brokenAt } = await audit(stores.audit, clock, "").verifyChain();
      assert.equal(brokenAt, null);
    });
    return {
      ...copied,
      clock,
      fixity: serviceOf().fixity,
      async run(request = {}, given = {}) {
        const { jobs, fixity } = serviceOf(given);
        const { id } = await fixity.start("ada", request);
        const options = { name: "test", concurrency: { fast: 0, slow: 1, run: 0 } } as const;
        const worker = startWorker(jobs, stores.queue, handlersOf(given), clock, options);
        try {
          const isOver = async () => FINISHED_STATES.includes((await jobs.get(id)).state);
          await until(`run ${id} is over`, isOver);
        } finally {
          await worker.stop();
        }
        return jobs.get(id);
      },
      eventsOf: async (id) => {
        const all = await preservationEvents(audit(stores.audit, clock, "")).list(transactionId(id), 0, 100);
        return all.filter(({ type }) => type === "fixity check");
      },
    };
  }
  const damage = (copied: TestArchive, id: number, path = "v1/content/data/a.txt") =>
    writeFileSync(copied.fileOf(id, path), "?\n");
  const checkedOf = async ({ stores }: TestArchive) =>
    (await stores.fixity.list({ limit: 100, outcome: "success" })).map(({ transactionId: id }) => id);

  test("reads everything once, and tells of each transaction in the log", async (t) => {
    const copied = await lab(t);
    const { state, result } = await copied.run();
    assert.equal(state, "succeeded");
    const { busyMs: _, ...totals } = result;
    const everything = { checked: OBJECTS, failed: 0, files: 3 * OBJECTS, bytes: OBJECTS * OBJECT_BYTES };
    assert.deepEqual(totals, { ...everything, ended: "everything is checked" });
    for (let id = 1; id <= OBJECTS; id++) {
      const [event, ...others] = await copied.eventsOf(id);
      assert.deepEqual(others, []);
      const { actor, software, outcome, details, at } = event ?? assert.fail("no event");
      assert.deepEqual([actor, software, outcome, at], ["ada", "Longshore/1.2.3", "success", copied.clock.now()]);
      assert.deepEqual([details.files, details.bytes], [3, OBJECT_BYTES]);
    }
    const { share, neverChecked, today } = await copied.fixity.status();
    assert.deepEqual([share, neverChecked, today.checks, today.bytes], [1, 0, OBJECTS, OBJECTS * OBJECT_BYTES]);
  });

  test("leaves alone what was checked lately, and comes to it again in time", async (t) => {
    const copied = await lab(t);
    await copied.run();
    copied.clock.pass(88 * DAY_MS);
    assert.equal((await copied.run()).result.checked, 0);
    assert.equal((await copied.run({ days: 30 })).result.checked, OBJECTS);
    copied.clock.pass(89 * DAY_MS + 1);
    assert.equal((await copied.fixity.status()).share, 1, "with a run a day nothing grows older than 90 days");
    assert.equal((await copied.run()).result.checked, OBJECTS);
    copied.clock.pass(91 * DAY_MS);
    assert.equal((await copied.fixity.status()).share, 0);
  });

  test("stops at its limit of bytes, and the next begins where it stopped: in the middle of a transaction", async (t) => {
    const copied = await lab(t);
    const bytes: number[] = [];
    for (let run = 0; run < 20 && (await checkedOf(copied)).length < OBJECTS; run++) {
      const { result } = await copied.run({ bytes: BIG_BYTES, parallel: 1 });
      bytes.push(Number(result.bytes));
    }
    assert.deepEqual(await checkedOf(copied), [1, 2, 3, 4]);
    assert.equal(
      bytes.reduce((a, b) => a + b),
      OBJECTS * OBJECT_BYTES,
      "nothing was read twice",
    );
    assert.ok(bytes.length > OBJECTS, `took ${bytes.length} runs`);
    for (let id = 1; id <= OBJECTS; id++) assert.equal((await copied.eventsOf(id)).length, 1);
  });

  test("stops when the day's bytes are read, and goes on the next day (UTC)", async (t) => {
    const copied = await lab(t);
    const limits = { dailyBytes: OBJECT_BYTES };
    assert.equal((await copied.run({}, limits)).result.checked, 1);
    const none = await copied.run({}, limits);
    assert.deepEqual([none.result.checked, none.result.ended], [0, "the day's bytes are read"]);
    copied.clock.pass(11 * 3_600_000);
    assert.equal((await copied.run({}, limits)).result.checked, 0, "23:00 UTC is the same day");
    copied.clock.pass(3_600_000);
    assert.equal((await copied.run({}, limits)).result.checked, 1);
  });

  test("stops when its minutes are over, reckoned by its own clock", async (t) => {
    // Each look at the archive takes half a minute.
    const copied = await lab(t, (storage, clock) => ({
      ...storage,
      open(path, range) {
        clock.pass(30_000);
        return storage.open(path, range);
      },
    }));
    const { result } = await copied.run({ minutes: 1 });
    assert.deepEqual([result.ended, Number(result.checked) < OBJECTS], ["the time is over", true]);
  });

  test("finds what was changed, says so once by mail to each operator, and goes on with the others", async (t) => {
    const copied = await lab(t);
    damage(copied, 2);
    const { state, error, warnings } = await copied.run();
    assert.equal(state, "failed");
    assert.equal(error?.code, "fixity_failed");
    assert.deepEqual([error?.details.checked, error?.details.failed], [OBJECTS, 1]);
    assert.deepEqual(
      warnings.map(({ code, path }) => [code, path]),
      [["digest_mismatch", copied.nameOf(2, "v1/content/data/a.txt")]],
    );
    const [event] = await copied.eventsOf(2);
    assert.equal(event?.outcome, "failure");
    assert.match(JSON.stringify(event?.details), /digest_mismatch.*data\/a\.txt/);
    const mails = await copied.stores.outbox.claim(copied.clock.now(), 1, 10);
    assert.deepEqual(mails.map(({ target }) => target).sort(), ["chief@example.org", "ops@example.org"]);
    assert.match(String(mails[0]?.payload.text), /Transaction 2 is not what was archived[\s\S]*a\.txt/);
    assert.deepEqual(await checkedOf(copied), [1, 3, 4]);
    assert.equal((await copied.fixity.status()).share, 3 / 4);
    const found = await copied.fixity.check(transactionId(2));
    assert.deepEqual([found?.outcome, found?.problemCount], ["failure", 1]);
  });

  test("a transaction that was mended is sound again with its next check", async (t) => {
    const copied = await lab(t);
    damage(copied, 2);
    await copied.run();
    writeFileSync(copied.fileOf(2, "v1/content/data/a.txt"), "2\n");
    copied.clock.pass(1);
    assert.equal((await copied.run({ days: 1 })).state, "succeeded");
    assert.equal((await copied.fixity.status()).share, 1);
    assert.deepEqual(
      (await copied.eventsOf(2)).map(({ outcome }) => outcome),
      ["failure", "success"],
    );
  });

  test("damage is found whichever of a check's slices it lies in, and is told once", async (t) => {
    const copied = await lab(t);
    const paths = ["data/a.txt", "data/b.bin", "data/deep/c.bin", "metadata.txt"];
    for (const path of paths) damage(copied, 1, `v1/content/${path}`);
    for (let run = 0; run < 10 && !(await copied.fixity.check(transactionId(1)))?.outcome; run++)
      await copied.run({ bytes: 1, parallel: 1 });
    const { problems = [] } = (await copied.fixity.check(transactionId(1))) ?? {};
    // A verification in one go is what the slices are compared with.
    const { problems: expected } = await copied.verify({ transactions: [transactionId(1)] });
    const byPath = (all: readonly object[]) => all.map((one) => JSON.stringify(one)).sort();
    assert.deepEqual(byPath(problems.map(({ message: _, ...fact }) => fact)), byPath(expected));
    for (const path of paths)
      assert.ok(
        problems.some((one) => one.path?.endsWith(path)),
        path,
      );
  });

  test("an object that is gone has failed; an archive that is gone has not, and is tried again", async (t) => {
    const copied = await lab(t);
    rmSync(copied.fileOf(3), { recursive: true });
    assert.equal((await copied.run()).error?.details.failed, 1);
    assert.equal((await copied.fixity.check(transactionId(3)))?.problems[0]?.code, "object_missing");

    const away = `${copied.archiveDir}.away`;
    renameSync(copied.archiveDir, away);
    copied.clock.pass(DAY_MS);
    const ticking = setInterval(() => copied.clock.pass(60_000), 1);
    const { state, error } = await copied.run({ days: 1 }).finally(() => clearInterval(ticking));
    assert.deepEqual([state, error?.code], ["failed", "storage_unavailable"]);
    for (const id of [1, 2, 4]) assert.equal((await copied.eventsOf(id)).length, 1, "no verdict on what was not there");
    renameSync(away, copied.archiveDir);
  });

  test("a run that would be beside another one leaves the work to it", async (t) => {
    const copied = await lab(t);
    const first = await copied.fixity.start("ada", {});
    await copied.stores.jobs.update(first.id, ["queued"], { state: "running", attempts: 1 }, 1);
    // As of another process: nobody here works on it.
    const [delivery] = await copied.stores.queue.claim("another", "slow", 1);
    assert.equal(delivery?.jobId, first.id);
    const { state, result } = await copied.run();
    assert.deepEqual([state, result.checked, result.ended], ["succeeded", 0, `job ${first.id} is at it`]);
  });

  test("tells of so many transactions by mail and no more, and the last mail says so", async (t) => {
    const alert = fixityAlert({ from: "l@example.org", to: ["ops@example.org"] });
    const check = {
      transactionId: transactionId(1),
      checkedAt: 1,
      outcome: "failure",
      problemCount: 1,
      problems: [],
    } as const;
    assert.match(String(alert(jobId(1), check, true)[0]?.payload.text), /no further transactions by mail/);
    const copied = await lab(t);
    for (let id = 1; id <= OBJECTS; id++) damage(copied, id);
    await copied.run();
    assert.ok(OBJECTS < ALERTS_AT_ONCE);
    assert.equal(await copied.stores.outbox.depth(), 2 * OBJECTS);
  });

  test("takes nothing that it does not know for a limit", async (t) => {
    const { fixity } = await lab(t);
    for (const wrong of [{ bytes: 0 }, { minutes: 1.5 }, { days: -1 }, { parallel: 17 }, { megabytes: 1 }])
      await assert.rejects(fixity.start("ada", wrong as FixityRequest), { code: "request_invalid" });
  });

  test("a run asked for twice under one key is one run", async (t) => {
    const { fixity } = await lab(t);
    const ids = new Set<TransactionId | number>();
    for (let time = 0; time < 3; time++) ids.add((await fixity.start("ada", { bytes: 10 }, "nightly")).id);
    assert.equal(ids.size, 1);
  });
});
