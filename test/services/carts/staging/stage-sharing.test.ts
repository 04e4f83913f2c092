import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Problem } from "../../../../src/core/errors.ts";
import { openStaging, remoteFile } from "../../../support/staging.ts";
import { until } from "../../../support/until.ts";

const HELLO = Buffer.from("hello\n");
// printf 'hello\n' | sha1sum
const EXPECT_HELLO = { algorithm: "sha1", value: "f572d396fae9206628714fb2ce00f72e94f2258f" } as const;
const BIG = Buffer.alloc(300_000, "0123456789abcdef");

/** What a test compares of a problem. */
const factsOf = (problems: readonly Problem[]) => problems.map(({ message: _, ...facts }) => facts);
const countOf = (requests: readonly string[], name: string) => requests.filter((request) => request === name).length;

describe("carts that share the staging cache", () => {
  test("copy a file once that both need at the same time", async (t) => {
    const fixture = await openStaging(t);
    const { remote } = fixture;
    remote.put("7", BIG);
    remote.pause();
    const carts = [await fixture.cart(remoteFile("7")), await fixture.cart(remoteFile("7"))];
    const worker = fixture.worker();
    await until("one copies", () => remote.sending === 1);
    await until("the other looks for its file", () => countOf(remote.requests, "HEAD 7") > 4);
    remote.resume();
    for (const { id } of carts)
      await until(`${id} is ready`, async () => (await fixture.stores.carts.get(id))?.status === "ready");
    await worker.stop();
    assert.equal(countOf(remote.requests, "GET 7"), 1);
    const [one, other] = await Promise.all(carts.map(fixture.entries));
    assert.deepEqual(one, other);
  });

  test("share files by what is in them, whatever they are called", async (t) => {
    const fixture = await openStaging(t);
    fixture.remote.put("7", HELLO);
    fixture.remote.put("8", HELLO);
    await fixture.staged(await fixture.cart(remoteFile("7", EXPECT_HELLO)));
    const { cart } = await fixture.staged(await fixture.cart(remoteFile("8", EXPECT_HELLO)));
    assert.equal(cart.status, "ready");
    assert.equal(countOf(fixture.remote.requests, "GET 8"), 0);
    assert.deepEqual(await fixture.contents(cart), { "remote-8": "hello\n" });
  });

  test("do not share what only came from the same place once: a file that has changed is copied anew", async (t) => {
    const fixture = await openStaging(t);
    fixture.remote.put("7", HELLO, { modifiedAt: 1_000 });
    const before = await fixture.staged(await fixture.cart(remoteFile("7")));
    fixture.remote.put("7", Buffer.from("HELLO\n"), { modifiedAt: 2_000 });
    const { cart } = await fixture.staged(await fixture.cart(remoteFile("7")));
    assert.deepEqual(await fixture.contents(cart), { "remote-7": "HELLO\n" });
    assert.deepEqual(await fixture.contents(before.cart), { "remote-7": "hello\n" });
  });

  test("a file twice in one cart is copied once", async (t) => {
    const fixture = await openStaging(t);
    fixture.remote.put("7", BIG);
    const { cart } = await fixture.staged(await fixture.cart(remoteFile("7"), { ...remoteFile("7"), path: "again" }));
    assert.equal(cart.status, "ready");
    assert.equal(countOf(fixture.remote.requests, "GET 7"), 1);
    assert.deepEqual(await fixture.contents(cart), { "remote-7": BIG.toString(), again: BIG.toString() });
  });

  test("a cart that is larger than the cache is an error that says so, and nothing is copied", async (t) => {
    const fixture = await openStaging(t, { capacityBytes: 500_000 });
    fixture.remote.put("7", BIG);
    fixture.remote.put("8", BIG);
    const { cart } = await fixture.staged(await fixture.cart(remoteFile("7"), remoteFile("8")));
    assert.equal(cart.status, "error");
    assert.deepEqual(factsOf(cart.problems), [
      { code: "staging_full", path: "remote-7", expected: 600_000, found: 500_000 },
      { code: "staging_full", path: "remote-8", expected: 600_000, found: 500_000 },
    ]);
    assert.equal(fixture.remote.requests.filter((request) => request.startsWith("GET")).length, 0);
  });

  test("what others use keeps its room while it is protected, and makes room afterwards", async (t) => {
    const fixture = await openStaging(t, { capacityBytes: 500_000, protectMs: 3_600_000 });
    fixture.remote.put("7", BIG);
    fixture.remote.put("8", BIG);
    const first = await fixture.staged(await fixture.cart(remoteFile("7")));
    const asked = await fixture.cart(remoteFile("8"));
    const refused = await fixture.staged(asked);
    assert.deepEqual(factsOf(refused.cart.problems), [
      { code: "staging_full", path: "remote-8", expected: 300_000, found: 200_000 },
    ]);
    assert.equal((await fixture.stores.carts.get(first.cart.id))?.status, "ready");

    fixture.clock.skip(3_600_000);
    await fixture.jobs.retry(asked.stageJob, "ada");
    const { cart } = await fixture.staged(asked);
    assert.equal(cart.status, "ready");
    const evicted = await fixture.stores.carts.get(first.cart.id);
    assert.equal(evicted?.status, "expired");
    assert.deepEqual(
      evicted.problems.map(({ code }) => code),
      ["cart_expired"],
    );
    assert.match(evicted.problems[0]?.message ?? "", /dropped to make room/);
  });

  test("a cart never loses its own files to its own files", async (t) => {
    const fixture = await openStaging(t, { capacityBytes: 700_000, protectMs: 0 });
    fixture.remote.put("6", BIG);
    await fixture.staged(await fixture.cart(remoteFile("6")));
    for (const id of ["7", "8"]) fixture.remote.put(id, BIG);
    const { cart } = await fixture.staged(await fixture.cart(remoteFile("7"), remoteFile("8")));
    assert.equal(cart.status, "ready");
    assert.deepEqual(Object.keys(await fixture.contents(cart)), ["remote-7", "remote-8"]);
  });
});
