import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { hostPace } from "../../../src/core/outbound/host-pace.ts";
import { rateOf, ratesOf, rateText } from "../../../src/core/rate.ts";
import { movingClock } from "../../support/moving-clock.ts";
import { seededRandom } from "../../support/random.ts";

setFlagsFromString("--expose-gc");
const collectGarbage: () => void = runInNewContext("gc");
const never = new AbortController().signal;

describe("a host's rate", () => {
  test("begins no more than so many in any stretch of its length, whenever they come", async (t) => {
    const random = seededRandom(t);
    const rate = { calls: 15, perMs: 900_000 };
    const clock = movingClock(0);
    const pace = hostPace({ rate }, clock);
    const begun: number[] = [];
    let asked = 0;
    for (let step = 0; step < 400; step++) {
      for (let n = random(3); n > 0; n--) {
        asked++;
        void pace.turn("a", never).then(() => begun.push(clock.now()));
      }
      await settled();
      clock.pass(random(120_000));
      await settled();
    }
    for (let passed = 0; begun.length < asked && passed < 200; passed++) {
      clock.pass(rate.perMs);
      await settled();
    }
    assert.equal(begun.length, asked, "all get their turn in the end");
    // The definition, word by word: of any 16 that follow each other, the first and the last are 900 s apart.
    for (let n = 0; n + rate.calls < begun.length; n++)
      assert.ok((begun[n + rate.calls] ?? 0) - (begun[n] ?? 0) >= rate.perMs, `after ${n}`);
    assert.ok(
      begun.slice(0, rate.calls).every((at) => at < rate.perMs),
      "and it lets them through at once as long as it can",
    );
  });

  test("is a limit of each host; whoever must not wait is told for how long it is used up", async () => {
    const clock = movingClock(0);
    const refusal = (host: string, waitMs: number) => new Error(`${host} ${waitMs}`);
    const pace = hostPace({ rate: { calls: 2, perMs: 900_000 }, refusal }, clock);
    await pace.turn("a", never);
    clock.pass(100_000);
    await pace.turn("a", never);
    await assert.rejects(pace.turn("a", never), /^Error: a 800000$/);
    await pace.turn("b", never);
    clock.pass(799_999);
    await assert.rejects(pace.turn("a", never), /^Error: a 1$/);
    clock.pass(1);
    await pace.turn("a", never);
    await assert.rejects(pace.turn("a", never), /^Error: a 100000$/, "what was refused did not count");
    pace.holdBack("c", clock.now() + 5_000);
    await assert.rejects(pace.turn("c", never), /^Error: c 5000$/);
  });

  test("whoever gives up waiting takes nobody's turn", async () => {
    const clock = movingClock(0);
    const pace = hostPace({ rate: { calls: 1, perMs: 1_000 } }, clock);
    await pace.turn("a", never);
    const leaving = new AbortController();
    const left = pace.turn("a", leaving.signal);
    leaving.abort(new Error("left"));
    await assert.rejects(left, /left/);
    clock.pass(1_000);
    await pace.turn("a", never);
  });

  test("hosts that nothing is known of any more take no room", async () => {
    const clock = movingClock(0);
    const pace = hostPace({ rate: { calls: 1, perMs: 1_000 } }, clock);
    const heapBytes = () => {
      collectGarbage();
      return process.memoryUsage().heapUsed;
    };
    const visit = async (from: number, many: number) => {
      for (let n = from; n < from + many; n++) {
        (await pace.turn(`${String(n).padStart(1_000, "x")}`, never))();
        clock.pass(100);
      }
    };
    await visit(0, 1_000);
    const before = heapBytes();
    await visit(1_000, 50_000);
    // Their names alone would take 50 MB.
    assert.ok(heapBytes() - before < 10_000_000, `${heapBytes() - before} bytes more`);
  });
});

describe("a rate as text", () => {
  test("is a number of calls in a time", () => {
    assert.deepEqual(rateOf("15/900s"), { calls: 15, perMs: 900_000 });
    assert.deepEqual(rateOf("600/m"), { calls: 600, perMs: 60_000 });
    assert.deepEqual(rateOf("1000000/2d"), { calls: 1_000_000, perMs: 172_800_000 });
    assert.equal(rateText({ calls: 15, perMs: 900_000 }), "15 in 900 s");
    for (const text of ["", "15", "15/", "15/s9", "0/s", "1/0s", "-1/s", "1.5/s", "15/900", "15 / 900s", "9999999/s"])
      assert.equal(rateOf(text), undefined, text);
    assert.deepEqual(ratesOf("15/900s, 10000/d"), [rateOf("15/900s"), rateOf("10000/d")]);
    assert.deepEqual(ratesOf("none"), []);
    for (const text of ["", "15/900s,", "none,1/s", "1/s 2/m"]) assert.equal(ratesOf(text), undefined, text);
  });
});

/** Everything that can happen without time passing has happened. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 3; turn++) await setImmediate();
}
