import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { type JobId, jobId } from "../../src/core/ids.ts";
import { LANES, type Lane } from "../../src/core/jobs/job.ts";
import type { Delivery, JobQueue } from "../../src/core/jobs/job-queue.ts";
import type { JobStore, NewJob } from "../../src/core/jobs/job-store.ts";
import { until } from "../support/until.ts";

interface Opened {
  readonly jobs: JobStore;
  readonly queue: JobQueue;
  close(): Promise<void>;
}

export interface QueueUnderTest {
  /** Opens the database once more, as another process would. */
  open(): Promise<Opened>;
  /** Epoch milliseconds, as the adapter sees them. */
  now(): number;
  /** Makes `ms` pass for the adapter; one that lives by the real time may leave the waiting to the test. */
  pass(ms: number): Promise<void>;
  /** Makes every delivery made so far look as if its holder had been silent for longer than the lease. */
  silenceHolders(): Promise<void>;
}

/** Longer than any adapter needs to notice something by itself. */
const PATIENCE_MS = 30_000;

/** What every JobQueue must do, together with the JobStore of its database. */
export function jobQueueConformance(name: string, setUp: () => Promise<QueueUnderTest>): void {
  describe(`JobQueue: ${name}`, () => {
    let world: QueueUnderTest;
    let here: Opened;
    let there: Opened;
    const claimed: Delivery[] = [];
    /** Remembers what was claimed, so that no test leaves a delivery to the next. */
    const remembering = (opened: Opened): Opened => ({
      ...opened,
      queue: {
        ...opened.queue,
        async claim(...wanted) {
          const deliveries = await opened.queue.claim(...wanted);
          claimed.push(...deliveries);
          return deliveries;
        },
      },
    });
    before(async () => {
      world = await setUp();
      here = remembering(await world.open());
      there = remembering(await world.open());
    });
    afterEach(async () => {
      // A lease that has run out meanwhile, on a slow machine, has put its id back.
      await until("nothing is left in the queue", async () => {
        for (const lane of LANES) await here.queue.claim("tidier", lane, 100_000);
        await Promise.all(claimed.splice(0).map((delivery) => here.queue.done(delivery)));
        return Object.values(await here.queue.depth()).every((ids) => ids === 0);
      });
    });
    after(async () => {
      await here?.close();
      await there?.close();
    });

    let lastId = 0;
    async function submit(lane: Lane = "fast", given: Partial<NewJob> = {}): Promise<JobId> {
      const id = jobId(++lastId);
      const rest = { kind: "k", owner: "o", input: {}, idempotencyKey: null, fedUntil: null, ...given };
      await here.jobs.create({ id, lane, now: world.now(), ...rest });
      return id;
    }
    const submitAll = (count: number, given: Partial<NewJob>) =>
      Promise.all(Array.from({ length: count }, () => submit("fast", given)));
    const submitMany = async (count: number): Promise<JobId[]> => {
      const ids: JobId[] = [];
      for (let i = 0; i < count; i++) ids.push(await submit());
      return ids;
    };
    const requeue = (id: JobId, dueAt = world.now()) =>
      here.jobs.update(id, ["queued"], { state: "queued", dueAt }, world.now());
    const idsOf = (deliveries: readonly Delivery[]) => deliveries.map((delivery) => delivery.jobId);
    async function claimOne(queue: JobQueue, worker = "w"): Promise<Delivery> {
      const [delivery] = await queue.claim(worker, "fast", 1);
      assert.ok(delivery, "something is claimable");
      return delivery;
    }

    test("claim hands out a lane's ids once, oldest first, no more than asked for", async () => {
      const ids = await submitMany(3);
      const slow = await submit("slow");
      const first = await here.queue.claim("a", "fast", 2);
      assert.deepEqual(idsOf(first), ids.slice(0, 2));
      assert.ok(first.every((delivery) => delivery.lane === "fast"));
      assert.deepEqual(idsOf(await here.queue.claim("b", "fast", 10)), ids.slice(2));
      assert.deepEqual(await here.queue.claim("b", "fast", 10), []);
      assert.deepEqual(idsOf(await here.queue.claim("b", "slow", 10)), [slow]);
    });

    test("four claimers at once, in two processes' worth of connections, never hold the same id", async () => {
      const ids = await submitMany(120);
      const claimer = async (queue: JobQueue, worker: string) => {
        const got: Delivery[] = [];
        for (
          let page = await queue.claim(worker, "fast", 3);
          page.length > 0;
          page = await queue.claim(worker, "fast", 3)
        )
          got.push(...page);
        return got;
      };
      const got = await Promise.all([
        claimer(here.queue, "a"),
        claimer(here.queue, "b"),
        claimer(there.queue, "c"),
        claimer(there.queue, "d"),
      ]);
      assert.deepEqual(
        idsOf(got.flat()).sort((a, b) => a - b),
        ids,
      );
      assert.equal(new Set(got.flat().map((delivery) => delivery.receipt)).size, ids.length);
      assert.equal((await here.queue.heartbeat(got.flat())).length, ids.length);
      await Promise.all(got.flat().map((delivery) => there.queue.done(delivery)));
    });

    test("a delivery that is done is not repeated, and ending it twice does nothing", async () => {
      await submit();
      const delivery = await claimOne(here.queue);
      await here.queue.done(delivery);
      await here.queue.done(delivery);
      await here.queue.release(delivery, 0);
      await world.silenceHolders();
      assert.deepEqual(await there.queue.claim("b", "fast", 1), []);
      assert.deepEqual(await here.queue.heartbeat([delivery]), []);
    });

    test("heartbeat answers with the deliveries that are still held", async () => {
      await submitMany(3);
      const deliveries = await here.queue.claim("a", "fast", 3);
      assert.deepEqual(await here.queue.heartbeat([]), []);
      assert.deepEqual(await here.queue.heartbeat(deliveries), deliveries);
      await here.queue.done(deliveries[1] as Delivery);
      assert.deepEqual(await here.queue.heartbeat(deliveries), [deliveries[0], deliveries[2]]);
    });

    test("when a holder goes silent another worker gets its id, and nothing the old one does touches the new delivery", async () => {
      const id = await submit();
      const old = await claimOne(here.queue);
      await world.silenceHolders();
      const taken = await eventually("the id is delivered again", () => there.queue.claim("b", "fast", 1));
      assert.deepEqual(idsOf(taken), [id]);
      assert.notEqual(taken[0]?.receipt, old.receipt);
      assert.deepEqual(await here.queue.heartbeat([old]), []);
      await here.queue.done(old);
      await here.queue.release(old, 0);
      // Both at once, as a process holds them that slept and then claimed its own id.
      assert.deepEqual(await there.queue.heartbeat([old, ...taken]), taken);
      assert.deepEqual(await here.queue.claim("a", "fast", 1), []);
    });

    test("a holder may go silent any number of times: the id is not given up", async () => {
      const id = await submit();
      for (let i = 0; i < 2; i++) {
        await eventually("delivered again", () => here.queue.claim(`worker-${i}`, "fast", 1));
        await world.silenceHolders();
      }
      const last = await eventually("delivered again", () => here.queue.claim("last", "fast", 1));
      assert.deepEqual(idsOf(last), [id]);
    });

    test("an id given back is delivered again, at once or after the delay", async () => {
      const id = await submit();
      const first = await claimOne(here.queue);
      await here.queue.release(first, 0);
      const second = await claimOne(there.queue);
      assert.equal(second.jobId, id);
      assert.notEqual(second.receipt, first.receipt);
      await there.queue.release(second, 3_000);
      assert.deepEqual(await here.queue.claim("a", "fast", 1), []);
      assert.deepEqual(await here.queue.heartbeat([second]), []);
      assert.equal((await here.queue.depth()).fast, 1, "it waits");
      await world.pass(3_000);
      assert.deepEqual(idsOf(await eventually("the delay is over", () => here.queue.claim("a", "fast", 1))), [id]);
    });

    test("a job queued for later is not delivered sooner, and queueing it anew replaces the time", async () => {
      const id = await submit();
      await requeue(id, world.now() + 3_600_000);
      assert.deepEqual(await here.queue.claim("a", "fast", 1), []);
      await requeue(id, world.now() + 400);
      assert.deepEqual(await here.queue.claim("a", "fast", 1), []);
      await world.pass(400);
      assert.deepEqual(idsOf(await eventually("it is due", () => here.queue.claim("a", "fast", 1))), [id]);
    });

    test("a job queued anew while it waits is delivered once", async () => {
      const id = await submit();
      await Promise.all([requeue(id), requeue(id), requeue(id)]);
      assert.equal((await here.queue.depth()).fast, 1);
      assert.deepEqual(idsOf(await here.queue.claim("a", "fast", 10)), [id]);
      assert.deepEqual(await here.queue.claim("a", "fast", 10), []);
    });

    test("a job queued anew while it is delivered is delivered again: the old delivery has lost it", async () => {
      const id = await submit();
      const old = await claimOne(here.queue);
      await requeue(id);
      assert.deepEqual(await here.queue.heartbeat([old]), []);
      await here.queue.done(old);
      const again = await claimOne(there.queue);
      assert.equal(again.jobId, id);
      await here.queue.done(old);
      await here.queue.release(old, 0);
      assert.deepEqual(await there.queue.heartbeat([again]), [again]);
      assert.deepEqual(await here.queue.claim("a", "fast", 1), []);
      await there.queue.done(again);
      assert.deepEqual(await here.queue.depth(), { fast: 0, slow: 0, run: 0 });
    });

    test("a delivery that is given back after the job was queued anew does not make it wait twice", async () => {
      const id = await submit();
      const old = await claimOne(here.queue);
      await requeue(id);
      await here.queue.release(old, 3_600_000);
      assert.deepEqual(idsOf(await here.queue.claim("b", "fast", 10)), [id]);
      assert.deepEqual(await here.queue.claim("b", "fast", 10), []);
    });

    test("of 10,000 jobs of one owner and one of another, the other's is the next to begin", async () => {
      const crowd = new Set(await submitAll(10_000, { owner: "crowd" }));
      assert.ok(crowd.has((await claimOne(here.queue)).jobId));
      const lonely = await submit("fast", { owner: "lonely" });
      assert.equal((await claimOne(there.queue)).jobId, lonely);
      assert.ok(crowd.has((await claimOne(here.queue)).jobId), "and the line goes on");
    });

    test("owners take turns, whoever came first, and each one's jobs keep their order", async () => {
      const ann = await submitAll(6, { owner: "ann" });
      assert.deepEqual(idsOf(await here.queue.claim("a", "fast", 2)), ann.slice(0, 2));
      const bob = await submitAll(3, { owner: "bob" });
      const eve = await submitAll(2, { owner: "eve" });
      const order = [];
      for (let i = 0; i < 9; i++) order.push((await claimOne(i % 2 === 0 ? here.queue : there.queue)).jobId);
      const turns = [bob[0], eve[0], ann[2], bob[1], eve[1], ann[3], bob[2], ann[4], ann[5]];
      // Who of those in one turn is first is of no importance.
      const inTurns = (ids: readonly (JobId | undefined)[]) =>
        [ids.slice(0, 2), ids.slice(2, 5), ids.slice(5, 7), ids.slice(7)].map((turn) => turn.toSorted());
      assert.deepEqual(inTurns(order), inTurns(turns));
    });

    test("an owner who queues one job after the other gets no more than every second place beside a crowd", async () => {
      await submitAll(40, { owner: "crowd" });
      let served = 0;
      let next = await submit("fast", { owner: "steady" });
      for (let place = 0; place < 20; place++) {
        const { jobId: id } = await claimOne(here.queue);
        if (id !== next) continue;
        served++;
        next = await submit("fast", { owner: "steady" });
      }
      assert.ok(served >= 9 && served <= 11, `${served} of 20 places`);
    });

    test("a job of higher priority passes those that wait, its owner's own too, and one of lower priority lets them pass", async () => {
      const low = await submit("fast", { priority: -1 });
      const usual = await submitAll(3, {});
      const high = await submit("fast", { priority: 1 });
      const highest = await submit("fast", { owner: "other", priority: 10 });
      assert.deepEqual(idsOf(await here.queue.claim("a", "fast", 10)), [highest, high, ...usual, low]);
    });

    test("what waits is not passed for ever: after a hundred turns of higher priority it is begun", async () => {
      await submit();
      await claimOne(here.queue); // so that the line is somewhere
      const patient = await submit("fast", { owner: "patient" });
      await submitAll(150, { owner: "urgent", priority: 1 });
      const order = idsOf(await here.queue.claim("a", "fast", 151));
      assert.ok([99, 100, 101].includes(order.indexOf(patient)), `after ${order.indexOf(patient)} others`);
    });

    test("higher priority that was of no use to anybody is not used up", async () => {
      for (let i = 0; i < 130; i++) {
        await submit("fast", { owner: "urgent", priority: 1 });
        await here.queue.done(await claimOne(here.queue));
      }
      const usual = await submit();
      const urgent = await submit("fast", { owner: "urgent", priority: 1 });
      assert.deepEqual(idsOf(await here.queue.claim("a", "fast", 2)), [urgent, usual]);
    });

    test("claims of some kinds leave the others where they are, in their order", async () => {
      const [first] = await submitAll(1, { kind: "ingest" });
      const [second] = await submitAll(1, { kind: "verify" });
      const [third] = await submitAll(1, { kind: "ingest" });
      assert.deepEqual(await here.queue.claim("a", "fast", 10, ["move", "nothing"]), []);
      assert.deepEqual(await here.queue.claim("a", "fast", 10, []), []);
      assert.deepEqual(idsOf(await here.queue.claim("a", "fast", 10, ["verify", "move"])), [second]);
      assert.deepEqual(idsOf(await there.queue.claim("b", "fast", 10)), [first, third]);
    });

    test("a listener is woken by an id queued here, in another process, or given back, until it stops listening", async () => {
      let wakes = 0;
      const stop = there.queue.onAvailable(() => {
        wakes++;
      });
      const woken = async (what: string, cause: () => Promise<unknown>) => {
        const before = wakes;
        await cause();
        await eventually(what, () => wakes > before && wakes);
      };
      await woken("woken by another process", () => submit());
      const delivery = await claimOne(there.queue);
      await woken("woken by a release", () => there.queue.release(delivery, 0));
      await woken("woken when a delay is over", async () => {
        await there.queue.release(await claimOne(there.queue), 200);
        await world.pass(200);
        await eventually("the delay is over", () => there.queue.claim("a", "fast", 1));
      });
      stop();
      const atStop = wakes;
      await submit();
      await eventually("what was queued is there", async () => (await there.queue.depth()).fast === 1);
      assert.equal(wakes, atStop);
    });

    test("depth counts what waits per lane, and not what is delivered", async () => {
      await submitMany(2);
      await submit("slow");
      assert.deepEqual(await there.queue.depth(), { fast: 2, slow: 1, run: 0 });
      const delivery = await claimOne(here.queue);
      assert.deepEqual(await there.queue.depth(), { fast: 1, slow: 1, run: 0 });
      await here.queue.release(delivery, 0);
      assert.deepEqual(await there.queue.depth(), { fast: 2, slow: 1, run: 0 });
    });
  });
}

/** Asks until the answer is neither empty nor false. */
async function eventually<T>(what: string, ask: () => Promise<T> | T): Promise<T> {
  for (const end = Date.now() + PATIENCE_MS; Date.now() < end; await setTimeout(20)) {
    const answer = await ask();
    if (Array.isArray(answer) ? answer.length > 0 : answer) return answer;
  }
  assert.fail(`not within ${PATIENCE_MS} ms: ${what}`);
}
