import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { EndpointRequest } from "../../../src/core/crawl/crawls.ts";
import type { Endpoints } from "../../../src/core/crawl/endpoints.ts";
import type { Listing, Source } from "../../../src/core/crawl/source.ts";
import { AppError } from "../../../src/core/errors.ts";
import { crawlId, type JobId } from "../../../src/core/ids.ts";
import { ADA, BOB, feedOf, fill, find, findCounts, OPERATOR, openCrawling } from "../../support/crawling.ts";
import { until } from "../../support/until.ts";

const UNKNOWN = crawlId("00000000-0000-4000-8000-000000000000");

const TREE = {
  "readme.txt": "hello",
  "plates/p1/scan.tif": "one",
  "plates/p1/scan.xml": "<x/>",
  "plates/p2/scan.tif": "three",
  "plates/.notes": "hidden",
};

/** One file after the other, each after `gate` has let it pass. */
function gatedSource(gate: (at: number, signal: AbortSignal) => Promise<void>): Source {
  return {
    async *walk({ signal }): AsyncGenerator<Listing> {
      for (let at = 0; ; at++) {
        await gate(at, signal);
        const file = { path: `${at}.txt`, kind: "file", sizeBytes: 1, modifiedAt: null, mode: null } as const;
        yield { folder: "", entries: [file], problems: [], isLast: false };
      }
    },
    open: () => Promise.reject(new AppError("object_missing")),
    close: () => Promise.resolve(),
  };
}

const only = (source: Source): Endpoints => ({ check: async (url) => url, open: async () => source });

const untilAborted = (signal: AbortSignal) =>
  new Promise<never>((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));

test("a crawl counts and tells what find(1) sees", async (t) => {
  const { root, crawl, crawls, jobs } = await openCrawling(t);
  fill(root, TREE);
  symlinkSync("..", join(root, "plates/up"));
  const done = await crawl();
  assert.equal(done.status, "complete");
  const { groups, families, errors, ...counts } = done.counts;
  assert.deepEqual(counts, findCounts(root));
  assert.deepEqual([groups, families, errors], [5, 5, 0]);
  assert.equal(done.changes, null);
  assert.ok((done.startedAt ?? 0) >= done.createdAt && (done.finishedAt ?? 0) >= (done.startedAt ?? 0));
  const items = await feedOf(crawls, done.id, 2);
  const files = find(root).filter(({ type }) => type === "f");
  assert.deepEqual(
    items.map(({ path, sizeBytes, modifiedAt }) => ({ type: "f", path, sizeBytes, modifiedAt })).toSorted(byPath),
    files.toSorted(byPath),
  );
  assert.equal(new Set(items.map(({ file }) => file)).size, files.length);
  assert.ok(items.every(({ change, endpoint, mode }) => change === null && endpoint === 0 && mode !== null));
  const { state, result } = await jobs.get(done.job);
  assert.equal(state, "succeeded");
  assert.deepEqual([result.crawl, result.files, result.status], [done.id, 5, "complete"]);
});

const byPath = (a: { readonly path: string }, b: { readonly path: string }) => (a.path < b.path ? -1 : 1);

test("groups of one folder travel as families, and each file is told once", async (t) => {
  const { root, crawl, crawls } = await openCrawling(t);
  fill(root, TREE);
  const done = await crawl({ endpoints: [{ url: root, grouper: "stem" }] });
  // scan.tif and scan.xml of p1 are one group.
  assert.deepEqual([done.counts.files, done.counts.groups, done.counts.families], [5, 4, 4]);
  const items = await feedOf(crawls, done.id);
  const together = items.filter(({ path }) => path.startsWith("plates/p1/"));
  assert.equal(together.length, 2);
  assert.equal(together[0]?.family, together[1]?.family);
  assert.equal(new Set(items.map(({ family }) => family)).size, 4);
  assert.equal(new Set(items.map(({ file }) => file)).size, 5);
});

test("folders that are named are crawled with what lies below, each once; hidden names can be left out", async (t) => {
  const { root, crawl, crawls } = await openCrawling(t);
  fill(root, TREE);
  const folders = ["/plates/p1/", "plates", "plates/p1"];
  const done = await crawl({ endpoints: [{ url: `file://${root}/`, folders, hidden: false }] });
  assert.deepEqual(done.endpoints[0]?.folders, ["plates"]);
  assert.equal(done.endpoints[0]?.url, `file://${root}`);
  assert.deepEqual((await feedOf(crawls, done.id)).map(({ path }) => path).toSorted(), [
    "plates/p1/scan.tif",
    "plates/p1/scan.xml",
    "plates/p2/scan.tif",
  ]);
  assert.equal(done.counts.directories, 3);
});

