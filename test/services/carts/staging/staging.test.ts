import assert from "node:assert/strict";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { describe, test } from "node:test";
import type { Staging, Wanted } from "../../../../src/core/carts/staging/staging.ts";
import type { StagedFile } from "../../../../src/core/carts/staging/staging-store.ts";
import { AppError } from "../../../../src/core/errors.ts";
import { openStaging, remoteFile, type StagingFixture } from "../../../support/staging.ts";
import { until } from "../../../support/until.ts";

const HELLO = Buffer.from("hello\n");
/** Of an abandoned place: longer ago than any that is kept. */
const LONG_AGO_MS = 60_000;
const signal = () => AbortSignal.timeout(30_000);

function wanted(key: string, bytes: Uint8Array = HELLO, given: Partial<Wanted> = {}): Wanted {
  async function* all() {
    yield bytes;
  }
  return { key, sizeBytes: bytes.length, algorithms: ["sha512"], expected: null, open: async () => all(), ...given };
}

/** A copy that goes on until it is told to end, or stops when its reader wants no more. */
function lasting(key: string, bytes: Uint8Array = HELLO) {
  const begun = Promise.withResolvers<void>();
  const end = Promise.withResolvers<void>();
  async function* slow(stop: AbortSignal) {
    stop.addEventListener("abort", () => end.reject(stop.reason));
    yield bytes.subarray(0, 1);
    begun.resolve();
    await end.promise;
    yield bytes.subarray(1);
  }
  return {
    wanted: wanted(key, bytes, { open: async (stop) => slow(stop) }),
    begun: begun.promise,
    end: () => end.resolve(),
  };
}

async function present(staging: Staging, what: Wanted): Promise<StagedFile> {
  const found = await staging.obtain(what, signal());
  assert.equal(found.outcome, "present");
  return found.file;
}

async function contentOf(staging: Staging, key: string): Promise<string> {
  const { storage, path } = await staging.read({ at: "staged", key });
  return text(await storage.open(path));
}

/** A place that a process which has died kept, with what it had copied. */
async function abandon({ stores, cache, clock }: StagingFixture, key: string, sizeBytes = 6): Promise<string> {
  const path = `ab/${key}`;
  const limits = { capacityBytes: 2 ** 40, protectedSince: 0, deadBefore: 0 };
  await stores.staging.reserve({ key, path, sizeBytes }, limits, clock.now() - LONG_AGO_MS);
  await (await cache.stage(path)).put("file", HELLO.subarray(0, 3));
  return path;
}

