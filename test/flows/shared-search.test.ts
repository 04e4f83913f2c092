import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import pg from "pg";
import { type Longshore, longshore } from "../../src/sdk/index.ts";
import { bundleBlob } from "../sdk/deposit.ts";
import { startPostgres } from "../support/postgres.ts";
import { startServer } from "../support/server.ts";
import { until } from "../support/until.ts";

const FILES = 1500;
/** More than half a minute, within which another one has the duty: machines that run tests are busy. */
const TAKEOVER_MS = 90_000;

const total = async ({ search }: Longshore, query: string) => (await search.find(query).page()).total;

async function deposit(client: Longshore, names: readonly string[]): Promise<void> {
  const { id } = await client.bundles.deposit(
    await bundleBlob(Object.fromEntries(names.map((name) => [name, name])), [
      { destinationTable: "Transactions.project", value: "1234a" },
    ]),
  );
  assert.equal((await client.jobs.wait(id)).state, "succeeded");
}

test("servers on one database have one index; one that is killed while it makes it anew is followed by another", async (t) => {
  const postgres = await startPostgres();
  const url = await postgres.freshDatabase();
  const dataDir = await mkdtemp(join(tmpdir(), "longshore-shared-search-"));
  const env = { LONGSHORE_DATABASE_URL: url };
  const servers = [await startServer({ dataDir, env }), await startServer({ dataDir, env })];
  const database = new pg.Client({ connectionString: url });
  await database.connect();
  t.after(async () => {
    await database.end();
    await Promise.all(servers.map((server) => server.end("SIGTERM")));
    await rm(dataDir, { recursive: true, force: true });
    await postgres.stop();
  });
  const [first, second] = servers.map((server) => longshore({ url: server.url }));
  assert.ok(first && second);

  const names = Array.from({ length: FILES }, (_, i) => `part-${i % 10}/file-${i}.txt`);
  await deposit(first, names);
  for (const client of [first, second])
    await until("it is found wherever it is looked for", async () => (await total(client, "1499")) === 1);
  const indexed = async () => (await second.search.index()).pending === 0;
  await until("all is indexed", indexed);
  const everything = await second.search.find("", { facets: ["project"] }).page();
  assert.deepEqual(everything.facets, { project: [{ value: "1234a", count: FILES + 1 }] });

  /** The process that has the duty, by its name: host, process id, and something else. */
  const indexer = async () => {
    const { rows } = await database.query("SELECT holder FROM leases WHERE duty = 'indexing'");
    return Number(String(rows[0]?.holder).split(":").at(-2));
  };
  const pid = await indexer();
  const killed = servers.find((server) => server.pid === pid) ?? assert.fail("one of the servers has the duty");
  const left = killed === servers[0] ? second : first;

  // Asked of the one that does not do it. Nobody writes while the row is locked: so it dies half-way.
  const reindexing = left.search.reindex();
  await until("a new index is being made", async () => {
    await database.query("BEGIN");
    const { rows } = await database.query("SELECT building FROM longshore_search.state FOR UPDATE");
    const isUnderWay = rows[0]?.building !== null;
    if (!isUnderWay) await database.query("ROLLBACK");
    return isUnderWay;
  });
  await killed.end("SIGKILL");
  await database.query("ROLLBACK");
  assert.equal(await total(left, "1499"), 1, "the index in use answers");

  const { rebuild } = await reindexing;
  assert.deepEqual([rebuild?.error, rebuild?.done], [null, FILES + 1]);
  assert.notEqual(await indexer(), pid);
  await deposit(left, ["late.txt"]);
  await until("what comes later is found", async () => (await total(left, "late")) === 1, TAKEOVER_MS);
  assert.equal(await total(left, "1234a project:1234a -late"), FILES + 2);
  const { rows } = await database.query(
    "SELECT count(*)::integer AS count FROM pg_tables WHERE schemaname = 'longshore_search' AND tablename LIKE 'documents%'",
  );
  assert.deepEqual(rows, [{ count: 1 }], "nothing is left of the index that was not finished");
});
