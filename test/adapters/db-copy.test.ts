import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, describe, test } from "node:test";
import { sql } from "kysely";
import { databaseAddress, openSide, pendingSteps } from "../../src/adapters/db/address.ts";
import { copyDatabase, SEEDED, type Side, type TableCopy, tablesOf } from "../../src/adapters/db/copy.ts";
import { migrate } from "../../src/adapters/db/migrate.ts";
import { longshore } from "../../src/sdk/index.ts";
import { runCli } from "../cli/run-cli.ts";
import { bundle } from "../http/bundle.ts";
import { fill } from "../support/filled-database.ts";
import { startPostgres } from "../support/postgres.ts";
import { startServer } from "../support/server.ts";

const postgres = await startPostgres();
const folder = await mkdtemp(join(tmpdir(), "db-copy-"));
const opened: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const one of opened.splice(0)) await one.close();
});
after(async () => {
  await postgres.stop();
  await rm(folder, { recursive: true });
});

const nothing = async () => {};

let files = 0;
const freshPath = () => join(folder, `${++files}.sqlite`);

async function fresh(dialect: Side["dialect"]): Promise<Side> {
  const address = dialect === "sqlite" ? `sqlite:${freshPath()}` : await postgres.freshDatabase();
  const side = await openSide(databaseAddress(address));
  opened.push(side);
  await migrate(side.db, dialect);
  return side;
}

/** Everything in a SQLite database, by the names of its tables. */
async function dump({ db }: Side, names: readonly string[]): Promise<Record<string, readonly object[]>> {
  const all: Record<string, readonly object[]> = {};
  for (const name of names) {
    const { rows } = await sql<object>`select * from ${sql.table(name)}`.execute(db);
    all[name] = rows.map((row) => ({ ...row })).sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
  }
  return all;
}

describe("copies of databases", () => {
  test("a SQLite database with rows in every table is the same after it was copied to PostgreSQL and back", async () => {
    const [source, middle, back] = [await fresh("sqlite"), await fresh("postgres"), await fresh("sqlite")];
    const tables = await tablesOf(source, middle);
    await fill(source.db, tables);
    // What was given out and is gone must not be given out again.
    await sql`delete from search_changes where number = (select max(number) from search_changes)`.execute(source.db);
    const told: TableCopy[] = [];
    await copyDatabase(source, middle, (one) => told.push(one), nothing);
    await copyDatabase(middle, back, () => {}, nothing);

    assert.deepEqual(
      told.filter(({ rows }) => rows === 0),
      [],
    );
    assert.deepEqual(
      told.map(({ table }) => table),
      tables.map(({ name }) => name),
    );
    const names = tables.map(({ name }) => name);
    const expected = await dump(source, names);
    // Its view is made again by SQLite when the register is next declared.
    expected.registers = (expected.registers ?? []).map((row) => ({ ...row, view_name: null }));
    assert.deepEqual(await dump(back, names), expected);
    const last = (side: Side) =>
      sql<object>`select name, seq from sqlite_sequence where seq > 0 order by name`.execute(side.db);
    assert.deepEqual((await last(back)).rows, (await last(source)).rows);
  });

  test("numbers go on in PostgreSQL where they were", async () => {
    const [source, target] = [await fresh("sqlite"), await fresh("postgres")];
    await fill(source.db, await tablesOf(source, target));
    await sql`delete from search_changes`.execute(source.db);
    await sql`update sqlite_sequence set seq = 41 where name = 'search_changes'`.execute(source.db);
    await copyDatabase(source, target, () => {}, nothing);
    const { rows } = await sql<{ number: number }>`
      insert into search_changes (transaction_id) values (1) returning number`.execute(target.db);
    assert.equal(rows[0]?.number, 42);
  });

  test("a new database is empty but for what the copy knows of", async () => {
    for (const dialect of ["sqlite", "postgres"] as const) {
      const [one, other] = [await fresh(dialect), await fresh(dialect === "sqlite" ? "postgres" : "sqlite")];
      const found: string[] = [];
      for (const { name } of await tablesOf(one, other))
        if ((await sql`select 1 from ${sql.table(name)} limit 1`.execute(one.db)).rows.length > 0) found.push(name);
      assert.deepEqual(found, SEEDED, dialect);
    }
  });

  test("what does not read back as it was written undoes the whole copy", async () => {
    const [source, target] = [await fresh("sqlite"), await fresh("postgres")];
    await fill(source.db, await tablesOf(source, target));
    await sql`create function spoil() returns trigger language plpgsql as $$ begin new.owner := 'x'; return new; end $$`.execute(
      target.db,
    );
    await sql`create trigger spoil before insert on schedules for each row execute function spoil()`.execute(target.db);
    await assert.rejects(
      copyDatabase(source, target, () => {}, nothing),
      (error: { code?: string; details?: object }) => {
        assert.equal(error.code, "database_copy_differs");
        assert.ok(error.details && "table" in error.details && error.details.table === "schedules");
        return true;
      },
    );
    assert.equal((await sql`select 1 from jobs`.execute(target.db)).rows.length, 0);
  });

  test("text that PostgreSQL cannot hold is refused, with its place", async () => {
    const [source, target] = [await fresh("sqlite"), await fresh("postgres")];
    await sql`insert into switches values ('s', ${"a\u0000b"}, 'me', 1)`.execute(source.db);
    await assert.rejects(
      copyDatabase(source, target, () => {}, nothing),
      { code: "database_copy_differs", message: /table: switches; column: reason/ },
    );
  });
});

