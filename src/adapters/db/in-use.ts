import { existsSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { optionalDriver } from "./optional-driver.ts";

const SQLITE_BUSY = 5;

/**
 * Whether a process has the file open. In WAL mode every connection that has read holds a shared lock for as long as it
 * lives, and a connection in exclusive mode (sqlite.org/wal.html, "Use of WAL Without Shared-Memory") bears none beside it.
 */
export function isSqliteInUse(path: string): boolean {
  if (!existsSync(path)) return false;
  const file = new DatabaseSync(path, { timeout: 0 });
  try {
    file.exec("PRAGMA locking_mode = EXCLUSIVE");
    file.exec("BEGIN IMMEDIATE; COMMIT");
    return false;
  } catch (error) {
    // Whatever else is wrong with it, whoever opens it in earnest says better.
    return error instanceof Error && "errcode" in error && error.errcode === SQLITE_BUSY;
  } finally {
    file.close();
  }
}

/** Whether another Longshore is connected to the database. @throws AppError driver_missing. */
export async function isPostgresInUse(url: string): Promise<boolean> {
  const { default: pg } = await optionalDriver("pg", () => import("pg"));
  const client = new pg.Client({ connectionString: url, application_name: "longshore-probe" });
  await client.connect();
  try {
    const { rows } = await client.query(
      "select 1 from pg_stat_activity where datname = current_database() and application_name = 'longshore' limit 1",
    );
    return rows.length > 0;
  } finally {
    await client.end();
  }
}
