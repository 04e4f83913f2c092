import { type Kysely, type OnConflictBuilder, sql } from "kysely";
import type { ArchivedFile, CatalogueStore, FolderEntry, Transaction } from "../../core/catalogue/catalogue-store.ts";
import { AppError } from "../../core/errors.ts";
import type { TransactionId } from "../../core/ids.ts";
import { putFacts } from "./audit-store.ts";
import { insertRows } from "./insert-rows.ts";
import type { DialectName } from "./migrate.ts";
import { putMessages } from "./outbox.ts";
import { noteChanges } from "./search-changes.ts";
import { type FileRow, fromJson, type Tables, toJson } from "./tables.ts";

/**
 * Rows per statement and per transaction: what SQLite holds the event loop for is then about 10 ms. So 100,000 file rows
 * take 1.2 s on SQLite (2 cores, November 2026), and about 4 s on PostgreSQL, on busy cores. A prepared statement per row,
 * past Kysely, would take 0.8 s on SQLite: not worth a second way.
 */
const ROWS_PER_STATEMENT = 500;

/**
 * The catalogue in SQLite or PostgreSQL: no statement differs.
 *
 * File rows come first, a batch per short transaction, and the transaction's own row last, as bytes are written before
 * they are published: file rows without their transaction's row are not visible to any method. So however many files
 * there are and however slowly `add` receives them, nobody waits for a write lock longer than one batch takes, and a
 * process may die anywhere: the next `add` finds the same ids and fills in what is missing.
 */
