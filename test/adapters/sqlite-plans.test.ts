import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { CamelCasePlugin, type CompiledQuery, Kysely, sql } from "kysely";
import { sqlAuditStore } from "../../src/adapters/db/audit-store.ts";
import { sqlCartStore } from "../../src/adapters/db/cart-store.ts";
import { sqlCatalogueStore } from "../../src/adapters/db/catalogue-store.ts";
import { sqlCrawlStore } from "../../src/adapters/db/crawl-store.ts";
import { sqlExtractionStore } from "../../src/adapters/db/extraction-store.ts";
import { sqlFixityStore } from "../../src/adapters/db/fixity-store.ts";
import { sqlJobStore } from "../../src/adapters/db/job-store.ts";
import { migrate } from "../../src/adapters/db/migrate.ts";
import { sqlOutbox } from "../../src/adapters/db/outbox.ts";
import { sqlSavedQueries } from "../../src/adapters/db/saved-queries.ts";
import { sqlSearchChanges } from "../../src/adapters/db/search-changes.ts";
import { sqliteDialect } from "../../src/adapters/db/sqlite.ts";
import type { Tables } from "../../src/adapters/db/tables.ts";
import { sqliteJobQueue } from "../../src/adapters/queue/sqlite.ts";
import { NO_COUNTS } from "../../src/core/crawl/crawl.ts";
import { cartId, crawlId, extractionId, fileId, jobId, savedQueryId, transactionId } from "../../src/core/ids.ts";
import type { JobFilter } from "../../src/core/jobs/job-store.ts";
import { leastCpu } from "../support/growth.ts";

const FINISHED = 200_000;
const NO_QUEUE = { enqueue: async () => {}, dequeue: async () => {} };

