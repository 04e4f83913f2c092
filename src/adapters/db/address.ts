import { existsSync } from "node:fs";
import { Kysely } from "kysely";
import { AppError } from "../../core/errors.ts";
import type { Copied, Side } from "./copy.ts";
import { isPostgresInUse, isSqliteInUse } from "./in-use.ts";
import { knownMigrations, pendingMigrations } from "./migrate.ts";
import { postgresDialect } from "./postgres.ts";
import { sqliteDialect } from "./sqlite.ts";

/** Where a database is. */
export type DatabaseAddress =
  | { readonly dialect: "sqlite"; readonly path: string }
  | { readonly dialect: "postgres"; readonly url: string };

/** `sqlite:<path of the file>` or `postgres://user:password@host:port/database`. @throws AppError config_invalid. */
export function databaseAddress(text: string): DatabaseAddress {
  if (text.startsWith("sqlite:")) return { dialect: "sqlite", path: text.slice("sqlite:".length).replace(/^\/\//, "") };
  if (/^postgres(ql)?:\/\//.test(text)) return { dialect: "postgres", url: text };
  throw new AppError("config_invalid", { expected: "sqlite:<path> or postgres://user:password@host:port/database" });
}

/** Whether another process has it open. @throws AppError driver_missing, database_unavailable. */
export async function isInUse(address: DatabaseAddress): Promise<boolean> {
  return address.dialect === "sqlite" ? isSqliteInUse(address.path) : isPostgresInUse(address.url);
}

/** The database with its columns' own names; nothing in it is made or changed. */
export async function openSide(address: DatabaseAddress): Promise<Side & { close(): Promise<void> }> {
  const dialect =
    address.dialect === "sqlite"
      ? sqliteDialect(address.path)
      : await postgresDialect({ url: address.url, poolSize: 2, onTrouble: () => {} }); // what is asked for next fails
  const db = new Kysely<Copied>({ dialect });
  return { db, dialect: address.dialect, close: () => db.destroy() };
}

/** The names of the steps that `longshore migrate` would take. @throws AppError database_newer, database_unavailable. */
export async function pendingSteps(address: DatabaseAddress): Promise<readonly string[]> {
  const known = await knownMigrations(address.dialect);
  if (address.dialect === "sqlite" && !existsSync(address.path)) return known.map(({ name }) => name);
  const { db, dialect, close } = await openSide(address);
  try {
    return (await pendingMigrations(db, dialect, known)).map(({ name }) => name);
  } finally {
    await close();
  }
}
