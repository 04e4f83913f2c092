import type { Kysely } from "kysely";
import type { DocumentStore } from "../../core/documents/document-store.ts";
import { insertRows } from "./insert-rows.ts";
import { fromJson, type Tables, toJson } from "./tables.ts";

const ROWS_PER_SWEEP = 1_000;
const COLUMNS = ["documents.number", "documents.id", "source", "version", "seqNo"] as const;

/** Documents in SQLite or PostgreSQL: no statement differs. */
export function sqlDocumentStore(db: Kysely<Tables>): DocumentStore {
  const documentsOf = (index: string) =>
    db
      .selectFrom("documents")
      .innerJoin("documentIndices", "documentIndices.number", "documents.indexNumber")
      .where("documentIndices.name", "=", index);

  /** A process that ends on the way leaves the rest to the next index that is removed. */
  async function sweep(): Promise<void> {
    const removed = await db.selectFrom("documentIndices").select("number").where("name", "is", null).execute();
    for (const { number } of removed) {
      for (let swept = ROWS_PER_SWEEP; swept === ROWS_PER_SWEEP; ) {
        const { numDeletedRows } = await db
          .deleteFrom("documents")
          .where("number", "in", (some) =>
            some.selectFrom("documents").select("number").where("indexNumber", "=", number).limit(ROWS_PER_SWEEP),
          )
          .executeTakeFirstOrThrow();
        swept = Number(numDeletedRows);
      }
      await db.deleteFrom("documentIndices").where("number", "=", number).execute();
    }
  }

  return {
    async createIndex({ name, mapping, createdAt }) {
      const made = await db
        .insertInto("documentIndices")
        .values({ name, mapping: toJson(mapping), lastSeqNo: -1, createdAt })
        .onConflict((conflict) => conflict.column("name").doNothing())
        .returning("number")
        .executeTakeFirst();
      return made !== undefined;
    },

    async index(name) {
      const row = await db
        .selectFrom("documentIndices")
        .select(["mapping", "createdAt"])
        .where("name", "=", name)
        .executeTakeFirst();
      return row && { name, mapping: fromJson(row.mapping), createdAt: row.createdAt };
    },

    async indices() {
      const rows = await db
        .selectFrom("documentIndices")
        .select(["name", "mapping", "createdAt"])
        .where("name", "is not", null)
        .execute();
      return rows
        .map(({ name, mapping, createdAt }) => ({ name: name ?? "", mapping: fromJson(mapping), createdAt }))
        .sort((a, b) => (a.name < b.name ? -1 : 1));
    },

    async removeIndex(name) {
      const removed = await db
        .updateTable("documentIndices")
        .set({ name: null })
        .where("name", "=", name)
        .returning("number")
        .executeTakeFirst();
      if (removed) await sweep();
      return removed !== undefined;
    },

    async documents(index, ids) {
      if (ids.length === 0) return [];
      return documentsOf(index).select(COLUMNS).where("documents.id", "in", ids).execute();
    },

    page: (index, afterNumber, limit) =>
      documentsOf(index)
        .select(COLUMNS)
        .where("documents.number", ">", afterNumber)
        .orderBy("documents.number")
        .limit(limit)
        .execute(),

    async count(index) {
      const { count } = await documentsOf(index)
        .select((row) => row.fn.countAll<number>().as("count"))
        .executeTakeFirstOrThrow();
      return count;
    },

    change: (name, ids, change) =>
      db.transaction().execute(async (tx) => {
        // Changes of this index wait here for each other; SQLite has one writer anyway.
        const index = await tx
          .updateTable("documentIndices")
          .set({ name })
          .where("name", "=", name)
          .returning(["number", "mapping", "lastSeqNo"])
          .executeTakeFirst();
        if (!index) return undefined;
        const rows =
          ids.length === 0
            ? []
            : await tx
                .selectFrom("documents")
                .select(COLUMNS)
                .where("indexNumber", "=", index.number)
                .where("id", "in", ids)
                .execute();
        const documents = new Map(rows.map((row) => [row.id, row]));
        const mapping = fromJson(index.mapping);
        const [changed, result] = change({ mapping, documents, lastSeqNo: index.lastSeqNo });
        if (changed.put.length > 0)
          await insertRows(
            tx,
            "documents",
            changed.put.map((document) => ({ ...document, indexNumber: index.number })),
          )
            .onConflict((conflict) =>
              conflict.columns(["indexNumber", "id"]).doUpdateSet((row) => ({
                source: row.ref("excluded.source"),
                version: row.ref("excluded.version"),
                seqNo: row.ref("excluded.seqNo"),
              })),
            )
            .execute();
        if (changed.removed.length > 0)
          await tx
            .deleteFrom("documents")
            .where("indexNumber", "=", index.number)
            .where("id", "in", changed.removed)
            .execute();
        await tx
          .updateTable("documentIndices")
          .set({
            lastSeqNo: changed.lastSeqNo,
            ...(changed.mapping !== mapping && { mapping: toJson(changed.mapping) }),
          })
          .where("number", "=", index.number)
          .execute();
        return result;
      }),
  };
}
