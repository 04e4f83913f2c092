import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite";
import { setImmediate } from "node:timers/promises";
import {
  CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  SqliteAdapter,
  type SqliteDatabase,
  SqliteDriver,
  SqliteIntrospector,
  SqliteQueryCompiler,
  type SqliteStatement,
} from "kysely";
import { translated } from "./sqlite-errors.ts";

/** Kysely makes a new text for every length of an `in (…)` list, so the cache needs a bound. */
const CACHED_STATEMENTS = 200;

/** How long callers of the database may go on one after the other before everybody else in the process has a turn. */
const TURN_MS = 10;

/**
 * Kysely over `node:sqlite`. One connection, which Kysely hands to one caller at a time: a transaction is never
 * interleaved with anything else, and everybody waits for it. So a transaction awaits nothing but the database.
 *
 * WAL with `synchronous=FULL`: what has been committed survives a power cut. Several processes may open the same file.
 * 64-bit integers are plain numbers; one beyond 2^53 throws instead of losing digits.
 *
 * @param busyTimeoutMs how long a statement waits for another process's write lock.
 * @throws AppError database_unavailable from `new Kysely` when the file cannot be opened.
 */
export function sqliteDialect(path: string, busyTimeoutMs = 10_000): Dialect {
  return {
    createDriver: () => new FileDriver(translated(() => open(path, busyTimeoutMs))),
    createAdapter: () => new SqliteAdapter(),
    createQueryCompiler: () => new SqliteQueryCompiler(),
    createIntrospector: (db) => new SqliteIntrospector(db),
  };
}

class FileDriver extends SqliteDriver {
  readonly #file: DatabaseSync;
  #turnedAt = performance.now();

  constructor(file: DatabaseSync) {
    super({ database: preparing(file) });
    this.#file = file;
  }

  /**
   * Takes the write lock at once. A transaction that began by reading and then writes would fail, whatever the timeout,
   * when another process has written in between.
   */
  override async beginTransaction(connection: DatabaseConnection): Promise<void> {
    await connection.executeQuery(CompiledQuery.raw("begin immediate"));
  }

  /**
   * SQLite answers without leaving the event loop, so callers with much to ask (a hundred downloads, each going from page to
   * page) would keep it from the sockets until they are through. Before the next of them gets the connection, others have a
   * turn: a short request beside 100 downloads of 100 ranges each waited 228 s for its answer, and waits 3 s at most this
   * way (22 November 2026, on a busy machine).
   */
  override async releaseConnection(): Promise<void> {
    if (performance.now() - this.#turnedAt < TURN_MS) return;
    await setImmediate();
    this.#turnedAt = performance.now();
  }

  /** SQLite undoes a transaction by itself when, for example, the disk is full: the error to show is that one. */
  override async rollbackTransaction(connection: DatabaseConnection): Promise<void> {
    if (this.#file.isTransaction) await super.rollbackTransaction(connection);
  }
}

function open(path: string, busyTimeoutMs: number): DatabaseSync {
  const file = new DatabaseSync(path, { timeout: busyTimeoutMs, enableForeignKeyConstraints: true });
  try {
    // 16 MiB of cache instead of 2: 200,000 jobs inserted in bulk take 1.8 s instead of 3.9 s.
    file.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -16384");
    return file;
  } catch (error) {
    file.close();
    throw error;
  }
}

/** `node:sqlite` in the shape Kysely's driver expects. */
function preparing(file: DatabaseSync): SqliteDatabase {
  const cache = new Map<string, SqliteStatement>();
  return {
    prepare(sql) {
      const statement = cache.get(sql) ?? translated(() => prepare(file, sql));
      // A Map keeps the order of insertion: moving each used text to the end leaves the least recently used at the front.
      cache.delete(sql);
      cache.set(sql, statement);
      for (const [oldest] of cache) {
        if (cache.size <= CACHED_STATEMENTS) break;
        cache.delete(oldest);
      }
      return statement;
    },
    close: () => file.close(),
  };
}

function prepare(file: DatabaseSync, sql: string): SqliteStatement {
  const statement = file.prepare(sql);
  // SQLite compiles the first statement of a text and leaves the rest. A text with a rest (a migration) runs as a whole,
  // as it does with `pg`.
  if (statement.sourceSQL.length < sql.trimEnd().length) return script(file, sql, statement);
  return {
    reader: statement.columns().length > 0,
    all: (values) => translated(() => statement.all(...(values as SQLInputValue[]))),
    run: (values) => translated(() => statement.run(...(values as SQLInputValue[]))),
    iterate: (values) => statement.iterate(...(values as SQLInputValue[])),
  };
}

function script(file: DatabaseSync, sql: string, first: StatementSync): SqliteStatement {
  return {
    reader: false,
    all: () => [],
    run: () => {
      translated(() => file.exec(sql));
      return { changes: 0, lastInsertRowid: 0 };
    },
    iterate: () => first.iterate(),
  };
}
