import { AppError, type Code } from "../../core/errors.ts";

/** Primary result codes (sqlite.org/rescode.html) that say something about the machine rather than about the statement. */
const CODE_OF_RESULT: Readonly<Record<number, Code>> = {
  5: "database_unavailable", // SQLITE_BUSY
  6: "database_unavailable", // SQLITE_LOCKED
  11: "database_damaged", // SQLITE_CORRUPT
  13: "storage_full", // SQLITE_FULL
  14: "database_unavailable", // SQLITE_CANTOPEN
  26: "database_damaged", // SQLITE_NOTADB
};

/** What SQLite throws, in our words where it is about the machine. */
export function translated<T>(call: () => T): T {
  try {
    return call();
  } catch (error) {
    if (!(error instanceof Error && "errcode" in error && "errstr" in error)) throw error;
    const code = CODE_OF_RESULT[Number(error.errcode) & 0xff];
    throw code ? new AppError(code, { reason: String(error.errstr) }, { cause: error }) : error;
  }
}
