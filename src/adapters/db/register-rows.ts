import { createHash } from "node:crypto";
import type { Insertable, Kysely } from "kysely";
import { canonicalJson } from "../../core/access/audit.ts";
import { AppError, type DetailValue } from "../../core/errors.ts";
import type { Entry, Fields } from "../../core/registers/entry.ts";
import type { EntryKey } from "../../core/registers/register-store.ts";
import { fromJson, type RegisterEntryRow, type RegisterEventRow, type Tables } from "./tables.ts";

/** Rows written with one statement: SQLite takes 32,766 values in one. */
const AT_ONCE = 2_000;
/** A longer value is found by its beginning and its digest: an index of PostgreSQL takes 2,704 bytes. */
const VALUE_CHARS = 200;

export const REQUEST = "request ";
/** What a request that may be repeated leaves behind: no key of the declaration begins so. */
export const requestKey = (key: string) => REQUEST + key;

/** @throws AppError entry_exists when another entry has one of them. */
export async function putKeys(
  tx: Kysely<Tables>,
  register: string,
  entry: number,
  keys: readonly string[],
  at: number,
) {
  for (const key of keys) {
    const { numInsertedOrUpdatedRows } = await tx
      .insertInto("registerKeys")
      .values({ register, key, entry })
      .onConflict((conflict) => conflict.columns(["register", "key"]).doNothing())
      .executeTakeFirstOrThrow();
    if (numInsertedOrUpdatedRows) continue;
    const holder = await keyHolder(tx, register, key);
    throw new AppError("entry_exists", { register, entry: holder ?? 0, at, key: key.slice(0, VALUE_CHARS) });
  }
}

/** Lines of entries' histories. */
export async function noteEvents(tx: Kysely<Tables>, events: readonly Insertable<RegisterEventRow>[]): Promise<void> {
  await inBatches(events, (rows) => tx.insertInto("registerEvents").values(rows).execute());
}

export async function keyHolder(tx: Kysely<Tables>, register: string, key: string): Promise<number | undefined> {
  const row = await tx
    .selectFrom("registerKeys")
    .select("entry")
    .where("register", "=", register)
    .where("key", "=", key)
    .executeTakeFirst();
  return row?.entry;
}

export async function inBatches<T>(rows: readonly T[], write: (some: readonly T[]) => Promise<unknown>): Promise<void> {
  for (let at = 0; at < rows.length; at += AT_ONCE) await write(rows.slice(at, at + AT_ONCE));
}

export function valuesOf({ register, id, fields }: Entry) {
  return Object.entries(fields)
    .filter(([, value]) => value !== null)
    .map(([field, value]) => ({ register, field, value: valueKey(value), entry: id }));
}

export function valueKey(value: DetailValue): string {
  const text = canonicalJson(value);
  if (text.length <= VALUE_CHARS) return text;
  return `${text.slice(0, VALUE_CHARS / 2)} ${createHash("sha256").update(text).digest("hex")}`;
}

export function changedNames(before: Fields, after: Fields): string[] {
  const names = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...names].filter((name) => canonicalJson(before[name] ?? null) !== canonicalJson(after[name] ?? null));
}

export function entryOf({ number: _, ...row }: Omit<RegisterEntryRow, "number"> & { readonly number: number }): Entry {
  return { ...row, fields: fromJson(row.fields), settled: row.settled === 1 };
}

/** All entries of a register in id order, a page at a time, as part of `tx`. */
export async function* entryPages(tx: Kysely<Tables>, register: string): AsyncGenerator<readonly Entry[]> {
  for (let afterId = 0; ; ) {
    const rows = await tx
      .selectFrom("registerEntries")
      .selectAll()
      .where("register", "=", register)
      .where("id", ">", afterId)
      .orderBy("id")
      .limit(AT_ONCE)
      .execute();
    const last = rows.at(-1);
    if (last) yield rows.map(entryOf);
    if (!last || rows.length < AT_ONCE) return;
    afterId = last.id;
  }
}

/** Puts keys in place of all that the register's entries had, but for those of requests. */
export async function replaceKeys(tx: Kysely<Tables>, register: string, keys: readonly EntryKey[]): Promise<void> {
  await tx
    .deleteFrom("registerKeys")
    .where("register", "=", register)
    .where("key", "not like", `${REQUEST}%`)
    .execute();
  await inBatches(keys, (some) =>
    tx
      .insertInto("registerKeys")
      .values(some.map((one) => ({ register, ...one })))
      .execute(),
  );
}
