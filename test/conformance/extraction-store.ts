import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { AppError, errorRecord } from "../../src/core/errors.ts";
import type { ExtractionStore } from "../../src/core/extract/extraction-store.ts";
import { crawlId, type ExtractionId, extractionId } from "../../src/core/ids.ts";
import { seededRandom } from "../support/random.ts";
import { crawlRows, type OpenedCrawls, record } from "./crawl-rows.ts";

/** What every ExtractionStore must do. One fresh database for the whole suite. */
export function extractionStoreConformance(name: string, open: () => Promise<OpenedCrawls>): void {
  describe(`ExtractionStore: ${name}`, () => {
    let opened: OpenedCrawls;
    let store: ExtractionStore;
    before(async () => {
      opened = await open();
      store = opened.extractions;
    });
    after(() => opened?.close());

    const { crawling, wantedExtraction, extracting } = crawlRows(() => opened);
    const nobody = extractionId("nobody's");
    const NONE = { pulled: 0, success: 0, failed: 0, unknown: 0 };
    const numbers = async (id: ExtractionId) => (await store.records(id, 0, 10_000)).map(({ number }) => number);
    const upTo = (count: number) => Array.from({ length: count }, (_, i) => i + 1);

    test("a new extraction waits, and its job is queued", async () => {
      const crawl = await crawling();
      const wanted = wantedExtraction(crawl, { owner: "Ü 漢", extractors: ["b", "a"], recordsFolder: "/r/it's" });
      const extraction = await store.create(wanted);
      assert.deepEqual(extraction, {
        id: wanted.id,
        crawl,
        owner: "Ü 漢",
        status: "waiting",
        extractors: ["b", "a"],
        recordsFolder: "/r/it's",
        counts: { ...NONE, toSchedule: 0, pending: 0 },
        doneSeq: 0,
        job: wanted.job.id,
        error: null,
        createdAt: 3_000,
        finishedAt: null,
      });
      assert.deepEqual(await store.get(wanted.id), extraction);
      const job = await opened.jobs.get(wanted.job.id);
      assert.deepEqual(
        [job?.kind, job?.lane, job?.state, job?.owner, job?.input],
        ["extract", "slow", "queued", "Ü 漢", { extraction: wanted.id }],
      );
      assert.equal(await store.get(nobody), undefined);
    });

    test("folders that records are written to are known with their owners, each once", async () => {
      const crawl = await crawling();
      const wanted = (owner: string, recordsFolder: string | null) =>
        store.create(wantedExtraction(crawl, { owner, recordsFolder }));
      for (const owner of ["ada of folders", "bob of folders", "ada of folders"])
        await wanted(owner, "/records/shared");
      await wanted("ada of folders", "/records/own");
      await wanted("ada of folders", null);
      const found = (await store.recordsFolders()).filter(({ owner }) => owner.endsWith("of folders"));
      assert.deepEqual(found.map(({ owner, folder }) => `${owner}: ${folder}`).toSorted(), [
        "ada of folders: /records/own",
        "ada of folders: /records/shared",
        "bob of folders: /records/shared",
      ]);
    });

    test("an extraction of no crawl, or whose job cannot be entered, is not there", async () => {
      const lost = wantedExtraction(crawlId("nobody's"));
      await assert.rejects(store.create(lost), { code: "crawl_unknown" });
      assert.equal(await opened.jobs.get(lost.job.id), undefined);
      const crawl = await crawling();
      const { job } = await store.create(wantedExtraction(crawl));
      const doomed = wantedExtraction(crawl, { job: { id: job, kind: "extract", lane: "slow" } });
      await assert.rejects(store.create(doomed));
      assert.equal(await store.get(doomed.id), undefined);
    });

    test("extractions of one crawl are listed newest first", async () => {
      const [crawl, other] = [await crawling(), await crawling()];
      const ids: ExtractionId[] = [];
      for (const one of [crawl, crawl, other, crawl]) ids.push((await store.create(wantedExtraction(one))).id);
      const [first, second, , fourth] = ids;
      const listed = (await store.ofCrawl(crawl)).map(({ id }) => id);
      assert.deepEqual(listed, [fourth, second, first]);
      assert.deepEqual(await store.ofCrawl(crawlId("nobody's")), []);
    });

    test("of updates that come at the same time one finds the status that it asks for", async () => {
      const { id } = await store.create(wantedExtraction(await crawling()));
      const answers = await Promise.all(
        Array.from({ length: 6 }, () => store.update(id, ["waiting"], { status: "extracting" })),
      );
      const [winner, ...others] = answers.filter((answer) => answer !== undefined);
      assert.deepEqual(others, []);
      assert.deepEqual(await store.get(id), winner);
      const error = errorRecord(new AppError("extraction_failed", { found: "\u0000" }));
      const failed = await store.update(id, ["extracting"], { status: "failed", error, finishedAt: 5 });
      assert.deepEqual(failed, { ...winner, status: "failed", error, finishedAt: 5 });
      const again = await store.update(id, ["failed"], { status: "extracting", error: null, finishedAt: null });
      assert.deepEqual(again, winner);
      assert.equal(await store.update(id, ["failed"], {}), undefined);
      assert.equal(await store.update(nobody, ["waiting"], {}), undefined);
    });

    test("records come back as they were given, numbered from 1 without gaps", async () => {
      const crawl = await crawling();
      const id = await extracting(crawl);
      const given = [
        record("f1", {
          group: 3,
          groupKind: "séquence",
          files: [
            { endpoint: 0, path: 'it\'s "q" \u0000', sizeBytes: Number.MAX_SAFE_INTEGER },
            { endpoint: 2, path: "漢🚢", sizeBytes: 0 },
          ],
          data: { "\u0000": [1.5, null, true, { deep: "it's" }], "": "\ud800" },
          problems: [{ code: "content_malformed", path: "p", expected: 1, found: "x", message: "m" }],
          durationMs: 0.125,
        }),
        record("f2", { data: null, failure: { reason: "memory", message: "too much" } }),
        record("f1", { extractor: "keywords", version: "2.1" }),
      ];
      await store.keep(id, 0, { seq: 4, records: given.slice(0, 2), counts: NONE, pending: 0 }, 7_000);
      await store.keep(id, 4, { seq: 9, records: given.slice(2), counts: NONE, pending: 0 }, 8_000);
      const kept = given.map((one, index) => ({
        ...one,
        number: index + 1,
        extraction: id,
        crawl,
        createdAt: index < 2 ? 7_000 : 8_000,
      }));
      assert.deepEqual(await store.records(id, 0, 10), kept);
      assert.deepEqual(await store.records(id, 1, 1), [kept[1]]);
      assert.deepEqual(await store.records(id, 3, 10), []);
      assert.deepEqual(await store.record(id, 3), kept[2]);
      assert.equal(await store.record(id, 4), undefined);
      assert.equal(await store.record(nobody, 1), undefined);
      assert.deepEqual(await store.records(nobody, 0, 10), []);
      assert.equal((await store.get(id))?.doneSeq, 9);
    });

    test("records are kept only by whoever stands where the extraction stands, and while it goes on", async () => {
      const crawl = await crawling();
      const { id } = await store.create(wantedExtraction(crawl));
      const described = { seq: 2, records: [record("a")], counts: NONE, pending: 0 };
      assert.equal(await store.keep(id, 0, described, 1), false, "it is waiting still");
      await store.update(id, ["waiting"], { status: "extracting" });
      const answers = await Promise.all(Array.from({ length: 6 }, () => store.keep(id, 0, described, 1)));
      assert.deepEqual(answers.filter(Boolean), [true]);
      assert.deepEqual(await numbers(id), [1]);
      assert.equal(await store.keep(id, 1, described, 1), false);
      assert.equal(await store.keep(id, 2, { ...described, seq: 3 }, 1), true);
      await store.update(id, ["extracting"], { status: "cancelled" });
      assert.equal(await store.keep(id, 3, described, 1), false);
      assert.equal(await store.keep(nobody, 0, described, 1), false);
      assert.deepEqual(await numbers(id), [1, 2]);
    });

    test("keeping is all or nothing, and search is told of as much as was kept", async () => {
      const id = await extracting(await crawling());
      const told = async () => (await opened.searchChanges.pending(10_000)).map(({ subject }) => subject);
      const before = (await told()).length;
      const counts = { pulled: 600, success: 600, failed: 0, unknown: 0 };
      const many = upTo(600).map((n) => record(`${n}`));
      const broken = {
        ...record("broken"),
        get data(): never {
          throw new Error("no data");
        },
      };
      const doomed = store.keep(id, 0, { seq: 1, records: [...many, broken], counts, pending: 2 }, 1);
      await assert.rejects(doomed, /no data/);
      const { counts: none, doneSeq } = (await store.get(id)) ?? assert.fail();
      assert.deepEqual([none, doneSeq], [{ ...NONE, toSchedule: 0, pending: 0 }, 0]);
      assert.deepEqual(await numbers(id), []);
      assert.equal((await told()).length, before);
      await store.keep(id, 0, { seq: 1, records: many, counts, pending: 0 }, 1);
      await store.keep(id, 1, { seq: 2, records: [], counts: NONE, pending: 0 }, 1);
      await store.keep(id, 2, { seq: 3, records: [record("last")], counts: NONE, pending: 0 }, 1);
      assert.deepEqual(await numbers(id), upTo(601));
      assert.deepEqual((await told()).slice(before), [
        { extraction: id, from: 1, until: 600 },
        { extraction: id, from: 601, until: 601 },
      ]);
    });

    test("counts are at any time the sum of what was kept, and what is to be scheduled is the sum of them", async (t) => {
      const random = seededRandom(t);
      const id = await extracting(await crawling());
      const sums = { ...NONE };
      for (let seq = 1; seq <= 20; seq++) {
        const counts = { pulled: random(9), success: random(9), failed: random(9), unknown: random(9) };
        const pending = random(9);
        await store.keep(id, seq - 1, { seq, records: [], counts, pending }, 1);
        sums.pulled += counts.pulled;
        sums.success += counts.success;
        sums.failed += counts.failed;
        sums.unknown += counts.unknown;
        const toSchedule = sums.success + sums.failed + sums.unknown + pending;
        assert.deepEqual((await store.get(id))?.counts, { ...sums, pending, toSchedule });
      }
    });

    test("tasks are under way only as long as the extraction is", async () => {
      const id = await extracting(await crawling());
      await store.pending(id, 5);
      const counts = async () => {
        const { pending, toSchedule } = (await store.get(id))?.counts ?? assert.fail();
        return { pending, toSchedule };
      };
      assert.deepEqual(await counts(), { pending: 5, toSchedule: 5 });
      await store.update(id, ["extracting"], { status: "cancelled" });
      assert.deepEqual(await counts(), { pending: 0, toSchedule: 0 });
      await store.pending(id, 5);
      assert.deepEqual(await counts(), { pending: 0, toSchedule: 0 });
    });
  });
}
