import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { openSqlite } from "../../../src/adapters/db/stores.ts";
import { type NodeFacts, nodeService, startPresence } from "../../../src/core/nodes/nodes.ts";
import { movingClock } from "../../support/moving-clock.ts";
import { until } from "../../support/until.ts";

const node: NodeFacts = {
  name: "ship:1",
  role: "worker",
  version: "1.2.3",
  lanes: { fast: 1, slow: 0, run: 0 },
  tasks: null,
  address: null,
};
const HOUR = 3_600_000;

test("a node is there from its start to its stop, dead when it falls silent, and told once that its clock is apart", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "presence-"));
  t.after(() => rm(folder, { recursive: true }));
  /** The store's clock, which stands for a database's, and this node's. */
  const [theirs, ours] = [movingClock(), movingClock()];
  const stores = await openSqlite({ path: join(folder, "nodes.db"), clock: theirs });
  t.after(() => stores.close());
  const nodes = nodeService(stores.nodes, stores.leases, stores.jobs);
  const alive = async () => (await nodes.list()).map(({ isAlive }) => isAlive);
  const apart: number[] = [];
  const presence = startPresence({
    store: stores.nodes,
    node,
    clock: ours,
    onTrouble: (error) => assert.fail(String(error)),
    onClockApart: (aheadMs) => apart.push(aheadMs),
  });
  await until("it is there", async () => (await alive()).length === 1);
  assert.deepEqual([await alive(), apart], [[true], []]);

  // An hour passes for the others while this one does nothing.
  theirs.pass(HOUR);
  assert.deepEqual(await alive(), [false]);
  ours.pass(5_000);
  await until("it is seen again", async () => (await alive())[0] === true);
  await until("it is told", () => apart.length === 1);
  assert.deepEqual(apart, [5_000 - HOUR]);
  theirs.pass(20_000);
  ours.pass(5_000);
  await until("it is seen again", async () => (await alive())[0] === true);
  assert.equal(apart.length, 1);
  await presence.stop();
  assert.deepEqual(await nodes.list(), []);
});