describe(`SQLite with ${FINISHED} finished jobs`, () => {
  let folder: string;
  let db: Kysely<Tables>;
  const executed: CompiledQuery[] = [];
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "sqlite-plans-"));
    db = new Kysely<Tables>({
      dialect: sqliteDialect(join(folder, "test.db")),
      plugins: [new CamelCasePlugin()],
      log: ({ query }) => {
        executed.push(query);
      },
    });
    await migrate(db, "sqlite");
    // Half of the jobs are moves of the busy owner, half are others' ingests; what is rare (a failure, a verify job, a job
    // of one of the others, an ingest of the busy owner) must not cost a search through the rest.
    await sql`
      with recursive n (id) as (select 1 union all select id + 1 from n where id < ${FINISHED})
      insert into jobs (id, kind, lane, state, owner, created_at, updated_at)
      select id, iif(id % 1000 = 3, 'verify', iif(id % 2 and id % 1000 <> 1, 'move', 'ingest')), 'fast', iif(id % 500, 'succeeded', 'failed'),
        iif(id % 2, 'busy', 'owner-' || (id % 1000)), 1, 1
      from n`.execute(db);
  });
  after(async () => {
    await db.destroy();
    await rm(folder, { recursive: true });
  });

  /** How SQLite carries out everything `work` executes: https://www.sqlite.org/eqp.html */
  async function plansOf(work: () => Promise<unknown>): Promise<string[]> {
    executed.length = 0;
    await work();
    const lines: string[] = [];
    for (const query of executed.splice(0)) {
      if (!/^(with|select|update|delete)/.test(query.sql)) continue;
      const plan = sql.raw<{ detail: string }>(`explain query plan ${query.sql}`).compile(db);
      const { rows } = await db.executeQuery<{ detail: string }>({ ...plan, parameters: query.parameters });
      lines.push(...rows.map(({ detail }) => detail));
    }
    assert.ok(lines.length > 0, "something was planned");
    return lines;
  }
  /** `SCAN` walks a whole table or index (other than the pages "newest" and "due", and rows given as JSON), `TEMP B-TREE` sorts what it found. */
  const costly = (lines: readonly string[]) =>
    lines.filter((line) => /^SCAN (?!newest$|due$|json_each )|TEMP B-TREE/.test(line));

  const jobs = () => sqlJobStore(db, "sqlite", NO_QUEUE);
  const filters: JobFilter[] = [];
  for (const states of [undefined, ["failed"], ["queued", "running"], ["succeeded", "failed", "cancelled"]] as const)
    for (const kind of [undefined, "ingest", "verify"])
      for (const owner of [undefined, "busy", "owner-2"])
        for (const beforeId of [undefined, jobId(FINISHED / 2)])
          filters.push({
            limit: 50,
            ...(states && { states }),
            ...(kind && { kind }),
            ...(owner && { owner }),
            ...(beforeId && { beforeId }),
          });

  test("no page of the history is found by scanning or sorting, whatever is asked for", async () => {
    for (const filter of filters)
      assert.deepEqual(costly(await plansOf(() => jobs().list(filter))), [], JSON.stringify(filter));
  });

  test("every page of the history is found with about as much work as when there are few jobs", async () => {
    const store = jobs();
    const few = new Kysely<Tables>({
      dialect: sqliteDialect(join(folder, "few.db")),
      plugins: [new CamelCasePlugin()],
    });
    await migrate(few, "sqlite");
    await sql`attach database ${join(folder, "test.db")} as many`.execute(few);
    await sql`insert into jobs select * from many.jobs where id > ${FINISHED / 2 - 1_000} and id <= ${FINISHED / 2 + 1_000}`.execute(
      few,
    );
    const fewJobs = sqlJobStore(few, "sqlite", NO_QUEUE);
    for (const filter of filters) {
      const slow = await leastCpu(() => store.list(filter), 7);
      const fast = await leastCpu(() => fewJobs.list(filter), 7);
      // A hundred times as many jobs: work that grew with them would be far beyond what the collector adds.
      assert.ok(slow < fast * 10 + 2_000, `${slow} µs against ${fast} µs for ${JSON.stringify(filter)}`);
    }
    await few.destroy();
  });

  test("claims, heartbeats, events, starved jobs and the catalogue's pages are found by index too", async () => {
    const { queue } = sqliteJobQueue(db, { now: () => 1, sleep: () => Promise.resolve() });
    const delivery = { jobId: jobId(1), lane: "fast", receipt: "r" } as const;
    const catalogue = sqlCatalogueStore(db, "sqlite");
    const work: Record<string, () => Promise<unknown>> = {
      claim: () => queue.claim("w", "fast", 4),
      heartbeat: () => queue.heartbeat([delivery]),
      done: () => queue.done(delivery),
      get: () => jobs().get(jobId(1)),
      update: () => jobs().update(jobId(1), ["failed"], {}, 1),
      release: () => queue.release(delivery, 1),
      events: () => jobs().events(jobId(1), 0, 10),
      countOpen: () => jobs().countOpen(),
      listStarved: () => jobs().listStarved(1, 10),
      listFiles: () => catalogue.listFiles(transactionId(1), { limit: 10, afterId: fileId(1) }),
      file: () => catalogue.file(fileId(1)),
      keyValues: () => catalogue.keyValues(transactionId(1)),
      listTransactions: () => catalogue.listTransactions({ limit: 10, owner: "o", beforeId: transactionId(9) }),
      outbox: () => sqlOutbox(db, "sqlite").claim(1, 1, 10),
    };
    for (const [name, run] of Object.entries(work)) assert.deepEqual(costly(await plansOf(run)), [], name);
  });

  test("many jobs are changed each by its id", async () => {
    const plans = await plansOf(() => jobs().update(jobId(1), ["queued", "running"], { state: "failed" }, 1, [], 0));
    assert.deepEqual(
      plans.filter((line) => line.includes("jobs")),
      ["SEARCH jobs USING INTEGER PRIMARY KEY (rowid=?)"],
    );
  });

  test("what is to be checked next, what has failed, and what happened to a transaction are found by index too", async () => {
    const fixity = sqlFixityStore(db, "sqlite");
    const audit = sqlAuditStore(db, "sqlite");
    const due = { transactionId: transactionId(1), checkedAt: null, sizeBytes: 1, progress: null };
    const progress = { reached: fileId(1), files: 1, bytes: 1, problemCount: 0, problems: [] };
    const work: Record<string, () => Promise<unknown>> = {
      oldest: () => fixity.oldest(1),
      pause: () => fixity.pause(due, progress, { day: "2026-11-22", bytes: 1, busyMs: 1 }),
      day: () => fixity.day("2026-11-22"),
      check: () => fixity.check(transactionId(1)),
      "list of failures": () => fixity.list({ outcome: "failure", limit: 10 }),
      "list of those never checked": () => fixity.list({ outcome: null, limit: 10 }),
      "audit by target": () => audit.list(5, 10, { target: "transaction/1", actions: ["event.ingestion"] }),
      "audit in order": () => audit.list(5, 10),
      "audit by actor": () => audit.newest(undefined, 10, { actor: "ada" }),
      "audit by action": () => audit.newest(50, 10, { actions: ["token.create"] }),
    };
    for (const [name, run] of Object.entries(work)) {
      // The index of failures holds nothing but them.
      const plans = costly(await plansOf(run)).filter(
        (plan) => plan !== "SCAN fixity_checks USING INDEX fixity_checks_failed",
      );
      assert.deepEqual(plans, [], name);
    }
  });

  test("carts, their entries and their layouts are found by index too", async () => {
    const carts = sqlCartStore(db, "sqlite");
    const id = cartId("c");
    await carts.create({ id, uid: "u", name: "n", owner: "o", algorithm: "sha512", expiresAt: null }, 1);
    const times = { now: 1, unusedSince: 1, waitingSince: 1, expiredSince: 1 };
    const facts = { sizeBytes: 1, modifiedAt: 1, crc32: 1, digest: "d", location: { at: "staged", key: "k" } } as const;
    const work: Record<string, () => Promise<unknown>> = {
      get: () => carts.get(id),
      newestOf: () => carts.newestOf("u"),
      allOf: () => carts.allOf("u"),
      list: () => carts.list({ limit: 10 }),
      "list with all": () => carts.list({ owner: "o", statuses: ["ready", "error"], before: id, limit: 10 }),
      update: () => carts.update(id, ["waiting"], {}, 1),
      due: () => carts.due(times, 10),
      entries: () => carts.entries(id, 5, 10),
      unstaged: () => carts.unstaged(id, 5, 10),
      staged: () => carts.staged(id, 5, facts),
      layout: () => carts.layout(id, "k"),
      "checkpoint by members": () => carts.checkpoint(id, "k", "members", 5),
      "checkpoint by manifest": () => carts.checkpoint(id, "k", "manifest", 5),
      countDownload: () => carts.countDownload(id, 1),
      fileDownloads: () => carts.fileDownloads(fileId(1)),
      files: () => sqlCatalogueStore(db, "sqlite").files([fileId(1), fileId(2)]),
      findTransactions: () =>
        sqlCatalogueStore(db, "sqlite").findTransactions({ project: "p", keyValues: { k: "v" }, limit: 10 }),
      remove: () => carts.remove(id),
    };
    for (const [name, run] of Object.entries(work)) assert.deepEqual(costly(await plansOf(run)), [], name);
    // These indexes hold nothing but carts with something to do.
    assert.deepEqual(costly(await plansOf(carts.sweep)), ["SCAN carts USING INDEX carts_to_sweep"]);
    assert.deepEqual(costly(await plansOf(carts.tally)), ["SCAN carts USING INDEX carts_to_tally"]);
    // `distinct` sorts the few carts that share a copy.
    assert.deepEqual(costly(await plansOf(() => carts.holdersOf("k"))), ["USE TEMP B-TREE FOR DISTINCT"]);
  });

  test("crawls and what they found, extractions and saved queries are found by index too", async () => {
    const crawls = sqlCrawlStore(db, "sqlite", async () => {});
    const extractions = sqlExtractionStore(db, "sqlite", async () => {});
    const saved = sqlSavedQueries(db);
    const [id, previous] = [crawlId("c"), crawlId("before")];
    const extraction = extractionId("e");
    const crawl = { owner: "o", endpoints: [], previous: null, now: 1 };
    for (const [one, job] of [
      [id, jobId(FINISHED + 1)],
      [previous, jobId(FINISHED + 2)],
    ] as const)
      await crawls.create({ ...crawl, id: one, jobs: [{ id: job, kind: "crawl", lane: "slow" }] });
    await jobs().update(jobId(FINISHED + 1), ["queued"], { state: "running", attempts: 1 }, 1);
    const batch = { endpoint: 0, folder: "f", files: [], families: null, changes: null, gone: [] };
    const found = { batches: [batch], folders: [], listed: [batch], problems: [], counts: NO_COUNTS, changes: null };
    const position = { seq: 1, files: 1 };
    const work: Record<string, () => Promise<unknown>> = {
      get: () => crawls.get(id),
      "list of one owner": () => crawls.list({ owner: "o", before: id, limit: 10 }),
      update: () => crawls.update(id, ["initializing"], { status: "crawling" }),
      keep: async () => assert.ok(await crawls.keep(id, 1, found)),
      unlisted: () => crawls.unlisted(id, 10, 5),
      batches: () => crawls.batches(id, 5, 10),
      batchesOf: () => Array.fromAsync(crawls.batchesOf(id, { endpoint: 0, folder: "f" })),
      firstBatchesOf: () => crawls.firstBatchesOf(id, 0, ["f", "g"], 10),
      goneFolders: () => Array.fromAsync(crawls.goneFolders(id, previous)),
      problems: () => crawls.problems(id, 5, 10),
      position: () => crawls.position(id, "c"),
      advance: () => crawls.advance(id, "c", position, position, 1),
      "create extraction": () =>
        extractions.create({
          id: extraction,
          crawl: id,
          owner: "o",
          extractors: null,
          recordsFolder: null,
          job: { id: jobId(FINISHED + 3), kind: "extract", lane: "slow" },
          now: 1,
        }),
      "get extraction": () => extractions.get(extraction),
      ofCrawl: () => extractions.ofCrawl(id),
      "update extraction": () => extractions.update(extraction, ["waiting"], { status: "extracting" }),
      pending: () => extractions.pending(extraction, 1),
      "keep records": () =>
        extractions.keep(
          extraction,
          0,
          { seq: 1, records: [], counts: { pulled: 0, success: 0, failed: 0, unknown: 0 }, pending: 0 },
          1,
        ),
      records: () => extractions.records(extraction, 5, 10),
      record: () => extractions.record(extraction, 5),
      "saved queries": () => saved.list("o"),
      "saved query": () => saved.get(savedQueryId("q")),
      done: () => sqlSearchChanges(db).done([1, 2]),
    };
    for (const [name, run] of Object.entries(work)) assert.deepEqual(costly(await plansOf(run)), [], name);
    await crawls.update(id, ["crawling"], { status: "complete" });
    await extractions.update(extraction, ["extracting"], { status: "complete" });
    assert.deepEqual(costly(await plansOf(() => crawls.remove(id))), [], "remove");
    // This index holds nothing but crawls with something to sweep.
    const sweeps = await plansOf(async () => {
      while (await crawls.sweep());
    });
    assert.deepEqual(new Set(costly(sweeps)), new Set(["SCAN crawls USING INDEX crawls_to_sweep"]));
    // From its end, and the other from its beginning, as far as the page goes.
    assert.deepEqual(costly(await plansOf(() => crawls.list({ limit: 10 }))), ["SCAN crawls"]);
    assert.deepEqual(costly(await plansOf(() => sqlSearchChanges(db).pending(10))), ["SCAN search_changes"]);
  });
});
