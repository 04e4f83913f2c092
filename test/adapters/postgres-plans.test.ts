import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { CamelCasePlugin, type CompiledQuery, Kysely, sql } from "kysely";
import { sqlAuditStore } from "../../src/adapters/db/audit-store.ts";
import { sqlCartStore } from "../../src/adapters/db/cart-store.ts";
import { sqlCatalogueStore } from "../../src/adapters/db/catalogue-store.ts";
import { sqlCrawlStore } from "../../src/adapters/db/crawl-store.ts";
import { sqlDocumentStore } from "../../src/adapters/db/document-store.ts";
import { sqlDropStore } from "../../src/adapters/db/drop-store.ts";
import { sqlExtractionStore } from "../../src/adapters/db/extraction-store.ts";
import { sqlFixityStore } from "../../src/adapters/db/fixity-store.ts";
import { sqlHistoryStore } from "../../src/adapters/db/history-store.ts";
import { migrate } from "../../src/adapters/db/migrate.ts";
import { sqlOutbox } from "../../src/adapters/db/outbox.ts";
import { sqlStatisticsStore } from "../../src/adapters/db/package-statistics.ts";
import { sqlPackageStore } from "../../src/adapters/db/package-store.ts";
import { postgresDialect } from "../../src/adapters/db/postgres.ts";
import { sqlRegisterStore } from "../../src/adapters/db/register-store.ts";
import { sqlScheduleStore } from "../../src/adapters/db/schedule-store.ts";
import { sqlSearchChanges } from "../../src/adapters/db/search-changes.ts";
import { sqlStagingStore } from "../../src/adapters/db/staging-store.ts";
import type { Tables } from "../../src/adapters/db/tables.ts";
import { NO_COUNTS } from "../../src/core/crawl/crawl.ts";
import {
  cartId,
  crawlId,
  extractionId,
  fileId,
  jobId,
  orderId,
  packageId,
  scheduleId,
  transactionId,
} from "../../src/core/ids.ts";
import { costlySteps } from "../support/explained.ts";
import { startPostgres } from "../support/postgres.ts";

const postgres = await startPostgres();
after(() => postgres.stop());

