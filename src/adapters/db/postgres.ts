import { type DatabaseConnection, type Dialect, PostgresDialect, PostgresDriver } from "kysely";
import { AppError, type Code } from "../../core/errors.ts";
import { optionalDriver } from "./optional-driver.ts";

/** Object ids of the types that hold 64-bit integers, and sums of them (`select oid from pg_type`). */
const INT8 = 20;
const NUMERIC = 1700;
const CONNECT_TIMEOUT_MS = 10_000;

/**
 * How Node and PostgreSQL (appendix A, "Error Codes") say that there is no connection, or none for this user or database; or
 * that the server on the other end is a standby now, or not yet the primary (25006), as after a failover.
 */
const NO_CONNECTION = /^(E(CONN|HOST|NET|ADDR|PIPE|TIMEDOUT|NOTFOUND|AI_AGAIN)|08|57P0|53300|28|3D000|25006)/;
/** `pg` says these without a code. */
const CONNECTION_LOST =
  /^(Connection terminated|timeout exceeded when trying to connect|Client has encountered a conn)/;
const DISK_FULL = "53100";

export interface PostgresOptions {
  /** `postgres://user:password@host:port/database` */
  readonly url: string;
  /** Connections at most; a transaction holds one. */
  readonly poolSize?: number;
  /** Told of connections that break while nobody uses them. */
  onTrouble(error: unknown): void;
}

export interface Connections {
  readonly open: number;
  /** Of these, those that nobody uses. */
  readonly idle: number;
  /** Statements and transactions that wait for one. */
  readonly waiting: number;
}

export interface PooledDialect extends Dialect {
  connections(): Connections;
}

/**
 * Kysely over `pg`, which is loaded here and nowhere else. 64-bit integers are plain numbers: the largest that occur are
 * byte counts and epoch milliseconds.
 * @throws AppError driver_missing.
 */
export async function postgresDialect({ url, poolSize = 10, onTrouble }: PostgresOptions): Promise<PooledDialect> {
  const { default: pg } = await optionalDriver("pg", () => import("pg"));
  const pool = new pg.Pool({
    connectionString: url,
    max: poolSize,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    keepAlive: true,
    application_name: "longshore",
    types: {
      getTypeParser: (type, format) =>
        type === INT8 || type === NUMERIC ? Number : pg.types.getTypeParser(type, format ?? "text"),
    },
  });
  // A connection that breaks while it is used rejects the statement under way; without a listener it would, besides, end
  // the process. One that breaks while it is idle is the pool's to report.
  pool.on("connect", (client) => {
    client.on("error", () => {});
  });
  pool.on("error", (error) => {
    if (!pool.ending) onTrouble(error);
  });
  const dialect = new PostgresDialect({ pool });
  return {
    createDriver: () => new TranslatingDriver({ pool }),
    createAdapter: () => dialect.createAdapter(),
    createQueryCompiler: () => dialect.createQueryCompiler(),
    createIntrospector: (db) => dialect.createIntrospector(db),
    connections: () => ({ open: pool.totalCount, idle: pool.idleCount, waiting: pool.waitingCount }),
  };
}

/** Says what is wrong with the connection in the terms of Longshore. */
class TranslatingDriver extends PostgresDriver {
  readonly #translated = new WeakSet<DatabaseConnection>();

  override async acquireConnection(
    options?: Parameters<PostgresDriver["acquireConnection"]>[0],
  ): Promise<DatabaseConnection> {
    const connection = await super.acquireConnection(options).catch(translate);
    if (!this.#translated.has(connection)) {
      this.#translated.add(connection);
      const execute = connection.executeQuery.bind(connection);
      connection.executeQuery = (query, abortable) => execute<never>(query, abortable).catch(translate);
    }
    return connection;
  }
}

/** Throws what `pg` said in our words where it is about the connection, the server or its disk. */
export function translate(error: unknown): never {
  if (!(error instanceof Error)) throw error;
  const reason = "code" in error ? String(error.code) : "";
  const code: Code | undefined =
    reason === DISK_FULL
      ? "storage_full"
      : NO_CONNECTION.test(reason) || CONNECTION_LOST.test(error.message)
        ? "database_unavailable"
        : undefined;
  throw code ? new AppError(code, reason ? { reason } : {}, { cause: error }) : error;
}
