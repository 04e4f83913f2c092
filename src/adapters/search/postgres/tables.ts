import { type Kysely, type RawBuilder, sql, type Transaction } from "kysely";
import { AppError } from "../../../core/errors.ts";

/*
 * A schema of its own, which the adapter makes and which may be dropped while nothing runs: a table for the index in use, one
 * for an index that is being made beside it, and which is which.
 */

const SCHEMA = "longshore_search";
/** Raised whenever documents would be filed differently: the index is then made anew. */
const FORMAT = 1;

/** Any number, the same in every process: making and unmaking the schema is done by one after the other. */
const PREPARING = 7_100_014;

/** `lock_not_available`, `insufficient_privilege`, and `undefined_table`, `invalid_schema_name` in PostgreSQL's appendix A. */
const LOCKED = "55P03";
const NOT_ALLOWED = "42501";
const ABSENT: ReadonlySet<string> = new Set(["42P01", "3F000"]);

/** Tables are named by their numbers. */
export interface State {
  readonly current: number;
  readonly building: number | null;
  readonly last: number;
  readonly isFilled: boolean;
  readonly documents: number;
}

type Db = Kysely<unknown>;
type Tx = Transaction<unknown>;

export function nameOf(number: number): string {
  return `${SCHEMA}.documents_${number}`;
}

export function tableOf(number: number): RawBuilder<unknown> {
  return sql.table(nameOf(number));
}

/** Words and values of that table: see `vocabulary.ts`. */
export function vocabularyOf(number: number): RawBuilder<unknown> {
  return sql.table(`${SCHEMA}.vocabulary_${number}`);
}

export const CHANGED: RawBuilder<unknown> = sql.table(`${SCHEMA}.changed`);
const STATE = sql.table(`${SCHEMA}.state`);

/**
 * Makes what is not there; of an older format, anew.
 * @throws AppError search_unavailable when a newer Longshore has made the index anew, or the user may make none.
 */
export async function prepare(db: Db): Promise<void> {
  try {
    await db.transaction().execute(prepareIn);
  } catch (error) {
    if (!hasCode(error, NOT_ALLOWED)) throw error;
    const reason = "the user may not create a schema in the database, or not use this one";
    throw new AppError("search_unavailable", { reason, schema: SCHEMA }, { cause: error });
  }
}

async function prepareIn(tx: Tx): Promise<void> {
  await sql`SELECT pg_advisory_xact_lock(${PREPARING})`.execute(tx);
  const format = await formatOf(tx);
  if (format === FORMAT) return;
  if (format !== undefined && format > FORMAT)
    throw new AppError("search_unavailable", {
      reason: "a newer Longshore has the index",
      expected: FORMAT,
      found: format,
    });
  await sql`DROP SCHEMA IF EXISTS ${sql.id(SCHEMA)} CASCADE`.execute(tx);
  await sql`CREATE SCHEMA ${sql.id(SCHEMA)}`.execute(tx);
  await sql`CREATE TABLE ${STATE} (
      format integer NOT NULL,
      current integer NOT NULL,
      building integer,
      last integer NOT NULL,
      is_filled boolean NOT NULL,
      documents bigint NOT NULL
    )`.execute(tx);
  // Whatever has been put or removed since another index is being made: it is newer than what the builder brings.
  await sql`CREATE TABLE ${CHANGED} (key text PRIMARY KEY)`.execute(tx);
  // Of another number than any index that was dropped, which a process may remember.
  const number = Math.trunc(Date.now() / 1000);
  await sql`INSERT INTO ${STATE} VALUES (${FORMAT}, ${number}, NULL, ${number}, false, 0)`.execute(tx);
  await createTables(tx, number);
  await createIndex(tx, number, sql``);
}

async function formatOf(tx: Tx): Promise<number | undefined> {
  const { rows } = await sql<{ there: boolean }>`
    SELECT to_regclass(${`${SCHEMA}.state`}) IS NOT NULL AS there`.execute(tx);
  if (!rows[0]?.there) return undefined;
  return (await sql<{ format: number }>`SELECT format FROM ${STATE}`.execute(tx)).rows[0]?.format;
}

