import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, describe, test } from "node:test";
import { CamelCasePlugin, type CompiledQuery, type Dialect, Kysely, sql } from "kysely";
import { sqlJobStore } from "../../src/adapters/db/job-store.ts";
import { type DialectName, migrate } from "../../src/adapters/db/migrate.ts";
import { optionalDriver } from "../../src/adapters/db/optional-driver.ts";
import { postgresDialect } from "../../src/adapters/db/postgres.ts";
import { noteChanges } from "../../src/adapters/db/search-changes.ts";
import { sqliteDialect } from "../../src/adapters/db/sqlite.ts";
import { openPostgres, type Stores } from "../../src/adapters/db/stores.ts";
import type { Tables } from "../../src/adapters/db/tables.ts";
import { jobId, transactionId } from "../../src/core/ids.ts";
import { JOB_STATES } from "../../src/core/jobs/job.ts";
import { startPostgres } from "../support/postgres.ts";

const NO_QUEUE = { enqueue: async () => {}, dequeue: async () => {} };

const postgres = await startPostgres();
/** What a test opened, whether or not it came to its end. */
const opened: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const { close } of opened.splice(0)) await close();
});
after(() => postgres.stop());

const clock = { now: () => Date.now(), sleep: () => Promise.resolve() };
const onTrouble = (error: unknown): void => assert.fail(String(error));

async function open(url: string, troubled: (error: unknown) => void = onTrouble): Promise<Stores> {
  const stores = await openPostgres({ url, clock, onTrouble: troubled });
  opened.push(stores);
  return stores;
}

async function connect<T>(url: string, troubled = onTrouble, log?: (query: CompiledQuery) => void): Promise<Kysely<T>> {
  const db = new Kysely<T>({
    dialect: await postgresDialect({ url, onTrouble: troubled }),
    plugins: [new CamelCasePlugin()],
    log: ({ query }) => log?.(query),
  });
  opened.push({ close: () => db.destroy() });
  return db;
}

