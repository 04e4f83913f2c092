import { type Kysely, sql } from "kysely";

/**
 * Does what a power cut may undo: SQLite commits it without waiting for the disk. For what only says who works on what, while
 * everybody who does would be gone with the power, too; the work's results are synced, and with them all that was committed
 * before. The file stays sound, and each transaction is there as a whole or not at all
 * (https://www.sqlite.org/pragma.html#pragma_synchronous).
 * @param work is given the connection, to itself.
 */
export async function unsynced<DB, T>(db: Kysely<DB>, work: (held: Kysely<DB>) => Promise<T>): Promise<T> {
  return db.connection().execute(async (held) => {
    await sql`pragma synchronous = normal`.execute(held);
    try {
      return await work(held);
    } finally {
      await sql`pragma synchronous = full`.execute(held);
    }
  });
}
