import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { callLimits } from "../../../src/core/access/call-limits.ts";
import type { Rate } from "../../../src/core/rate.ts";
import { movingClock } from "../../support/moving-clock.ts";
import { seededRandom } from "../../support/random.ts";

const RATE: Rate = { calls: 15, perMs: 900_000 };

describe("call limits", () => {
  test("let as many through at once as the rate says, then each that has come back", () => {
    const clock = movingClock();
    const limits = callLimits([RATE], clock);
    const throughOf = (tries: number) =>
      Array.from({ length: tries }, () => limits.count("a")).filter((usedUp) => usedUp === undefined).length;
    assert.equal(throughOf(40), 15);
    // One of 15 in 900 s comes back each minute.
    assert.deepEqual(limits.count("a"), { rate: RATE, waitMs: 60_000 });
    clock.pass(59_999);
    assert.deepEqual(limits.count("a"), { rate: RATE, waitMs: 1 });
    clock.pass(1);
    assert.equal(throughOf(5), 1);
    clock.pass(10 * 900_000);
    assert.equal(throughOf(40), 15, "no more than a bucket holds is saved up");
  });

  test("callers are apart, each may have rates of its own, and without rates nobody is limited", () => {
    const clock = movingClock();
    const limits = callLimits([{ calls: 1, perMs: 1_000 }], clock);
    assert.equal(limits.count("a"), undefined);
    assert.ok(limits.count("a"));
    assert.equal(limits.count("b"), undefined);
    for (let n = 0; n < 15; n++) assert.equal(limits.count("c", [RATE]), undefined);
    assert.deepEqual(limits.count("c", [RATE])?.rate, RATE);
    const none = callLimits([], clock);
    for (let n = 0; n < 100; n++) assert.equal(none.count("a"), undefined);
  });

  test("of several rates each holds, and the one to wait for longest is named", () => {
    const clock = movingClock();
    const [burst, day] = [
      { calls: 2, perMs: 1_000 },
      { calls: 5, perMs: 86_400_000 },
    ];
    const limits = callLimits([burst, day], clock);
    const through: number[] = [];
    for (let atMs = 0; atMs < 20_000; atMs += 100) {
      if (!limits.count("a")) through.push(atMs);
      clock.pass(100);
    }
    assert.deepEqual(through, [0, 100, 500, 1_000, 1_500], "what one refuses is not taken from the other");
    assert.deepEqual(limits.count("a")?.rate, day);
  });

  test("in any stretch no more pass than the bucket holds and what comes back meanwhile", (t) => {
    const random = seededRandom(t);
    const clock = movingClock(0);
    // A rate whose share of time is no whole number of milliseconds.
    const rate = { calls: 7, perMs: 1_000 };
    const limits = callLimits([rate], clock);
    const passed: number[] = [];
    for (let n = 0; n < 5_000; n++) {
      if (!limits.count("a")) passed.push(clock.now());
      clock.pass(random(100));
    }
    for (const [first, from] of passed.entries())
      for (let last = first; last < passed.length; last++) {
        const most = rate.calls + (((passed[last] ?? 0) - from) * rate.calls) / rate.perMs;
        assert.ok(last - first + 1 <= most + 1e-6, `${last - first + 1} from ${from} to ${passed[last]}`);
      }
    assert.ok(passed.length > (clock.now() / 1_000) * 6, "and hardly less, when there are always more to come");
  });

  test("a clock that is set back shuts nobody out", () => {
    const clock = movingClock();
    const limits = callLimits([RATE], clock);
    for (let n = 0; n < 20; n++) limits.count("a");
    clock.pass(-86_400_000);
    assert.equal(limits.count("a"), undefined);
  });

  test("a million callers take the room of ten thousand", () => {
    const clock = movingClock();
    const limits = callLimits([{ calls: 1, perMs: 3_600_000 }], clock);
    for (let n = 0; n < 10_000; n++) limits.count(`caller ${n}`);
    assert.ok(limits.count("caller 1"), "all of ten thousand are remembered");
    for (let n = 0; n < 9_999; n++) limits.count(`other ${n}`);
    assert.ok(limits.count("caller 1"), "whoever called last is remembered longest");
    assert.equal(limits.count("caller 2"), undefined, "who was silent longest begins anew");
  });
});
