import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { type Delivery, longshore } from "../../src/sdk/index.ts";
import { seededRandom } from "../support/random.ts";
import { lastingPort, startServer } from "../support/server.ts";
import { until } from "../support/until.ts";

const GOOD = 16;
const BAD = 4;
const KILLS = 3;
const FILE_BYTES = 512 * 1024;

const contentOf = (name: string) => Buffer.alloc(FILE_BYTES, `${name} `);
const md5 = (bytes: Uint8Array) => createHash("md5").update(bytes).digest("hex");

test("deliveries to a server that is killed again and again are each archived once, or lie in quarantine", async (t) => {
  const random = seededRandom(t);
  const root = await mkdtemp(join(tmpdir(), "longshore-drop-crash-"));
  t.after(() => rm(root, { recursive: true, force: true }));
  const folder = join(root, "in");
  const outside = join(root, "outside");
  for (const each of [folder, outside]) await mkdir(each);
  const drop = { name: "scans", folder, quietSeconds: 0, everySeconds: 1, manifest: "required", removal: "always" };
  await writeFile(join(root, "drops.json"), JSON.stringify([drop]));
  const start = {
    dataDir: join(root, "data"),
    port: await lastingPort(),
    env: { LONGSHORE_MOVE_ROOTS: root, LONGSHORE_DROPS: join(root, "drops.json") },
  };

  let server = await startServer(start);
  t.after(() => server.stop());
  const good = Array.from({ length: GOOD }, (_, n) => `good-${n}`);
  const bad = Array.from({ length: BAD }, (_, n) => `bad-${n}`);
  /** A folder with its checksums appears at once, as rsync and others that rename leave it. */
  async function deliver(name: string): Promise<void> {
    const bytes = contentOf(name);
    const digest = name.startsWith("good") ? md5(bytes) : md5(Buffer.from("something else"));
    await mkdir(join(outside, name));
    await writeFile(join(outside, name, "scan.raw"), bytes);
    await writeFile(join(outside, name, "scan.raw.md5"), `${digest}  scan.raw\n`);
    await rename(join(outside, name), join(folder, name));
  }
  const delivering = (async () => {
    for (const name of [...good, ...bad]) {
      await deliver(name);
      await pause(random(300));
    }
  })();
  for (let kill = 0; kill < KILLS; kill++) {
    await pause(300 + random(1_500));
    await server.end("SIGKILL");
    server = await startServer(start);
  }
  await delivering;

  const client = longshore({ url: server.url });
  let deliveries: readonly Delivery[] = [];
  await until("every delivery has come to its end", async () => {
    deliveries = await Array.fromAsync(client.drops.deliveries("scans"));
    const ends = deliveries.filter(({ state }) => state === "removed" || state === "quarantined");
    return ends.length >= GOOD + BAD && ends.length === deliveries.length;
  }).catch((error) => {
    t.diagnostic(`${JSON.stringify(deliveries)}\n${server.log()}`);
    throw error;
  });

  assert.deepEqual(await readdir(folder), [".quarantine"]);
  const archived = deliveries.filter(({ state }) => state === "removed");
  assert.deepEqual(archived.map(({ name }) => name).toSorted(), good.toSorted());
  const transactions = await Array.fromAsync(client.transactions.list());
  assert.equal(transactions.length, GOOD, "no delivery was archived twice");
  for (const { name, transactionId } of archived) {
    assert.ok(transactionId);
    const files = await Array.fromAsync(client.transactions.files(transactionId));
    const scan = files.find(({ path }) => path.endsWith("scan.raw"));
    assert.equal(scan?.sizeBytes, FILE_BYTES, name);
    const bytes = await (await fetch(`${server.url}/api/v1/files/${scan.id}/content`)).bytes();
    assert.equal(md5(bytes), md5(contentOf(name)), name);
  }
  const rejected = await readdir(join(folder, ".quarantine"));
  assert.equal(rejected.length, BAD);
  for (const place of rejected) {
    assert.match(await readFile(join(folder, ".quarantine", place, "reason.txt"), "utf8"), /scan\.raw/);
    const [name = ""] = (await readdir(join(folder, ".quarantine", place))).filter((entry) => entry !== "reason.txt");
    assert.equal(md5(await readFile(join(folder, ".quarantine", place, name, "scan.raw"))), md5(contentOf(name)), name);
  }
});