describe("longshore migrate and longshore db copy", () => {
  test("a server that is told not to migrate refuses a database until somebody has", async (t) => {
    const dataDir = join(folder, `data-${++files}`);
    const env = { LONGSHORE_DATA_DIR: dataDir, LONGSHORE_MIGRATE: "never", LONGSHORE_PORT: "0" };
    const refused = await runCli(["serve"], { env });
    assert.equal(refused.code, 4);
    assert.match(refused.stderr, /error\[database_older\].*`longshore migrate`.*001-start/);
    const check = await runCli(["migrate", "--check"], { env });
    assert.equal(check.code, 4);
    assert.match(check.stdout, /^pending {2}001-start\npending {2}002-carts\n/);
    const migrated = await runCli(["migrate"], { env });
    assert.equal(migrated.code, 0, migrated.stderr);
    assert.match(migrated.stdout, /^applied {2}001-start .*\napplied {2}002-carts /);
    assert.equal((await runCli(["migrate", "--check"], { env })).stdout, "The database is up to date.\n");
    const server = await startServer({ dataDir, env });
    t.after(() => server.stop());
  });

  test("servers go on with a copy where they were, jobs in the queue and all", async (t) => {
    const dataDir = join(folder, `data-${++files}`);
    const from = `sqlite:${join(dataDir, "longshore.sqlite")}`;
    const to = await postgres.freshDatabase();
    const copy = (...more: readonly string[]) => runCli(["db", "copy", "--from", from, "--to", to, ...more]);
    const idle = await startServer({ dataDir, env: { LONGSHORE_WORKERS: "none" } });
    t.after(() => idle.stop());
    const received = await fetch(`${idle.url}/api/v1/bundles`, {
      method: "POST",
      headers: { "content-type": "application/x-tar" },
      body: bundle({ "a.txt": "hello" }),
    });
    const { id } = (await received.json()) as { id: number };
    const inUse = await copy();
    assert.equal(inUse.code, 4);
    assert.match(inUse.stderr, /error\[database_in_use\].*option: from/);
    await idle.stop();

    const copied = await copy("--json");
    assert.equal(copied.code, 0, copied.stderr);
    assert.deepEqual(JSON.parse(copied.stdout.trim().split("\n").at(-1) ?? ""), { type: "copied", queued: 1 });
    const again = await copy();
    assert.equal(again.code, 4);
    assert.match(again.stderr, /error\[database_not_empty\].*table: audit/);

    const server = await startServer({ dataDir, env: { LONGSHORE_DATABASE_URL: to } });
    t.after(() => server.stop());
    const { jobs, transactions } = longshore({ url: server.url });
    const job = await jobs.wait(id);
    assert.equal(job.state, "succeeded");
    assert.equal((await transactions.get(id)).files, 1);
  });

  test("a database that this program does not know yet is not copied", async () => {
    const path = freshPath();
    const side = await openSide(databaseAddress(`sqlite:${path}`));
    await sql`create table something (id integer primary key)`.execute(side.db);
    await side.close();
    assert.ok((await pendingSteps(databaseAddress(`sqlite:${path}`))).length > 10);
    const { code, stderr } = await runCli(["db", "copy", "--from", `sqlite:${path}`, "--to", `sqlite:${freshPath()}`]);
    assert.equal(code, 4);
    assert.match(stderr, /error\[database_older\].*option: from/);
  });
});
