import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdir, mkdtemp, realpath, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { registeredExtractors } from "../../../src/adapters/sandbox/registered.ts";
import type { Endpoints } from "../../../src/core/crawl/endpoints.ts";
import type { Source } from "../../../src/core/crawl/source.ts";
import type { Extraction, ExtractionRecord } from "../../../src/core/extract/extraction.ts";
import { ADA, type ExtractingOptions, extracting, LIMITS, openExtracting } from "../../support/extracting.ts";
import { DEEDS } from "../../support/registered-extractors.ts";
import { until } from "../../support/until.ts";

const told = (records: readonly ExtractionRecord[]) =>
  records.map(({ files, extractor }) => `${extractor}: ${files.map(({ path }) => path).join(" ")}`).toSorted();

const addsUp = ({ counts }: Extraction) =>
  counts.toSchedule === counts.success + counts.failed + counts.pending + counts.unknown;

/** A store that is changed before it is used. */
const changed = (change: (source: Source) => Partial<Source>) => (real: Endpoints) => ({
  check: real.check,
  open: async (endpoint: { readonly url: string }) => {
    const source = await real.open(endpoint);
    return { ...source, ...change(source) };
  },
});

test("each file is described by all extractors that take it", async (t) => {
  const { write, crawled, extracted, allRecords } = await extracting(t);
  await write({ "a.json": '{"a":1}', "sub/b.csv": "x,y\n1,2\n3,4\n" });
  const crawl = await crawled();
  const extraction = await extracted(crawl, { extractors: ["generic", "json", "tabular-text"] });
  assert.equal(extraction.status, "complete");
  assert.deepEqual(extraction.counts, { pulled: 2, toSchedule: 4, success: 4, failed: 0, pending: 0, unknown: 0 });
  const records = await allRecords(extraction);
  assert.deepEqual(told(records), ["generic: a.json", "generic: sub/b.csv", "json: a.json", "tabular-text: sub/b.csv"]);
  assert.deepEqual(
    records.map(({ number }) => number),
    [1, 2, 3, 4],
  );
  const table = records.find(({ extractor }) => extractor === "tabular-text");
  assert.deepEqual(table?.files, [{ endpoint: 0, path: "sub/b.csv", sizeBytes: 12 }]);
  assert.equal(table?.data?.rows, 2);
  assert.equal(table?.failure, null);
  assert.match(table?.family ?? "", /^[0-9a-f-]{36}$/);
});

test("a group that none of the chosen extractors takes is counted, and has no record", async (t) => {
  const { write, crawled, extracted, allRecords } = await extracting(t);
  await write({ "a.json": '{"a":1}', "b.bin": Uint8Array.of(1, 2, 3, 0), empty: "" });
  const extraction = await extracted(await crawled(), { extractors: ["json"] });
  assert.deepEqual(extraction.counts, { pulled: 3, toSchedule: 3, success: 1, failed: 0, pending: 0, unknown: 2 });
  assert.deepEqual(told(await allRecords(extraction)), ["json: a.json"]);
});

test("files of a group are described together, by each extractor those that it takes", async (t) => {
  const { write, crawled, extracted, allRecords } = await extracting(t);
  await write({ "run.json": '{"a":1}', "run.txt": "words of a run\n", "other.txt": "more words\n" });
  const extraction = await extracted(await crawled({ grouper: "stem" }), { extractors: ["generic", "json"] });
  assert.deepEqual(extraction.counts, { pulled: 2, toSchedule: 3, success: 3, failed: 0, pending: 0, unknown: 0 });
  const records = await allRecords(extraction);
  assert.deepEqual(told(records), ["generic: other.txt", "generic: run.json run.txt", "json: run.json"]);
  const pair = records.find(({ files }) => files.length === 2);
  assert.equal(pair?.groupKind, "stem");
  const { members } = pair?.data ?? {};
  assert.deepEqual(Array.isArray(members) && members.length, 2);
});

