import { type RawBuilder, sql } from "kysely";
import type { DialectName } from "./migrate.ts";

/**
 * Rows as a table named `given`, for `from`: bound as one parameter, so that a statement's text is the same for any number of
 * them. Columns are named as in the database; text must not contain NUL.
 */
export function jsonRows<Column extends string>(
  dialect: DialectName,
  columns: Readonly<Record<Column, "bigint" | "text">>,
  rows: readonly Readonly<Partial<Record<Column, string | number | null>>>[],
): RawBuilder<unknown> {
  const names = Object.keys(columns) as Column[];
  const json = JSON.stringify(rows);
  if (dialect === "postgres")
    return sql`json_to_recordset(cast(${json} as text)::json) as given (${sql.raw(names.map((name) => `${name} ${columns[name]}`).join(", "))})`;
  const values = names.map((name) => `value ->> '$.${name}' as ${name}`).join(", ");
  return sql`(select ${sql.raw(values)} from json_each(${json})) as given`;
}
