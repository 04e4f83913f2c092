import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { ArchivedFile, CatalogueStore } from "../../src/core/catalogue/catalogue-store.ts";
import type { SearchChanges } from "../../src/core/catalogue/search-changes.ts";
import { fileId, transactionId } from "../../src/core/ids.ts";

interface Opened {
  readonly searchChanges: SearchChanges;
  readonly catalogue: CatalogueStore;
  close(): Promise<void>;
}

/**
 * What every SearchChanges, with the CatalogueStore of the same database, must do. One fresh database for the whole suite.
 * What is told of records is in the suites of the ExtractionStore and of removed crawls.
 */
export function searchChangesConformance(name: string, open: () => Promise<Opened>): void {
  describe(`SearchChanges: ${name}`, () => {
    let opened: Opened;
    let changes: SearchChanges;
    before(async () => {
      opened = await open();
      changes = opened.searchChanges;
    });
    after(() => opened?.close());

    const add = (id: number, files: readonly number[] = []) =>
      opened.catalogue.add(transaction(id, files.length), each(files.map((file) => archivedFile(file, id))), [], [], 1);
    /** All that is pending, which then is done with. */
    const told = async () => {
      const pending = await changes.pending(100_000);
      await changes.done(pending.map(({ number }) => number));
      return pending.map(({ subject }) => subject);
    };

    test("a transaction that is added is told of once, and not when its adding fails", async () => {
      await add(1, [11, 12]);
      await add(1, [11, 12]);
      assert.deepEqual(await told(), [{ transaction: 1 }]);
      const broken = (async function* () {
        yield archivedFile(21, 2);
        throw new Error("the disk is gone");
      })();
      await assert.rejects(opened.catalogue.add(transaction(2, 2), broken, [], [], 1), /disk is gone/);
      assert.deepEqual(await told(), []);
    });

    test("a transaction that is forgotten is told of with each of its files, and once", async () => {
      const files = Array.from({ length: 1_200 }, (_, i) => 3_000 + i);
      await add(3, files);
      await add(4, [41]);
      await told();
      await opened.catalogue.forget(transactionId(3));
      await opened.catalogue.forget(transactionId(3));
      const subjects = await told();
      assert.deepEqual(
        new Set(subjects),
        new Set([{ transaction: transactionId(3) }, ...files.map((file) => ({ file: fileId(file) }))]),
      );
      assert.equal(subjects.length, 1_201);
    });

    test("changes are pending by number until they are done with, and others stay", async () => {
      for (const id of [5, 6, 7]) await add(id);
      const [first, second, third, ...others] = await changes.pending(10);
      assert.ok(first && second && third);
      assert.deepEqual(others, []);
      assert.deepEqual(
        [first, second, third].map(({ subject }) => subject),
        [{ transaction: 5 }, { transaction: 6 }, { transaction: 7 }],
      );
      assert.ok(first.number < second.number && second.number < third.number);
      assert.deepEqual(await changes.pending(2), [first, second]);
      assert.equal(await changes.depth(), 3);
      await changes.done([second.number]);
      await changes.done([second.number, 1e9]);
      await changes.done([]);
      assert.deepEqual(await changes.pending(10), [first, third]);
      assert.equal(await changes.depth(), 2);
      await told();
      assert.equal(await changes.depth(), 0);
    });

    test("a number is not used again, so whoever is late with being done forgets nothing new", async () => {
      await add(8);
      const [late = assert.fail()] = await changes.pending(10);
      await told();
      await add(9);
      await changes.done([late.number]);
      assert.deepEqual(await told(), [{ transaction: 9 }]);
    });
  });
}

async function* each<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items;
}

const transaction = (id: number, fileCount: number) => ({
  id: transactionId(id),
  submitter: null,
  project: null,
  instrument: null,
  owner: "ada",
  fileCount,
  sizeBytes: fileCount,
  objectPath: `aa/${id}`,
  inventoryDigest: "",
  createdAt: 1,
});

const archivedFile = (id: number, of: number): ArchivedFile => ({
  id: fileId(id),
  transactionId: transactionId(of),
  path: `data/${id}`,
  contentPath: `v1/content/data/${id}`,
  sizeBytes: 1,
  modifiedAt: null,
  changedAt: null,
  mediaType: "text/plain",
  digests: {},
  crc32: 1,
  declared: { algorithm: "md5", value: "" },
});
