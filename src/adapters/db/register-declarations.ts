import { type Kysely, sql } from "kysely";
import { AppError } from "../../core/errors.ts";
import type { EntryKey, EntryView, KeptDeclaration, RegisterStore } from "../../core/registers/register-store.ts";
import type { DialectName } from "./migrate.ts";
import { entryPages, replaceKeys } from "./register-rows.ts";
import type { RegisterRow, Tables } from "./tables.ts";

type Declarations = Pick<RegisterStore, "declarations" | "declaration" | "declare" | "forget">;

/** The part of the register store that is about declarations, and the views that go with them. */
export function registerDeclarations(db: Kysely<Tables>, dialect: DialectName): Declarations {
  const isPostgres = dialect === "postgres";

  return {
    async declarations() {
      return (await db.selectFrom("registers").selectAll().orderBy("name").execute()).map(keptOf);
    },

    async declaration(name) {
      const row = await db.selectFrom("registers").selectAll().where("name", "=", name).executeTakeFirst();
      return row && keptOf(row);
    },

    declare: ({ name, text, source, view }, judge, now) =>
      db.transaction().execute(async (tx) => {
        await tx
          .insertInto("registers")
          .values({ name, declaration: text, source, revision: 0, lastId: 0, viewName: null, updatedAt: now })
          .onConflict((conflict) => conflict.column("name").doNothing())
          .execute();
        // Nobody makes or changes an entry by the earlier declaration until this is over.
        const before = await tx
          .selectFrom("registers")
          .select(["revision", "viewName"])
          .where("name", "=", name)
          .$if(isPostgres, (select) => select.forUpdate())
          .executeTakeFirstOrThrow();
        const keys: EntryKey[] = [];
        for await (const page of entryPages(tx, name)) keys.push(...judge.keysOf(page));
        judge.end();
        await replaceKeys(tx, name, keys);
        if (!isPostgres) await replaceView(tx, name, before.viewName, view);
        const row = await tx
          .updateTable("registers")
          .set({
            declaration: text,
            source,
            revision: before.revision + 1,
            viewName: isPostgres ? null : (view?.name ?? null),
            updatedAt: now,
          })
          .where("name", "=", name)
          .returningAll()
          .executeTakeFirstOrThrow();
        return keptOf(row);
      }),

    forget: (name) =>
      db.transaction().execute(async (tx) => {
        const row = await tx
          .selectFrom("registers")
          .select("viewName")
          .where("name", "=", name)
          .$if(isPostgres, (select) => select.forUpdate())
          .executeTakeFirst();
        const entry = await tx
          .selectFrom("registerEntries")
          .select("id")
          .where("register", "=", name)
          .limit(1)
          .executeTakeFirst();
        if (!row || entry) return false;
        if (!isPostgres) await replaceView(tx, name, row.viewName, null);
        await tx.deleteFrom("registerKeys").where("register", "=", name).execute();
        await tx.deleteFrom("registers").where("name", "=", name).execute();
        return true;
      }),
  };
}

function keptOf({ name, declaration, source, revision }: RegisterRow): KeptDeclaration {
  return { name, text: declaration, source, revision };
}

/**
 * A view takes no parameters, and Kysely would write names its own way: the text is made here, with every name and value
 * quoted. @throws AppError register_invalid when something else in the file has the name.
 */
async function replaceView(
  tx: Kysely<Tables>,
  register: string,
  earlier: string | null,
  view: EntryView | null,
): Promise<void> {
  if (earlier !== null) await sql.raw(`drop view if exists ${quoted(earlier)}`).execute(tx);
  if (view === null) return;
  const { rows } = await sql<{ type: string }>`
    select type from sqlite_master where name = ${view.name} collate nocase`.execute(tx);
  if (rows[0] || /^sqlite_/i.test(view.name))
    throw new AppError("register_invalid", {
      register,
      at: "sqliteView",
      expected: "a name that nothing else in the database has",
      found: view.name,
    });
  const columns = view.columns.map((name) => `${COLUMNS[name] ?? fieldColumn(name)} as ${quoted(name)}`);
  await sql
    .raw(
      `create view ${quoted(view.name)} as select ${columns.join(", ")} from register_entries ` +
        `where register = ${literal(register)} order by id`,
    )
    .execute(tx);
}

/** By the names of `VIEW_COLUMNS`. */
const COLUMNS: Readonly<Record<string, string>> = {
  id: "id",
  status: "status",
  owner: "owner",
  version: "version",
  attempts: "attempts",
  reason: "reason",
  date: "strftime('%Y-%m-%d %H:%M:%S', created_at / 1000, 'unixepoch')",
};

const fieldColumn = (name: string) => `json_extract(fields, ${literal(`$."${name}"`)})`;
const quoted = (name: string) => `"${name.replaceAll('"', '""')}"`;
const literal = (text: string) => `'${text.replaceAll("'", "''")}'`;
