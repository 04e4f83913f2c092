import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Cart, CartEntry, CartStatus } from "../../src/core/carts/cart.ts";
import type { CartStore, NewEntry } from "../../src/core/carts/cart-store.ts";
import type { Checkpoint, Layout } from "../../src/core/carts/layout.ts";
import type { CatalogueStore } from "../../src/core/catalogue/catalogue-store.ts";
import { problem } from "../../src/core/errors.ts";
import { type CartId, cartId, fileId, transactionId } from "../../src/core/ids.ts";

interface Opened {
  readonly carts: CartStore;
  readonly catalogue: CatalogueStore;
  close(): Promise<void>;
}

/** What every CartStore must do. One fresh database for the whole suite. */
export function cartStoreConformance(name: string, open: () => Promise<Opened>): void {
  describe(`CartStore: ${name}`, { timeout: 120_000 }, () => {
    let opened: Opened;
    let store: CartStore;
    before(async () => {
      opened = await open();
      store = opened.carts;
    });
    after(() => opened?.close());

    let carts = 0;
    const newCart = (given: Partial<Parameters<CartStore["create"]>[0]> = {}, now = 1_000) =>
      store.create(
        {
          id: cartId(`cart-${++carts}`),
          uid: null,
          name: "data",
          owner: "ada",
          algorithm: "sha512",
          expiresAt: null,
          ...given,
        },
        now,
      );
    const ids = (list: readonly Cart[]) => list.map(({ id }) => id);

    let lastFile = 0;
    /** A transaction with this many files in the catalogue. */
    const archived = async (count: number) => {
      const files = Array.from({ length: count }, () => ++lastFile);
      const id = transactionId(files[0] ?? ++lastFile);
      await opened.catalogue.add(
        {
          id,
          submitter: null,
          project: null,
          instrument: null,
          owner: "ada",
          fileCount: count,
          sizeBytes: count,
          objectPath: `aa/${id}`,
          inventoryDigest: "",
          createdAt: 1,
        },
        (async function* () {
          for (const n of files)
            yield {
              id: fileId(n),
              transactionId: id,
              path: `data/${n}`,
              contentPath: `v1/content/data/${n}`,
              sizeBytes: 10 + n,
              modifiedAt: n % 2 === 0 ? "2020-09-13T12:26:40.000Z" : "about noon",
              changedAt: null,
              mediaType: "text/plain",
              digests: { sha512: `5${n}`, md5: `d${n}` },
              crc32: 0xffff_0000 + n,
              declared: { algorithm: "md5", value: `d${n}` },
            };
        })(),
        [],
        [],
        1,
      );
      return { id, files: files.map(fileId) };
    };
    /** What the catalogue knows of such a file, as an entry. `date -ud @1600000000` is the time above. */
    const archivedEntry = (seq: number, n: number, transaction: number, given: Partial<CartEntry> = {}): CartEntry => ({
      seq,
      path: `p/${n}`,
      sizeBytes: 10 + n,
      modifiedAt: n % 2 === 0 ? 1_600_000_000_000 : null,
      crc32: 0xffff_0000 + n,
      digest: `5${n}`,
      fileId: fileId(n),
      transactionId: transactionId(transaction),
      location: { at: "archive", path: `aa/${transaction}/v1/content/data/${n}` },
      expected: null,
      ...given,
    });
    const remoteEntry = (seq: number, id: string): CartEntry => ({
      seq,
      path: `remote/${id}`,
      sizeBytes: 0,
      modifiedAt: null,
      crc32: null,
      digest: null,
      fileId: null,
      transactionId: null,
      location: { at: "remote", id },
      expected: { algorithm: "sha1", value: "ab" },
    });

    test("a new cart waits, is empty, and is found by its id", async () => {
      const cart = await newCart({ uid: "u", name: "Ü 漢", expiresAt: Number.MAX_SAFE_INTEGER }, 1_234);
      assert.deepEqual(cart, {
        id: `cart-${carts}`,
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
      assert.deepEqual(await page({ owner: "nobody" }), []);
      assert.deepEqual(ids(await store.list({ limit: 2 })), [d, c]);
    });

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

    const layout = (contentDigest: string): Layout => ({
      sizeBytes: 2 ** 45,
      contentDigest,
      fileCount: 3_000,
      payloadBytes: 7,
      regions: { members: 2 ** 44, directory: 5, manifest: 6 },
      facts: { manifestCrc32: 0xffff_ffff, manifestDigest: "ü" },
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

/** Until there is nothing more to do. */
async function all(step: () => Promise<boolean>): Promise<void> {
  while (await step());
}