test("what cannot be read makes a crawl partial, and is a problem of its path", async (t) => {
  const { root, crawl, crawls } = await openCrawling(t);
  fill(root, TREE);
  execFileSync("mkfifo", [join(root, "plates/pipe")]);
  execFileSync("bash", ["-c", `touch ${JSON.stringify(root)}/$'caf\\xe9'`]);
  const done = await crawl({ endpoints: [{ url: root, folders: ["", "nowhere"] }] });
  // "nowhere" is below the root: it is not looked for by itself.
  assert.equal(done.status, "partial");
  const problems = await crawls.problems(ADA, done.id, 0, 100);
  assert.deepEqual(problems.map(({ code, path }) => [code, path]).toSorted(), [
    ["entry_unreadable", "caf\uFFFD"],
    ["entry_unreadable", "plates/pipe"],
  ]);
  assert.equal(done.counts.errors, 2);
  assert.equal(done.counts.files, 5);
  assert.deepEqual(
    (await crawls.problems(ADA, done.id, problems[0]?.number ?? 0, 100)).map(({ path }) => path),
    [problems[1]?.path],
  );
});

test("one store that fails makes the crawl partial; when all fail, it has failed", async (t) => {
  const { root, crawls, ended, jobs, troubles, work } = await openCrawling(t);
  fill(root, { "here/a.txt": "a", "gone/b.txt": "b" });
  const endpoints = [{ url: join(root, "gone") }, { url: join(root, "here") }];
  const both = await crawls.start(ADA, { endpoints });
  const one = await crawls.start(ADA, { endpoints: endpoints.slice(0, 1) });
  rmSync(join(root, "gone"), { recursive: true });
  work();
  assert.equal((await ended(both.id)).status, "partial");
  assert.deepEqual(
    (await crawls.problems(ADA, both.id, 0, 10)).map(({ code, endpoint, path }) => [code, endpoint, path]),
    [["endpoint_unreachable", 0, ""]],
  );
  assert.deepEqual(
    (await feedOf(crawls, both.id)).map(({ endpoint, path }) => [endpoint, path]),
    [[1, "a.txt"]],
  );
  const failed = await ended(one.id);
  assert.equal(failed.status, "failed");
  assert.equal(failed.error?.code, "crawl_failed");
  assert.equal((await jobs.get(failed.job)).state, "failed");
  await assert.rejects(jobs.retry(failed.job, "ada"), { code: "job_state_conflict" });
  assert.deepEqual(troubles, []);
});

test("requests that cannot be met are refused before anything is queued", async (t) => {
  const { root, crawls, jobs } = await openCrawling(t);
  const start = (...endpoints: readonly EndpointRequest[]) => crawls.start(ADA, { endpoints });
  const url = root;
  for (const refused of [
    start(),
    start({ url: "ftp://example.org/" }),
    start({ url: "plates" }),
    start({ url: `${url}/\ud800` }),
    start({ url: `file://${url}/\ud800` }),
    start({ url, grouper: "extensions" }),
    start({ url, grouper: "regex" }),
    start({ url, pattern: "x" }),
    start({ url, folders: [] }),
    start({ url, folders: ["../x"] }),
    start({ url, folders: ["a//b"] }),
  ])
    await assert.rejects(refused, { code: "request_invalid" });
  await assert.rejects(start({ url }, { url: "/etc" }), { code: "endpoint_refused" });
  await assert.rejects(crawls.start(ADA, { endpoints: [{ url }], previous: UNKNOWN }), { code: "crawl_unknown" });
  assert.deepEqual(await jobs.list({ limit: 10 }), []);
});

test("a crawl is compared only with an own one of the same endpoints that has ended", async (t) => {
  const { root, crawl, crawls } = await openCrawling(t);
  fill(root, TREE);
  const endpoints = [{ url: root }];
  const first = await crawl({ endpoints });
  await assert.rejects(crawls.start(BOB, { endpoints, previous: first.id }), { code: "crawl_unknown" });
  for (const other of [{ folders: ["plates"] }, { hidden: false }, { url: join(root, "plates") }]) {
    const request = { endpoints: [{ url: root, ...other }], previous: first.id };
    await assert.rejects(crawls.start(ADA, request), { code: "request_invalid" });
  }
  const queued = await crawls.start(ADA, { endpoints });
  await assert.rejects(crawls.start(ADA, { endpoints, previous: queued.id }), { code: "crawl_state_conflict" });
  await crawls.cancel(ADA, queued.id);
  const grouped = await crawl({ endpoints: [{ url: root, grouper: "directory" }], previous: first.id });
  assert.deepEqual(grouped.changes, { new: 0, changed: 0, same: 5, gone: 0 });
});

test("crawls are seen by their owner and by operators, newest first", async (t) => {
  const { root, crawls } = await openCrawling(t);
  const endpoints = [{ url: root }];
  const first = await crawls.start(ADA, { endpoints });
  const second = await crawls.start(ADA, { endpoints });
  const third = await crawls.start(BOB, { endpoints });
  const idsFor = async (...asked: Parameters<typeof crawls.list>) => (await crawls.list(...asked)).map(({ id }) => id);
  assert.deepEqual(await idsFor(ADA, { limit: 10 }), [second.id, first.id]);
  assert.deepEqual(await idsFor(OPERATOR, { limit: 10 }), [third.id, second.id, first.id]);
  assert.deepEqual(await idsFor(OPERATOR, { limit: 10, before: second.id }), [first.id]);
  assert.equal((await crawls.get(OPERATOR, third.id)).owner, "bob");
  for (const asked of [
    crawls.get(ADA, third.id),
    crawls.cancel(ADA, third.id),
    crawls.remove(ADA, third.id),
    crawls.problems(ADA, third.id, 0, 1),
    crawls.files(ADA, third.id, undefined, 1),
    crawls.flush(ADA, third.id, "me", 1),
    crawls.get(ADA, UNKNOWN),
  ])
    await assert.rejects(asked, { code: "crawl_unknown" });
});

