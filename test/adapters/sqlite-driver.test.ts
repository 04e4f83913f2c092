import assert from "node:assert/strict";
import { access, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { Kysely, sql } from "kysely";
import { migrate } from "../../src/adapters/db/migrate.ts";
import { sqliteDialect } from "../../src/adapters/db/sqlite.ts";
import { openSqlite } from "../../src/adapters/db/stores.ts";
import { unsynced } from "../../src/adapters/db/unsynced.ts";

interface Numbers {
  numbers: { n: number };
}

describe("SQLite", () => {
  let folder: string;
  let path: string;
  let db: Kysely<Numbers>;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "sqlite-driver-"));
    path = join(folder, "test.db");
    db = new Kysely<Numbers>({ dialect: sqliteDialect(path, 50) });
    await sql`create table numbers (n integer)`.execute(db);
  });
  afterEach(async () => {
    await db.destroy();
    await rm(folder, { recursive: true });
  });
  const insert = (n: number) => db.insertInto("numbers").values({ n }).execute();
  const numbers = async () => (await db.selectFrom("numbers").select("n").orderBy("n").execute()).map(({ n }) => n);

  test("what was committed is meant to survive a power cut, and foreign keys hold", async () => {
    // The values of the pragmas: https://www.sqlite.org/pragma.html (synchronous: 2 is FULL).
    const pragma = async (name: string) =>
      (await sql.raw<object>(`pragma ${name}`).execute(db)).rows.map(Object.values);
    assert.deepEqual(await pragma("journal_mode"), [["wal"]]);
    assert.deepEqual(await pragma("synchronous"), [[2]]);
    assert.deepEqual(await pragma("foreign_keys"), [[1]]);
  });

  test("work that a power cut may undo leaves the next to be synced, also when it fails", async () => {
    const synchronous = async () => Object.values((await sql<object>`pragma synchronous`.execute(db)).rows[0] ?? {});
    await unsynced(db, async (held) => {
      assert.deepEqual(Object.values((await sql<object>`pragma synchronous`.execute(held)).rows[0] ?? {}), [1]);
      await held.insertInto("numbers").values({ n: 1 }).execute();
    });
    assert.deepEqual([await synchronous(), await numbers()], [[2], [1]]);
    await assert.rejects(
      unsynced(db, () => Promise.reject(new Error("broken"))),
      /broken/,
    );
    assert.deepEqual(await synchronous(), [2]);
  });

  test("a transaction is not interleaved with other statements, and is undone when it throws", async () => {
    const order: string[] = [];
    const failing = db.transaction().execute(async (tx) => {
      await tx.insertInto("numbers").values({ n: 1 }).execute();
      order.push("in the transaction");
      for (let turns = 0; turns < 20; turns++) await setImmediate();
      order.push("still in it");
      throw new Error("undo");
    });
    const other = insert(2).then(() => order.push("outside"));
    await assert.rejects(failing, /undo/);
    await other;
    assert.deepEqual(order, ["in the transaction", "still in it", "outside"]);
    assert.deepEqual(await numbers(), [2]);
  });

  test("callers with much to ask leave the event loop to others in between", async () => {
    let asked = 0;
    const count = sql`with recursive up (n) as (select 1 union all select n + 1 from up where n < 2000) select count(*) from up`;
    async function askOften(): Promise<void> {
      for (let times = 0; times < 30; times++, asked++) await count.execute(db);
    }
    const all = Promise.all(Array.from({ length: 10 }, askOften));
    await setImmediate();
    const askedBefore = asked;
    await all;
    assert.ok(askedBefore < 150, `others had to wait for ${askedBefore} of ${asked} queries`);
  });

  test("a transaction takes the write lock when it begins, so that what it read cannot change under it", async () => {
    const other = new DatabaseSync(path, { timeout: 0 });
    await db.transaction().execute(async (tx) => {
      await tx.selectFrom("numbers").selectAll().execute();
      assert.throws(() => other.exec("insert into numbers values (1)"), /locked/);
      assert.deepEqual(
        other.prepare("select count(*) as rows from numbers").all().map(Object.values),
        [[0]],
        "reading works",
      );
    });
    other.close();
  });

  test("another process's lock is waited for, and then the database is unavailable", async () => {
    const other = new DatabaseSync(path);
    other.exec("begin immediate");
    await assert.rejects(insert(1), {
      code: "database_unavailable",
      retryable: true,
      details: { reason: "database is locked" },
    });
    other.exec("commit");
    other.close();
    await insert(1);
    assert.deepEqual(await numbers(), [1]);
  });

  test("a file that cannot be opened is an unavailable database, and opening leaves nothing behind", async () => {
    const missing = join(folder, "missing");
    const clock = { now: () => 0, sleep: () => Promise.resolve() };
    await assert.rejects(openSqlite({ path: join(missing, "test.db"), clock }), { code: "database_unavailable" });
    await assert.rejects(access(missing), { code: "ENOENT" });
  });

  test("a file that is no database is not taken for an unavailable one", async () => {
    const text = join(folder, "text.db");
    await writeFile(text, "no database. ".repeat(100));
    const clock = { now: () => 0, sleep: () => Promise.resolve() };
    await assert.rejects(openSqlite({ path: text, clock }), /file is not a database/);
  });

  test("a full disk is a full storage, and the transaction that met it is undone", async () => {
    await sql`pragma max_page_count = 8`.execute(db); // SQLite's own way to run into the same error
    const filling = db.transaction().execute(async (tx) => {
      for (let n = 0; n < 100; n++) await sql`insert into numbers values (randomblob(4096))`.execute(tx);
    });
    await assert.rejects(filling, { code: "storage_full", retryable: true });
    assert.deepEqual(await numbers(), []);
    await insert(1);
  });

  test("integers are exact up to 2^53, and larger ones are refused instead of rounded", async () => {
    await insert(Number.MAX_SAFE_INTEGER);
    assert.deepEqual(await numbers(), [Number.MAX_SAFE_INTEGER]);
    await sql`update numbers set n = n + 1`.execute(db);
    await assert.rejects(numbers(), { code: "ERR_OUT_OF_RANGE" });
  });

  test("a statement is the same whether it is still prepared or not", async () => {
    for (let round = 0; round < 2; round++)
      for (let texts = 0; texts < 300; texts++) {
        const { rows } = await sql.raw<{ answer: number }>(`select ${texts} as answer`).execute(db);
        assert.equal(rows[0]?.answer, texts);
      }
  });

  test("rows can be streamed, and statements report what they changed", async () => {
    await db
      .insertInto("numbers")
      .values([{ n: 1 }, { n: 2 }, { n: 3 }])
      .execute();
    const streamed: number[] = [];
    for await (const { n } of db.selectFrom("numbers").select("n").orderBy("n").stream()) streamed.push(n);
    assert.deepEqual(streamed, [1, 2, 3]);
    const { numDeletedRows } = await db.deleteFrom("numbers").where("n", "<", 3).executeTakeFirstOrThrow();
    assert.equal(numDeletedRows, 2n);
  });

  test("a text of several statements runs as a whole, whatever is between them", async () => {
    const script = "insert into numbers values (1); -- one; two\n\ninsert into numbers values (2);\n-- the end\n";
    await sql.raw(script).execute(db);
    await sql.raw(script).execute(db);
    assert.deepEqual(await numbers(), [1, 1, 2, 2]);
    await assert.rejects(sql.raw("delete from numbers; insert into nowhere values (1)").execute(db), /no such table/);
  });

  test("migrating twice changes nothing, and a database of a newer program is refused in a sentence", async () => {
    await migrate(db, "sqlite");
    const schema = async () => (await sql<object>`select * from sqlite_schema order by name`.execute(db)).rows;
    const before = await schema();
    await migrate(db, "sqlite");
    assert.deepEqual(await schema(), before);
    await sql`insert into migrations (version, name, needs) values (9999, '9999-later.sqlite.sql', 9999)`.execute(db);
    await assert.rejects(migrate(db, "sqlite"), {
      code: "database_newer",
      message: /^The database was made by a newer Longshore.*expected: 9999/,
    });
    assert.deepEqual(await schema(), before);
  });

  test("a database from before there were searches has all its transactions to be indexed", async () => {
    const folderOf = join(import.meta.dirname, "../../src/adapters/db/migrations");
    const names = (await readdir(folderOf)).filter((name) => name.endsWith(".sqlite.sql") && name < "004").sort();
    await sql`create table migrations (version integer primary key, name text not null)`.execute(db);
    for (const [index, name] of names.entries()) {
      await sql.raw(await readFile(join(folderOf, name), "utf8")).execute(db);
      await sql`insert into migrations values (${index + 1}, ${name})`.execute(db);
    }
    await sql`insert into transactions (id, owner, file_count, size_bytes, object_path, inventory_digest, created_at)
      values (7, 'ada', 0, 0, 'a', '', 1), (3, 'ada', 0, 0, 'b', '', 1)`.execute(db);
    const stores = await openSqlite({ path, clock: { now: () => 0, sleep: () => Promise.resolve() } });
    const pending = await stores.searchChanges.pending(10);
    await stores.close();
    assert.deepEqual(
      pending.map(({ subject }) => subject),
      [{ transaction: 3 }, { transaction: 7 }],
    );
  });
});
