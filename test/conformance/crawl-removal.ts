import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { NO_COUNTS } from "../../src/core/crawl/crawl.ts";
import type { CrawlStore } from "../../src/core/crawl/crawl-store.ts";
import { AppError } from "../../src/core/errors.ts";
import type { CrawlId, ExtractionId } from "../../src/core/ids.ts";
import { at, batch, crawlRows, type OpenedCrawls, record } from "./crawl-rows.ts";

/** What every CrawlStore, with the ExtractionStore of the same database, must do about crawls that are removed. */
export function crawlRemovalConformance(name: string, open: () => Promise<OpenedCrawls>): void {
  describe(`removed crawls: ${name}`, () => {
    let opened: OpenedCrawls;
    let store: CrawlStore;
    before(async () => {
      opened = await open();
      store = opened.crawls;
    });
    after(() => opened?.close());

    const { wantedCrawl, crawling, keep, finish, wantedExtraction, extracting } = crawlRows(() => opened);
    const counts = { pulled: 1, success: 1, failed: 0, unknown: 0 };

    /** A finished crawl with something of everything, described by this many records. */
    async function whole(records: number): Promise<{ readonly id: CrawlId; readonly extraction: ExtractionId }> {
      const id = await crawling({ owner: "whole" });
      await keep(id, {
        batches: Array.from({ length: 450 }, (_, i) => batch(`${i}`)),
        folders: Array.from({ length: 2_500 }, (_, i) => at(`${i}`)),
        listed: [at("1")],
        problems: [{ endpoint: 0, code: "entry_unreadable", message: "m" }],
        counts: { ...NO_COUNTS, errors: 1 },
      });
      await store.advance(id, "c", { seq: 0, files: 0 }, { seq: 3, files: 0 }, 1);
      const extraction = await extracting(id);
      const described = Array.from({ length: records }, (_, i) => record(`${i}`));
      await opened.extractions.keep(extraction, 0, { seq: 450, records: described, counts, pending: 0 }, 1);
      await finish(id);
      await opened.extractions.update(extraction, ["extracting"], { status: "complete" });
      return { id, extraction };
    }

    test("no method knows a crawl that was removed, nor its extractions", async () => {
      const { id, extraction } = await whole(3);
      assert.equal(await store.remove(id), true);
      assert.equal(await store.remove(id), false);
      assert.equal(await store.get(id), undefined);
      assert.deepEqual(await store.list({ owner: "whole", limit: 10 }), []);
      assert.equal(await store.update(id, ["complete"], { status: "failed" }), undefined);
      assert.equal(await keep(id, {}), undefined);
      assert.deepEqual(await store.unlisted(id, 10), []);
      assert.deepEqual(await store.batches(id, 0, 10), []);
      assert.deepEqual(await Array.fromAsync(store.batchesOf(id, at("1"))), []);
      assert.deepEqual(await Array.fromAsync(store.goneFolders(await crawling(), id)), []);
      assert.deepEqual(await store.problems(id, 0, 10), []);
      assert.deepEqual(await store.position(id, "c"), { seq: 0, files: 0 });
      assert.equal(await store.advance(id, "c", { seq: 3, files: 0 }, { seq: 4, files: 0 }, 1), false);
      assert.equal(await store.advance(id, "new", { seq: 0, files: 0 }, { seq: 4, files: 0 }, 1), false);
      const { extractions } = opened;
      assert.equal(await extractions.get(extraction), undefined);
      assert.deepEqual(await extractions.ofCrawl(id), []);
      assert.equal(await extractions.update(extraction, ["complete"], { status: "extracting" }), undefined);
      assert.deepEqual(await extractions.records(extraction, 0, 10), []);
      assert.equal(await extractions.record(extraction, 1), undefined);
      await assert.rejects(extractions.create(wantedExtraction(id)), { code: "crawl_unknown" });
    });

    test("search is told of every record of a crawl that was removed", async () => {
      const { id, extraction } = await whole(2_500);
      const before = (await opened.searchChanges.pending(10_000)).map(({ number }) => number);
      await opened.searchChanges.done(before);
      await store.remove(id);
      const told = (await opened.searchChanges.pending(10_000)).flatMap(({ subject }) => {
        assert.ok("extraction" in subject && subject.extraction === extraction);
        return Array.from({ length: subject.until - subject.from + 1 }, (_, i) => subject.from + i);
      });
      assert.deepEqual(
        told,
        Array.from({ length: 2_500 }, (_, i) => i + 1),
      );
    });

    test("a crawl stays as long as it, or an extraction of it, is under way", async () => {
      const id = await crawling();
      assert.equal(await store.remove(id), false);
      await finish(id);
      for (const status of ["waiting", "extracting"] as const) {
        const extraction = await opened.extractions.create(wantedExtraction(id));
        await opened.extractions.update(extraction.id, ["waiting"], { status });
        assert.equal(await store.remove(id), false, status);
        await opened.extractions.update(extraction.id, [status], { status: "cancelled" });
      }
      assert.ok(await store.get(id));
      assert.equal(await store.remove(id), true);
    });

    test("of an extraction that is begun and a removal at the same moment, one comes first", async () => {
      for (let times = 0; times < 10; times++) {
        const id = await crawling();
        await finish(id);
        const [begun, removed] = await Promise.all([
          opened.extractions.create(wantedExtraction(id)).catch((error: unknown) => {
            assert.ok(error instanceof AppError && error.code === "crawl_unknown", String(error));
          }),
          store.remove(id),
        ]);
        assert.equal(removed, begun === undefined);
        assert.equal((await store.get(id)) === undefined, removed);
      }
    });

    test("sweeping takes away all that removed crawls leave behind, and nothing else", async () => {
      const [gone, kept] = [await whole(450), await whole(5)];
      await store.remove(gone.id);
      let sweeps = 0;
      while (await store.sweep()) assert.ok(++sweeps < 100, "it comes to an end");
      assert.equal(await store.sweep(), false);
      // The rows are gone, so ids are free, and what they named is not found again under them.
      const { jobs } = wantedCrawl();
      await store.create(wantedCrawl({ id: gone.id, endpoints: [], jobs }));
      assert.deepEqual(await store.unlisted(gone.id, 10), []);
      assert.deepEqual(await store.batches(gone.id, 0, 10), []);
      assert.equal(await store.sizes(gone.id, at(""), 1), undefined);
      const again = await opened.extractions.create(wantedExtraction(gone.id, { id: gone.extraction }));
      assert.deepEqual(await opened.extractions.records(again.id, 0, 10), []);
      assert.equal((await store.batches(kept.id, 0, 1_000)).length, 450);
      assert.equal((await store.unlisted(kept.id, 10_000)).length, 2_500);
      assert.equal((await store.problems(kept.id, 0, 10)).length, 1);
      assert.deepEqual(await store.position(kept.id, "c"), { seq: 3, files: 0 });
      assert.equal((await opened.extractions.records(kept.extraction, 0, 10)).length, 5);
    });
  });
}
