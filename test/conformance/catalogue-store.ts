import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type {
  ArchivedFile,
  CatalogueStore,
  KeyValue,
  Outbox,
  OutboxMessage,
  SequenceStore,
  Transaction,
} from "../../src/core/catalogue/catalogue-store.ts";
import { fileId, transactionId } from "../../src/core/ids.ts";

interface Opened {
  readonly catalogue: CatalogueStore;
  readonly outbox: Outbox;
  readonly sequences: SequenceStore;
  close(): Promise<void>;
}

/** What every CatalogueStore, Outbox and SequenceStore must do. One fresh database for the whole suite. */
export function catalogueConformance(name: string, open: () => Promise<Opened>): void {
  describe(`CatalogueStore: ${name}`, () => {
    let opened: Opened;
    let store: CatalogueStore;
    before(async () => {
      opened = await open();
      store = opened.catalogue;
    });
    after(() => opened?.close());

    test("add makes the transaction, its files, its key-values and its messages known, as they were given", async () => {
      const tx = transaction(1, 3, { submitter: "Ü 漢 🚢", project: "it's", instrument: null });
      const files = [
        file(11, tx, { sizeBytes: Number.MAX_SAFE_INTEGER, crc32: 0xffff_ffff, changedAt: "yesterday, about noon" }),
        file(12, tx, { path: 'data/it\'s "q" % \\ 漢 🚢.txt', modifiedAt: null }),
        file(13, tx, { digests: { sha512: "ab".repeat(64), "blake2b-512": "cd".repeat(64) } }),
      ];
      const keyValues: KeyValue[] = [
        { fileId: null, key: "b", value: "second by name, first by order" },
        { fileId: fileId(12), key: "a", value: "" },
        { fileId: null, key: "b", value: "a key may be repeated" },
      ];
      const message = {
        key: "tx-1",
        channel: "metadata",
        target: "t",
        payload: { text: "\u0000 'x'", list: [1, null] },
      };
      assert.equal(await store.add(tx, each(files), keyValues, [message], 5_000), true);
      assert.deepEqual(await store.transaction(tx.id), tx);
      assert.deepEqual(await store.listFiles(tx.id, { limit: 10 }), files);
      assert.deepEqual(await store.file(fileId(12)), files[1]);
      assert.deepEqual(await store.keyValues(tx.id), keyValues);
      assert.deepEqual(await opened.outbox.claim(5_000, 1, 10), [{ ...message, attempts: 1 }]);
      await opened.outbox.delivered("tx-1");
    });

    test("what is not known is undefined or empty", async () => {
      assert.equal(await store.transaction(transactionId(999)), undefined);
      assert.equal(await store.file(fileId(999_999)), undefined);
      assert.deepEqual(await store.listFiles(transactionId(999), { limit: 10 }), []);
      assert.deepEqual(await store.keyValues(transactionId(999)), []);
    });

    test("adding a known transaction again leaves everything as it is", async () => {
      const tx = transaction(2, 1);
      await store.add(tx, each([file(21, tx)]), [{ fileId: null, key: "k", value: "v" }], [], 1);
      const other = { ...tx, fileCount: 2, objectPath: "elsewhere" };
      const again = store.add(other, each([file(22, tx)]), [], [outboxMessage("tx-2-again")], 1);
      assert.equal(await again, false);
      assert.deepEqual(await store.transaction(tx.id), tx);
      assert.deepEqual(await store.listFiles(tx.id, { limit: 10 }), [file(21, tx)]);
      assert.equal((await store.keyValues(tx.id)).length, 1);
      assert.equal(await opened.outbox.depth(), 0);
    });

    test("racing adds of one transaction register it once and completely", async () => {
      const tx = transaction(3, 2_000);
      const files = Array.from({ length: 2_000 }, (_, i) => file(30_000 + i, tx));
      const answers = await Promise.all(
        Array.from({ length: 4 }, () => store.add(tx, each(files), [{ fileId: null, key: "k", value: "v" }], [], 1)),
      );
      assert.deepEqual(answers.sort(), [false, false, false, true]);
      assert.deepEqual(await store.listFiles(tx.id, { limit: 3_000 }), files);
      assert.equal((await store.keyValues(tx.id)).length, 1);
    });

    test("when the files break off nothing of the transaction is known, and the next add succeeds", async () => {
      const tx = transaction(4, 1_500);
      const files = Array.from({ length: 1_500 }, (_, i) => file(40_000 + i, tx));
      const broken = (async function* () {
        yield* files.slice(0, 1_200);
        throw new Error("the disk is gone");
      })();
      const totals = await store.totals();
      const message = outboxMessage("tx-4");
      await assert.rejects(
        store.add(tx, broken, [{ fileId: null, key: "k", value: "v" }], [message], 1),
        /disk is gone/,
      );
      assert.equal(await store.transaction(tx.id), undefined);
      assert.equal(await store.file(fileId(40_000)), undefined);
      assert.deepEqual(await store.listFiles(tx.id, { limit: 10 }), []);
      assert.deepEqual(await store.keyValues(tx.id), []);
      assert.deepEqual(await store.totals(), totals);
      assert.equal(await opened.outbox.depth(), 0);
      assert.equal(await store.add(tx, each(files), [], [], 1), true);
      assert.deepEqual(await store.listFiles(tx.id, { limit: 3_000 }), files);
    });

    test("what an add that never came to its end left behind does not show in the next", async () => {
      const tx = transaction(12, 600);
      const { promise: stopped, resolve: stop } = Promise.withResolvers<void>();
      // As of a process that died: the first 500 rows are written, and nothing ever follows.
      void store.add(
        tx,
        (async function* () {
          for (let id = 120_000; id < 120_599; id++) yield file(id, tx, { path: "data/never-finished" });
          stop();
          await new Promise<never>(() => {});
        })(),
        [],
        [],
        1,
      );
      await stopped;
      const files = Array.from({ length: 600 }, (_, i) => file(120_000 + i, tx));
      assert.equal(await store.add(tx, each(files), [], [], 1), true);
      assert.deepEqual(await store.listFiles(tx.id, { limit: 1_000 }), files);
    });

    test("while files arrive slowly nothing of them is visible and nobody else has to wait", async () => {
      const slow = transaction(5, 1_001);
      const { promise: gate, resolve: letOn } = Promise.withResolvers<void>();
      const { promise: halfWay, resolve: reached } = Promise.withResolvers<void>();
      const adding = store.add(
        slow,
        (async function* () {
          for (let i = 0; i < 1_000; i++) yield file(50_000 + i, slow);
          reached();
          await gate;
          yield file(51_000, slow);
        })(),
        [],
        [],
        1,
      );
      await halfWay;
      const quick = transaction(6, 1);
      assert.equal(await store.add(quick, each([file(61, quick)]), [], [], 1), true);
      assert.equal(await store.file(fileId(50_000)), undefined);
      assert.deepEqual(await store.listFiles(slow.id, { limit: 1 }), []);
      letOn();
      assert.equal(await adding, true);
      assert.equal((await store.listFiles(slow.id, { limit: 2_000 })).length, 1_001);
    });

    test("files of one transaction are paged in id order, and only its own", async () => {
      const [tx, other] = [transaction(7, 25), transaction(8, 1)];
      const files = Array.from({ length: 25 }, (_, i) => file(700 + i * 2, tx));
      await store.add(tx, each(files.toReversed()), [], [], 1);
      await store.add(other, each([file(701, other)]), [], [], 1);
      const all: ArchivedFile[] = [];
      for (;;) {
        const last = all.at(-1);
        const page = await store.listFiles(tx.id, { limit: 10, ...(last && { afterId: last.id }) });
        all.push(...page);
        if (page.length < 10) break;
      }
      assert.deepEqual(all, files);
    });

    test("transactions are listed newest first, by owner, from an id on", async () => {
      for (const id of [91, 92, 93, 94]) {
        const tx = transaction(id, 0, { owner: id === 92 ? "beth" : "adam" });
        await store.add(tx, each([]), [], [], 1);
      }
      const ids = async (filter: Parameters<CatalogueStore["listTransactions"]>[0]) =>
        (await store.listTransactions(filter)).map((tx) => tx.id as number);
      assert.deepEqual(await ids({ limit: 3 }), [94, 93, 92]);
      assert.deepEqual(await ids({ limit: 2, beforeId: transactionId(93) }), [92, 91]);
      assert.deepEqual(await ids({ limit: 10, owner: "adam" }), [94, 93, 91]);
      assert.deepEqual(await ids({ limit: 10, owner: "adam", beforeId: transactionId(93) }), [91]);
      assert.deepEqual(await ids({ limit: 10, owner: "nobody" }), []);
    });

    test("transactions are found in id order by all that is asked of them", async () => {
      const owner = "finder";
      const made = [
        transaction(201, 0, { owner, submitter: "10", project: "p", instrument: "i", createdAt: 1_000 }),
        transaction(202, 0, { owner, submitter: "10", project: "p", instrument: null, createdAt: 2_000 }),
        transaction(203, 0, { owner, submitter: "11", project: "p", instrument: "i", createdAt: 3_000 }),
        transaction(204, 0, { owner: "other", submitter: "10", project: "p", instrument: "i", createdAt: 4_000 }),
      ];
      const pairs: KeyValue[][] = [
        [
          { fileId: null, key: "Temp C", value: "27" },
          { fileId: null, key: "Temp C", value: "28" },
        ],
        [
          { fileId: null, key: "Temp C", value: "27" },
          { fileId: null, key: "it's", value: "" },
        ],
        [{ fileId: fileId(2031), key: "Temp C", value: "27" }],
        [],
      ];
      for (const [i, tx] of made.entries()) await store.add(tx, each([]), pairs[i] ?? [], [], 1);
      const found = async (query: Partial<Parameters<CatalogueStore["findTransactions"]>[0]>) =>
        (await store.findTransactions({ owner, limit: 10, ...query })).map((tx) => tx.id as number);
      assert.deepEqual(await store.findTransactions({ owner, limit: 1 }), [made[0]]);
      assert.deepEqual(await found({}), [201, 202, 203]);
      assert.deepEqual(await found({ limit: 2 }), [201, 202]);
      assert.deepEqual(await found({ limit: 2, afterId: transactionId(201) }), [202, 203]);
      assert.deepEqual(await found({ submitter: "10", project: "p" }), [201, 202]);
      assert.deepEqual(await found({ instrument: "i" }), [201, 203]);
      assert.deepEqual(await found({ from: 2_000, until: 3_000 }), [202]);
      assert.deepEqual(await found({ keyValues: { "Temp C": "27" } }), [201, 202]);
      assert.deepEqual(await found({ keyValues: { "Temp C": "27", "it's": "" } }), [202]);
      assert.deepEqual(await found({ keyValues: { "Temp C": "" } }), []);
      assert.deepEqual(await found({ keyValues: {} }), [201, 202, 203]);
    });

    test("files of a transaction are found by the beginning of their path, to the letter, and by media type", async () => {
      const tx = transaction(13, 6);
      const given = [
        ["data/a_b/1.png", "image/png"],
        ["data/axb/2.png", "image/PNG"],
        ["data/A_b/3.jpg", "image/jpeg"],
        ["data/漢🚢/4.txt", "text/plain"],
        ["data/漢🚢x", "image/png"],
        ["data/100%/6", "imagery/x"],
      ] as const;
      const files = given.map(([path, mediaType], i) => file(1_300 + i, tx, { path, mediaType }));
      await store.add(tx, each(files), [], [], 1);
      const found = async (page: Partial<Parameters<CatalogueStore["listFiles"]>[1]>) =>
        (await store.listFiles(tx.id, { limit: 10, ...page })).map(({ id }) => id - 1_299);
      assert.deepEqual(await found({ prefix: "data/a_" }), [1]);
      assert.deepEqual(await found({ prefix: "data/A" }), [3]);
      assert.deepEqual(await found({ prefix: "data/漢🚢" }), [4, 5]);
      assert.deepEqual(await found({ prefix: "data/漢🚢/" }), [4]);
      assert.deepEqual(await found({ prefix: "data/1%" }), []);
      assert.deepEqual(await found({ prefix: "" }), [1, 2, 3, 4, 5, 6]);
      assert.deepEqual(await found({ mediaType: "image/png" }), [1, 2, 5]);
      assert.deepEqual(await found({ mediaType: "Image/*" }), [1, 2, 3, 5]);
      assert.deepEqual(await found({ mediaType: "image/*", prefix: "data/a", limit: 1, afterId: fileId(1_300) }), [2]);
    });

    test("folders are listed name by name, in the order of code points, whatever lies below them", async () => {
      const tx = transaction(77, 0);
      const paths = [
        ...["data/a.txt", "data/a/1", "data/a/2/3", "data/a-b", "data/A", `data/z/${"x".repeat(200)}`],
        ...["data/ä", "data/\u{1F600}/b", "data/a%_b/c", "data/a'b", "other"],
        ...Array.from({ length: 300 }, (_, n) => `data/many/${n}/deep/${n}`),
      ];
      const files = paths.map((path, n) => file(770_000 + n, tx, { path }));
      await store.add({ ...tx, fileCount: files.length }, each(files), [], [], 1);
      // As a plain walk over all paths finds them.
      const expected = (folder: string) => {
        const begin = folder === "" ? "" : `${folder}/`;
        const below = paths.filter((path) => path.startsWith(begin)).map((path) => path.slice(begin.length));
        const names = below.map((path) => (path.includes("/") ? `${path.split("/")[0]}/` : path));
        const inOrder = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b));
        return [...new Set(names)].sort((a, b) => inOrder(`${begin}${a}`, `${begin}${b}`));
      };
      for (const folder of ["", "data", "data/a", "data/a/2", "data/many", "data/a%_b", "data/none", "dat"]) {
        for (const limit of [1, 3, 1_000]) {
          const found: string[] = [];
          for (let after: string | undefined, more = true; more; ) {
            const page = await store.listFolder(tx.id, { folder, limit, ...(after !== undefined && { after }) });
            for (const { name, file: one } of page) {
              found.push(one === null ? `${name}/` : name);
              if (one) assert.equal(one.path, folder === "" ? name : `${folder}/${name}`);
            }
            after = found.at(-1);
            more = page.length === limit;
          }
          assert.deepEqual(found, expected(folder), `${folder}, ${limit} at a time`);
        }
      }
      await store.forget(tx.id);
    });

    test("many files are found at once, with where they lie and whose they are", async () => {
      const tx = transaction(14, 1_200, { owner: "beth", objectPath: "aa/14" });
      const files = Array.from({ length: 1_200 }, (_, i) => file(140_000 + i, tx));
      await store.add(tx, each(files), [], [], 1);
      const wanted = [...files.map(({ id }) => id), fileId(999_999_999), fileId(140_000)];
      const found = await store.files(wanted);
      assert.deepEqual(
        found.toSorted((a, b) => a.id - b.id),
        files.map((one) => ({ ...one, owner: "beth", objectPath: "aa/14" })),
      );
      assert.deepEqual(await store.files([]), []);
    });

    test("totals sum what is known", async () => {
      const before = await store.totals();
      const tx = transaction(10, 3, { sizeBytes: 2 ** 40 });
      await store.add(tx, each([101, 102, 103].map((id) => file(id, tx))), [], [], 1);
      assert.deepEqual(await store.totals(), {
        transactions: before.transactions + 1,
        files: before.files + 3,
        bytes: before.bytes + 2 ** 40,
      });
    });

    test("a transaction that was forgotten is unknown, and can be added anew", async () => {
      const tx = transaction(11, 1_200);
      const files = Array.from({ length: 1_200 }, (_, i) => file(110_000 + i, tx));
      await store.add(tx, each(files), [{ fileId: null, key: "k", value: "v" }], [], 1);
      await store.forget(tx.id);
      await store.forget(tx.id);
      assert.equal(await store.transaction(tx.id), undefined);
      assert.equal(await store.file(fileId(110_000)), undefined);
      assert.deepEqual(await store.keyValues(tx.id), []);
      const fewer = { ...tx, fileCount: 1 };
      assert.equal(await store.add(fewer, each([file(110_001, tx, { path: "data/moved" })]), [], [], 1), true);
      assert.deepEqual(await store.listFiles(tx.id, { limit: 10 }), [file(110_001, tx, { path: "data/moved" })]);
    });
  });

  describe(`Outbox: ${name}`, () => {
    let opened: Opened;
    let outbox: Outbox;
    before(async () => {
      opened = await open();
      outbox = opened.outbox;
    });
    after(() => opened?.close());

    let lastId = 0;
    const put = async (now: number, ...keys: string[]) => {
      const tx = transaction(++lastId, 0);
      await opened.catalogue.add(tx, each([]), [], keys.map(outboxMessage), now);
    };
    const keys = (messages: readonly OutboxMessage[]) => messages.map((message) => message.key);
    const deliverAll = async () => {
      for (const message of await outbox.claim(1e12, 1, 1_000)) await outbox.delivered(message.key);
    };

    test("backlog tells how many messages wait, how many have failed, and since when the oldest waits", async () => {
      assert.deepEqual(await outbox.backlog(), { messages: 0, failing: 0, oldestAt: null });
      await put(3_000, "backlog-1");
      await put(4_000, "backlog-2");
      assert.deepEqual(await outbox.backlog(), { messages: 2, failing: 0, oldestAt: 3_000 });
      await outbox.failed("backlog-2", 5_000, "no answer");
      assert.deepEqual(await outbox.backlog(), { messages: 2, failing: 1, oldestAt: 3_000 });
      await deliverAll();
      assert.deepEqual(await outbox.backlog(), { messages: 0, failing: 0, oldestAt: null });
    });

    test("claim holds due messages for the lease, oldest first, and gives them out again when it is over", async () => {
      await put(1_000, "first");
      await put(2_000, "second");
      await put(9_000, "later");
      assert.deepEqual(keys(await outbox.claim(5_000, 100, 1)), ["first"]);
      assert.deepEqual(keys(await outbox.claim(5_000, 200, 10)), ["second"]);
      assert.deepEqual(await outbox.claim(5_099, 100, 10), []);
      const [again] = await outbox.claim(5_100, 50, 10);
      assert.deepEqual(again, { ...outboxMessage("first"), attempts: 2 });
      assert.equal(await outbox.depth(), 3);
      assert.deepEqual(keys(await outbox.claim(1_000_000, 1, 10)), ["first", "second", "later"]);
      await deliverAll();
    });

    test("a delivered message is gone, and delivering it twice does nothing", async () => {
      await put(1_000, "gone");
      await outbox.claim(1_000, 10, 10);
      await outbox.delivered("gone");
      await outbox.delivered("gone");
      assert.equal(await outbox.depth(), 0);
      assert.deepEqual(await outbox.claim(1e12, 1, 10), []);
    });

    test("a failed message comes back when it is due, with its attempts counted", async () => {
      await put(1_000, "retry");
      await outbox.claim(1_000, 60_000, 10);
      await outbox.failed("retry", 3_000, "HTTP 503 from the other side");
      assert.deepEqual(await outbox.claim(2_999, 10, 10), []);
      assert.deepEqual(await outbox.claim(3_000, 10, 10), [{ ...outboxMessage("retry"), attempts: 2 }]);
      await deliverAll();
    });

    test("a key that is there already is not added again", async () => {
      await put(1_000, "same");
      await outbox.claim(1_000, 60_000, 10);
      await put(2_000, "same", "other");
      assert.deepEqual(keys(await outbox.claim(2_000, 10, 10)), ["other"]);
      await deliverAll();
    });

    test("claimers at the same time never hold the same message, nor more than they asked for", async () => {
      await put(1_000, ...Array.from({ length: 100 }, (_, i) => `m-${i}`));
      const pages = await Promise.all(Array.from({ length: 8 }, () => outbox.claim(1_000, 60_000, 20)));
      assert.ok(pages.every((page) => page.length <= 20));
      const held = keys(pages.flat());
      assert.equal(new Set(held).size, held.length);
      for (
        let page = await outbox.claim(1_000, 60_000, 20);
        page.length > 0;
        page = await outbox.claim(1_000, 60_000, 20)
      )
        held.push(...keys(page));
      assert.equal(new Set(held).size, 100);
      assert.equal(held.length, 100);
      await deliverAll();
    });
  });

  describe(`SequenceStore: ${name}`, () => {
    let opened: Opened;
    let sequences: SequenceStore;
    before(async () => {
      opened = await open();
      sequences = opened.sequences;
    });
    after(() => opened?.close());

    test("a sequence begins with 1, and each sequence counts for itself", async () => {
      assert.equal(await sequences.reserve("job", 1), 1);
      assert.equal(await sequences.reserve("job", 5), 2);
      assert.equal(await sequences.reserve("job", 1), 7);
      assert.equal(await sequences.reserve("file", 1), 1);
    });

    test("concurrent reservations never overlap and leave no gap", async () => {
      const counts = Array.from({ length: 50 }, (_, i) => (i % 7) + 1);
      const firsts = await Promise.all(counts.map((count) => sequences.reserve("shared", count)));
      const numbers = firsts.flatMap((first, i) => Array.from({ length: counts[i] ?? 0 }, (_, n) => first + n));
      assert.deepEqual(
        numbers.sort((a, b) => a - b),
        Array.from({ length: numbers.length }, (_, i) => i + 1),
      );
    });

    test("raise moves a sequence past a number that is used, and never back", async () => {
      await sequences.raise("raised", 2 ** 40);
      assert.equal(await sequences.reserve("raised", 1), 2 ** 40 + 1);
      await sequences.raise("raised", 7);
      assert.equal(await sequences.reserve("raised", 1), 2 ** 40 + 2);
    });
  });
}

async function* each<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items;
}

function transaction(id: number, fileCount: number, given: Partial<Transaction> = {}): Transaction {
  return {
    id: transactionId(id),
    submitter: "1",
    project: "2",
    instrument: "3",
    owner: "someone",
    fileCount,
    sizeBytes: fileCount * 4096,
    objectPath: `aa/bb/tx-${id}`,
    inventoryDigest: "ef".repeat(64),
    createdAt: 1_700_000_000_000 + id,
    ...given,
  };
}

function file(id: number, tx: Transaction, given: Partial<ArchivedFile> = {}): ArchivedFile {
  return {
    id: fileId(id),
    transactionId: tx.id,
    path: `data/${id}.dat`,
    contentPath: `v1/content/data/${id}.dat`,
    sizeBytes: 4096,
    modifiedAt: "2020-01-02T03:04:05Z",
    changedAt: null,
    mediaType: "application/octet-stream",
    digests: { sha1: "ab".repeat(20) },
    crc32: id,
    declared: { algorithm: "sha1", value: "ab".repeat(20) },
    ...given,
  };
}

const outboxMessage = (key: string): OutboxMessage => ({
  key,
  channel: "cloudevent",
  target: "http://t",
  payload: { key },
});