describe("the staging cache", () => {
  test("keeps a file under its key, with its digests and CRC-32", async (t) => {
    const { staging, clock } = await openStaging(t);
    const before = clock.now();
    const file = await present(staging, wanted("key"));
    assert.equal(file.crc32, 909_783_072); // printf 'hello\n' | python3 -c 'import sys,zlib;print(zlib.crc32(sys.stdin.buffer.read()))'
    assert.match(file.digests.sha512 ?? "", /^e7c22b994c59d9cf2b48e549b1e24666/); // printf 'hello\n' | sha512sum
    assert.ok(file.lastUsedAt >= before);
    assert.equal(await contentOf(staging, "key"), "hello\n");
  });

  test("tells where files of the archive lie too, and of one that was not staged that it is not ready", async (t) => {
    const { staging, archive } = await openStaging(t);
    assert.deepEqual(await staging.read({ at: "archive", path: "a/b" }), { storage: archive, path: "a/b" });
    await assert.rejects(staging.read({ at: "remote", id: "7" }), { code: "cart_not_ready" });
  });

  test("of two processes one copies, and the other is told to look again", async (t) => {
    const { staging, anotherStaging } = await openStaging(t);
    const other = anotherStaging();
    const { wanted: slow, begun, end } = lasting("key");
    const copying = present(staging, slow);
    await begun;
    assert.deepEqual(await other.obtain(wanted("key"), signal()), { outcome: "busy" });
    end();
    const file = await copying;
    const seen = await present(other, wanted("key"));
    assert.equal(seen.path, file.path);
  });

  test("the place of a copy that takes long stays its own, however long", async (t) => {
    const { staging, anotherStaging, stores, clock } = await openStaging(t);
    const other = anotherStaging();
    const { wanted: slow, begun, end } = lasting("key");
    const copying = present(staging, slow);
    await begun;
    for (let round = 0; round < 3; round++) {
      clock.skip(15_000);
      const now = clock.now();
      await until("it is renewed", async () => ((await stores.staging.get("key"))?.lastUsedAt ?? 0) >= now);
      assert.deepEqual(await other.obtain(wanted("key"), signal()), { outcome: "busy" });
    }
    end();
    await copying;
  });

  test("a copy whose place was given to another stops, and leaves the other's alone", async (t) => {
    const { staging, stores, clock } = await openStaging(t);
    const { wanted: slow, begun } = lasting("key");
    const stopped = staging.obtain(slow, signal());
    await begun;
    const limits = { capacityBytes: 2 ** 40, protectedSince: 0, deadBefore: clock.now() + LONG_AGO_MS };
    const taken = await stores.staging.reserve({ key: "key", path: "ot/her", sizeBytes: 6 }, limits, clock.now());
    assert.equal(taken.outcome, "reserved");
    assert.deepEqual(await stopped, { outcome: "busy" });
    assert.equal((await stores.staging.get("key"))?.path, "ot/her");
    await stores.staging.release("key", "ot/her");
  });

  test("a process that died keeps no place: the next copies, and what was left is gone", async (t) => {
    const fixture = await openStaging(t);
    const path = await abandon(fixture, "key");
    assert.deepEqual(await Array.fromAsync(fixture.cache.staged()), [path]);
    await present(fixture.staging, wanted("key"));
    assert.deepEqual(await Array.fromAsync(fixture.cache.staged()), []);
  });

  test("what is in no book is removed when a process first needs the cache", async (t) => {
    const fixture = await openStaging(t);
    const { cache, anotherStaging } = fixture;
    const kept = await present(fixture.staging, wanted("kept"));
    await (await cache.stage("st/ray")).put("file", HELLO);
    const published = await cache.stage("st/rayed");
    await published.put("file", HELLO);
    await published.publish([]);
    await present(anotherStaging(), wanted("another"));
    assert.deepEqual(await Array.fromAsync(cache.staged()), []);
    const paths = (await Array.fromAsync(cache.list(""))).map(({ path }) => path);
    assert.equal(paths.length, 2);
    assert.ok(paths.includes(`${kept.path}/file`));
  });

  test("a folder that somebody has cleared fills again", async (t) => {
    const { staging, cacheDir } = await openStaging(t);
    const { path } = await present(staging, wanted("key"));
    await rm(join(cacheDir, path), { recursive: true });
    await present(staging, wanted("key"));
    assert.equal(await contentOf(staging, "key"), "hello\n");
  });

  for (const [what, given, code] of [
    ["is longer than it was said to be", { sizeBytes: 5 }, "file_size_mismatch"],
    ["is shorter than it was said to be", { sizeBytes: 7 }, "file_size_mismatch"],
    ["is another one", { expected: { algorithm: "md5", value: "0".repeat(32) } }, "digest_mismatch"],
    ["cannot be opened", { open: () => Promise.reject(new AppError("remote_unavailable")) }, "remote_unavailable"],
  ] as const)
    test(`nothing is left of a file that ${what}`, async (t) => {
      const { staging, stores } = await openStaging(t);
      await assert.rejects(staging.obtain(wanted("key", HELLO, given), signal()), { code });
      assert.deepEqual(await stores.staging.usage(), { files: 0, bytes: 0, reservedBytes: 0 });
      await present(staging, wanted("key"));
    });

  test("a stream that goes on for ever is stopped at the size it was said to have", async (t) => {
    const { staging } = await openStaging(t);
    let isClosed = false;
    async function* endless() {
      try {
        for (;;) yield Buffer.alloc(1_000);
      } finally {
        isClosed = true;
      }
    }
    const what = wanted("key", Buffer.alloc(5_000), { open: async () => endless() });
    await assert.rejects(staging.obtain(what, signal()), { code: "file_size_mismatch" });
    assert.equal(isClosed, true);
  });

  test("an abort ends a copy with its reason", async (t) => {
    const { staging, remote, stores } = await openStaging(t);
    const abort = new AbortController();
    const { wanted: slow, begun } = lasting("key");
    const copying = staging.obtain(slow, abort.signal);
    await begun;
    abort.abort(new AppError("job_cancelled"));
    await assert.rejects(copying, { code: "job_cancelled" });
    assert.equal((await stores.staging.usage()).reservedBytes, 0);
    assert.equal(remote.sending, 0);
  });

  test("holds no more than the disk has room for, whatever the setting says", async (t) => {
    const spare = 64 * 1024 * 1024;
    const fixture = await openStaging(t);
    let free = spare + 10;
    const storage = { ...fixture.cache, freeBytes: async () => free };
    const staging = fixture.anotherStaging({ storage });
    assert.equal(await staging.capacityBytes(), 10);
    await present(staging, wanted("first"));
    free -= 6;
    assert.deepEqual(await staging.capacityBytes(), 10);
    const { outcome, ...full } = await staging.obtain(wanted("second"), signal());
    assert.deepEqual([outcome, "freeBytes" in full && full.freeBytes], ["full", 4]);
    free += 2;
    await present(staging, wanted("second"));
  });

  test("while others copy, a lack of room is not the last word, unless the file could never fit", async (t) => {
    const { staging } = await openStaging(t, { capacityBytes: 10 });
    const { wanted: slow, begun, end } = lasting("first");
    const copying = staging.obtain(slow, signal());
    await begun;
    assert.deepEqual(await staging.obtain(wanted("second"), signal()), { outcome: "busy" });
    assert.equal((await staging.obtain(wanted("third", Buffer.alloc(11)), signal())).outcome, "full");
    end();
    await copying;
    assert.equal((await staging.obtain(wanted("second"), signal())).outcome, "full");
  });

  test("what the dead have left is removed even where that does not make enough room", async (t) => {
    const fixture = await openStaging(t, { capacityBytes: 10 });
    await present(fixture.staging, wanted("first"));
    await abandon(fixture, "left", 4);
    assert.equal((await fixture.staging.obtain(wanted("second"), signal())).outcome, "full");
    assert.deepEqual(await Array.fromAsync(fixture.cache.staged()), []);
  });

  test("a cart whose copy was dropped by a process that died before it could say so expires when it is read", async (t) => {
    const fixture = await openStaging(t);
    const { staging, stores, remote, anotherStaging } = fixture;
    remote.put("7", HELLO);
    const { cart } = await fixture.staged(await fixture.cart(remoteFile("7")));
    const [entry] = await fixture.entries(cart);
    assert.equal(entry?.location.at, "staged");
    const file = await stores.staging.get(entry.location.key);
    await stores.staging.release(entry.location.key, file?.path ?? "");
    await assert.rejects(staging.read(entry.location), { code: "cart_expired" });
    assert.equal((await stores.carts.get(cart.id))?.status, "expired");
    // The bytes go too, as they are in no book.
    await present(anotherStaging(), wanted("next"));
  });

  test("the copies of a cart are protected from when it asks, and it is told which are gone", async (t) => {
    const fixture = await openStaging(t, { capacityBytes: 12, protectMs: 1_000 });
    const { staging, stores, clock, remote } = fixture;
    remote.put("7", HELLO);
    const { cart } = await fixture.staged(await fixture.cart(remoteFile("7")));
    clock.skip(10_000);
    assert.deepEqual(await staging.protect(cart.id), []);
    await present(staging, wanted("another"));
    assert.equal((await staging.obtain(wanted("third", Buffer.alloc(12)), signal())).outcome, "full");
    clock.skip(10_000);
    await present(staging, wanted("third", Buffer.alloc(12)));
    assert.equal((await stores.carts.get(cart.id))?.status, "expired");
    assert.deepEqual(
      (await staging.protect(cart.id)).map(({ path }) => path),
      ["remote-7"],
    );
  });
});