export function sqlCatalogueStore(db: Kysely<Tables>, dialect: DialectName): CatalogueStore {
  const isKnown = async (tx: Kysely<Tables>, id: TransactionId) =>
    (await tx.selectFrom("transactions").select("id").where("id", "=", id).executeTakeFirst()) !== undefined;

  const visibleFiles = () =>
    db.selectFrom("files").innerJoin("transactions", "transactions.id", "files.transactionId").selectAll("files");

  /** Removes the file rows of a transaction that is not known. */
  const sweep = async (id: TransactionId) => {
    for (let swept = ROWS_PER_STATEMENT; swept === ROWS_PER_STATEMENT; ) {
      swept = await db.transaction().execute(async (tx) => {
        if (await isKnown(tx, id)) return 0;
        const { numDeletedRows } = await tx
          .deleteFrom("files")
          .where("id", "in", (some) =>
            some.selectFrom("files").select("id").where("transactionId", "=", id).limit(ROWS_PER_STATEMENT),
          )
          .executeTakeFirstOrThrow();
        return Number(numDeletedRows);
      });
    }
  };

  return {
    async add(transaction, files, keyValues, messages, now, facts = () => []) {
      const { id } = transaction;
      if (await isKnown(db, id)) return false;
      try {
        let given = 0;
        for await (const batch of batches(files, ROWS_PER_STATEMENT)) {
          await insertRows(db, "files", batch.map(fileRow)).onConflict(overwriteInvisible).execute();
          given += batch.length;
        }
        return await db.transaction().execute(async (tx) => {
          const added = await tx
            .insertInto("transactions")
            .values(transaction)
            .onConflict((conflict) => conflict.column("id").doNothing())
            .returning("id")
            .executeTakeFirst();
          if (!added) return false;
          const { found } = await tx
            .selectFrom("files")
            .select((row) => row.fn.countAll<number>().as("found"))
            .where("transactionId", "=", id)
            .executeTakeFirstOrThrow();
          if (found !== given) throw new AppError("internal", { transaction: id, expected: given, found });
          for (let at = 0; at < keyValues.length; at += ROWS_PER_STATEMENT) {
            const rows = keyValues.slice(at, at + ROWS_PER_STATEMENT).map((kv) => ({ ...kv, transactionId: id }));
            await insertRows(tx, "keyValues", rows).execute();
          }
          await putMessages(tx, messages, now);
          await noteChanges(tx, [{ transaction: id }]);
          await tx.insertInto("fixityChecks").values(neverChecked(transaction)).execute();
          await putFacts(tx, dialect, facts());
          return true;
        });
      } catch (error) {
        // What cannot be swept now, with the database itself in trouble, stays invisible until the next add replaces it.
        await sweep(id).catch(() => undefined);
        throw error;
      }
    },

    transaction: (id) => db.selectFrom("transactions").selectAll().where("id", "=", id).executeTakeFirst(),

    async listTransactions({ owner, beforeId, limit }) {
      let page = db.selectFrom("transactions").selectAll().orderBy("id", "desc").limit(limit);
      if (owner !== undefined) page = page.where("owner", "=", owner);
      if (beforeId !== undefined) page = page.where("id", "<", beforeId);
      return await page.execute();
    },

    async findTransactions({ afterId, from, until, limit, keyValues = {}, ...equal }) {
      let page = db.selectFrom("transactions").selectAll().orderBy("id").limit(limit);
      if (afterId !== undefined) page = page.where("id", ">", afterId);
      if (from !== undefined) page = page.where("createdAt", ">=", from);
      if (until !== undefined) page = page.where("createdAt", "<", until);
      for (const column of ["owner", "submitter", "project", "instrument"] as const) {
        const value = equal[column];
        if (value !== undefined) page = page.where(column, "=", value);
      }
      for (const [key, value] of Object.entries(keyValues))
        page = page.where((row) =>
          row.exists(
            row
              .selectFrom("keyValues")
              .select("keyValues.id")
              .whereRef("keyValues.transactionId", "=", "transactions.id")
              .where("fileId", "is", null)
              // The words of the index: of a long text it holds the beginning.
              .where(sql`substr(key, 1, 200)`, "=", sql`substr(cast(${key} as text), 1, 200)`)
              .where(sql`substr(value, 1, 200)`, "=", sql`substr(cast(${value} as text), 1, 200)`)
              .where("key", "=", key)
              .where("value", "=", value),
          ),
        );
      return await page.execute();
    },

    async listFiles(transaction, { afterId, limit, prefix, mediaType }) {
      let page = visibleFiles().where("files.transactionId", "=", transaction).orderBy("files.id").limit(limit);
      if (afterId !== undefined) page = page.where("files.id", ">", afterId);
      // `like` would take % and _ for more than letters, and on SQLite upper case for lower case.
      if (prefix !== undefined) page = page.where(sql`substr(path, 1, length(${prefix}))`, "=", prefix);
      if (mediaType !== undefined) {
        const wanted = mediaType.toLowerCase().replace(/\*$/, "");
        const found = sql<string>`lower(media_type)`;
        page = page.where(wanted.endsWith("/") ? sql`substr(${found}, 1, length(${wanted}))` : found, "=", wanted);
      }
      return (await page.execute()).map(fileOf);
    },

    async listFolder(transaction, { folder, after, limit }) {
      const begin = folder === "" ? "" : `${folder}/`;
      const names = await namesIn(db, dialect, transaction, begin, after, limit);
      const paths = names.filter(({ isFolder }) => !isFolder).map(({ name }) => `${begin}${name}`);
      const rows =
        paths.length === 0
          ? []
          : await visibleFiles().where("files.transactionId", "=", transaction).where("path", "in", paths).execute();
      const files = new Map(rows.map((row) => [row.path, fileOf(row)]));
      const found: FolderEntry[] = [];
      for (const { name, isFolder } of names) {
        const file = isFolder ? null : files.get(`${begin}${name}`);
        if (file !== undefined) found.push({ name, file });
      }
      return found;
    },

    async file(id) {
      const row = await visibleFiles().where("files.id", "=", id).executeTakeFirst();
      return row && fileOf(row);
    },

    async files(ids) {
      if (ids.length === 0) return [];
      const rows = await visibleFiles()
        .select(["transactions.owner", "transactions.objectPath"])
        .where("files.id", "in", ids)
        .execute();
      return rows.map(({ owner, objectPath, ...row }) => ({ ...fileOf(row), owner, objectPath }));
    },

    keyValues: (transaction) =>
      db
        .selectFrom("keyValues")
        .select(["fileId", "key", "value"])
        .where("transactionId", "=", transaction)
        .orderBy("id")
        .execute(),

    totals: () =>
      db
        .selectFrom("transactions")
        .select((row) => [
          row.fn.countAll<number>().as("transactions"),
          row.fn.coalesce(row.fn.sum<number>("fileCount"), row.lit(0)).as("files"),
          row.fn.coalesce(row.fn.sum<number>("sizeBytes"), row.lit(0)).as("bytes"),
        ])
        .executeTakeFirstOrThrow(),

    async forget(id) {
      await db.transaction().execute(async (tx) => {
        await tx.deleteFrom("keyValues").where("transactionId", "=", id).execute();
        await tx.deleteFrom("fixityChecks").where("transactionId", "=", id).execute();
        const { numDeletedRows } = await tx.deleteFrom("transactions").where("id", "=", id).executeTakeFirstOrThrow();
        if (numDeletedRows === 0n) return;
        await noteChanges(tx, [{ transaction: id }]);
        // Here and now, whatever their number: nobody could name them any more after a crash between the two.
        await tx
          .insertInto("searchChanges")
          .columns(["fileId"])
          .expression((of) => of.selectFrom("files").select("id").where("transactionId", "=", id))
          .execute();
      });
      await sweep(id);
    },
  };
}

