import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { longshore } from "../../src/sdk/index.ts";
import { runCli } from "../cli/run-cli.ts";
import {
  type Acknowledged,
  depositAtOnce,
  depositInPieces,
  downloaded,
  retrying,
  takeCart,
} from "../support/chaos-clients.ts";
import { chaosCluster, messageId } from "../support/chaos-cluster.ts";
import { ckan } from "../support/ckan.ts";
import { countedCsv, countedTable, memberNames, unzipped } from "../support/packaging.ts";
import { seededRandom } from "../support/random.ts";
import { withoutS3 } from "../support/s3-server.ts";
import { until } from "../support/until.ts";

/** `LONGSHORE_CHAOS=full` is for a machine of one's own, and a quarter of an hour. */
const LOAD =
  process.env.LONGSHORE_CHAOS === "full"
    ? { bundles: 500, carts: 200, packages: 100, misfortunes: 120 }
    : { bundles: 20, carts: 8, packages: 4, misfortunes: 6 };
const SCHEDULES = 3;
/** At a time. */
const [DEPOSITORS, TAKERS, ORDERERS] = [8, 4, 2];
const TABLE_ROWS = 5_000;
/** Takeovers of whatever was under way take half a minute each. */
const QUIET_MS = 180_000;

test("what was acknowledged is kept, and what was begun is ended, whatever is killed or cut off meanwhile", {
  skip: withoutS3(),
  timeout: 1_200_000,
}, async (t) => {
  const random = seededRandom(t);
  const folder = await mkdtemp(join(tmpdir(), "longshore-chaos-"));
  const portal = await ckan({ version: "2.12", rowsMax: 500, tables: { r: countedTable(TABLE_ROWS) } });
  t.after(async () => {
    await portal.close();
    await rm(folder, { recursive: true });
  });
  const cluster = await chaosCluster({ LONGSHORE_FETCH_ORIGINS: portal.origin, LONGSHORE_FETCH_RATE: "200" });
  const over = new AbortController();
  let torment: Promise<void> | undefined;
  t.after(async () => {
    over.abort();
    await torment?.catch(() => undefined); // if it has failed, so has the test
    await cluster.stop();
  });
  const { settings, mails, database } = cluster;
  const client = longshore({ url: settings.LONGSHORE_PUBLIC_URL ?? "", fetch: cluster.fetch });

  const ran = join(folder, "ran");
  for (let n = 0; n < SCHEDULES; n++)
    await client.schedules.create({
      name: `minutely ${n}`,
      expression: "* * * * *",
      action: { kind: "shell", command: `echo $LONGSHORE_RUN >> '${ran}'` },
    });

  // Numbers of its own: how fast the clients are must not change what happens to the nodes.
  torment = cluster.torment(seededRandom(t), LOAD.misfortunes, over.signal);

  const acknowledged: Acknowledged[] = [];
  const emails = Array.from({ length: LOAD.packages }, (_, n) => `requester-${n}@example.org`);
  const limitOf = (email: string) => TABLE_ROWS / 2 + 10 * emails.indexOf(email);
  await Promise.all([
    eachOf(LOAD.bundles, DEPOSITORS, async (n) => {
      const deposit = random(3) === 0 ? depositInPieces : depositAtOnce;
      acknowledged.push(await deposit(client, n, random));
    }),
    eachOf(LOAD.carts, TAKERS, async () => {
      await until("something is archived", () => acknowledged.length > 0, QUIET_MS);
      const chosen = new Set([1, 2, 3].map(() => acknowledged[random(acknowledged.length)] as Acknowledged));
      await takeCart(client, [...chosen]);
    }),
    eachOf(LOAD.packages, ORDERERS, async (n) => {
      const email = emails[n] ?? "";
      const recipe = { kind: "datastore", resourceId: "r", apiUrl: portal.apiUrl, manifest: false } as const;
      await retrying(() => client.packages.order({ ...recipe, limit: limitOf(email), email }));
    }),
  ]);
  await torment;
  const { kills, databaseCuts, storeCuts } = cluster.misfortunes;
  t.diagnostic(`${kills} kills, ${databaseCuts} times without the database, ${storeCuts} without the store`);
  assert.ok(Math.min(kills, databaseCuts, storeCuts) > 0, "otherwise nothing has been tried");

  // Every job ends, and those of acknowledged bundles well.
  await until(
    "no job is left",
    async () => {
      const open = [client.jobs.list({ state: "queued" }).page(), client.jobs.list({ state: "running" }).page()];
      return (await Promise.all(open)).every(({ items }) => items.every(({ kind }) => kind === "run"));
    },
    QUIET_MS,
  );
  assert.equal(new Set(acknowledged.map(({ job }) => job)).size, LOAD.bundles, "each bundle has a job of its own");
  for (const { job } of acknowledged) {
    const { state, error } = await client.jobs.get(job);
    assert.equal(state, "succeeded", JSON.stringify(error));
  }
  const failed = (await Array.fromAsync(client.jobs.list({ state: "failed" }))).filter(({ kind }) => kind !== "run");
  t.diagnostic(`failed: ${failed.length} (${failed.map(({ kind, error }) => `${kind} ${error?.code}`).join(", ")})`);
  // Nobody was told of these: their depositors sent them again.
  for (const { error } of failed) assert.equal(error?.code, "upload_interrupted");
  const transactions = await Array.fromAsync(client.transactions.list());
  assert.equal(transactions.length, LOAD.bundles, "no bundle is there twice");

  // What is ordered is made, and its link in the mail is good.
  const orders = await Array.fromAsync(client.packages.list());
  assert.deepEqual(new Set(orders.map(({ email }) => email)), new Set(emails));
  for (const { id, status, error, recipe } of orders) {
    assert.equal(status, "ready", JSON.stringify(error));
    const zip = join(folder, `${id}.zip`);
    await writeFile(zip, await downloaded((options) => client.packages.download(id, options)));
    assert.deepEqual(memberNames(zip), ["resource.csv"]);
    assert.equal(unzipped(zip, "resource.csv").toString(), countedCsv(recipe.limit ?? 0));
  }

  // A message that a process has died over is left alone for ten minutes: they have passed.
  await database.query("update outbox set due_at = 0");
  await until("all is told", async () => (await database.query("select from outbox")).rowCount === 0, QUIET_MS);
  const copies = Map.groupBy(mails.received, messageId);
  assert.equal(copies.size, orders.length, "one mail for each order");
  const doubled = [...copies].filter(([, mails]) => mails.length > 1).map(([id]) => id);
  t.diagnostic(`mails that nobody could know to be sent: ${cluster.unnoted.size}, sent again: ${doubled.length}`);
  assert.deepEqual(
    doubled.filter((id) => !cluster.unnoted.has(id)),
    [],
    "no mail is sent twice under one id",
  );

  await until("a schedule has run", () => existsSync(ran), QUIET_MS);
  const { rows: twice } = await database.query(
    "select schedule, due_at, count(*) from schedule_runs where cause in ('due', 'late') group by 1, 2 having count(*) > 1",
  );
  assert.deepEqual(twice, [], "each time that was due is answered once");
  const runs = (await readFile(ran, "utf8")).trim().split("\n");
  assert.equal(new Set(runs).size, runs.length, "and no command is run twice for it");

  await until(
    "nothing is left of what was interrupted",
    async () => (await cluster.keysBelow("archive/extensions/longshore-staging/")).length === 0,
    QUIET_MS,
  );
  assert.deepEqual(await cluster.unfinishedBelow("archive/"), []);
  const verified = await runCli(["verify"], { env: { ...settings, LONGSHORE_DATA_DIR: join(folder, "verify") } });
  assert.equal(verified.code, 0, verified.stdout + verified.stderr);
  assert.match(verified.stdout, /^verified {2}\d+ objects, .*: no discrepancy$/m);
  assert.doesNotMatch(verified.stdout, /^note /m);
});

/** Does all of them, so many at a time. */
async function eachOf(count: number, atATime: number, work: (n: number) => Promise<void>): Promise<void> {
  let next = 0;
  await Promise.all(
    Array.from({ length: atATime }, async () => {
      while (next < count) await work(next++);
    }),
  );
}
