import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { CartEntry, CartStatus } from "../../src/core/carts/cart.ts";
import type { CartStore, NewEntry } from "../../src/core/carts/cart-store.ts";
import type { Checkpoint } from "../../src/core/carts/layout/layout.ts";
import type { CartId } from "../../src/core/ids.ts";
import { archivedEntry, cartRows, layout, type OpenedCarts, remoteEntry } from "./cart-rows.ts";

/** What every CartStore must do with entries, and with the layouts that are made of them. */
export function cartEntriesConformance(name: string, open: () => Promise<OpenedCarts>): void {
  describe(`CartStore, entries and layouts: ${name}`, () => {
    let opened: OpenedCarts;
    let store: CartStore;
    before(async () => {
      opened = await open();
      store = opened.carts;
    });
    after(() => opened?.close());
    const { newCart, archived } = cartRows(() => opened);

    test("entries of archived files are what the catalogue says, all others what was entered", async () => {
      const { id: tx, files } = await archived(2);
      const [one = 0, two = 0] = files;
      const cart = await newCart();
      const staged: CartEntry = {
        ...remoteEntry(3, "s"),
        sizeBytes: 2 ** 45,
        modifiedAt: -5,
        crc32: 0,
        digest: "ef",
        location: { at: "staged", key: "sha1:ab" },
        expected: null,
      };
      const entries = [archivedEntry(0, one, tx), archivedEntry(1, two, tx), remoteEntry(2, "r"), staged];
      await store.addEntries(cart.id, entries);
      assert.deepEqual(await store.entries(cart.id, 0, 10), entries);
    });

    test("entries continue where the last ones end, whatever number they bear, and are read in pages", async () => {
      const { id: tx, files } = await archived(1_200);
      const cart = await newCart();
      const entries = files.map((n, seq) => archivedEntry(seq, n, tx));
      await store.addEntries(cart.id, entries.slice(0, 700));
      await store.addEntries(
        cart.id,
        entries.slice(700).map((entry) => ({ ...entry, seq: 0 })),
      );
      assert.deepEqual(await store.entries(cart.id, 0, 2_000), entries);
      assert.deepEqual(await store.entries(cart.id, 695, 10), entries.slice(695, 705));
      assert.deepEqual(await store.entries(cart.id, 1_200, 10), []);
    });

    test("an archived file without a digest by the cart's algorithm has none until staging has found it", async () => {
      const { id: tx, files } = await archived(1);
      const [n = 0] = files;
      const cart = await newCart({ algorithm: "sha256" });
      const entry = archivedEntry(0, n, tx, { digest: null });
      await store.addEntries(cart.id, [entry]);
      assert.deepEqual(await store.unstaged(cart.id, 0, 10), [entry]);
      const facts = {
        sizeBytes: 10 + n,
        modifiedAt: entry.modifiedAt,
        crc32: 5,
        digest: "25",
        location: entry.location,
      };
      await store.staged(cart.id, 0, facts);
      assert.deepEqual(await store.unstaged(cart.id, 0, 10), []);
      assert.deepEqual(await store.entries(cart.id, 0, 10), [{ ...entry, ...facts }]);
    });

    test("what staging must deal with: files elsewhere, offline, unchecked, or not known well enough", async () => {
      const { id: tx, files } = await archived(5);
      const cart = await newCart();
      const entry = (seq: number, given: Partial<NewEntry> = {}): NewEntry => ({
        ...archivedEntry(seq, files[seq] ?? 0, tx),
        ...given,
      });
      await store.addEntries(cart.id, [
        entry(0),
        entry(1, { offline: true }),
        entry(2, { expected: { algorithm: "md5", value: "00" } }),
        entry(3, { offline: false }),
        remoteEntry(4, "far away"),
        { ...remoteEntry(5, "here"), digest: "1", expected: null, location: { at: "staged", key: "k" } },
      ]);
      const seqs = async (from: number, limit: number) =>
        (await store.unstaged(cart.id, from, limit)).map(({ seq }) => seq);
      assert.deepEqual(await seqs(0, 10), [1, 2, 4, 5]);
      assert.deepEqual(await seqs(2, 2), [2, 4]);
      await store.staged(cart.id, 4, {
        sizeBytes: 7,
        modifiedAt: 8,
        crc32: 9,
        digest: "aa",
        location: { at: "staged", key: "sha1:ab" },
      });
      assert.deepEqual(await seqs(0, 10), [1, 2, 5]);
      const [staged] = await store.entries(cart.id, 4, 1);
      assert.deepEqual(staged, {
        ...remoteEntry(4, "far away"),
        sizeBytes: 7,
        modifiedAt: 8,
        crc32: 9,
        digest: "aa",
        location: { at: "staged", key: "sha1:ab" },
      });
    });

    test("carts that need a staged file are found by its key, until they expire or are removed", async () => {
      const entry = (key: string): CartEntry => ({ ...remoteEntry(0, "x"), location: { at: "staged", key } });
      const made: CartId[] = [];
      for (const status of ["waiting", "staging", "ready", "error", "expired"] satisfies CartStatus[]) {
        const { id } = await newCart();
        await store.addEntries(id, [entry("shared"), entry("shared"), entry(`only ${status}`)]);
        await store.update(id, ["waiting"], { status }, 1);
        made.push(id);
      }
      const [waiting, staging, ready] = made as [CartId, CartId, CartId];
      assert.deepEqual(new Set(await store.holdersOf("shared")), new Set([waiting, staging, ready]));
      assert.equal((await store.holdersOf("shared")).length, 3);
      assert.deepEqual(await store.holdersOf("only ready"), [ready]);
      await store.remove(ready);
      assert.deepEqual(await store.holdersOf("only ready"), []);
      assert.deepEqual(await store.holdersOf("nothing"), []);
    });

    test("a file that the catalogue has lost is an error, not a shorter cart", async () => {
      const { id: tx, files } = await archived(2);
      const cart = await newCart();
      await store.addEntries(
        cart.id,
        files.map((n, seq) => archivedEntry(seq, n, tx)),
      );
      await opened.catalogue.forget(tx);
      await assert.rejects(store.entries(cart.id, 0, 10), { code: "catalogue_mismatch" });
    });

    test("a layout is kept with its checkpoints, and an earlier one of the same key stays", async () => {
      const { id } = await newCart();
      assert.equal(await store.layout(id, "tar"), undefined);
      const checkpoints: Checkpoint[] = Array.from({ length: 1_100 }, (_, i) => ({
        seq: i * 512,
        offsets: { members: i * 2 ** 32, directory: i * 100, manifest: 0 },
      }));
      await store.addLayout(id, "tar", layout("first"), checkpoints);
      await store.addLayout(id, "zip", layout("other"), []);
      await store.addLayout(id, "tar", layout("second"), [
        { seq: 1, offsets: { members: 1, directory: 1, manifest: 1 } },
      ]);
      assert.deepEqual(await store.layout(id, "tar"), layout("first"));
      assert.deepEqual(await store.layout(id, "zip"), layout("other"));
      const at = async (region: keyof Checkpoint["offsets"], offset: number, key = "tar") =>
        (await store.checkpoint(id, key, region, offset))?.seq;
      assert.equal(await at("members", 0), 0);
      assert.equal(await at("members", 2 ** 32 - 1), 0);
      assert.equal(await at("members", 2 ** 32), 512);
      assert.equal(await at("members", 2 ** 50), 1_099 * 512);
      assert.equal(await at("directory", 99), 0);
      assert.equal(await at("directory", 250), 2 * 512);
      assert.equal(await at("manifest", 0), 1_099 * 512);
      assert.equal(await at("members", 5, "zip"), undefined);
      assert.deepEqual(await store.checkpoint(id, "tar", "directory", 100), checkpoints[1]);
    });

    test("racing writers of one layout leave one of them, whole", async () => {
      const { id } = await newCart();
      const checkpointsOf = (n: number): Checkpoint[] =>
        Array.from({ length: 600 }, (_, i) => ({ seq: i, offsets: { members: i, directory: n, manifest: n } }));
      await Promise.all([1, 2, 3, 4].map((n) => store.addLayout(id, "tar", layout(`${n}`), checkpointsOf(n))));
      const n = Number((await store.layout(id, "tar"))?.contentDigest);
      assert.deepEqual(await store.checkpoint(id, "tar", "members", 1e9), checkpointsOf(n).at(-1));
    });
  });
}
