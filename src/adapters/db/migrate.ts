import { readdir, readFile } from "node:fs/promises";
import { type Kysely, sql } from "kysely";
import { AppError } from "../../core/errors.ts";

export type DialectName = "sqlite" | "postgres";

/** `tsc` copies no .sql: the published build (dist/src/adapters/db/migrate.js) reads those of the package's src folder. */
const FOLDER = new URL(
  import.meta.url.endsWith(".ts") ? "./migrations/" : "../../../../src/adapters/db/migrations/",
  import.meta.url,
);
/** Any number will do, as long as nobody else in the same database locks it. */
const POSTGRES_LOCK = 7_700_001;
/** SQLite itself waits ten seconds each time. */
const SQLITE_TRIES = 60;

/**
 * A step of the schema. It only adds (tables, indexes, columns that may be left out), unless its text has a line `-- needs: N`:
 * then programs that do not know migration N cannot use the database any more. So the release before goes on working beside
 * the new one when what it uses is taken away one release after it has been replaced.
 */
export interface Migration {
  readonly version: number;
  readonly name: string;
  /** 0 when it only adds. */
  readonly needs: number;
  readonly text: string;
}

export type MigrationNews =
  /** Another process is at it. */
  { readonly type: "waiting" } | { readonly type: "applied"; readonly name: string; readonly durationMs: number };

/** What this program knows: the files `migrations/NNN-name.<dialect>.sql`, in order. */
export async function knownMigrations(dialect: DialectName): Promise<readonly Migration[]> {
  const suffix = `.${dialect}.sql`;
  const names = (await readdir(FOLDER)).filter((name) => name.endsWith(suffix)).sort();
  return Promise.all(
    names.map(async (file) => {
      const text = await readFile(new URL(file, FOLDER), "utf8");
      const needs = Number(/^-- needs: (\d+)$/m.exec(text)?.[1] ?? 0);
      return { version: Number.parseInt(file, 10), name: file.slice(0, -suffix.length), needs, text };
    }),
  );
}

/**
 * What has not been applied yet. Takes no lock.
 * @throws AppError database_newer when the database is no longer for programs that know just `known`.
 */
export async function pendingMigrations<T>(
  db: Kysely<T>,
  dialect: DialectName,
  known: readonly Migration[],
): Promise<readonly Migration[]> {
  const exists =
    dialect === "postgres"
      ? sql<{ found: number }>`select count(to_regclass('migrations')) as found`
      : sql<{ found: number }>`select count(*) as found from sqlite_master where name = 'migrations'`;
  if (!(await exists.execute(db)).rows[0]?.found) return known;
  // The column `needs` came with migration 13.
  const { rows } = await sql<{ version: number; needs?: number }>`select * from migrations`.execute(db);
  const expected = Math.max(0, ...rows.map(({ needs = 0 }) => needs));
  const found = Math.max(0, ...known.map(({ version }) => version));
  if (expected > found) throw new AppError("database_newer", { expected, found });
  const applied = new Set(rows.map(({ version }) => version));
  return known.filter(({ version }) => !applied.has(version));
}

/** @throws AppError database_older, database_newer. */
export async function requireCurrent<T>(db: Kysely<T>, dialect: DialectName): Promise<void> {
  const pending = await pendingMigrations(db, dialect, await knownMigrations(dialect));
  if (pending.length > 0) throw new AppError("database_older", { pending: pending.map(({ name }) => name).join(", ") });
}

/**
 * Brings the schema to what this program needs, in order, all in one transaction. Of several processes that start together
 * one does the work, the others wait.
 * @throws AppError database_newer.
 */
export async function migrate<T>(
  db: Kysely<T>,
  dialect: DialectName,
  tell: (news: MigrationNews) => void = () => {},
  given?: readonly Migration[],
): Promise<void> {
  const known = given ?? (await knownMigrations(dialect));
  if ((await pendingMigrations(db, dialect, known)).length === 0) return;
  for (let tries = 1; ; tries++) {
    try {
      return await db.transaction().execute((tx) => apply(tx, dialect, known, tell));
    } catch (error) {
      const isLocked = dialect === "sqlite" && error instanceof AppError && error.code === "database_unavailable";
      if (!isLocked || tries === SQLITE_TRIES) throw error;
      if (tries === 1) tell({ type: "waiting" });
    }
  }
}

/** PostgreSQL: until `tx` is over, nobody else changes the schema. */
export async function lockSchema<T>(tx: Kysely<T>, waiting: () => void = () => {}): Promise<void> {
  const { rows } = await sql<{ free: boolean }>`select pg_try_advisory_xact_lock(${POSTGRES_LOCK}) as free`.execute(tx);
  if (rows[0]?.free) return;
  waiting();
  await sql`select pg_advisory_xact_lock(${POSTGRES_LOCK})`.execute(tx);
}

async function apply<T>(
  tx: Kysely<T>,
  dialect: DialectName,
  known: readonly Migration[],
  tell: (news: MigrationNews) => void,
): Promise<void> {
  if (dialect === "postgres") await lockSchema(tx, () => tell({ type: "waiting" }));
  await sql`create table if not exists migrations (version integer primary key, name text not null)`.execute(tx);
  for (const { version, name, needs, text } of await pendingMigrations(tx, dialect, known)) {
    const startedAt = performance.now();
    await sql.raw(text).execute(tx);
    await sql`insert into migrations (version, name) values (${version}, ${`${name}.${dialect}.sql`})`.execute(tx);
    if (needs > 0) await sql`update migrations set needs = ${needs} where version = ${version}`.execute(tx);
    tell({ type: "applied", name, durationMs: Math.round(performance.now() - startedAt) });
  }
}
