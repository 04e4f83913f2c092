import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer as createHttpServer } from "node:http";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { startPostgres, type TestPostgres } from "../support/postgres.ts";
import { lastingPort, withoutSettings } from "../support/server.ts";
import { until } from "../support/until.ts";

const MAIN = join(import.meta.dirname, "../../src/main.ts");

/** The exit code of `unavailable`, as sysexits.h has it for what may be tried again. */
const TEMPFAIL = 75;

interface Starting {
  readonly child: ChildProcess;
  readonly ended: Promise<unknown>;
  out(): string;
  err(): string;
  /** Of the log: its lines that say that something is waited for. */
  waits(): readonly Readonly<Record<string, unknown>>[];
}

describe("a process that is started before what it needs", () => {
  let folder: string;
  let postgres: TestPostgres;
  let endpoint: string;
  /** Begun before all else: its client tries for half a minute by itself. */
  let withoutStore: Starting;
  let storePort: number;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "longshore-waiting-"));
    storePort = await lastingPort();
    endpoint = `http://127.0.0.1:${storePort}`;
    withoutStore = starting({
      LONGSHORE_ARCHIVE_URL: "s3://longshore/archive",
      LONGSHORE_S3_ENDPOINT: endpoint,
      LONGSHORE_S3_ACCESS_KEY_ID: "someone",
      LONGSHORE_S3_SECRET_ACCESS_KEY: "hidden",
      LONGSHORE_START_ATTEMPTS: "3",
    });
    postgres = await startPostgres();
  });
  after(async () => {
    await postgres.stop();
    await rm(folder, { recursive: true });
  });

  function starting(env: Readonly<Record<string, string>>): Starting {
    const child = spawn(process.execPath, [MAIN, "worker"], {
      env: { ...withoutSettings(process.env), LONGSHORE_DATA_DIR: folder, LONGSHORE_START_WAIT: "1", ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let out = "";
    let err = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      out += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      err += text;
    });
    const lines = () =>
      err
        .split("\n")
        .filter((line) => line.startsWith("{") && line.endsWith("}"))
        .map((line) => JSON.parse(line));
    return {
      child,
      ended: once(child, "close"),
      out: () => out,
      err: () => err,
      waits: () => lines().filter(({ msg }) => String(msg).startsWith("waiting for")),
    };
  }

  test("waits for PostgreSQL, says so with each try and without the password, and then works", async () => {
    const target = new URL(await postgres.freshDatabase());
    const port = await lastingPort();
    const url = new URL(target);
    url.port = String(port);
    const { child, ended, out, err, waits } = starting({ LONGSHORE_DATABASE_URL: url.href });
    await until("it has waited twice", () => waits().length >= 2 || child.exitCode !== null);
    assert.equal(child.exitCode, null, err());
    const [first, second] = waits();
    assert.equal(first?.msg, "waiting for PostgreSQL");
    assert.equal(first?.where, `postgres://postgres@127.0.0.1:${port}${target.pathname}`);
    assert.match(String(first?.why), /^The database does not answer\. .*ECONNREFUSED/);
    assert.deepEqual([first?.tries, second?.tries, first?.ofTries], [1, 2, 30]);

    const forward = createServer((socket) => {
      const there = connect(Number(target.port), target.hostname);
      socket.on("error", () => there.destroy()).on("close", () => there.destroy());
      there.on("error", () => socket.destroy()).on("close", () => socket.destroy());
      socket.pipe(there).pipe(socket);
    }).listen(port, "127.0.0.1");
    await once(forward, "listening");
    try {
      await until("it works", () => out().startsWith("worker "));
      child.kill("SIGTERM");
      await ended;
      assert.equal(child.exitCode, 0, err());
      assert.ok(!err().includes(target.password), "the password is in no line");
    } finally {
      forward.close();
    }
  });

  test("tries a limited number of times, and its last words are what failed", async () => {
    const url = `postgres://longshore:hidden@127.0.0.1:${await lastingPort()}/none`;
    const { child, ended, err, waits } = starting({ LONGSHORE_DATABASE_URL: url, LONGSHORE_START_ATTEMPTS: "2" });
    await ended;
    assert.equal(child.exitCode, TEMPFAIL);
    assert.equal(waits().length, 1);
    assert.match(err(), /error\[database_unavailable\]: The database does not answer\.[\s\S]*ECONNREFUSED[\s\S]*$/);
    assert.doesNotMatch(err(), /hidden/);
  });

  test("waits for a database that is about to be made, but not for a password to become right", async () => {
    const absent = new URL(await postgres.freshDatabase());
    absent.pathname = "/not_made_yet";
    const made = starting({ LONGSHORE_DATABASE_URL: absent.href, LONGSHORE_START_ATTEMPTS: "2" });
    const wrong = new URL(await postgres.freshDatabase());
    wrong.password = "wrong";
    const refused = starting({ LONGSHORE_DATABASE_URL: wrong.href });
    await Promise.all([made.ended, refused.ended]);
    // 3D000 invalid_catalog_name, 28P01 invalid_password (PostgreSQL, appendix A).
    assert.match(String(made.waits()[0]?.why), /3D000/);
    assert.equal(made.child.exitCode, TEMPFAIL);
    assert.deepEqual(refused.waits(), []);
    assert.match(refused.err(), /error\[database_unavailable\][\s\S]*28P01/);
    assert.equal(refused.child.exitCode, TEMPFAIL);
  });

  test("is not kept from stopping", async () => {
    const url = `postgres://127.0.0.1:${await lastingPort()}/none`;
    const { child, ended, waits } = starting({ LONGSHORE_DATABASE_URL: url, LONGSHORE_START_WAIT: "3600" });
    await until("it waits", () => waits().length === 1);
    child.kill("SIGTERM");
    await ended;
    assert.equal(child.signalCode, null);
  });

  test("waits for S3, then for the bucket, and its last words are what failed", async () => {
    const { child, ended, err, waits } = withoutStore;
    await until("it has waited", () => waits().length > 0 || child.exitCode !== null, 120_000);
    assert.deepEqual([waits()[0]?.msg, waits()[0]?.where], ["waiting for S3", endpoint]);
    assert.match(String(waits()[0]?.why), /ECONNREFUSED/);
    // As Amazon's S3 says it.
    const store = createHttpServer((_, response) => {
      response.writeHead(404, { "content-type": "application/xml" });
      response.end("<Error><Code>NoSuchBucket</Code></Error>");
    }).listen(storePort, "127.0.0.1");
    await once(store, "listening");
    try {
      await ended;
    } finally {
      store.close();
    }
    assert.equal(waits().length, 2, err());
    assert.match(String(waits()[1]?.why), /there is no such bucket/);
    assert.match(err(), /error\[storage_unavailable\].*there is no such bucket/);
    assert.equal(child.exitCode, TEMPFAIL);
    assert.doesNotMatch(err(), /hidden/);
  });
});
