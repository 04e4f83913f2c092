import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { silenceGuard } from "../../src/sdk/silence.ts";

/** Items that come when they are given; like a request, it ends with the reason of its signal. */
function feed(signal: AbortSignal) {
  let next = Promise.withResolvers<string>();
  const aborted = Promise.withResolvers<never>();
  signal.addEventListener("abort", () => aborted.reject(signal.reason));
  aborted.promise.catch(() => undefined); // awaited only while something is waited for
  return {
    give(item: string) {
      next.resolve(item);
    },
    async *items() {
      for (;;) {
        yield await Promise.race([next.promise, aborted.promise]);
        next = Promise.withResolvers();
      }
    },
  };
}

describe("silence guard", () => {
  test("what comes in time passes; silence ends the wait as a server that does not answer", async () => {
    const guard = silenceGuard(50, undefined);
    const source = feed(guard.signal);
    const items = guard.guarded(source.items());
    source.give("first");
    assert.equal((await items.next()).value, "first");
    await assert.rejects(items.next(), { code: "server_unavailable", message: /gone silent/ });
    assert.equal(guard.signal.aborted, true);
  });

  test("the time that the reader takes does not count", async () => {
    const guard = silenceGuard(20, undefined);
    const source = feed(guard.signal);
    const items = guard.guarded(source.items());
    source.give("first");
    await items.next();
    await setTimeout(100); // the reader is busy: what is tested is that time itself passes without effect
    assert.equal(guard.signal.aborted, false);
    await items.return();
  });

  test("the caller's own signal ends it with the caller's own reason", async () => {
    const stop = new AbortController();
    const guard = silenceGuard(60_000, stop.signal);
    const waiting = guard.guarded(feed(guard.signal).items()).next();
    stop.abort(new Error("enough"));
    await assert.rejects(waiting, { message: "enough" });
  });
});
