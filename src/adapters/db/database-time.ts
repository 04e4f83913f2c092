import { type RawBuilder, sql } from "kysely";
import type { Clock } from "../../core/clock.ts";
import type { DialectName } from "./migrate.ts";

/** PostgreSQL's own clock: epoch milliseconds at which the expression is evaluated. */
export const POSTGRES_TIME = sql<number>`(extract(epoch from clock_timestamp()) * 1000)::bigint`;

/**
 * Epoch milliseconds at which a statement runs, by the one clock that all who share the database have in common: its own. All
 * who share an SQLite file are on one machine.
 */
export function databaseTime(dialect: DialectName, clock: Clock): RawBuilder<number> {
  return dialect === "postgres" ? POSTGRES_TIME : sql<number>`cast(${clock.now()} as integer)`;
}