async function* batches<T>(items: AsyncIterable<T>, size: number): AsyncGenerator<readonly T[]> {
  let batch: T[] = [];
  for await (const item of items) {
    batch.push(item);
    if (batch.length < size) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}

const neverChecked = ({ id, sizeBytes }: Transaction) =>
  ({
    transactionId: id,
    sizeBytes,
    checkedAt: 0,
    outcome: null,
    problemCount: 0,
    problems: toJson([]),
    progress: null,
  }) as const;

/** A row that an add left behind that did not come to its end is replaced; a row that can be seen is not touched. */
const overwriteInvisible = (conflict: OnConflictBuilder<Tables, "files">) =>
  conflict
    .column("id")
    .doUpdateSet((row) => ({
      path: row.ref("excluded.path"),
      contentPath: row.ref("excluded.contentPath"),
      sizeBytes: row.ref("excluded.sizeBytes"),
      modifiedAt: row.ref("excluded.modifiedAt"),
      changedAt: row.ref("excluded.changedAt"),
      mediaType: row.ref("excluded.mediaType"),
      digests: row.ref("excluded.digests"),
      crc32: row.ref("excluded.crc32"),
      declaredAlgorithm: row.ref("excluded.declaredAlgorithm"),
      declaredValue: row.ref("excluded.declaredValue"),
    }))
    .whereRef("files.transactionId", "=", "excluded.transactionId")
    .where((row) =>
      row.not(
        row.exists(row.selectFrom("transactions").select("id").whereRef("transactions.id", "=", "files.transactionId")),
      ),
    );

function fileRow({ declared, digests, ...file }: ArchivedFile): FileRow {
  return { ...file, digests: toJson(digests), declaredAlgorithm: declared.algorithm, declaredValue: declared.value };
}

function fileOf({ digests, declaredAlgorithm, declaredValue, ...row }: FileRow): ArchivedFile {
  return { ...row, digests: fromJson(digests), declared: { algorithm: declaredAlgorithm, value: declaredValue } };
}

/** No character comes after it. */
const LAST = "\u{10FFFF}";

/**
 * The first names that come below `begin`, each found by one step of an index: from a file to the next path, and from a folder
 * over all that lies in it.
 */
async function namesIn(
  db: Kysely<Tables>,
  dialect: DialectName,
  transaction: TransactionId,
  begin: string,
  after: string | undefined,
  limit: number,
): Promise<readonly { readonly name: string; readonly isFolder: boolean }[]> {
  const isPostgres = dialect === "postgres";
  const path = isPostgres ? sql.raw(`path collate "C"`) : sql.raw("path");
  const behind = sql`cast(${`/${LAST}`} as text)`;
  const beginning = sql`cast(${begin} as text)`;
  const start = sql`cast(${`${begin}${after ?? ""}${after?.endsWith("/") ? LAST : ""}`} as text)`;
  const end = `${begin}${LAST}`;
  const rest = sql`substr(found.at, length(${beginning}) + 1)`;
  const slash = isPostgres ? sql`strpos(${rest}, '/')` : sql`instr(${rest}, '/')`;
  const next = (from: ReturnType<typeof sql>) => sql`(
    select ${path} from files
    where transaction_id = ${transaction} and ${path} > ${from} and ${path} < ${end}
    order by ${path} limit 1)`;
  const { rows } = await sql<{ name: string; folder: number }>`
    with recursive found(at, nth) as (
      select ${next(start)}, 1
      union all
      select ${next(sql`case when ${slash} > 0 then ${beginning} || substr(${rest}, 1, ${slash} - 1) || ${behind} else found.at end`)}, nth + 1
      from found where found.at is not null and nth < ${limit}
    )
    select case when ${slash} > 0 then substr(${rest}, 1, ${slash} - 1) else ${rest} end as name, ${slash} as folder
    from found where found.at is not null order by nth`.execute(db);
  return rows.map(({ name, folder }) => ({ name, isFolder: folder > 0 }));
}