test("what was found is described while the crawl goes on", async (t) => {
  const described = Promise.withResolvers<void>();
  const endpoints = changed((source) => ({
    async *walk(options) {
      for await (const listing of source.walk(options)) {
        yield listing;
        if (listing.folder === "" && listing.isLast) await described.promise;
      }
    },
  }));
  const { write, crawl, crawls, extractions, ended, allRecords } = await extracting(t, { endpoints });
  await write({ "a.json": "[1]", "sub/b.json": "[2]" });
  const begun = await crawl();
  const extraction = await extractions.start(ADA, begun.id, { extractors: ["json"] });
  await until(
    "the first file is described",
    async () => (await extractions.get(ADA, extraction.id)).counts.success === 1,
  );
  assert.equal((await crawls.get(ADA, begun.id)).status, "crawling");
  assert.equal((await extractions.get(ADA, extraction.id)).status, "extracting");
  described.resolve();
  assert.equal((await ended(extraction)).counts.success, 2);
  assert.deepEqual(told(await allRecords(extraction)), ["json: a.json", "json: sub/b.json"]);
});

test("what a crawl that was cancelled had found is described", async (t) => {
  const endpoints = changed((source) => ({
    async *walk(options) {
      for await (const listing of source.walk(options)) {
        yield listing;
        await new Promise((resolve) => options.signal.addEventListener("abort", resolve));
        options.signal.throwIfAborted();
      }
    },
  }));
  const { write, crawl, crawls, extracted, allRecords } = await extracting(t, { endpoints });
  await write({ "a.json": "[1]", "sub/b.json": "[2]" });
  const begun = await crawl();
  await until("a file is found", async () => (await crawls.get(ADA, begun.id)).counts.files === 1);
  await crawls.cancel(ADA, begun.id);
  await until("it is cancelled", async () => (await crawls.get(ADA, begun.id)).status === "cancelled");
  const extraction = await extracted(begun, { extractors: ["json"] });
  assert.equal(extraction.status, "complete");
  assert.deepEqual(told(await allRecords(extraction)), ["json: a.json"]);
});

test("counts add up at any time, and in the end there is one record for each task", async (t) => {
  const { write, crawled, extractions, stores, allRecords, ended } = await extracting(t);
  const files = Array.from({ length: 3_000 }, (_, i) => [
    `${i % 7}/${i}.${i % 2 ? "json" : "bin"}`,
    i % 3 ? "[1]" : "[1",
  ]);
  await write(Object.fromEntries(files));
  const crawl = await crawled();
  const { id } = await extractions.start(ADA, crawl.id, { extractors: ["json", "generic"] });
  const seen = new Set<string>();
  let success = 0;
  let scheduled = 0;
  for (let isOver = false; !isOver; ) {
    const now = await stores.extractions.get(id);
    assert.ok(now && addsUp(now), JSON.stringify(now?.counts));
    assert.ok(now.counts.success >= success, "successes were taken back");
    success = now.counts.success;
    scheduled = Math.max(scheduled, now.counts.toSchedule);
    seen.add(JSON.stringify(now.counts));
    isOver = now.status === "complete";
  }
  assert.ok(seen.size > 3, `only ${seen.size} different counts were seen`);
  const extraction = await ended(await extractions.get(ADA, id));
  assert.equal(extraction.counts.pending, 0);
  assert.equal(extraction.counts.toSchedule, scheduled, "a task was counted twice while it was under way");
  const records = await allRecords(extraction);
  assert.equal(records.length, extraction.counts.success + extraction.counts.failed);
  assert.equal(
    new Set(records.map(({ family, group, extractor }) => `${family} ${group} ${extractor}`)).size,
    records.length,
  );
  assert.equal(records.filter(({ extractor }) => extractor === "generic").length, 3_000);
});

test("what vanished, or is no longer what it was, has failed with the reason, and nothing else has", async (t) => {
  const { store, write, crawled, extracted, allRecords } = await extracting(t);
  await write({
    "gone.json": "[1]",
    "pipe.json": "[1]",
    "link.json": "[1]",
    "folder/x.json": "[1]",
    "moved/y.json": "[1]",
    "stays.json": "[1]",
  });
  const crawl = await crawled();
  await rm(join(store, "gone.json"));
  await rm(join(store, "pipe.json"));
  assert.equal(spawnSync("mkfifo", [join(store, "pipe.json")]).status, 0);
  await rm(join(store, "link.json"));
  await symlink("/etc/passwd", join(store, "link.json"));
  await rm(join(store, "folder"), { recursive: true });
  await rename(join(store, "moved"), join(store, "moved-away"));
  await symlink("moved-away", join(store, "moved"));
  const extraction = await extracted(crawl, { extractors: ["json", "keyword-text"] });
  assert.deepEqual(extraction.counts, { pulled: 6, toSchedule: 6, success: 1, failed: 5, pending: 0, unknown: 0 });
  const reasons = (await allRecords(extraction)).map(({ files, extractor, data, failure }) => {
    assert.equal(data === null, failure !== null);
    assert.ok(failure === null || failure.reason === "unreadable");
    return `${files[0]?.path}, ${extractor}: ${failure?.message}`;
  });
  assert.deepEqual(reasons.toSorted(), [
    "folder/x.json, json: it is no longer there",
    "gone.json, json: it is no longer there",
    "link.json, json: it is reached through a link now",
    "moved/y.json, json: it is reached through a link now",
    "pipe.json, json: it is no regular file",
    "stays.json, json: undefined",
  ]);
});