describe("PostgreSQL", () => {
  test("both dialects have the same tables with the same columns, but for the embedded queue and the parts of the history", async () => {
    const folder = await mkdtemp(join(tmpdir(), "dialects-"));
    const columnsOf = async (name: DialectName, dialect: Dialect) => {
      const db = new Kysely<unknown>({ dialect });
      await migrate(db, name);
      const tables = await db.introspection.getTables();
      await db.destroy();
      return Object.fromEntries(
        tables
          .filter((table) => (table.schema ?? "public") === "public" && !/^(job_queue|job_events_.*)$/.test(table.name))
          .map((table) => [
            table.name,
            table.columns.map(({ name, isNullable, isAutoIncrementing }) => ({ name, isNullable, isAutoIncrementing })),
          ]),
      );
    };
    const inSqlite = await columnsOf("sqlite", sqliteDialect(join(folder, "test.db")));
    const url = await postgres.freshDatabase();
    const inPostgres = await columnsOf("postgres", await postgresDialect({ url, onTrouble }));
    assert.ok(Object.keys(inSqlite).length > 9, "the tables were found");
    const named = (tables: typeof inSqlite) =>
      Object.fromEntries(
        Object.entries(tables).map(([table, columns]) => [table, columns.map(({ name }) => name).sort()]),
      );
    assert.deepEqual(named(inPostgres), named(inSqlite));
    await rm(folder, { recursive: true });
  });

  test("processes that open a new database at the same moment all find it ready", async () => {
    const url = await postgres.freshDatabase();
    const all = await Promise.allSettled(Array.from({ length: 4 }, () => open(url)));
    for (const one of all) await (one.status === "fulfilled" ? one.value.ping() : assert.fail(one.reason));
  });

  test("a database of a newer program is refused in a sentence", async () => {
    const url = await postgres.freshDatabase();
    const db = await connect(url);
    await migrate(db, "postgres");
    await sql`insert into migrations (version, name, needs) values (9999, 'later', 9999)`.execute(db);
    await assert.rejects(open(url), { code: "database_newer" });
  });

  test("a server that does not answer is an unavailable database", async () => {
    const port = createServer().listen(0, "127.0.0.1");
    await once(port, "listening");
    const address = port.address();
    port.close();
    assert.ok(address && typeof address === "object");
    const url = `postgres://nobody@127.0.0.1:${address.port}/nothing`;
    await assert.rejects(open(url), {
      code: "database_unavailable",
      retryable: true,
      details: { reason: "ECONNREFUSED" },
    });
  });

  test("a database or a user that the server does not know is an unavailable database, with PostgreSQL's code", async () => {
    // invalid_catalog_name and invalid_password in appendix A of PostgreSQL's documentation.
    const url = await postgres.freshDatabase();
    const unknown = (reason: string) => ({ code: "database_unavailable", details: { reason } });
    await assert.rejects(open(`${url}-not`), unknown("3D000"));
    await assert.rejects(open(url.replace(":password@", ":wrong@")), unknown("28P01"));
  });

  test("when the server ends all connections statements fail as unavailable, and soon have new connections", async () => {
    const url = await postgres.freshDatabase();
    const troubles: unknown[] = [];
    const stores = await open(url, (error) => troubles.push(error));
    const db = await connect(url);
    const busy = await connect(url, () => {});
    const asleep = assert.rejects(sql`select pg_sleep(60)`.execute(busy), { code: "database_unavailable" });
    for (let running = false; !running; ) {
      const { rows } = await sql`select 1 from pg_stat_activity where query = 'select pg_sleep(60)'`.execute(db);
      running = rows.length > 0;
    }
    await sql`select pg_terminate_backend(pid) from pg_stat_activity
      where datname = current_database() and pid <> pg_backend_pid()`.execute(db);
    await asleep;
    for (let answered = false; !answered; )
      answered = await stores.ping().then(
        () => true,
        ({ code }) => assert.equal(code, "database_unavailable") ?? false,
      );
    assert.equal(await stores.sequences.reserve("after", 1), 1);
    assert.ok(troubles.length > 0, "what broke while nobody used it was reported");
  });

  test("a driver that is not installed is named", async () => {
    const name: string = "no-such-driver";
    await assert.rejects(
      optionalDriver(name, () => import(name)),
      { code: "driver_missing", details: { package: name, hint: `npm install ${name}` } },
    );
  });

  test("a change that becomes visible after a later one is done with is pending still", async () => {
    const url = await postgres.freshDatabase();
    const { catalogue, searchChanges } = await open(url);
    const slow = await (await connect<Tables>(url)).startTransaction().execute();
    await noteChanges(slow, [{ transaction: transactionId(1) }]);
    const transaction = { id: transactionId(2), submitter: null, project: null, instrument: null, owner: "ada" };
    const empty = { fileCount: 0, sizeBytes: 0, objectPath: "a", inventoryDigest: "", createdAt: 1 };
    await catalogue.add({ ...transaction, ...empty }, (async function* () {})(), [], [], 1);
    assert.deepEqual(await searchChanges.pending(10), [{ number: 2, subject: { transaction: 2 } }]);
    await searchChanges.done([2]);
    await slow.commit().execute();
    assert.deepEqual(await searchChanges.pending(10), [{ number: 1, subject: { transaction: 1 } }]);
  });

  test("with 200,000 finished jobs a page of the history touches no more rows than it has per state", async () => {
    const url = await postgres.freshDatabase();
    const executed: CompiledQuery[] = [];
    const db = await connect<Tables>(url, onTrouble, (query) => executed.push(query));
    await migrate(db, "postgres");
    await sql`
      insert into jobs (id, kind, lane, state, owner, created_at, updated_at)
      select id, case when id % 1000 = 0 then 'verify' else 'ingest' end, 'fast',
        case when id % 1000 = 0 then 'failed' else 'succeeded' end, 'owner-' || (id % 1000), 1, 1
      from generate_series(1, 200000) as id`.execute(db);
    await sql`vacuum analyze jobs`.execute(db);
    const store = sqlJobStore(db, "postgres", NO_QUEUE);
    for (const filter of [
      {},
      { states: ["succeeded", "failed", "cancelled"] as const },
      { states: ["failed"] as const, kind: "verify" },
      { kind: "verify" },
      { owner: "owner-7" },
      { owner: "owner-7", kind: "ingest", beforeId: jobId(100_000) },
      { states: JOB_STATES, beforeId: jobId(100_000) },
    ]) {
      executed.length = 0;
      await store.list({ limit: 50, ...filter });
      const [query] = executed;
      assert.ok(query);
      const explain = sql.raw<{ "QUERY PLAN": string }>(`explain (analyze, timing off) ${query.sql}`).compile(db);
      const { rows } = await db
        .withoutPlugins()
        .executeQuery<{ "QUERY PLAN": string }>({ ...explain, parameters: query.parameters });
      const plan = rows.map((row) => row["QUERY PLAN"]).join("\n");
      // No step of the plan may touch more rows than a page of 50 for each of the five states.
      const touched = [...plan.matchAll(/actual rows=([\d.]+)|Removed by Filter: (\d+)/g)].map(([, rows, removed]) =>
        Number(rows ?? removed),
      );
      assert.ok(touched.length > 2 && Math.max(...touched) <= 250, plan);
    }
  });
});