test("a crawl that is queued is cancelled at once, and can be removed", async (t) => {
  const { root, crawls, work, jobs } = await openCrawling(t);
  const { id, job, status } = await crawls.start(ADA, { endpoints: [{ url: root }] });
  assert.equal(status, "initializing");
  await assert.rejects(crawls.remove(ADA, id), { code: "crawl_state_conflict" });
  const cancelled = await crawls.cancel(ADA, id);
  assert.equal(cancelled.status, "cancelled");
  assert.equal(cancelled.error?.code, "job_cancelled");
  await assert.rejects(crawls.cancel(ADA, id), { code: "crawl_state_conflict" });
  work();
  await until("the job's delivery is over", async () => (await jobs.get(job)).state === "cancelled");
  await crawls.remove(ADA, id);
  await assert.rejects(crawls.get(ADA, id), { code: "crawl_unknown" });
});

test("a running crawl tells live what it has found, and stops when it is cancelled", async (t) => {
  const HELD = 7;
  const source = gatedSource((at, signal) => (at < HELD ? Promise.resolve() : untilAborted(signal)));
  const { crawls, work, ended, jobs } = await openCrawling(t, { endpoints: only(source) });
  const { id, job } = await crawls.start(ADA, { endpoints: [{ url: "archive:" }] });
  work();
  await until("all that was given is kept", async () => (await crawls.get(ADA, id)).counts.files === HELD);
  const page = await crawls.files(ADA, id, undefined, 100);
  assert.equal(page.items.length, HELD);
  assert.equal(page.isDrained, false);
  assert.deepEqual(await crawls.files(ADA, id, page.cursor, 100), { items: [], cursor: page.cursor, isDrained: false });
  assert.equal((await crawls.get(ADA, id)).status, "crawling");
  await crawls.cancel(ADA, id);
  const over = await ended(id);
  assert.equal(over.status, "cancelled");
  assert.equal(over.counts.files, HELD);
  await until("the job is cancelled", async () => (await jobs.get(job)).state === "cancelled");
  assert.equal((await crawls.files(ADA, id, page.cursor, 100)).isDrained, true);
});

test("a crawl whose job an operator has ended by hand can be cancelled", async (t) => {
  const { root, crawls, jobs } = await openCrawling(t);
  const { id, job } = await crawls.start(ADA, { endpoints: [{ url: root }] });
  await jobs.setState(job, "failed", "olga", "no more");
  assert.equal((await crawls.cancel(ADA, id)).status, "cancelled");
});

test("what a store does wrong that nobody foresaw fails the crawl, and its other walks end", async (t) => {
  const defect = new TypeError("a defect");
  let isOtherOver = false;
  const sources: readonly Source[] = [
    gatedSource(async () => {
      throw defect;
    }),
    gatedSource((_, signal) =>
      untilAborted(signal).finally(() => {
        isOtherOver = true;
      }),
    ),
  ];
  const endpoints: Endpoints = {
    check: async (url) => url,
    open: async ({ url }) => sources[url.endsWith("0") ? 0 : 1] ?? assert.fail(),
  };
  const { crawls, work, ended, troubles } = await openCrawling(t, { endpoints });
  const { id } = await crawls.start(ADA, { endpoints: [{ url: "archive:0" }, { url: "archive:1" }] });
  work();
  const over = await ended(id);
  assert.deepEqual([over.status, over.error?.code], ["failed", "internal"]);
  assert.ok(isOtherOver);
  assert.deepEqual(troubles, [defect]);
});

test("a worker from whom the job was taken keeps nothing more", async (t) => {
  const { stores, crawls, root } = await openCrawling(t);
  const { id, job } = await crawls.start(ADA, { endpoints: [{ url: root }] });
  await stores.crawls.update(id, ["initializing"], { status: "crawling" });
  const begin = (of: JobId, attempts: number) =>
    stores.jobs.update(of, ["queued", "running"], { state: "running", attempts }, 1);
  await begin(job, 1);
  const counts = { directories: 1, files: 0, bytes: 0, groups: 0, families: 0, others: 0, errors: 0 };
  const listed = [{ endpoint: 0, folder: "" }];
  const found = { batches: [], folders: [], listed, problems: [], counts, changes: null };
  await begin(job, 2);
  assert.equal(await stores.crawls.keep(id, 1, found), undefined);
  assert.equal((await stores.crawls.keep(id, 2, found))?.counts.directories, 1);
});