/**
 * Without its index of lexemes, which is made at once when all is there. Rows are kept small, for many are looked at that are
 * not shown: their lexemes, which only the index needs, lie elsewhere.
 */
async function createTables(tx: Tx, number: number): Promise<void> {
  const table = tableOf(number);
  await sql`CREATE TABLE ${table} (
    id bigint PRIMARY KEY,
    key text NOT NULL UNIQUE,
    type text NOT NULL,
    title text NOT NULL,
    text text NOT NULL,
    words text NOT NULL,
    fields jsonb NOT NULL,
    facets jsonb,
    created_at bigint NOT NULL,
    is_landmark boolean NOT NULL,
    terms tsvector NOT NULL
  ) WITH (autovacuum_vacuum_scale_factor = 0.05)`.execute(tx);
  // To have a field's values out of 2,000 compressed documents takes 20 ms (2026-11-22).
  for (const column of ["terms", "fields", "words"])
    await sql`ALTER TABLE ${table} ALTER COLUMN ${sql.id(column)} SET STORAGE EXTERNAL`.execute(tx);
  // Estimates of what is never estimated would make ANALYZE slow.
  await sql`ALTER TABLE ${table} ALTER COLUMN terms SET STATISTICS 0`.execute(tx);
  await sql`CREATE INDEX ON ${table} (id) WHERE is_landmark`.execute(tx);
  await sql`CREATE TABLE ${vocabularyOf(number)} (term text COLLATE "C" PRIMARY KEY)`.execute(tx);
}

export async function createIndex(db: Db, number: number, how: RawBuilder<unknown>): Promise<void> {
  await sql`CREATE INDEX ${how} ON ${tableOf(number)} USING gin (terms) WITH (fastupdate = off)`.execute(db);
}

/** @param locked for what is written: writers come one after the other. */
export async function stateOf(db: Db, locked = false): Promise<State> {
  const { rows } = await sql<State>`
    SELECT current, building, last, is_filled AS "isFilled", documents FROM ${STATE} ${locked ? sql`FOR UPDATE` : sql``}
  `.execute(db);
  const [state] = rows;
  if (!state)
    throw new AppError("search_unavailable", { reason: "the index is not whole: drop its schema", schema: SCHEMA });
  return state;
}

export async function changeState(tx: Tx, to: Partial<State>): Promise<void> {
  const columns: Record<keyof State, RawBuilder<unknown>> = {
    current: sql`current`,
    building: sql`building`,
    last: sql`last`,
    isFilled: sql`is_filled`,
    documents: sql`documents`,
  };
  const set = Object.entries(to).map(([name, value]) => sql`${columns[name as keyof State]} = ${value}`);
  await sql`UPDATE ${STATE} SET ${sql.join(set)}`.execute(tx);
}

/** Begins a table beside the one in use. Another that was being made is in nobody's way from now on. */
export async function beginTable(tx: Tx, { last }: State): Promise<number> {
  const number = last + 1;
  await sql`TRUNCATE ${CHANGED}`.execute(tx);
  await createTables(tx, number);
  await changeState(tx, { building: number, last: number });
  return number;
}

/** Drops tables that are of no use any more; those that somebody is reading still, another time. */
export async function dropLeftovers(db: Db): Promise<void> {
  try {
    await db.transaction().execute(async (tx) => {
      const { current, building } = await stateOf(tx, true);
      await sql`SET LOCAL lock_timeout = '1s'`.execute(tx);
      const { rows } = await sql<{ number: number }>`
        SELECT substring(tablename FROM '^documents_([0-9]+)$')::integer AS number FROM pg_tables
         WHERE schemaname = ${SCHEMA} AND tablename ~ '^documents_[0-9]+$'`.execute(tx);
      for (const { number } of rows)
        if (number !== current && number !== building)
          await sql`DROP TABLE IF EXISTS ${tableOf(number)}, ${vocabularyOf(number)}`.execute(tx);
    });
  } catch (error) {
    if (!hasCode(error, LOCKED)) throw error;
  }
}

/** Whether a table, or the schema, was gone when it was asked for. */
export function isAbsence(error: unknown): boolean {
  return error instanceof Error && "code" in error && ABSENT.has(String(error.code));
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}
