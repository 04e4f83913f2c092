import { sql } from "kysely";
import { AppError } from "../../core/errors.ts";
import type { CopiedTable, CopiedValue, Side } from "./copy.ts";

const ROWS_AT_ONCE = 500;

type Row = Record<string, CopiedValue>;

/** All rows of a table, some at a time, in the order in which the database comes upon them. Within a transaction. */
export async function* rowsOf({ db, dialect }: Side, { name, columns }: CopiedTable): AsyncGenerator<readonly Row[]> {
  const query = db.selectFrom(name).select(columns);
  if (dialect === "sqlite") {
    let rows: Row[] = [];
    for await (const row of query.stream()) {
      rows.push(row);
      if (rows.length < ROWS_AT_ONCE) continue;
      yield rows;
      rows = [];
    }
    if (rows.length > 0) yield rows;
    return;
  }
  await sql`declare copied no scroll cursor for ${query}`.execute(db);
  try {
    for (;;) {
      const { rows } = await sql<Row>`fetch ${sql.lit(ROWS_AT_ONCE)} from copied`.execute(db);
      if (rows.length === 0) return;
      yield rows;
    }
  } finally {
    await sql`close copied`.execute(db);
  }
}

/** Numbers that the database would give out are taken over. @throws AppError database_copy_differs. */
export async function insertCopied({ db, dialect }: Side, table: CopiedTable, rows: readonly Row[]): Promise<void> {
  const into = sql.table(table.name);
  const columns = sql.join(table.columns.map((column) => sql.ref(column)));
  if (dialect === "sqlite") {
    const values = rows.map((row) => sql`(${sql.join(table.columns.map((column) => row[column] ?? null))})`);
    await sql`insert into ${into} (${columns}) values ${sql.join(values)}`.execute(db);
    return;
  }
  for (const row of rows)
    for (const [column, value] of Object.entries(row))
      if (typeof value === "string" && (value.includes("\u0000") || !value.isWellFormed()))
        throw new AppError("database_copy_differs", {
          table: table.name,
          column,
          expected: "text that PostgreSQL can hold",
          found: value.slice(0, 100),
        });
  await sql`
    insert into ${into} (${columns}) overriding system value
    select ${columns} from json_populate_recordset(null::${into}, ${JSON.stringify(rows)}::json)`.execute(db);
}

/** The last number that was given out, whether or not its row is there still; not every number is kept in mind by SQLite. */
export async function lastNumberOf({ db, dialect }: Side, table: string, column: string): Promise<number> {
  const given =
    dialect === "postgres"
      ? sql`pg_sequence_last_value(pg_get_serial_sequence(${table}, ${column})::regclass)`
      : sql`(select max(seq) from sqlite_sequence where name = ${table})`;
  const { rows } = await sql<{ given: number | null; used: number | null }>`
    select ${given} as given, (select max(${sql.ref(column)}) from ${sql.table(table)}) as used`.execute(db);
  return Math.max(0, rows[0]?.given ?? 0, rows[0]?.used ?? 0);
}

export async function setLastNumber({ db, dialect }: Side, table: string, column: string, last: number): Promise<void> {
  if (dialect === "postgres") {
    if (last > 0) await sql`select setval(pg_get_serial_sequence(${table}, ${column}), ${last})`.execute(db);
    return;
  }
  await sql`delete from sqlite_sequence where name = ${table}`.execute(db);
  // Of the others SQLite takes the largest number that is there.
  await sql`
    insert into sqlite_sequence (name, seq) select ${table}, ${last}
    from sqlite_master where name = ${table} and upper(sql) like '%AUTOINCREMENT%'`.execute(db);
}
