import { existsSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { optionalDriver } from "./optional-driver.ts";
import { translate } from "./postgres.ts";

const SQLITE_BUSY = 5;

/** Whether a process has the file open. */
export function isSqliteInUse(path: string): boolean {
  return existsSync(path) && !ifAlone(path, () => {});
}

/**
 * Takes back what processes that were killed have left as theirs, and nobody could have before it runs out: duties, and their
 * names among the nodes. Nobody else has the file open, so there is nobody else.
 */
export function forgetTheDead(path: string): void {
  if (!existsSync(path)) return;
  ifAlone(path, (file) => {
    const { tables } = file
      .prepare("select count(*) as tables from sqlite_master where name in ('leases', 'nodes')")
      .get() as { readonly tables: number };
    if (tables === 2) file.exec("delete from leases; delete from nodes");
  });
}

/**
 * In WAL mode every connection that has read holds a shared lock for as long as it lives, and a connection in exclusive mode
 * (sqlite.org/wal.html, "Use of WAL Without Shared-Memory") bears none beside it.
 * @returns whether `work` was done, as one transaction.
 */
function ifAlone(path: string, work: (file: DatabaseSync) => void): boolean {
  const file = new DatabaseSync(path, { timeout: 0 });
  try {
    file.exec("PRAGMA locking_mode = EXCLUSIVE");
    file.exec("BEGIN IMMEDIATE");
    work(file);
    file.exec("COMMIT");
    return true;
  } catch (error) {
    // Whatever else is wrong with it, whoever opens it in earnest says better.
    return !(error instanceof Error && "errcode" in error && error.errcode === SQLITE_BUSY);
  } finally {
    file.close();
  }
}

/** Whether another Longshore is connected to the database. @throws AppError driver_missing, database_unavailable. */
export async function isPostgresInUse(url: string): Promise<boolean> {
  const { default: pg } = await optionalDriver("pg", () => import("pg"));
  const client = new pg.Client({ connectionString: url, application_name: "longshore-probe" });
  await client.connect().catch(translate);
  try {
    const { rows } = await client.query(
      "select 1 from pg_stat_activity where datname = current_database() and application_name = 'longshore' limit 1",
    );
    return rows.length > 0;
  } finally {
    await client.end();
  }
}
