import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { CartStore } from "../../src/core/carts/cart-store.ts";
import { fileId } from "../../src/core/ids.ts";
import { all, archivedEntry, cartRows, type OpenedCarts } from "./cart-rows.ts";

/** What every CartStore must do with downloads that are counted. */
export function cartDownloadsConformance(name: string, open: () => Promise<OpenedCarts>): void {
  describe(`CartStore, downloads: ${name}`, () => {
    let opened: OpenedCarts;
    let store: CartStore;
    before(async () => {
      opened = await open();
      store = opened.carts;
    });
    after(() => opened?.close());
    const { newCart, archived } = cartRows(() => opened);

    test("downloads of a cart count for the cart at once, and for its files and transactions when they are carried over", async () => {
      const [many, few] = [await archived(1_300), await archived(3)];
      const cart = await newCart();
      const chosen = [...many.files, ...few.files];
      const entries = chosen.map((n, seq) => archivedEntry(seq, n, n >= (few.files[0] ?? 0) ? few.id : many.id));
      // One file at a second path: it is in every download twice.
      const [twice = fileId(1)] = few.files;
      await store.addEntries(cart.id, [...entries, archivedEntry(0, twice, few.id, { path: "again" })]);
      await store.countDownload(cart.id, 5_000);
      await store.countDownload(cart.id, 6_000);
      const counted = await store.get(cart.id);
      assert.deepEqual([counted?.downloads, counted?.lastUsedAt], [2, 6_000]);
      assert.deepEqual(await store.fileDownloads(twice), { downloads: 0, lastDownloadedAt: null });
      await all(store.tally);
      const expected = (downloads: number, lastDownloadedAt: number) => ({ downloads, lastDownloadedAt });
      for (const n of [many.files[0], many.files[499], many.files[500], many.files.at(-1), few.files[1]])
        assert.deepEqual(await store.fileDownloads(n ?? fileId(1)), expected(2, 6_000));
      assert.deepEqual(await store.fileDownloads(twice), expected(4, 6_000));
      assert.deepEqual(await store.transactionDownloads(many.id), expected(2, 6_000));
      assert.deepEqual(await store.transactionDownloads(few.id), expected(2, 6_000));
      await all(store.tally);
      assert.deepEqual(await store.transactionDownloads(many.id), expected(2, 6_000));
      await store.countDownload(cart.id, 7_000);
      await store.countFileDownload(twice, few.id, 6_500);
      await all(store.tally);
      assert.deepEqual(await store.fileDownloads(twice), expected(7, 7_000));
      assert.deepEqual(await store.transactionDownloads(few.id), expected(4, 7_000));
    });

    test("a download that begins while others are carried over is carried over too, once", async () => {
      const { id: tx, files } = await archived(1_200);
      const cart = await newCart();
      await store.addEntries(
        cart.id,
        files.map((n, seq) => archivedEntry(seq, n, tx)),
      );
      await store.countDownload(cart.id, 1);
      assert.equal(await store.tally(), true);
      // What was carried over so far is durable: another process goes on from there.
      assert.equal((await store.fileDownloads(files[0] ?? fileId(1))).downloads, 1);
      assert.equal((await store.fileDownloads(files[1_199] ?? fileId(1))).downloads, 0);
      await store.countDownload(cart.id, 2);
      await all(store.tally);
      for (const n of [files[0], files[600], files[1_199]])
        assert.equal((await store.fileDownloads(n ?? fileId(1))).downloads, 2);
      assert.equal((await store.transactionDownloads(tx)).downloads, 2);
    });

    test("processes that carry over at the same time count nothing twice", async () => {
      const { id: tx, files } = await archived(2_600);
      const made = [await newCart(), await newCart()];
      for (const { id } of made) {
        await store.addEntries(
          id,
          files.toReversed().map((n, seq) => archivedEntry(seq, n, tx)),
        );
        for (let i = 0; i < 3; i++) await store.countDownload(id, 1);
      }
      await Promise.all(Array.from({ length: 4 }, () => all(store.tally)));
      await all(store.tally);
      for (const n of files) assert.equal((await store.fileDownloads(n)).downloads, 6);
      assert.equal((await store.transactionDownloads(tx)).downloads, 6);
    });

    test("a cart that is removed before its downloads are carried over is carried over first", async () => {
      const { id: tx, files } = await archived(700);
      const cart = await newCart();
      await store.addEntries(
        cart.id,
        files.map((n, seq) => archivedEntry(seq, n, tx)),
      );
      await store.countDownload(cart.id, 1);
      await store.remove(cart.id);
      await all(store.sweep);
      await all(store.tally);
      await all(store.sweep);
      assert.equal((await store.fileDownloads(files[699] ?? fileId(1))).downloads, 1);
      assert.ok(await newCart({ id: cart.id }), "its row is gone");
      await store.remove(cart.id);
    });
  });
}