/** As much of everything as tells an index from a walk through the table: what the statements cost must not grow with it. */
const ROWS = `
  set session_replication_role = replica;
  insert into jobs (id, kind, lane, state, owner, created_at, updated_at, finished_at)
    select n, 'ingest', 'fast', case when n > 19900 then 'queued' else 'succeeded' end, 'owner-' || n % 100, n, n, case when n > 19900 then null else n end from generate_series(1, 20000) n;
  insert into job_events (job_id, at, type, data) select n % 20000 + 1, n, 'state', '{}' from generate_series(1, 40000) n;
  insert into transactions select n, 'p' || n % 50, 'project-' || n % 200, 'i-' || n % 20, 'owner-' || n % 100, 20, 1000, 'o/' || n, 'd', n from generate_series(1, 10000) n;
  insert into files select n, n / 6 + 1, 'data/' || n, 'v1/content/' || n, n, null, null, case n % 10 when 0 then 'image/tiff' else 'text/plain' end, '{}', n, 'sha1', 'x' from generate_series(1, 60000) n;
  insert into key_values (transaction_id, file_id, key, value) select n % 20000 + 1, null, 'k' || n % 5, 'v' || n % 1000 from generate_series(1, 12000) n;
  insert into fixity_checks (transaction_id, size_bytes, checked_at, outcome) select n, 1, n, case when n % 1000 = 0 then 'failure' else 'success' end from generate_series(1, 10000) n;
  insert into audit (seq, at, actor, action, target, details, previous_hash, hash) select n, n, 'a' || n % 50, case n % 3 when 0 then 'event.ingestion' else 'token.create' end, 'transaction/' || n % 20000, '{}', 'p', 'h' from generate_series(1, 20000) n;
  insert into outbox (key, channel, target, payload, due_at, created_at) select 'k' || n, 'mail', 't', '{}', n * 1000, n from generate_series(1, 20000) n;
  insert into carts (id, uid, name, owner, status, algorithm, expires_at, last_used_at, created_at, updated_at, removed, to_sweep)
    select 'cart-' || n, 'uid-' || n, 'n', 'owner-' || n % 100, (array['waiting', 'staging', 'ready', 'error', 'expired'])[n % 5 + 1], 'sha512', case n % 2 when 0 then n end, n, n, n, 0, 0 from generate_series(1, 10000) n;
  insert into cart_entries (cart, seq, path, file_id, location, located_at, unstaged) select n / 20 + 1, n % 20, 'p' || n, n, case n % 50 when 0 then 'staged' end, case n % 50 when 0 then 'key-' || n / 50 end, case n % 500 when 0 then 1 else 0 end from generate_series(1, 40000) n;
  insert into cart_layouts (cart, key, layout) select n, 'tar', '{}' from generate_series(1, 10000) n;
  insert into cart_checkpoints select n / 5 + 1, n % 5, n, n, n from generate_series(1, 20000) n;
  insert into download_counts select 'file', n, 1, 1 from generate_series(1, 10000) n;
  insert into staged_files select 'key-' || n, 'path-' || n, 1, 'present', 1, '{}', n from generate_series(1, 10000) n;
  insert into packages (id, cache_key, recipe, status, lane, job, file_name, size_bytes, keep_until, live, created_at, last_used_at)
    select 'pack-' || n, 'c' || n, '{}', (array['ready', 'failed', 'expired', 'expired', 'expired'])[n % 5 + 1], 'fast', n, 'f' || n, n, n, case n % 10 when 0 then 1 else 0 end, n, n from generate_series(1, 10000) n;
  insert into package_orders (id, package, owner, door, created_at) select 'order-' || n, n % 20000 + 1, 'owner-' || n % 100, 0, n from generate_series(1, 20000) n;
  insert into package_requests (order_id, at, resource_id, email, size_bytes, row_count) select 'order-' || n, n, 'r' || n % 100, 'm' || n % 500, 1, 1 from generate_series(1, 10000) n;
  insert into package_errors (order_id, at, resource_id, email, message) select 'order-' || n, n, 'r' || n % 100, 'm' || n % 500, 'm' from generate_series(1, 10000) n;
  insert into package_counts select 'r' || n % 200, n / 200 * 86400000::bigint - case n / 200 when 0 then 1 else 0 end, 1, 1, 1, 1, 1 from generate_series(0, 19999) n;
  insert into crawls (id, owner, status, endpoints, job, directories, files, bytes, groups, families, others, errors, new_files, changed_files, same_files, gone_files, last_seq, last_folder, created_at, removed)
    select 'crawl-' || n, 'owner-' || n % 100, 'complete', '[]', n, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 40, 100, n, 0 from generate_series(1, 5000) n;
  insert into crawl_folders select n / 100 + 1, 0, 'folder/' || n, null, n % 100, case n % 50 when 0 then 0 else 1 end from generate_series(1, 20000) n;
  insert into crawl_batches (crawl, seq, endpoint, folder, files, gone) select n / 40 + 1, n % 40, 0, 'folder/' || n, '{"names":[],"sizes":[],"times":[],"modes":[]}', '[]' from generate_series(1, 20000) n;
  insert into crawl_problems (crawl, endpoint, problem) select n / 10 + 1, 0, '{}' from generate_series(1, 10000) n;
  insert into extractions (id, crawl, owner, status, pulled, success, failed, pending, unknown, done_seq, last_number, job, created_at, removed)
    select 'extraction-' || n, 'crawl-' || n, 'o', 'complete', 0, 0, 0, 0, 0, 0, 20, n, n, 0 from generate_series(1, 5000) n;
  insert into extraction_records (extraction, number, family, group_index, group_kind, extractor, version, files, problems, duration_ms, created_at)
    select n / 20 + 1, n % 20, 'f', 0, 'k', 'e', '1', '[]', '[]', 1.5, n from generate_series(1, 20000) n;
  insert into search_changes (transaction_id) select n from generate_series(1, 10000) n;
  insert into document_indices (name, mapping, last_seq_no, created_at) select 'index-' || n, '{}', 1, n from generate_series(1, 10) n;
  insert into documents (index_number, id, source, version, seq_no) select n % 10 + 1, 'd' || n, '{}', 1, n from generate_series(1, 10000) n;
  insert into registers select 'register-' || n, '{}', 'api', 1, 10000, null, 1 from generate_series(1, 20) n;
  insert into register_entries (register, id, owner, status, version, attempts, fields, job, settled, due_at, created_at, updated_at)
    select 'register-' || n % 20 + 1, n / 20, 'owner-' || n % 100, case n % 100 when 0 then 'new' else 'done' end, 1, 0, '{}', case n % 1000 when 0 then null else n end, 0, case n % 50 when 0 then n end, n, n from generate_series(0, 19999) n;
  insert into register_values select 'register-' || n % 20 + 1, 'name', 'v' || n / 20, n / 20 from generate_series(0, 19999) n;
  insert into register_keys select 'register-' || n % 20 + 1, 'key-' || n / 20, n / 20 from generate_series(0, 19999) n;
  insert into register_events (register, entry, at, actor, changed) select 'register-' || n % 20 + 1, n / 40, n, 'a', '[]' from generate_series(1, 40000) n;
  insert into schedules select 'schedule-' || n, 'name-' || n, 'owner-' || n % 100, '{"lock":null,"deadManMs":null}', 0, 0, n, n, case n % 100 when 0 then n end, null, n, n from generate_series(1, 5000) n;
  insert into schedule_runs (schedule, cause, due_at, overlap, state, output_bytes, created_at) select 'schedule-' || n % 5000 + 1, 'due', n, 'skip', case when n > 19990 then 'waiting' else 'succeeded' end, 0, n from generate_series(1, 20000) n;
  insert into deliveries (drop_name, name, state, closed, fingerprint, stable_at, version, created_at, updated_at) select 'drop-' || n % 10, 'd' || n, 'done', case when n > 9900 then 0 else 1 end, 'f', n, 1, n, n from generate_series(1, 10000) n;
  set session_replication_role = origin;
`;

