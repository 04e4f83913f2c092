import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout } from "node:timers/promises";
import pg from "pg";
import { type Longshore, LongshoreError, longshore } from "../../src/sdk/index.ts";
import { runCli } from "../cli/run-cli.ts";
import { bundle } from "../http/bundle.ts";
import { type FaultyProxy, faultyProxy } from "../support/faulty-proxy.ts";
import { type PausablePostgres, startPausablePostgres } from "../support/postgres.ts";
import { seededRandom } from "../support/random.ts";
import { type ServerProcess, startServer } from "../support/server.ts";
import { until } from "../support/until.ts";

/** For each thing that happens to the database. */
const BUNDLES = 6;
/** At a time. */
const DEPOSITORS = 3;
const AWAY_MS = 2_000;
const LOST_ANSWERS = 4;
const MISFIRES = ["none", "one", "all"] as const;

/** One after the other, each while bundles are deposited; what was acknowledged is counted in the end. */
describe("a server whose database goes away", () => {
  let postgres: PausablePostgres;
  let direct: string;
  let proxy: FaultyProxy;
  let env: Readonly<Record<string, string>>;
  let server: ServerProcess;
  let client: Longshore;

  before(async () => {
    postgres = await startPausablePostgres();
    const address = new URL(await postgres.freshDatabase());
    direct = address.href;
    proxy = await faultyProxy(`http://${address.host}`);
    address.port = new URL(proxy.url).port;
    env = { LONGSHORE_DATABASE_URL: address.href };
    server = await startServer({ env });
    client = longshore({ url: server.url });
  });
  after(async () => {
    await server?.stop();
    await proxy?.close();
    await postgres?.stop();
  });

  /** By the keys of their requests: what was acknowledged. */
  const acknowledged = new Map<string, number>();
  const retryAfter: (string | null)[] = [];
  let sent = 0;

  async function deposit(): Promise<void> {
    const key = `bundle-${sent++}`;
    const body = bundle({ "a.txt": `content of ${key}` });
    const headers = { "content-type": "application/x-tar", "idempotency-key": key };
    for (;;) {
      const answer = await fetch(`${server.url}/api/v1/bundles`, { method: "POST", headers, body });
      const said = (await answer.json()) as { id: number; code?: string };
      if (answer.ok) {
        acknowledged.set(key, said.id);
        return;
      }
      assert.ok(answer.status === 503 || said.code === "idempotency_conflict", `${answer.status} ${said.code}`);
      if (answer.status === 503) retryAfter.push(answer.headers.get("retry-after"));
      await setTimeout(100);
    }
  }

  /** @param isOver whether, with enough of them, no more are begun. */
  async function depositing(isOver = () => true): Promise<void> {
    let begun = 0;
    const one = async () => {
      while (begun < BUNDLES || !isOver()) {
        begun++;
        await deposit();
      }
    };
    await Promise.all(Array.from({ length: DEPOSITORS }, one));
  }

  /** Past the proxy. */
  async function operating<T>(work: (operator: pg.Client) => Promise<T>): Promise<T> {
    const operator = new pg.Client(direct);
    await operator.connect();
    try {
      return await work(operator);
    } finally {
      await operator.end();
    }
  }

  test("says so, and what became due meanwhile runs once, by its policy", async () => {
    // Three times of an hour that is over, so nothing is due on time.
    const hour = new Date(Date.now() - 2 * 3_600_000);
    hour.setUTCMinutes(0, 0, 0);
    const due = [5, 15, 25].map((minute) => hour.getTime() + minute * 60_000);
    const expression = `5,15,25 ${hour.getUTCHours()} ${hour.getUTCDate()} ${hour.getUTCMonth() + 1} *`;
    const ran = (misfire: string) => join(server.dataDir, `ran-${misfire}`);
    const ids = new Map<string, string>();
    for (const misfire of MISFIRES) {
      const action = { kind: "shell", command: `echo $LONGSHORE_RUN >> '${ran(misfire)}'` } as const;
      const { id } = await client.schedules.create({ name: misfire, expression, timeZone: "UTC", misfire, action });
      ids.set(misfire, id);
    }
    await depositing();

    proxy.sever();
    const gone = await fetch(`${server.url}/api/v1/jobs`);
    assert.equal(gone.status, 503);
    assert.ok(Number(gone.headers.get("retry-after")) > 0);
    assert.equal(((await gone.json()) as { code: string }).code, "database_unavailable");
    const deposits = depositing();
    await operating((operator) =>
      operator.query("update schedules set next_due_at = $1, planned_at = $2", [due[0], due[0]]),
    );
    await setTimeout(AWAY_MS); // how long it is away is what is tried here
    proxy.heal();
    await deposits;

    const answered = async (misfire: string) => {
      const runs = await patiently(() => Array.fromAsync(client.schedules.runs(ids.get(misfire) ?? "")));
      return runs.map(({ state, cause, dueAt }) => [state, cause, Date.parse(dueAt ?? "")]).reverse();
    };
    const [first, , last] = due;
    const expected = {
      none: [["missed", "due", first]],
      one: [
        ["missed", "due", first],
        ["succeeded", "late", last],
      ],
      all: due.map((at) => ["succeeded", "late", at]),
    };
    for (const misfire of MISFIRES) {
      const isOver = async () => {
        const runs = await answered(misfire);
        return (
          runs.length === expected[misfire].length && !runs.some(([state]) => /waiting|running/.test(String(state)))
        );
      };
      await until(`what was missed is answered: ${misfire}`, isOver);
      assert.deepEqual(await answered(misfire), expected[misfire]);
    }
    const lines = async (misfire: string) => (await readFile(ran(misfire), "utf8")).trim().split("\n").length;
    await assert.rejects(lines("none"), { code: "ENOENT" });
    assert.deepEqual([await lines("one"), await lines("all")], [1, 3], "no command is run twice");
  });

  test("goes on when its connections are ended at whatever they are at, as by a failover", async (t) => {
    const random = seededRandom(t);
    let kills = 0;
    const deposits = depositing(() => kills >= 12);
    await operating(async (operator) => {
      for (; kills < 12; kills++) {
        await setTimeout(50 + random(150));
        await operator.query(
          "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'longshore' and random() < 0.5",
        );
      }
    });
    await deposits;
  });

  test("finds out what has become of a transaction whose end it was not told", async () => {
    let lost = 0;
    const deposits = depositing(() => lost >= LOST_ANSWERS);
    for (; lost < LOST_ANSWERS; lost++) await proxy.loseAnswer("commit");
    await deposits;
  });

  test("goes on when PostgreSQL is stopped and started", async () => {
    let isBack = false;
    const deposits = depositing(() => isBack);
    await postgres.pause();
    const gone = await fetch(`${server.url}/api/v1/jobs`);
    assert.equal(gone.status, 503);
    assert.equal((await fetch(`${server.url}/readyz`)).status, 503);
    await postgres.resume();
    isBack = true;
    await deposits;
    await until("it is ready", async () => (await fetch(`${server.url}/readyz`)).status === 200);
  });

  test("has lost nothing that was acknowledged, doubled nothing, and said little", async () => {
    assert.ok(retryAfter.length > 0, "otherwise nothing has been tried");
    assert.ok(
      retryAfter.every((seconds) => Number(seconds) > 0),
      "whoever is turned away is told when to come again",
    );
    assert.equal(acknowledged.size, sent);
    for (const id of acknowledged.values())
      assert.equal((await patiently(() => client.jobs.wait(id))).state, "succeeded");
    assert.equal(new Set(acknowledged.values()).size, sent, "one job for each");
    const transactions = await Array.fromAsync(client.transactions.list());
    assert.equal(transactions.length, sent, "no bundle is there twice");

    // One line for each loop that met it each time, and not one a second.
    const lines = server
      .log()
      .split("\n")
      .filter((line) => line.includes('"trouble"'));
    assert.ok(lines.length > 0 && lines.length < 100, `${lines.length} lines of trouble:\n${lines.join("\n")}`);
    await server.end("SIGTERM");
    const verified = await runCli(["verify"], { env: { ...env, LONGSHORE_DATA_DIR: server.dataDir } });
    assert.equal(verified.code, 0, verified.stdout + verified.stderr);
  });
});

/** As a client that is told to come again. */
async function patiently<T>(ask: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await ask();
    } catch (error) {
      const isAway = error instanceof LongshoreError && error.code === "database_unavailable";
      if (!isAway || tries === 50) throw error;
      await setTimeout(100);
    }
  }
}
