import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Cart } from "../../src/core/carts/cart.ts";
import type { CartStore } from "../../src/core/carts/cart-store.ts";
import { problem } from "../../src/core/errors.ts";
import { type CartId, cartId } from "../../src/core/ids.ts";
import { cartDownloadsConformance } from "./cart-downloads.ts";
import { cartEntriesConformance } from "./cart-entries.ts";
import { all, archivedEntry, cartRows, layout, type OpenedCarts } from "./cart-rows.ts";

/** What every CartStore must do. One fresh database for each of its suites. */
export function cartStoreConformance(name: string, open: () => Promise<OpenedCarts>): void {
  cartsConformance(name, open);
  cartEntriesConformance(name, open);
  cartDownloadsConformance(name, open);
}

/** Carts themselves. */
function cartsConformance(name: string, open: () => Promise<OpenedCarts>): void {
  describe(`CartStore, carts: ${name}`, () => {
    let opened: OpenedCarts;
    let store: CartStore;
    before(async () => {
      opened = await open();
      store = opened.carts;
    });
    after(() => opened?.close());
    const { newCart, archived } = cartRows(() => opened);
    const ids = (list: readonly Cart[]) => list.map(({ id }) => id);

    test("a new cart waits, is empty, and is found by its id", async () => {
      const cart = await newCart({ uid: "u", name: "Ü 漢", expiresAt: Number.MAX_SAFE_INTEGER }, 1_234);
      assert.deepEqual(cart, {
        id: cart.id,
        uid: "u",
        name: "Ü 漢",
        owner: "ada",
        status: "waiting",
        fileCount: 0,
        sizeBytes: 0,
        algorithm: "sha512",
        stagedFiles: 0,
        stagedBytes: 0,
        readyAt: null,
        stageJob: null,
        problems: [],
        problemCount: 0,
        downloads: 0,
        lastUsedAt: null,
        expiresAt: Number.MAX_SAFE_INTEGER,
        createdAt: 1_234,
        updatedAt: 1_234,
      });
      assert.deepEqual(await store.get(cart.id), cart);
      assert.equal(await store.get(cartId("nobody's")), undefined);
      assert.deepEqual(await store.entries(cart.id, 0, 10), []);
    });

    test("update changes what it is given when the status is one of those expected, and says so", async () => {
      const { id, ...cart } = await newCart();
      const problems = [problem("file_missing", { path: "a", expected: 1 })];
      const change = {
        status: "error",
        fileCount: 2,
        sizeBytes: 2 ** 50,
        problems,
        problemCount: 7,
        readyAt: 5,
      } as const;
      const changed = await store.update(id, ["waiting", "staging"], change, 2_000);
      assert.deepEqual(changed, { ...cart, id, ...change, updatedAt: 2_000 });
      assert.equal(await store.update(id, ["waiting", "staging"], { status: "ready" }, 3_000), undefined);
      assert.deepEqual(await store.get(id), changed);
      assert.equal(await store.update(cartId("nobody's"), ["waiting"], {}, 1), undefined);
    });

    test("of racing updates from the same status exactly one succeeds", async () => {
      const { id } = await newCart();
      const answers = await Promise.all(
        Array.from({ length: 8 }, (_, i) => store.update(id, ["waiting"], { status: "ready", readyAt: i }, 1)),
      );
      const winners = answers.filter((answer) => answer !== undefined);
      assert.equal(winners.length, 1);
      assert.equal((await store.get(id))?.readyAt, winners[0]?.readyAt);
    });

    test("carts of one name are found newest first, whoever owns them", async () => {
      const first = await newCart({ uid: "name", owner: "ada" });
      const second = await newCart({ uid: "name", owner: "beth" });
      await newCart({ uid: "other" });
      assert.deepEqual(await store.newestOf("name"), second);
      assert.deepEqual(await store.allOf("name"), [second, first]);
      assert.equal(await store.newestOf("none"), undefined);
      await store.remove(second.id);
      assert.deepEqual(await store.newestOf("name"), first);
      assert.deepEqual(await store.allOf("name"), [first]);
    });

    test("carts are listed newest first, by owner and status, from a cart on", async () => {
      const owner = "lister";
      const made = [
        await newCart({ owner }),
        await newCart({ owner }),
        await newCart({ owner }),
        await newCart({ owner }),
      ];
      const [a, b, c, d] = ids(made) as [CartId, CartId, CartId, CartId];
      await store.update(b, ["waiting"], { status: "ready" }, 1);
      await store.update(c, ["waiting"], { status: "error" }, 1);
      const page = async (filter: Partial<Parameters<CartStore["list"]>[0]>) =>
        ids(await store.list({ owner, limit: 10, ...filter }));
      assert.deepEqual(await page({}), [d, c, b, a]);
      assert.deepEqual(await page({ limit: 2 }), [d, c]);
      assert.deepEqual(await page({ before: c }), [b, a]);
      assert.deepEqual(await page({ statuses: ["ready", "waiting"] }), [d, b, a]);
      assert.deepEqual(await page({ statuses: ["ready", "waiting"], before: d, limit: 1 }), [b]);
      assert.deepEqual(await page({ statuses: [] }), []);
      await assert.rejects(page({ before: cartId("nobody's") }), { code: "cart_unknown" });
      assert.deepEqual(await page({ owner: "nobody" }), []);
      assert.deepEqual(ids(await store.list({ limit: 2 })), [d, c]);
      await store.remove(c);
      assert.deepEqual(await page({}), [d, b, a]);
      assert.deepEqual(await page({ before: c }), [b, a], "one that is gone says for a while where a page ended");
    });

    test("a removed cart is gone for every method, once, and nothing can be added to it", async () => {
      const { id: tx, files } = await archived(1);
      const cart = await newCart({ uid: "gone", owner: "gone" });
      await store.addEntries(cart.id, [archivedEntry(0, files[0] ?? 0, tx)]);
      await store.addLayout(cart.id, "tar", layout("x"), [
        { seq: 0, offsets: { members: 0, directory: 0, manifest: 0 } },
      ]);
      assert.equal(await store.remove(cart.id), true);
      assert.equal(await store.remove(cart.id), false);
      assert.equal(await store.get(cart.id), undefined);
      assert.equal(await store.update(cart.id, ["waiting"], { status: "ready" }, 1), undefined);
      assert.deepEqual(await store.entries(cart.id, 0, 10), []);
      assert.equal(await store.layout(cart.id, "tar"), undefined);
      assert.equal(await store.checkpoint(cart.id, "tar", "members", 5), undefined);
      assert.deepEqual(await store.list({ owner: "gone", limit: 10 }), []);
      await store.addLayout(cart.id, "zip", layout("x"), []);
      assert.equal(await store.layout(cart.id, "zip"), undefined);
      await assert.rejects(store.addEntries(cart.id, [archivedEntry(0, files[0] ?? 0, tx)]), { code: "cart_unknown" });
    });

    test("sweeping empties removed and expired carts and leaves the others whole", async () => {
      const { id: tx, files } = await archived(5_000);
      const entries = files.map((n, seq) => archivedEntry(seq, n, tx));
      const made: CartId[] = [];
      for (let i = 0; i < 3; i++) {
        const { id } = await newCart();
        await store.addEntries(id, entries);
        await store.addLayout(id, "tar", layout("x"), [{ seq: 0, offsets: { members: 0, directory: 0, manifest: 0 } }]);
        await store.update(id, ["waiting"], { status: "ready", fileCount: 5_000 }, 1);
        made.push(id);
      }
      const [removed, expired, kept] = made as [CartId, CartId, CartId];
      await store.countDownload(removed, 1);
      await store.remove(removed);
      await store.update(expired, ["ready"], { status: "expired" }, 1);
      await all(store.tally);
      await all(store.sweep);
      assert.deepEqual(await store.entries(expired, 0, 10), []);
      assert.equal(await store.layout(expired, "tar"), undefined);
      assert.equal((await store.get(expired))?.fileCount, 5_000);
      assert.equal((await store.entries(kept, 0, 10_000)).length, 5_000);
      assert.ok(await store.layout(kept, "tar"));
      // The row is gone, so its id is free.
      assert.ok(await newCart({ id: removed }));
      await store.remove(removed);
    });

    test("carts are due when their time is over, when nobody used them, and when their maker died", async () => {
      const owner = "due";
      const ready = async (given: Parameters<typeof newCart>[0], now: number, lastUsedAt?: number) => {
        const { id } = await newCart({ owner, ...given }, now);
        await store.update(id, ["waiting"], { status: "ready", ...(lastUsedAt && { lastUsedAt }) }, now);
        return id;
      };
      const base = 1e12;
      const timed = await ready({ expiresAt: base + 50 }, base);
      const unused = await ready({}, base);
      const used = await ready({}, base, base + 100);
      const { id: waiting } = await newCart({ owner }, base + 10);
      await store.update(waiting, ["waiting"], { fileCount: 1 }, base + 20);
      const due = async (times: Partial<Parameters<CartStore["due"]>[0]>) => {
        const none = { now: 0, unusedSince: 0, waitingSince: 0, expiredSince: 0 };
        return new Set(ids((await store.due({ ...none, ...times }, 1_000)).filter((cart) => cart.owner === owner)));
      };
      assert.deepEqual(await due({ now: base + 49 }), new Set());
      assert.deepEqual(await due({ now: base + 50 }), new Set([timed]));
      assert.deepEqual(await due({ unusedSince: base - 1 }), new Set());
      assert.deepEqual(await due({ unusedSince: base }), new Set([unused]));
      assert.deepEqual(await due({ unusedSince: base + 10 }), new Set([unused, waiting]));
      assert.deepEqual(await due({ unusedSince: base + 100 }), new Set([unused, waiting, used]));
      assert.deepEqual(await due({ waitingSince: base + 20 }), new Set());
      assert.deepEqual(await due({ waitingSince: base + 21 }), new Set([waiting]));
      await store.update(timed, ["ready"], { status: "expired" }, base + 60);
      assert.deepEqual(await due({ now: base + 1e6 }), new Set());
      assert.deepEqual(await due({ expiredSince: base + 60 }), new Set());
      assert.deepEqual(await due({ expiredSince: base + 61 }), new Set([timed]));
      assert.equal(
        (await store.due({ now: 1e13, unusedSince: 1e13, waitingSince: 1e13, expiredSince: 1e13 }, 2)).length,
        2,
      );
    });
  });
}
