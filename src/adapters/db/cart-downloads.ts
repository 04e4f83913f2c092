import { type Kysely, type OnConflictBuilder, sql } from "kysely";
import type { CartStore, DownloadCount } from "../../core/carts/cart-store.ts";
import type { DialectName } from "./migrate.ts";
import type { DownloadCountRow, Tables } from "./tables.ts";

/** Entries whose files are counted in one transaction. */
const ENTRIES_PER_TALLY = 500;

type DownloadMethods = Pick<
  CartStore,
  "countDownload" | "countFileDownload" | "tally" | "fileDownloads" | "transactionDownloads"
>;

/**
 * How often things were downloaded. A cart's downloads are one number, written at once; its files' follow in batches, each
 * one transaction that also moves the cart's `tallySeq`: a batch is counted once or not at all. Counts are always locked in
 * the same order (files by id, then transactions by id), so processes that count at the same time never wait for each other.
 */
export function cartDownloads(db: Kysely<Tables>, dialect: DialectName): DownloadMethods {
  async function countOf(subject: DownloadCountRow["subject"], id: DownloadCountRow["id"]): Promise<DownloadCount> {
    const row = await db
      .selectFrom("downloadCounts")
      .select(["downloads", "lastDownloadedAt"])
      .where("subject", "=", subject)
      .where("id", "=", id)
      .executeTakeFirst();
    return row ?? { downloads: 0, lastDownloadedAt: null };
  }

  return {
    async countDownload(id, now) {
      await db
        .updateTable("carts")
        .set((row) => ({ downloads: row("downloads", "+", 1), downloadedAt: now, lastUsedAt: now }))
        .where("id", "=", id)
        .where("removed", "=", 0)
        .execute();
    },

    async countFileDownload(file, transaction, now) {
      const once = { downloads: 1, lastDownloadedAt: now };
      await db
        .insertInto("downloadCounts")
        .values([
          { subject: "file", id: file, ...once },
          { subject: "transaction", id: transaction, ...once },
        ])
        .onConflict(addToCount)
        .execute();
    },

    async tally() {
      return db.transaction().execute(async (tx) => {
        const cart = await tx
          .selectFrom("carts")
          .select(["number", "downloads", "downloadedAt", "createdAt", "tallied", "tallying", "tallySeq"])
          .whereRef("downloads", ">", "tallied")
          .orderBy("number")
          .limit(1)
          .$if(dialect === "postgres", (select) => select.forUpdate())
          .executeTakeFirst();
        if (!cart) return false;
        const { number, tallySeq, downloadedAt } = cart;
        const tallying = cart.tallying || cart.downloads - cart.tallied;
        const tallied = cart.tallied + tallying;
        const nextSeq = tallySeq + ENTRIES_PER_TALLY;
        const lastDownloadedAt = downloadedAt ?? cart.createdAt;
        const batch = tx
          .selectFrom("cartEntries")
          .innerJoin("files", "files.id", "cartEntries.fileId")
          .where("cart", "=", number)
          .where("seq", ">=", tallySeq)
          .where("seq", "<", nextSeq);

        // A file that lies in the cart at two paths is downloaded twice.
        await tx
          .insertInto("downloadCounts")
          .columns(["subject", "id", "downloads", "lastDownloadedAt"])
          .expression(
            batch
              .select((row) => [
                sql.lit("file").as("subject"),
                "files.id",
                sql<number>`${row.fn.countAll()} * ${sql.lit(tallying)}`.as("downloads"),
                sql.lit(lastDownloadedAt).as("lastDownloadedAt"),
              ])
              .groupBy("files.id")
              .orderBy("files.id"),
          )
          .onConflict(addToCount)
          .execute();

        const credited = await tx
          .insertInto("cartTransactions")
          .columns(["cart", "transactionId", "tallied"])
          .expression(
            batch
              .select([sql.lit(number).as("cart"), "files.transactionId", sql.lit(tallied).as("tallied")])
              .distinct(),
          )
          .onConflict((conflict) =>
            conflict
              .columns(["cart", "transactionId"])
              .doUpdateSet({ tallied })
              .where("cartTransactions.tallied", "<", tallied),
          )
          .returning("transactionId as id")
          .execute();
        if (credited.length > 0)
          await tx
            .insertInto("downloadCounts")
            .values(
              credited
                .toSorted((a, b) => a.id - b.id)
                .map(({ id }) => ({ subject: "transaction", id, downloads: tallying, lastDownloadedAt })),
            )
            .onConflict(addToCount)
            .execute();

        const rest = await tx
          .selectFrom("cartEntries")
          .select("seq")
          .where("cart", "=", number)
          .where("seq", ">=", nextSeq)
          .limit(1)
          .executeTakeFirst();
        await tx
          .updateTable("carts")
          .set(rest ? { tallying, tallySeq: nextSeq } : { tallied, tallying: 0, tallySeq: 0 })
          .where("number", "=", number)
          .execute();
        return true;
      });
    },

    fileDownloads: (file) => countOf("file", file),
    transactionDownloads: (transaction) => countOf("transaction", transaction),
  };
}

const addToCount = (conflict: OnConflictBuilder<Tables, "downloadCounts">) =>
  conflict.columns(["subject", "id"]).doUpdateSet((row) => ({
    downloads: row("downloadCounts.downloads", "+", row.ref("excluded.downloads")),
    lastDownloadedAt: row
      .case()
      .when("downloadCounts.lastDownloadedAt", ">", row.ref("excluded.lastDownloadedAt"))
      .then(row.ref("downloadCounts.lastDownloadedAt"))
      .else(row.ref("excluded.lastDownloadedAt"))
      .end(),
  }));
