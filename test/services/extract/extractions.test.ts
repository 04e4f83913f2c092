import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import type { Principal } from "../../../src/core/access/access.ts";
import { crawlId, extractionId } from "../../../src/core/ids.ts";
import { ADA, elsewhere, extracting, OPERATOR } from "../../support/extracting.ts";
import { until } from "../../support/until.ts";

const BOB: Principal = { name: "bob", scopes: ["read", "crawl"], via: "token" };

test("an extraction is seen by the crawl's owner and by operators, and to others it does not exist", async (t) => {
  const { write, crawled, extracted, extractions } = await extracting(t);
  await write({ "a.json": "[1]" });
  const crawl = await crawled();
  const { id } = await extracted(crawl, { extractors: ["json"] });
  for (const who of [ADA, OPERATOR]) {
    assert.equal((await extractions.get(who, id)).crawl, crawl.id);
    assert.deepEqual(
      (await extractions.ofCrawl(who, crawl.id)).map((one) => one.id),
      [id],
    );
    assert.equal((await extractions.records(who, id, 0, 10)).length, 1);
    assert.equal((await extractions.record(who, id, 1)).extractor, "json");
  }
  const unknown = { code: "extraction_unknown" };
  await assert.rejects(extractions.get(BOB, id), unknown);
  await assert.rejects(extractions.records(BOB, id, 0, 10), unknown);
  await assert.rejects(extractions.record(BOB, id, 1), unknown);
  await assert.rejects(extractions.cancel(BOB, id), unknown);
  await assert.rejects(extractions.get(ADA, extractionId("none")), unknown);
  await assert.rejects(extractions.ofCrawl(BOB, crawl.id), { code: "crawl_unknown" });
  await assert.rejects(extractions.start(BOB, crawl.id, {}), { code: "crawl_unknown" });
  await assert.rejects(extractions.start(ADA, crawlId("none"), {}), { code: "crawl_unknown" });
  await assert.rejects(extractions.record(ADA, id, 2), { code: "record_unknown" });
});

test("extractors that are not known, and none at all, are refused before anything is queued", async (t) => {
  const { write, crawled, extractions } = await extracting(t);
  await write({ "a.json": "[1]" });
  const { id } = await crawled();
  await assert.rejects(extractions.start(ADA, id, { extractors: ["json", "jason"] }), { code: "extractor_unknown" });
  await assert.rejects(extractions.start(ADA, id, { extractors: [] }), { code: "request_invalid" });
  assert.deepEqual(await extractions.ofCrawl(ADA, id), []);
});

test("a cancelled extraction keeps what it had, and can be continued", async (t) => {
  const asked = Promise.withResolvers<void>();
  const cancelling = Promise.withResolvers<void>();
  const endpoints = elsewhere(async (source, path) => {
    if (path.startsWith("b/")) {
      asked.resolve();
      await cancelling.promise;
    }
    return source.open(path);
  });
  const { folder, write, crawled, extractions, ended, jobs, allRecords } = await extracting(t, { endpoints });
  // As many as are kept by themselves, and one that waits.
  await write({
    ...Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`a/${i}.json`, "[1]"])),
    "b/x.json": "1",
  });
  const crawl = await crawled();
  const { id, job } = await extractions.start(ADA, crawl.id, { extractors: ["json"] });
  await until("some are described", async () => (await extractions.get(ADA, id)).counts.success > 0);
  await asked.promise;
  await extractions.cancel(ADA, id);
  cancelling.resolve();
  const cancelled = await ended(await extractions.get(ADA, id));
  assert.equal(cancelled.status, "cancelled");
  assert.equal(cancelled.error?.code, "job_cancelled");
  assert.equal(cancelled.counts.pending, 0);
  assert.equal(cancelled.counts.success, 100);
  await until("its job is over", async () => (await jobs.get(job)).state === "cancelled");
  await assert.rejects(extractions.cancel(ADA, id), { code: "crawl_state_conflict" });

  await jobs.retry(job, "ada");
  await until("it is complete", async () => (await extractions.get(ADA, id)).status === "complete");
  const complete = await extractions.get(ADA, id);
  assert.equal(complete.counts.success, 101);
  assert.equal(complete.error, null);
  const families = (await allRecords(complete)).map(({ family }) => family);
  assert.equal(new Set(families).size, 101);
  assert.equal(families.length, 101);
  assert.ok(!(await readdir(folder)).includes("scratch") || (await readdir(join(folder, "scratch"))).length === 0);
});

test("only operators register extractors, and where none can be, they are told the setting", async (t) => {
  const { extractions } = await extracting(t);
  await assert.rejects(extractions.register(ADA, "mine"), { code: "scope_missing" });
  await assert.rejects(extractions.register(OPERATOR, "mine"), (error: Error & { code?: string }) => {
    assert.match(error.message, /LONGSHORE_EXTRACTORS/);
    return error.code === "extractor_invalid";
  });
  assert.ok((await extractions.extractors()).every(({ isBuiltIn }) => isBuiltIn));
});
