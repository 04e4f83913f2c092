import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { after, type TestContext, test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import pg from "pg";
import { openPostgres } from "../../src/adapters/db/stores.ts";
import { jobId } from "../../src/core/ids.ts";
import { startPostgres } from "../support/postgres.ts";

const postgres = await startPostgres();
after(() => postgres.stop());

const clock = { now: () => Date.now(), sleep: () => Promise.resolve() };

async function opened(t: TestContext) {
  const url = await postgres.freshDatabase();
  const stores = await openPostgres({ url, clock });
  t.after(() => stores.close());
  const submit = (id: number) =>
    stores.jobs.create({
      id: jobId(id),
      kind: "k",
      lane: "fast",
      owner: "o",
      input: {},
      idempotencyKey: null,
      fedUntil: null,
      now: clock.now(),
    });
  return { url, stores, submit };
}

test("what a killed process held is delivered to another within 30 seconds, while a living one keeps what it holds", async (t) => {
  const { url, stores, submit } = await opened(t);
  await submit(1);
  const [living] = await stores.queue.claim("living", "fast", 1);
  assert.ok(living);
  await submit(2);
  const claimer = fileURLToPath(new URL("./claimer.ts", import.meta.url));
  const holder = spawn(process.execPath, [claimer, "hold", url], { stdio: ["ignore", "pipe", "inherit"] });
  t.after(() => holder.kill("SIGKILL"));
  const [line] = await once(holder.stdout, "data");
  assert.deepEqual(JSON.parse(String(line)), [2]);
  holder.kill("SIGKILL");
  await once(holder, "exit");

  const killedAt = Date.now();
  for (;;) {
    assert.deepEqual(await stores.queue.heartbeat([living]), [living]);
    const [delivery] = await stores.queue.claim("heir", "fast", 1);
    if (delivery) {
      assert.equal(delivery.jobId, 2);
      break;
    }
    assert.ok(Date.now() - killedAt < 30_000, "the lease runs out, and somebody notices");
    await setTimeout(200);
  }
});

test("leases are kept without waiting for deliveries that are just being finished", async (t) => {
  const { url, stores, submit } = await opened(t);
  for (const id of [1, 2, 3]) await submit(id);
  const held = await stores.queue.claim("worker", "fast", 3);
  const finishing = new pg.Client(url);
  await finishing.connect();
  t.after(() => finishing.end());
  await finishing.query("begin");
  await finishing.query("select dequeue_jobs('fast', '{2}')");
  assert.deepEqual(await stores.queue.heartbeat(held), held, "nothing of it is certain yet");
  await finishing.query("select dequeue_jobs('fast', '{1,3}')");
  await finishing.query("commit");
  assert.deepEqual(await stores.queue.heartbeat(held), []);
});