test("a group of which a file is gone is described without it, and says so", async (t) => {
  const { store, write, crawled, extracted, allRecords } = await extracting(t);
  await write({ "run.json": "[1]", "run.txt": "words\n" });
  const crawl = await crawled({ grouper: "stem" });
  await rm(join(store, "run.json"));
  const [record] = await allRecords(await extracted(crawl, { extractors: ["generic"] }));
  assert.equal(record?.failure, null);
  assert.equal(record?.files.length, 2);
  assert.deepEqual(
    record?.problems.map(({ code }) => code),
    ["entry_unreadable"],
  );
});

test("an extractor that was taken away meanwhile fails the extraction", async (t) => {
  const { write, crawled, stores, extractions, ended } = await extracting(t);
  await write({ a: "x" });
  const crawl = await crawled();
  const { id } = await extractions.start(ADA, crawl.id, { extractors: ["generic"] });
  await ended(await extractions.get(ADA, id));
  const taken = await stores.extractions.create({
    id: "00000000-0000-4000-8000-000000000000" as typeof id,
    crawl: crawl.id,
    owner: "ada",
    extractors: ["once-registered"],
    recordsFolder: null,
    job: { id: 1_000 as Extraction["job"], kind: "extract", lane: "slow" },
    now: 1,
  });
  const failed = await ended(taken);
  assert.equal(failed.status, "failed");
  assert.equal(failed.error?.code, "extractor_unknown");
});

test("what an extractor would take that is gone after a restart has failed, and says which one it was", async (t) => {
  const folder = await realpath(await mkdtemp(join(tmpdir(), "longshore-extractor-gone-")));
  t.after(() => rm(folder, { recursive: true }));
  const registered: ExtractingOptions["registered"] = (extractors, reserved) =>
    registeredExtractors({ folder: extractors, limits: LIMITS, processes: 1, containerEnvironment: {}, reserved });
  const deeds = join(folder, "extractors", "deeds");
  await mkdir(deeds, { recursive: true });
  await writeFile(join(deeds, "extract.mjs"), DEEDS);
  const manifest = {
    name: "deeds",
    version: "7",
    takes: { extensions: ["deed"] },
    command: [process.execPath, "extract.mjs"],
  };
  await writeFile(join(deeds, "extractor.json"), JSON.stringify(manifest));

  const before = await openExtracting({ folder, registered });
  await before.write({ "a.deed": "say one", "b.json": "[1]" });
  const crawling = before.worker();
  const crawl = await before.crawled();
  await crawling.stop();
  const asked = await before.extractions.start(ADA, crawl.id, {});
  const named = await before.extractions.start(ADA, crawl.id, { extractors: ["json"] });
  await before.close();

  await rm(deeds, { recursive: true });
  const after = await openExtracting({ folder, registered });
  t.after(after.close);
  after.worker();
  const extraction = await after.ended(asked);
  assert.equal(extraction.status, "complete");
  assert.ok(addsUp(extraction));
  assert.deepEqual([extraction.counts.pulled, extraction.counts.failed, extraction.counts.pending], [2, 1, 0]);
  const failed = (await after.allRecords(extraction)).filter(({ failure }) => failure !== null);
  assert.deepEqual(told(failed), ["deeds: a.deed"]);
  assert.deepEqual(failed[0]?.failure, {
    reason: "gone",
    message: 'The extractor "deeds" was taken away after it was asked for.',
  });
  assert.equal(failed[0]?.version, "7");
  assert.deepEqual(told(await after.allRecords(await after.ended(named))), ["json: b.json"]);
});
