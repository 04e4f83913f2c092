import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { Kysely, sql } from "kysely";
import { knownMigrations, type MigrationNews, migrate, pendingMigrations } from "../../src/adapters/db/migrate.ts";
import { postgresDialect } from "../../src/adapters/db/postgres.ts";
import { sqliteDialect } from "../../src/adapters/db/sqlite.ts";
import { startPostgres } from "../support/postgres.ts";
import { until } from "../support/until.ts";

const postgres = await startPostgres();
const folder = await mkdtemp(join(tmpdir(), "migrations-"));
const opened: Kysely<unknown>[] = [];
after(async () => {
  for (const db of opened) await db.destroy();
  await postgres.stop();
  await rm(folder, { recursive: true });
});

/** From here on schemas are made for releases that work side by side. */
const FIRST_ROLLING = 12;
let files = 0;

for (const dialect of ["sqlite", "postgres"] as const)
  describe(`migrations: ${dialect}`, () => {
    /** A new database, and as many connections to it as are asked for. */
    const fresh = async () => {
      const place = dialect === "postgres" ? await postgres.freshDatabase() : join(folder, `${++files}.db`);
      return async () => {
        const options =
          dialect === "postgres" ? await postgresDialect({ url: place, onTrouble }) : sqliteDialect(place, 100);
        const db = new Kysely<unknown>({ dialect: options });
        opened.push(db);
        return db;
      };
    };
    const onTrouble = (error: unknown) => assert.fail(String(error));

    test("each step is told of once, and there is nothing left to do", async () => {
      const db = await (await fresh())();
      const known = await knownMigrations(dialect);
      assert.deepEqual(await pendingMigrations(db, dialect, known), known);
      const news: MigrationNews[] = [];
      await migrate(db, dialect, (one) => news.push(one));
      assert.deepEqual(
        news.map((one) => one.type === "applied" && one.name),
        known.map(({ name }) => name),
      );
      assert.deepEqual(await pendingMigrations(db, dialect, known), []);
      await migrate(db, dialect, () => assert.fail("nothing is done twice"));
    });

    test("a step that came into a release late is applied, though a later one is there already", async () => {
      const db = await (await fresh())();
      const known = await knownMigrations(dialect);
      const step = (version: number) => ({
        version,
        name: `${version}-step`,
        needs: 0,
        text: `create table step_${version} (id integer)`,
      });
      await migrate(db, dialect, undefined, [...known, step(9002)]);
      const news: MigrationNews[] = [];
      await migrate(db, dialect, (one) => news.push(one), [...known, step(9001), step(9002)]);
      assert.deepEqual(
        news.map((one) => one.type === "applied" && one.name),
        ["9001-step"],
      );
    });

    test("of two that come at once one does the work, and the other says that it waits", async () => {
      const connect = await fresh();
      const [first, second] = [await connect(), await connect()];
      const known = await knownMigrations(dialect);
      const news: string[] = [];
      const gate = Promise.withResolvers<void>();
      // The first holds its transaction open, as a long step would.
      const busy = first.transaction().execute(async (tx) => {
        if (dialect === "postgres") await sql`select pg_advisory_xact_lock(7700001)`.execute(tx);
        await gate.promise;
      });
      await until("the first holds the lock", async () => dialect === "sqlite" || (await locks(second)) > 0);
      const waiting = migrate(second, dialect, ({ type }) => {
        news.push(type);
        gate.resolve();
      });
      await Promise.all([busy, waiting]);
      assert.equal(news[0], "waiting");
      assert.equal(news.length, known.length + 1);
    });

    test("a program of the release before goes on beside a newer schema that only adds, and is refused by one that takes away", async () => {
      const connect = await fresh();
      const db = await connect();
      const known = await knownMigrations(dialect);
      const old = known.slice(0, -1);
      await migrate(db, dialect);
      await migrate(await connect(), dialect, () => assert.fail("it changes nothing"), old);

      const text = "create table later (id integer primary key)";
      const adding = { version: 9001, name: "9001-adding", needs: 0, text };
      const taking = { version: 9002, name: "9002-taking", needs: 9001, text: "drop table later" };
      await migrate(db, dialect, undefined, [...known, adding]);
      await migrate(await connect(), dialect, () => assert.fail("it changes nothing"), known);
      await migrate(db, dialect, undefined, [...known, adding, taking]);
      await assert.rejects(migrate(await connect(), dialect, undefined, known), {
        code: "database_newer",
        details: { expected: 9001, found: known.at(-1)?.version },
      });
      await migrate(await connect(), dialect, () => assert.fail("it knows what was added"), [...known, adding]);
    });

    test("each step that says nothing of whom it shuts out only adds", async () => {
      const db = await (await fresh())();
      const known = await knownMigrations(dialect);
      const upTo = (version: number) => known.filter((one) => one.version <= version);
      await migrate(db, dialect, undefined, upTo(FIRST_ROLLING - 1));
      const steps = known.filter(({ version }) => version >= FIRST_ROLLING);
      assert.ok(steps.length > 0, "there are steps to look at");
      for (const step of steps) {
        const before = await columnsOf(db);
        await migrate(db, dialect, undefined, upTo(step.version));
        const now = await columnsOf(db);
        if (step.needs > 0) continue;
        const lost = [...before.keys()].filter((column) => !now.has(column));
        assert.deepEqual(lost, [], `${step.name} takes nothing away`);
        const tables = new Set([...before.keys()].map((column) => column.split(".")[0]));
        const demanded = [...now]
          .filter(([column, isDemanded]) => isDemanded && !before.has(column) && tables.has(column.split(".")[0]))
          .map(([column]) => column);
        assert.deepEqual(demanded, [], `${step.name} demands nothing of those who do not know it`);
      }
    });
  });

/** `table.column`, and whether a row must give it. */
async function columnsOf(db: Kysely<unknown>): Promise<Map<string, boolean>> {
  const tables = await db.introspection.getTables();
  return new Map(
    tables.flatMap((table) =>
      table.columns.map((column) => [
        `${table.name}.${column.name}`,
        !column.isNullable && !column.hasDefaultValue && !column.isAutoIncrementing,
      ]),
    ),
  );
}

async function locks(db: Kysely<unknown>): Promise<number> {
  const { rows } = await sql<{ held: number }>`
    select count(*) as held from pg_locks where locktype = 'advisory' and granted`.execute(db);
  return rows[0]?.held ?? 0;
}
