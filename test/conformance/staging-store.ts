import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { CartStatus } from "../../src/core/carts/cart.ts";
import type { CartStore } from "../../src/core/carts/cart-store.ts";
import type { StagedFile, StagingStore } from "../../src/core/carts/staging/staging-store.ts";
import { cartId } from "../../src/core/ids.ts";

interface Opened {
  readonly staging: StagingStore;
  readonly carts: CartStore;
  close(): Promise<void>;
}

const FACTS = { crc32: 0x8a9136aa, digests: { sha512: "ab".repeat(64), md5: "cd".repeat(16) } };
/** Nothing is protected, and nothing abandoned, unless a test says so. */
const OPEN = { capacityBytes: 100, protectedSince: Number.MAX_SAFE_INTEGER, deadBefore: 0 };

/** What every StagingStore must do. One database for all tests, of which each begins with an empty cache. */
export function stagingConformance(name: string, open: () => Promise<Opened>): void {
  describe(`StagingStore: ${name}`, () => {
    let opened: Opened;
    let staging: StagingStore;
    before(async () => {
      opened = await open();
      staging = opened.staging;
    });
    after(() => opened?.close());

    async function empty(): Promise<void> {
      for (const key of keysUsed) {
        const file = await staging.get(key);
        if (file) await staging.release(file.key, file.path);
      }
      keysUsed.clear();
      assert.deepEqual(await staging.usage(), { files: 0, bytes: 0, reservedBytes: 0 });
    }
    const keysUsed = new Set<string>();
    let copies = 0;
    function place(key: string, sizeBytes: number) {
      keysUsed.add(key);
      return { key, path: `copy-${++copies}`, sizeBytes };
    }

    /** A file that is present. */
    async function put(key: string, sizeBytes: number, now: number): Promise<StagedFile> {
      const kept = await staging.reserve(place(key, sizeBytes), OPEN, now);
      assert.equal(kept.outcome, "reserved");
      assert.equal(await staging.complete(key, kept.file.path, FACTS, now), true);
      return { ...kept.file, state: "present", ...FACTS, lastUsedAt: now };
    }

    test("a place is kept before the file is there, and counts", async () => {
      await empty();
      const asked = place("sha1:a", 60);
      const file = { ...asked, state: "reserved", crc32: null, digests: {}, lastUsedAt: 1_000 };
      assert.deepEqual(await staging.reserve(asked, OPEN, 1_000), { outcome: "reserved", file, evicted: [] });
      assert.deepEqual(await staging.get("sha1:a"), file);
      assert.deepEqual(await staging.usage(), { files: 0, bytes: 0, reservedBytes: 60 });
      assert.deepEqual(await staging.reserve(place("sha1:b", 41), OPEN, 1_000), {
        outcome: "full",
        evicted: [],
        freeBytes: 40,
        capacityBytes: 100,
        reservedBytes: 60,
      });
      assert.equal((await staging.reserve(place("sha1:b", 40), OPEN, 1_000)).outcome, "reserved");
    });

    test("a file that is present is used, not copied again, and counts as used now", async () => {
      await empty();
      const file = await put("sha1:a", 60, 1_000);
      assert.deepEqual(await staging.get("sha1:a"), file);
      assert.deepEqual(await staging.usage(), { files: 1, bytes: 60, reservedBytes: 0 });
      const again = await staging.reserve(place("sha1:a", 60), OPEN, 2_000);
      assert.deepEqual(again, { outcome: "present", file: { ...file, lastUsedAt: 2_000 } });
      assert.equal((await staging.get("sha1:a"))?.lastUsedAt, 2_000);
    });

    test("of those who want one file at a time, one copies and the others wait", async () => {
      await empty();
      const all = Array.from({ length: 8 }, () => staging.reserve(place("sha1:a", 10), OPEN, 1_000));
      const outcomes = (await Promise.all(all)).map(({ outcome }) => outcome);
      assert.deepEqual(outcomes.toSorted(), [...Array(7).fill("busy"), "reserved"]);
      assert.equal((await staging.usage()).reservedBytes, 10);
    });

    test("those who reserve at the same time never get more than there is", async () => {
      await empty();
      const all = Array.from({ length: 16 }, (_, n) => staging.reserve(place(`sha1:${n}`, 30), OPEN, 1_000));
      const reserved = (await Promise.all(all)).filter(({ outcome }) => outcome === "reserved");
      assert.equal(reserved.length, 3);
      assert.equal((await staging.usage()).reservedBytes, 90);
    });

    test("what was used least recently makes room, and no more than is needed", async () => {
      await empty();
      const old = await put("sha1:old", 30, 1_000);
      await put("sha1:older, but used", 30, 500);
      await put("sha1:new", 30, 3_000);
      assert.deepEqual(
        await staging.touch(["sha1:older, but used", "sha1:none"], 2_000),
        new Set(["sha1:older, but used"]),
      );
      const kept = await staging.reserve(place("sha1:next", 40), OPEN, 4_000);
      assert.equal(kept.outcome, "reserved");
      assert.deepEqual(kept.evicted, [old]);
      assert.equal(await staging.get("sha1:old"), undefined);
      assert.deepEqual(await staging.usage(), { files: 2, bytes: 60, reservedBytes: 40 });
    });

    test("room is made of many small files", async () => {
      await empty();
      const limits = { ...OPEN, capacityBytes: 450 };
      for (let n = 0; n < 450; n++) {
        const kept = await staging.reserve(place(`sha1:${n}`, 1), limits, n);
        assert.equal(kept.outcome, "reserved");
        await staging.complete(kept.file.key, kept.file.path, FACTS, n);
      }
      const kept = await staging.reserve(place("sha1:big", 449), limits, 1_000);
      assert.equal(kept.outcome, "reserved");
      assert.deepEqual(
        kept.evicted.map(({ key }) => key),
        Array.from({ length: 449 }, (_, n) => `sha1:${n}`),
      );
      assert.deepEqual(await staging.usage(), { files: 1, bytes: 1, reservedBytes: 449 });
    });

    test("what is protected is not dropped, and then nothing is", async () => {
      await empty();
      await put("sha1:old", 30, 1_000);
      await put("sha1:new", 60, 2_000);
      const limits = { ...OPEN, protectedSince: 2_000 };
      assert.deepEqual(await staging.reserve(place("sha1:next", 41), limits, 5_000), {
        outcome: "full",
        evicted: [],
        freeBytes: 40,
        capacityBytes: 100,
        reservedBytes: 0,
      });
      assert.ok(await staging.get("sha1:old"));
      assert.equal((await staging.reserve(place("sha1:next", 40), limits, 5_000)).outcome, "reserved");
      assert.equal(await staging.get("sha1:old"), undefined);
    });

    test("what a cart that is being staged holds is not dropped; what any other cart holds is", async () => {
      const { carts } = opened;
      const statuses: readonly CartStatus[] = ["staging", "ready", "error", "expired"];
      for (const status of statuses) {
        await empty();
        await put("sha1:held", 100, 1_000);
        const id = cartId(`held-by-${status}`);
        const about = { id, uid: null, name: "cart", owner: "ada", algorithm: "sha512", expiresAt: null } as const;
        await carts.create(about, 1_000);
        await carts.addEntries(id, [
          {
            seq: 0,
            path: "a",
            sizeBytes: 100,
            modifiedAt: null,
            crc32: FACTS.crc32,
            digest: FACTS.digests.sha512,
            fileId: null,
            transactionId: null,
            location: { at: "staged", key: "sha1:held" },
            expected: null,
          },
        ]);
        await carts.update(id, ["waiting"], { status }, 1_000);
        const { outcome } = await staging.reserve(place("sha1:next", 1), OPEN, 2_000);
        assert.equal(outcome, status === "staging" ? "full" : "reserved", status);
        await carts.remove(id);
      }
    });

    test("a place that is not renewed in time is given to another", async () => {
      await empty();
      const first = await staging.reserve(place("sha1:a", 60), OPEN, 1_000);
      assert.equal(first.outcome, "reserved");
      const { path } = first.file;
      assert.equal(await staging.renew("sha1:a", path, 2_000), true);
      const alive = { ...OPEN, deadBefore: 2_000 };
      assert.deepEqual(await staging.reserve(place("sha1:a", 60), alive, 3_000), { outcome: "busy" });

      const dead = { ...OPEN, deadBefore: 2_001 };
      const second = await staging.reserve(place("sha1:a", 60), dead, 3_000);
      assert.equal(second.outcome, "reserved");
      assert.deepEqual(second.evicted, [{ ...first.file, lastUsedAt: 2_000 }]);
      assert.equal(await staging.renew("sha1:a", path, 3_000), false);
      assert.equal(await staging.complete("sha1:a", path, FACTS, 3_000), false);
      assert.equal(await staging.release("sha1:a", path), false);
      assert.deepEqual(await staging.usage(), { files: 0, bytes: 0, reservedBytes: 60 });
      assert.equal(await staging.complete("sha1:a", second.file.path, FACTS, 3_000), true);
    });

    test("abandoned places take no room, and whoever reserves next is told of them", async () => {
      await empty();
      const left = await staging.reserve(place("sha1:left", 90), OPEN, 1_000);
      assert.equal(left.outcome, "reserved");
      const next = await staging.reserve(place("sha1:next", 100), { ...OPEN, deadBefore: 1_001 }, 2_000);
      assert.equal(next.outcome, "reserved");
      assert.deepEqual(next.evicted, [left.file]);
      assert.deepEqual(await staging.usage(), { files: 0, bytes: 0, reservedBytes: 100 });
    });

    test("abandoned places are told of even where they do not make enough room", async () => {
      await empty();
      await put("sha1:protected", 50, 1_000);
      const left = await staging.reserve(place("sha1:left", 40), OPEN, 1_000);
      assert.equal(left.outcome, "reserved");
      const limits = { ...OPEN, protectedSince: 1_000, deadBefore: 1_001 };
      assert.deepEqual(await staging.reserve(place("sha1:next", 60), limits, 2_000), {
        outcome: "full",
        evicted: [left.file],
        freeBytes: 50,
        capacityBytes: 100,
        reservedBytes: 0,
      });
      assert.deepEqual(await staging.usage(), { files: 1, bytes: 50, reservedBytes: 0 });
    });

    test("a place that is given up is free again, and a file that is gone can be copied anew", async () => {
      await empty();
      const kept = await staging.reserve(place("sha1:a", 60), OPEN, 1_000);
      assert.equal(kept.outcome, "reserved");
      assert.equal(await staging.release("sha1:a", kept.file.path), true);
      assert.equal(await staging.get("sha1:a"), undefined);
      const file = await put("sha1:a", 60, 2_000);
      assert.equal(await staging.release("sha1:a", "some other copy"), false);
      assert.deepEqual(await staging.get("sha1:a"), file);
      assert.equal(await staging.release("sha1:a", file.path), true);
      assert.deepEqual(await staging.usage(), { files: 0, bytes: 0, reservedBytes: 0 });
    });

    test("tells its own places from strange ones", async () => {
      await empty();
      const present = await put("sha1:a", 1, 1_000);
      const reserved = await staging.reserve(place("sha1:b", 1), OPEN, 1_000);
      assert.equal(reserved.outcome, "reserved");
      const paths = [present.path, reserved.file.path];
      assert.deepEqual(await staging.known([...paths, "stray"]), new Set(paths));
      assert.deepEqual(await staging.known([]), new Set());
      assert.deepEqual(await staging.touch([], 1_000), new Set());
      assert.deepEqual(await staging.touch(["sha1:b"], 1_000), new Set(), "a place is no file");
    });
  });
}
