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

/**
 * Brings the schema to what this program needs: the files `migrations/NNN-name.<dialect>.sql` that have not been applied,
 * in order, all in one transaction. Of several processes that start together one does the work, the others wait.
 * @throws AppError database_newer when a newer program has been here.
 */
export async function migrate<T>(db: Kysely<T>, dialect: DialectName): Promise<void> {
  const suffix = `.${dialect}.sql`;
  const names = (await readdir(FOLDER)).filter((name) => name.endsWith(suffix)).sort();
  const scripts = await Promise.all(
    names.map(async (name) => ({
      version: Number.parseInt(name, 10),
      name,
      text: await readFile(new URL(name, FOLDER), "utf8"),
    })),
  );
  await db.transaction().execute(async (tx) => {
    if (dialect === "postgres") await sql`select pg_advisory_xact_lock(${POSTGRES_LOCK})`.execute(tx);
    await sql`create table if not exists migrations (version integer primary key, name text not null)`.execute(tx);
    const { rows } = await sql<{ version: number }>`select max(version) as version from migrations`.execute(tx);
    const found = rows[0]?.version ?? 0;
    const expected = scripts.at(-1)?.version ?? 0;
    if (found > expected) throw new AppError("database_newer", { expected, found });
    for (const { version, name, text } of scripts.filter((script) => script.version > found)) {
      await sql.raw(text).execute(tx);
      await sql`insert into migrations (version, name) values (${version}, ${name})`.execute(tx);
    }
  });
}
