import { type Kysely, sql } from "kysely";
import type { Copied, CopiedTable } from "../../src/adapters/db/copy.ts";

interface Column {
  readonly name: string;
  readonly type: string;
  readonly notnull: number;
  readonly pk: number;
}

const ROWS = 3;

/**
 * Puts rows into every one of a SQLite database's tables, as its schema allows: values of all types that there are, the awkward
 * ones among them, and nothing where nothing may be.
 * @param tables those that others refer to first.
 */
export async function fill(db: Kysely<Copied>, tables: readonly CopiedTable[]): Promise<void> {
  for (const { name } of tables) {
    const { rows: columns } =
      await sql<Column>`select name, type, "notnull", pk from pragma_table_info(${name})`.execute(db);
    const { rows: references } = await sql<{ column: string; table: string; to: string }>`
      select "from" as "column", "table", "to" from pragma_foreign_key_list(${name})`.execute(db);
    const { rows: made } = await sql<{
      text: string;
    }>`select sql as text from sqlite_master where name = ${name}`.execute(db);
    const schema = made[0]?.text ?? "";
    if (/CHECK \(id = 1\)/.test(schema)) continue; // its one row is there
    for (let row = 1; row <= ROWS; row++) {
      const values: Record<string, string | number | null> = {};
      for (const { name: column, type, notnull, pk } of columns) {
        const parent = references.find((reference) => reference.column === column);
        if (parent) values[column] = await cell(db, parent.table, parent.to, row);
        else if (row === ROWS && notnull === 0 && pk === 0) values[column] = null;
        else values[column] = allowed(schema, column, row) ?? ordinary(column, type, row);
      }
      await db.insertInto(name).values(values).execute();
    }
  }
}

async function cell(db: Kysely<Copied>, table: string, column: string, row: number) {
  const found = await db
    .selectFrom(table)
    .select(column)
    .orderBy(column)
    .offset(row - 1)
    .limit(1)
    .executeTakeFirst();
  return found?.[column] ?? null;
}

/** One of those that a CHECK allows. */
function allowed(schema: string, column: string, row: number): string | number | undefined {
  const list = new RegExp(`CHECK \\(${column} IN\\s+\\(([^)]*)\\)`, "i").exec(schema)?.[1];
  if (list === undefined) return undefined;
  const choices = list.split(",").map((choice) => choice.trim());
  const choice = choices[row % choices.length] ?? "";
  return choice.startsWith("'") ? choice.slice(1, -1) : Number(choice);
}

function ordinary(column: string, type: string, row: number): string | number {
  if (/^REAL/i.test(type)) return row + 0.1;
  if (/^INTEGER/i.test(type))
    return row === 1 ? (/_(bytes|at)$/.test(column) ? 2 ** 53 - 1 : 2 ** 31 - 1) : row * 1_000_003;
  return `${column} ${row} O'Neil "q" \\ \\u0000 %_? $1 é 漢 🚢 \u200f\n`;
}
