import { createHash } from "node:crypto";
import { type Kysely, sql } from "kysely";
import { AppError } from "../../core/errors.ts";
import { insertCopied, lastNumberOf, rowsOf, setLastNumber } from "./copy-rows.ts";
import type { DialectName } from "./migrate.ts";

/** A database of either kind, with its columns' own names: Kysely without plugins. */
export interface Side {
  readonly db: Kysely<Copied>;
  readonly dialect: DialectName;
}
/** Any table, read and written as it is. */
export type Copied = Record<string, Record<string, CopiedValue>>;
export type CopiedValue = string | number | null;

export interface CopiedTable {
  readonly name: string;
  readonly columns: readonly string[];
  /** The column that the copy numbers by itself, with numbers that were never used. */
  readonly numbered: string | undefined;
}

export interface TableCopy {
  readonly table: string;
  readonly rows: number;
  /** Over all rows, whatever their order: see {@link digestOf}. */
  readonly digest: string;
}

/** What stays behind, and why. What only one of the two databases has (its queue, its search index) does so anyway. */
export const NOT_COPIED: Readonly<Record<string, string>> = {
  migrations: "the copy has its own",
  leases: "who has which duty is settled anew",
  nodes: "who runs shows itself anew",
  job_turns: "whose turn it is begins anew",
  job_lanes: "whose turn it is begins anew",
  search_rebuilds: "the search index is made anew",
};

/** A new database has a row in these. */
export const SEEDED: readonly string[] = ["staging_usage"];

/** Views of registers are SQLite's own: there they are made again when their register is next declared. */
const LEFT_OUT: Readonly<Record<string, readonly string[]>> = { registers: ["view_name"] };

/**
 * Copies all rows, in one transaction of the copy: until it has been read back and compared, nothing is there. The source is
 * read as it stands at one moment; SQLite lets nobody write to it meanwhile.
 *
 * Memory: some hundred rows at a time.
 * @param tell called after each table.
 * @param finish the last thing that is done in the copy before it is there.
 * @throws AppError database_not_empty, database_copy_differs.
 */
export async function copyDatabase<T>(
  from: Side,
  to: Side,
  tell: (copy: TableCopy) => void,
  finish: (copy: Kysely<Copied>) => Promise<T>,
): Promise<T> {
  const tables = await tablesOf(from, to);
  return reading(from, (source) =>
    to.db.transaction().execute(async (target) => {
      const copy = { ...to, db: target };
      for (const { name } of tables) {
        if (SEEDED.includes(name)) await target.deleteFrom(name).execute();
        else if (await target.selectFrom(name).select(sql`1`.as("one")).limit(1).executeTakeFirst())
          throw new AppError("database_not_empty", { table: name });
      }
      for (const table of tables) {
        const sum = rowSum();
        for await (const rows of rowsOf(source, table)) {
          const kept = rows.map((row) => withoutLeftOut(table, row));
          for (const row of kept) sum.add(row);
          await insertCopied(copy, table, kept);
        }
        if (table.numbered !== undefined)
          await setLastNumber(copy, table.name, table.numbered, await lastNumberOf(source, table.name, table.numbered));
        const written = { table: table.name, ...sum.result() };
        const found = await digestOf(copy, table);
        if (found.rows !== written.rows || found.digest !== written.digest)
          throw new AppError("database_copy_differs", {
            table: table.name,
            expected: `${written.rows} rows, ${written.digest}`,
            found: `${found.rows} rows, ${found.digest}`,
          });
        tell(written);
      }
      return finish(target);
    }),
  );
}

/**
 * The SHA-256 of each row (its values in the order of the columns' names, as JSON), added up modulo 2^256: it says the same on
 * both databases, which order rows and text each in their own way.
 */
export async function digestOf(side: Side, table: CopiedTable): Promise<TableCopy> {
  const sum = rowSum();
  await reading(side, async (source) => {
    for await (const rows of rowsOf(source, table)) for (const row of rows) sum.add(withoutLeftOut(table, row));
  });
  return { table: table.name, ...sum.result() };
}

/** The tables that both have, those that others refer to first. */
export async function tablesOf(from: Side, to: Side): Promise<readonly CopiedTable[]> {
  const [found, known] = [await introspected(from), await introspected(to)];
  const waiting = new Map(
    [...found]
      .flatMap(([name, table]) => {
        const numbered = known.get(name)?.numbered;
        return known.has(name) && !(name in NOT_COPIED) ? [[name, { ...table, numbered }] as const] : [];
      })
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  );
  // Each has references that the other does without.
  const references = [...(await referencesOf(from)), ...(await referencesOf(to))];
  const ordered: CopiedTable[] = [];
  while (waiting.size > 0) {
    const free = [...waiting.values()].filter(
      ({ name }) => !references.some(({ child, parent }) => child === name && parent !== name && waiting.has(parent)),
    );
    if (free.length === 0) throw new AppError("internal", { reason: "tables refer to each other in a circle" });
    for (const table of free) waiting.delete(table.name);
    ordered.push(...free);
  }
  return ordered;
}

async function introspected({ db, dialect }: Side): Promise<Map<string, CopiedTable>> {
  const parts = dialect === "postgres" ? await partsOf(db) : new Set<string>();
  const tables = (await db.introspection.getTables()).filter(
    ({ name, schema = "public", isView }) => schema === "public" && !isView && !parts.has(name),
  );
  return new Map(
    tables.map(({ name, columns }) => [
      name,
      {
        name,
        columns: columns.map((column) => column.name).sort(),
        numbered: columns.find(({ isAutoIncrementing }) => isAutoIncrementing)?.name,
      },
    ]),
  );
}

async function partsOf(db: Kysely<Copied>): Promise<Set<string>> {
  const { rows } = await sql<{ name: string }>`select relname as name from pg_class where relispartition`.execute(db);
  return new Set(rows.map(({ name }) => name));
}

async function referencesOf({ db, dialect }: Side): Promise<readonly { child: string; parent: string }[]> {
  const query =
    dialect === "postgres"
      ? sql<{ child: string; parent: string }>`
          select c.relname as child, p.relname as parent from pg_constraint
          join pg_class c on c.oid = conrelid join pg_class p on p.oid = confrelid
          where contype = 'f' and conparentid = 0`
      : sql<{ child: string; parent: string }>`
          select m.name as child, f."table" as parent
          from sqlite_master m, pragma_foreign_key_list(m.name) f where m.type = 'table'`;
  return (await query.execute(db)).rows;
}

/** Reads as the database stands at one moment. Within a transaction that is so already. */
async function reading<T>(side: Side, read: (side: Side) => Promise<T>): Promise<T> {
  if (side.db.isTransaction) return read(side);
  return side.db
    .transaction()
    .setIsolationLevel("repeatable read")
    .execute((db) => read({ ...side, db }));
}

function withoutLeftOut({ name }: CopiedTable, row: Record<string, CopiedValue>): Record<string, CopiedValue> {
  const columns = LEFT_OUT[name];
  return columns ? { ...row, ...Object.fromEntries(columns.map((column) => [column, null])) } : row;
}

function rowSum() {
  const modulus = 1n << 256n;
  let sum = 0n;
  let rows = 0;
  return {
    add(row: Record<string, CopiedValue>): void {
      const values = Object.keys(row)
        .sort()
        .map((column) => row[column]);
      rows++;
      sum = (sum + BigInt(`0x${createHash("sha256").update(JSON.stringify(values)).digest("hex")}`)) % modulus;
    },
    result: () => ({ rows, digest: sum.toString(16).padStart(64, "0") }),
  };
}
