import assert from "node:assert/strict";
import { after, test } from "node:test";
import { setTimeout } from "node:timers/promises";
import pg from "pg";
import { LongshoreError, longshore } from "../../src/sdk/index.ts";
import { runCli } from "../cli/run-cli.ts";
import { bundle } from "../http/bundle.ts";
import { faultyProxy } from "../support/faulty-proxy.ts";
import { startPostgres } from "../support/postgres.ts";
import { seededRandom } from "../support/random.ts";
import { startServer } from "../support/server.ts";
import { until } from "../support/until.ts";

const postgres = await startPostgres({ isOwn: true });
after(() => postgres.stop());

const BUNDLES = 24;
/** At a time. */
const DEPOSITORS = 3;
const AWAY_MS = 3_000;

test("a database that goes away for seconds, and breaks connections in mid-transaction, loses nothing that was acknowledged and doubles nothing", {
  timeout: 180_000,
}, async (t) => {
  const random = seededRandom(t);
  const direct = new URL(await postgres.freshDatabase());
  const proxy = await faultyProxy(`http://${direct.host}`);
  t.after(() => proxy.close());
  const through = new URL(direct);
  through.port = new URL(proxy.url).port;
  const env = { LONGSHORE_DATABASE_URL: through.href };
  const server = await startServer({ env });
  t.after(() => server.stop());
  const operator = new pg.Client(direct.href);
  await operator.connect();
  t.after(() => operator.end());
  const client = longshore({ url: server.url });

  /** By the keys of their requests: what was acknowledged. */
  const acknowledged = new Map<string, number>();
  const retryAfter: (string | null)[] = [];
  const sources = Array.from(
    { length: BUNDLES },
    (_, n) => [`bundle-${n}`, bundle({ "a.txt": `content ${n}` })] as const,
  );
  async function deposit(): Promise<void> {
    for (let next = sources.shift(); next; ) {
      const [key, body] = next;
      const answer = await fetch(`${server.url}/api/v1/bundles`, {
        method: "POST",
        headers: { "content-type": "application/x-tar", "idempotency-key": key },
        body,
      });
      const said = (await answer.json()) as { id: number; code?: string };
      if (answer.ok) {
        acknowledged.set(key, said.id);
        next = sources.shift();
      } else {
        assert.ok(answer.status === 503 || said.code === "idempotency_conflict", `${answer.status} ${said.code}`);
        if (answer.status === 503) retryAfter.push(answer.headers.get("retry-after"));
        await setTimeout(100);
      }
    }
  }
  const deposits = Promise.all(Array.from({ length: DEPOSITORS }, deposit));

  await until("some have been deposited", () => acknowledged.size >= 3, 60_000);
  proxy.sever();
  const gone = await fetch(`${server.url}/api/v1/jobs`);
  assert.equal(gone.status, 503);
  assert.ok(Number(gone.headers.get("retry-after")) > 0);
  assert.equal(((await gone.json()) as { code: string }).code, "database_unavailable");
  await setTimeout(AWAY_MS); // how long it is away is what is tried here
  proxy.heal();

  // As a failover does it: each connection ends at whatever it is at.
  for (let kill = 0; kill < 20; kill++) {
    await setTimeout(50 + random(200));
    await operator.query(
      "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'longshore' and random() < 0.5",
    );
  }
  await deposits;
  assert.equal(acknowledged.size, BUNDLES);
  assert.ok(
    retryAfter.every((seconds) => Number(seconds) > 0),
    "whoever is turned away is told when to come again",
  );

  for (const id of acknowledged.values())
    assert.equal((await patiently(() => client.jobs.wait(id))).state, "succeeded");
  assert.equal(new Set(acknowledged.values()).size, BUNDLES, "one job for each");
  const transactions = await Array.fromAsync(client.transactions.list());
  assert.equal(transactions.length, BUNDLES, "no bundle is there twice");

  // One line for each loop that met it, and not one a second.
  const lines = server
    .log()
    .split("\n")
    .filter((line) => line.includes('"trouble"'));
  assert.ok(lines.length > 0 && lines.length < 60, `${lines.length} lines of trouble:\n${lines.join("\n")}`);
  await server.end("SIGTERM");
  const verified = await runCli(["verify"], { env: { ...env, LONGSHORE_DATA_DIR: server.dataDir } });
  assert.equal(verified.code, 0, verified.stdout + verified.stderr);
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
