import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import pg from "pg";
import { type Longshore, longshore, type Node } from "../../src/sdk/index.ts";
import { runCli } from "../cli/run-cli.ts";
import { bundle } from "../http/bundle.ts";
import { deposit, finished, json, type WireJob } from "../http/client.ts";
import { startWorkerProcess, type WorkerProcess } from "../support/nodes.ts";
import { startPostgres, type TestPostgres } from "../support/postgres.ts";
import { lastingPort, type ServerProcess, startServer } from "../support/server.ts";
import { until } from "../support/until.ts";

/** What is promised: a lease and a look. */
const TAKEOVER_MS = 30_000;
const SCHEDULES = 5;
/** For a process whose clock is a minute ahead of all others'; time passes for it as for them. */
const AHEAD = "const now = Date.now; Date.now = () => now() + 60_000;";
const MINUTE_AHEAD = { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(AHEAD)}` };

/** One after the other, each goes on with what the one before has left. */
describe("two servers and two workers on one PostgreSQL", () => {
  let folder: string;
  let postgres: TestPostgres;
  let database: pg.Client;
  let settings: Readonly<Record<string, string>>;
  let first: ServerProcess;
  let second: ServerProcess;
  let worker: WorkerProcess;
  let verifier: WorkerProcess;
  let client: Longshore;
  let healthPort: number;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "longshore-several-"));
    postgres = await startPostgres();
    const url = await postgres.freshDatabase();
    settings = {
      LONGSHORE_DATABASE_URL: url,
      LONGSHORE_ARCHIVE_URL: join(folder, "archive"),
      LONGSHORE_SHARED_URL: join(folder, "shared"),
      LONGSHORE_SECRET_KEY: "0123456789abcdef0123456789abcdef",
    };
    first = await startServer({ env: { ...settings, LONGSHORE_WORKERS: "none" } });
    client = longshore({ url: first.url });
    database = new pg.Client({ connectionString: url });
    await database.connect();
    healthPort = await lastingPort();
    verifier = await startWorkerProcess({ ...settings, LONGSHORE_HEALTH_PORT: String(healthPort) }, [
      ...["--lanes", "fast:2,slow:2"],
      ...["--tasks", "verify"],
    ]);
  });
  after(async () => {
    await database?.end();
    await Promise.all([first, second, worker, verifier].map((node) => node?.end("SIGKILL")));
    await postgres?.stop();
    await rm(folder, { recursive: true });
  });

  const holderOf = async (duty: string): Promise<string | undefined> => {
    const found = await database.query("select holder from leases where duty = $1", [duty]);
    return found.rows[0]?.holder;
  };
  const isOf = (holder: string | undefined, { pid }: { readonly pid: number }) => holder?.includes(`:${pid}:`) === true;
  const livingNodes = async () => (await client.nodes.list()).filter(({ alive }) => alive);

  test("a worker of one task leaves others' jobs alone, without so much as beginning them", async () => {
    const job = await deposit(first, bundle({ "a.txt": "hello" }));
    const asked = await fetch(`${first.url}/api/v1/verifications`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: "{}",
    });
    const verification = (await asked.json()) as WireJob;
    assert.equal((await finished(first, verification.id)).state, "succeeded");
    const waiting = await json<WireJob & { attempts: number }>(`${first.url}/api/v1/jobs/${job.id}`);
    assert.deepEqual([waiting.state, waiting.attempts], ["queued", 0]);

    worker = await startWorkerProcess(settings, ["--lanes", "fast:2,slow:1,run:8"]);
    assert.equal((await finished(first, job.id)).state, "succeeded");
  });

  test("nodes know each other, and each duty is one's", async () => {
    // What follows holds although its clock is wrong.
    const env = { ...settings, ...MINUTE_AHEAD, LONGSHORE_WORKERS: "none" };
    second = await startServer({ dataDir: join(folder, "second"), env });
    const { status } = await fetch(`${second.url}/readyz`);
    assert.equal(status, 200, "although its data folder was not there, and nothing has been put into it");
    await until("all are seen", async () => (await livingNodes()).length === 4);
    const nodes = await longshore({ url: second.url }).nodes.list();
    const of = ({ pid }: { readonly pid: number }): Node | undefined => nodes.find(({ id }) => id.includes(`:${pid}:`));
    assert.deepEqual([of(first)?.role, of(first)?.address], ["server", first.url]);
    assert.deepEqual(of(first)?.lanes, { fast: 0, slow: 0, run: 0 });
    assert.deepEqual([of(worker)?.role, of(worker)?.tasks], ["worker", null]);
    assert.deepEqual([of(verifier)?.tasks, of(verifier)?.lanes], [["verify"], { fast: 2, slow: 2, run: 0 }]);
    assert.deepEqual(nodes.flatMap(({ duties }) => duties).sort(), ["drops", "indexing", "scheduler", "upkeep"]);
    assert.ok(isOf(await holderOf("scheduler"), first), "who was there first");

    const { stdout } = await runCli(["nodes"], { env: { LONGSHORE_URL: second.url } });
    assert.match(stdout, /^\S+\s+worker\s+alive\s+\S+\s+fast:2,slow:2\s+verify/m);
    assert.match(stdout, /^\S+\s+server\s+alive\s+\S+\s+none\s+all\s+\S*scheduler/m);
  });

  test("a node whose clock is apart from the database's says so, and so does doctor there", async () => {
    const isTold = () => /"aheadMs":\d{5},.*clock and the database's are apart/.test(second.log());
    await until("its log says so", isTold);
    assert.ok(!worker.log().includes("are apart"), "and no other's");
    const env = { ...settings, LONGSHORE_DATA_DIR: second.dataDir, LONGSHORE_PORT: "0" };
    const there = await runCli(["doctor"], { env: { ...env, ...MINUTE_AHEAD } });
    assert.match(there.stdout, /^warn +database clock +this machine's is \d\d\.\d s ahead of it\n +Synchronise/m);
    const elsewhere = await runCli(["doctor"], { env });
    assert.match(elsewhere.stdout, /^ok +database clock /m);
    assert.match(elsewhere.stdout, /^ok +nodes +4 alive$/m);
  });

  test("a worker with a port for it tells how it is", async () => {
    const ask = (path: string) => fetch(`http://127.0.0.1:${healthPort}${path}`);
    assert.equal((await ask("/livez")).status, 200);
    const { ready, checks } = await json<{ ready: boolean; checks: object }>(`http://127.0.0.1:${healthPort}/readyz`);
    assert.deepEqual([ready, Object.keys(checks)], [true, ["database", "storage", "data"]]);
    assert.match(await (await ask("/metrics")).text(), /^longshore_build_info\{/m);
    assert.equal((await ask("/api/v1/jobs")).status, 404, "and nothing else");
  });

  test("what a worker does is told by a server as it happens, from where a client has left off; and is cancelled at another", async () => {
    const goOn = join(folder, "go-on");
    const command = `while [ ! -e ${goOn} ]; do sleep 0.1; done`;
    const schedule = await client.schedules.create({
      name: "patient",
      expression: "@yearly",
      action: { kind: "shell", command },
    });
    const { job } = await client.schedules.run(schedule.id);
    assert.ok(job !== null);
    const abort = new AbortController();
    const events = await fetch(`${second.url}/api/v1/jobs/${job}/events`, { signal: abort.signal });
    let told = "";
    const reading = (async () => {
      const decoder = new TextDecoder();
      for await (const chunk of events.body ?? []) told += decoder.decode(chunk, { stream: true });
    })();
    await until("it is told to run", () => /event: state\ndata: .*"running"/.test(told));
    const lastSeen = /^id: (\d+)$/gm.exec(told)?.[1] ?? "";

    const cancelledAt = performance.now();
    await longshore({ url: second.url }).jobs.cancel(job);
    await reading;
    assert.match(told, /event: end\ndata: .*"cancelled"/);
    const tookMs = performance.now() - cancelledAt;
    assert.ok(tookMs < 15_000, `it took ${tookMs} ms to be heeded and told`);
    await writeFile(goOn, "");

    const again = await fetch(`${first.url}/api/v1/jobs/${job}/events`, { headers: { "last-event-id": lastSeen } });
    const rest = await again.text();
    const ids = [...rest.matchAll(/^id: (\d+)$/gm)].map(([, id]) => Number(id));
    assert.ok(ids.length > 0 && ids.every((id) => id > Number(lastSeen)), "nothing is told twice");
    assert.match(rest, /event: end\ndata: .*"cancelled"/);
  });

  test("when the node with the duties is killed, another has them within half a minute, and what is due then runs once", async () => {
    const other = longshore({ url: second.url });
    const ids: string[] = [];
    for (let n = 0; n < SCHEDULES; n++) {
      const action = { kind: "shell", command: `echo ran >> ${join(folder, `ran-${n}`)}` } as const;
      ids.push((await other.schedules.create({ name: `due ${n}`, expression: "@yearly", misfire: "one", action })).id);
    }
    await first.end("SIGKILL");
    const killedAt = performance.now();
    client = other;
    // Due since the year's beginning, and nobody is there to answer it.
    await database.query("update schedules set next_due_at = $1, planned_at = $2 where name like 'due %'", [
      Date.UTC(new Date().getUTCFullYear(), 0),
      Date.now(),
    ]);
    await until("another has the duty", async () => !isOf(await holderOf("scheduler"), first), TAKEOVER_MS);
    assert.ok(performance.now() - killedAt < TAKEOVER_MS);
    await until(
      "each has run",
      async () => (await other.jobs.list({ kind: "run", state: "succeeded" }).page()).items.length === SCHEDULES,
    );
    for (const id of ids) {
      const { items } = await other.schedules.runs(id).page();
      const begun = items.filter(({ state }) => state !== "missed");
      assert.deepEqual(
        begun.map(({ state }) => state),
        ["succeeded"],
      );
    }
    assert.equal((await finished(second, (await deposit(second, bundle({ "b.txt": "b" }))).id)).state, "succeeded");
  });

  test("a node that is stopped in good order hands over at once, and is gone from the list", async () => {
    const before = await holderOf("scheduler");
    const all = [second, worker, verifier];
    const leader = all.find((node) => isOf(before, node));
    assert.ok(leader, `${before} is one of those that live`);
    const stopped = leader.end("SIGTERM");
    const askedAt = performance.now();
    await until("another has the duty", async () => ![undefined, before].includes(await holderOf("scheduler")));
    // A lease lasts 15 s: nobody has waited for its end.
    assert.ok(performance.now() - askedAt < 10_000);
    await stopped;
    const { rows } = await database.query("select name from nodes");
    assert.ok(!rows.some(({ name }) => isOf(name, leader)));
  });
});
