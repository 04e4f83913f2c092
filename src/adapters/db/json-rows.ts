import { type Kysely, PostgresAdapter, type RawBuilder, sql } from "kysely";
import type { Tables } from "./tables.ts";

export type ColumnType = "bigint" | "text";
export type ColumnValue = string | number | null;

/**
 * Rows as a table named `given`, for `from`: bound as one parameter, so that a statement's text is the same for any number of
 * them. Columns are named as in the database; text must not contain NUL.
 * @param rows their values in the order of the columns.
 */
export function jsonRows(
  db: Kysely<Tables>,
  columns: Readonly<Record<string, ColumnType>>,
  rows: readonly (readonly ColumnValue[])[],
): RawBuilder<unknown> {
  const names = Object.keys(columns);
  if (!isPostgres(db)) {
    const values = names.map((name, i) => `value ->> ${i} as ${name}`).join(", ");
    return sql`(select ${sql.raw(values)} from json_each(${JSON.stringify(rows)})) as given`;
  }
  const named = rows.map((row) => Object.fromEntries(names.map((name, i) => [name, row[i]])));
  const types = names.map((name) => `${name} ${columns[name]}`).join(", ");
  return sql`json_to_recordset(cast(${JSON.stringify(named)} as text)::json) as given (${sql.raw(types)})`;
}

/** Whether a column holds one of many numbers: bound as one parameter too. */
export function isOneOf(db: Kysely<Tables>, column: string, numbers: readonly number[]): RawBuilder<boolean> {
  return isPostgres(db)
    ? sql`${sql.raw(column)} = any(${numbers})`
    : sql`${sql.raw(column)} in (select value from json_each(${JSON.stringify(numbers)}))`;
}

/** What a connection of a database, or a transaction on it, says of itself. */
export const isPostgres = (db: Kysely<Tables>) => db.getExecutor().adapter instanceof PostgresAdapter;
