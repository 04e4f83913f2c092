import { type Kysely, type Selectable, sql } from "kysely";
import type { SearchChange, SearchChanges, SearchSubject } from "../../core/catalogue/search-changes.ts";
import { AppError } from "../../core/errors.ts";
import { insertRows } from "./insert-rows.ts";
import type { SearchChangeRow, Tables } from "./tables.ts";

const ROWS_PER_STATEMENT = 500;

/** Tells search of these, as part of the transaction that changes them. */
export async function noteChanges(tx: Kysely<Tables>, subjects: readonly SearchSubject[]): Promise<void> {
  for (let at = 0; at < subjects.length; at += ROWS_PER_STATEMENT) {
    const rows = subjects.slice(at, at + ROWS_PER_STATEMENT).map(rowOf);
    await insertRows(tx, "searchChanges", rows).execute();
  }
}

/**
 * What the search index has not seen yet, in SQLite or PostgreSQL: no statement differs. PostgreSQL gives numbers out before
 * transactions end, so a smaller one may become visible after a larger one is done with: it is read then, as what is there
 * is read and not what comes after a number.
 */
export function sqlSearchChanges(db: Kysely<Tables>): SearchChanges {
  return {
    async pending(limit) {
      const rows = await db.selectFrom("searchChanges").selectAll().orderBy("number").limit(limit).execute();
      return rows.map(changeOf);
    },

    async done(numbers) {
      for (let at = 0; at < numbers.length; at += ROWS_PER_STATEMENT)
        await db
          .deleteFrom("searchChanges")
          .where("number", "in", numbers.slice(at, at + ROWS_PER_STATEMENT))
          .execute();
    },

    async depth() {
      const { changes } = await db
        .selectFrom("searchChanges")
        .select(sql<number>`count(*)`.as("changes"))
        .executeTakeFirstOrThrow();
      return changes;
    },
  };
}

const NOTHING = { transactionId: null, fileId: null, extraction: null, fromNumber: null, untilNumber: null };

function rowOf(subject: SearchSubject): Omit<SearchChangeRow, "number"> {
  if ("transaction" in subject) return { ...NOTHING, transactionId: subject.transaction };
  if ("file" in subject) return { ...NOTHING, fileId: subject.file };
  const { extraction, from, until } = subject;
  return { ...NOTHING, extraction, fromNumber: from, untilNumber: until };
}

function changeOf({ number, ...row }: Selectable<SearchChangeRow>): SearchChange {
  const { transactionId, fileId, extraction, fromNumber: from, untilNumber: until } = row;
  if (transactionId !== null) return { number, subject: { transaction: transactionId } };
  if (fileId !== null) return { number, subject: { file: fileId } };
  if (extraction !== null && from !== null && until !== null) return { number, subject: { extraction, from, until } };
  throw new AppError("internal", { number, reason: "a search change without a subject" });
}