describe("PostgreSQL with many rows", () => {
  let db: Kysely<Tables>;
  const executed: CompiledQuery[] = [];
  before(async () => {
    const url = await postgres.freshDatabase();
    db = new Kysely<Tables>({
      // One connection: `session_replication_role` is its own.
      dialect: await postgresDialect({ url, poolSize: 1, onTrouble: (error) => assert.fail(String(error)) }),
      plugins: [new CamelCasePlugin()],
      log: ({ query }) => {
        executed.push(query);
      },
    });
    await migrate(db, "postgres");
    await sql.raw(ROWS).execute(db);
    await sql`vacuum analyze`.execute(db);
  });
  after(() => db.destroy());

  /** Explains everything that each piece of work executes. */
  async function assertCheap(work: Readonly<Record<string, () => Promise<unknown>>>): Promise<void> {
    for (const [name, run] of Object.entries(work)) {
      executed.length = 0;
      await run();
      assert.deepEqual(await costlySteps(db, executed.splice(0)), [], name);
    }
  }

  test("a statement that reads a whole table, or sorts one, is seen", async () => {
    for (const text of ["select * from files where path = 'data/7'", "select * from files order by path limit 5"])
      assert.equal((await costlySteps(db, [sql.raw(text).compile(db)])).length, 1, text);
    assert.deepEqual(
      await costlySteps(db, [sql.raw("select * from files order by id limit 5").compile(db)]),
      [],
      "a page from the beginning of an index costs no more than the page",
    );
  });

  test("files and transactions are found by index", async () => {
    const catalogue = sqlCatalogueStore(db, "postgres");
    const page = { limit: 100, afterId: fileId(5_995) };
    await assertCheap({
      transaction: () => catalogue.transaction(transactionId(7)),
      listTransactions: () => catalogue.listTransactions({ limit: 100 }),
      "listTransactions of one owner": () =>
        catalogue.listTransactions({ limit: 100, owner: "owner-7", beforeId: transactionId(9_000) }),
      "findTransactions by project": () => catalogue.findTransactions({ project: "project-7", limit: 100 }),
      "findTransactions by project and values": () =>
        catalogue.findTransactions({ project: "project-7", keyValues: { k1: "v6" }, limit: 100 }),
      "findTransactions by values alone": () =>
        catalogue.findTransactions({ keyValues: { k1: "v6", k2: "v7" }, limit: 100 }),
      "findTransactions of a submitter": () => catalogue.findTransactions({ submitter: "p7", limit: 100 }),
      listFiles: () => catalogue.listFiles(transactionId(1_000), page),
      "listFiles of a folder": () => catalogue.listFiles(transactionId(1_000), { ...page, prefix: "data/" }),
      file: () => catalogue.file(fileId(7)),
      files: () => catalogue.files(Array.from({ length: 20 }, (_, index) => fileId(index * 3_000 + 1))),
      keyValues: () => catalogue.keyValues(transactionId(7)),
      "changes for search": () => sqlSearchChanges(db).pending(100),
      "changes that are done with": () => sqlSearchChanges(db).done([1, 2, 3]),
    });
  });

  test("an add and a removal of a transaction touch its own rows alone", async () => {
    const catalogue = sqlCatalogueStore(db, "postgres");
    const transaction = { submitter: null, project: null, instrument: null, owner: "o", createdAt: 1 };
    await assertCheap({
      add: () =>
        catalogue.add(
          {
            ...transaction,
            id: transactionId(900_001),
            fileCount: 0,
            sizeBytes: 0,
            objectPath: "o",
            inventoryDigest: "d",
          },
          (async function* () {})(),
          [],
          [],
          1,
        ),
      forget: () => catalogue.forget(transactionId(900_001)),
    });
  });

  test("carts, their entries, layouts and downloads are found by index", async () => {
    const carts = sqlCartStore(db, "postgres");
    const staging = sqlStagingStore(db);
    const id = cartId("cart-7");
    const facts = { sizeBytes: 1, modifiedAt: 1, crc32: 1, digest: "d", location: { at: "staged", key: "k" } } as const;
    const times = { now: 100, unusedSince: 100, waitingSince: 100, expiredSince: 100 };
    const space = { capacityBytes: 10_000, protectedSince: 5_000, deadBefore: 1 };
    await assertCheap({
      get: () => carts.get(id),
      newestOf: () => carts.newestOf("uid-7"),
      list: () => carts.list({ limit: 100 }),
      "list of one owner": () => carts.list({ owner: "owner-7", statuses: ["ready", "error"], before: id, limit: 100 }),
      update: () => carts.update(id, ["ready"], {}, 1),
      due: () => carts.due(times, 100),
      entries: () => carts.entries(id, 5, 500),
      unstaged: () => carts.unstaged(id, 0, 500),
      staged: () => carts.staged(id, 5, facts),
      holdersOf: () => carts.holdersOf("key-7"),
      layout: () => carts.layout(id, "tar"),
      checkpoint: () => carts.checkpoint(id, "tar", "members", 40),
      countDownload: () => carts.countDownload(id, 1),
      tally: async () => {
        while (await carts.tally());
      },
      fileDownloads: () => carts.fileDownloads(fileId(7)),
      remove: () => carts.remove(id),
      sweep: async () => {
        while (await carts.sweep());
      },
      "a place in the staging cache": () => staging.reserve({ key: "new", path: "new", sizeBytes: 3 }, space, 1),
      "files of the staging cache that are used": () => staging.touch(["key-1", "key-2"], 2),
      "known files of the staging cache": () => staging.known(["path-1", "path-2"]),
    });
  });

  test("packages, orders and what is counted of them are found by index", async () => {
    const packages = sqlPackageStore(db, "postgres", async () => {});
    const statistics = sqlStatisticsStore(db);
    const page = { limit: 100, offset: 0 };
    await assertCheap({
      get: () => packages.get(orderId("order-7")),
      list: () => packages.list({ limit: 100 }),
      "list of one owner": () => packages.list({ owner: "owner-7", limit: 100 }),
      live: () => packages.live("c10", 1),
      package: () => packages.package(packageId("pack-7")),
      ready: () =>
        packages.ready(
          packageId("pack-7"),
          1,
          { fileName: "f", sizeBytes: 1, digest: "d", rowCount: 1, members: [], freshUntil: 1, linkExpiresAt: 1 },
          1,
          () => ({ messages: [] }),
        ),
      told: () => packages.told(orderId("order-7"), null, 1),
      countDownload: () => packages.countDownload(orderId("order-7"), 1),
      due: () => packages.due(100, 100),
      leastUsed: () => packages.leastUsed(100),
      holds: () => packages.holds("f7"),
      forget: () => packages.forget(1_000),
      requests: () => statistics.requests(page),
      "requests for a resource": () => statistics.requests({ resourceId: "r7", ...page }),
      "requests of an address": () => statistics.requests({ email: "m7", ...page }),
      errors: () => statistics.errors(page),
      totals: () => statistics.totals("r7"),
      days: () => statistics.days({ resourceId: "r7", from: 0, until: 86_400_000 * 30 }),
    });
  });

  test("crawls, what they found, and extractions are found by index", async () => {
    const crawls = sqlCrawlStore(db, "postgres", async () => {});
    const extractions = sqlExtractionStore(db, "postgres", async () => {});
    const [id, previous] = [crawlId("crawl-7"), crawlId("crawl-8")];
    const extraction = extractionId("extraction-7");
    const batch = { endpoint: 0, folder: "f", files: [], families: null, changes: null, gone: [] };
    const found = { batches: [batch], folders: [batch], listed: [], problems: [], counts: NO_COUNTS, changes: null };
    const [from, to] = [
      { seq: 1, files: 1 },
      { seq: 2, files: 2 },
    ];
    const counts = { pulled: 0, success: 0, failed: 0, unknown: 0 };
    await assertCheap({
      get: () => crawls.get(id),
      list: () => crawls.list({ limit: 100 }),
      "list of one owner": () => crawls.list({ owner: "owner-7", before: id, limit: 100 }),
      keep: () => crawls.keep(id, 1, found),
      unlisted: () => crawls.unlisted(id, 100, 5),
      batches: () => crawls.batches(id, 5, 100),
      batchesOf: () => Array.fromAsync(crawls.batchesOf(id, { endpoint: 0, folder: "folder/250" })),
      firstBatchesOf: () => crawls.firstBatchesOf(id, 0, ["folder/250", "folder/251"], 10),
      goneFolders: () => Array.fromAsync(crawls.goneFolders(id, previous)),
      problems: () => crawls.problems(id, 5, 100),
      position: () => crawls.position(id, "c"),
      advance: () => crawls.advance(id, "c", from, to, 1),
      "extraction of a crawl": () => extractions.ofCrawl(id),
      "update of an extraction": () => extractions.update(extraction, ["complete"], {}),
      "keep records": () => extractions.keep(extraction, 0, { seq: 1, records: [], counts, pending: 0 }, 1),
      records: () => extractions.records(extraction, 5, 100),
      record: () => extractions.record(extraction, 5),
      remove: () => crawls.remove(id),
      sweep: async () => {
        while (await crawls.sweep());
      },
    });
  });

  test("entries of registers, schedules and their runs are found by index", async () => {
    const registers = sqlRegisterStore(db, "postgres", async () => {});
    const schedules = sqlScheduleStore(db, "postgres", async () => {});
    const [register, schedule] = ["register-7", scheduleId("schedule-7")];
    const change = { actor: "a", isNoted: true, reason: null } as const;
    await assertCheap({
      get: () => registers.get(register, 7),
      list: () => registers.list({ register, limit: 100 }),
      "list of one owner": () => registers.list({ register, owner: "owner-6", afterId: 50, limit: 100 }),
      "list by status": () => registers.list({ register, status: "new", limit: 100 }),
      "list by a field": () => registers.list({ register, fields: { name: "v7" }, limit: 100 }),
      change: () => registers.change({ register, id: 7, revision: 1 }, { ...change, fields: { name: "w" } }, 1),
      history: () => registers.history(register, 7, 0, 100),
      due: () => registers.due(1_000, 100),
      idle: () => registers.idle(register, "done", 100),
      remove: () => registers.remove({ register, id: 7 }, "a", "r", 1),
      "due schedules": () => schedules.due(100, 100),
      "silent schedules": () => schedules.silent(1_000, 100),
      "planned in the future": () => schedules.plannedAfter(4_900, 100),
      "list of schedules": () => schedules.list({ limit: 100 }),
      fire: () => schedules.fire(schedule, { dueAt: 7 }, 10_000, [], 1),
      runs: () => schedules.runs(schedule, { limit: 100 }),
      begin: () => schedules.begin(19_995, 1),
      isHeld: () => schedules.isHeld(19_996),
      finish: () =>
        schedules.finish(
          19_995,
          { state: "succeeded", reason: null, exitCode: 0, signal: null, outputBytes: 0 },
          [],
          1,
        ),
    });
  });

  test("documents, deliveries, checks, the audit log, histories and messages are found by index", async () => {
    const documents = sqlDocumentStore(db);
    const drops = sqlDropStore(db);
    const fixity = sqlFixityStore(db, "postgres");
    const audit = sqlAuditStore(db, "postgres");
    const history = sqlHistoryStore(db, "postgres");
    await assertCheap({
      documents: () => documents.documents("index-3", ["d12", "d22"]),
      "page of documents": () => documents.page("index-3", 500, 500),
      "change of documents": () =>
        documents.change("index-3", ["d12"], ({ mapping, lastSeqNo }) => [
          { mapping, lastSeqNo, put: [], removed: ["d12"] },
          undefined,
        ]),
      "open deliveries": () => drops.open("drop-3"),
      "list of deliveries": () => drops.list({ drop: "drop-3", limit: 100 }),
      "the oldest check": () => fixity.oldest(10_000),
      "list of failures": () => fixity.list({ outcome: "failure", limit: 100 }),
      "list of those never checked": () => fixity.list({ outcome: null, limit: 100 }),
      "audit by target": () => audit.list(5, 100, { target: "transaction/7", actions: ["event.ingestion"] }),
      "audit in order": () => audit.list(10_000, 100),
      "audit by actor": () => audit.newest(undefined, 50, { actor: "nobody" }),
      "audit by action": () => audit.newest(10_000, 50, { actions: ["nothing"] }),
      "audit of one actor": () => audit.list(10_000, 100, { actor: "a7" }),
      append: () =>
        audit.append((last) => ({
          seq: (last?.seq ?? 0) + 1,
          at: 1,
          actor: "a",
          action: "x",
          target: "t",
          details: {},
          software: null,
          outcome: null,
          previousHash: "p",
          hash: "h",
        })),
      "messages that are due": () => sqlOutbox(db, "postgres").claim(1_000_000, 1, 50),
      "history that is forgotten": () => history.forgetEvents(1_000, jobId(1)),
      "room for history": () => history.prepare(),
    });
  });
});
