import assert from "node:assert/strict";
import { test } from "node:test";
import type { QueuedKind } from "../../../src/core/jobs/job-store.ts";
import type { Node } from "../../../src/core/nodes/nodes.ts";
import { unservedOf, unservedWatch } from "../../../src/core/nodes/unserved.ts";

const queued = (lane: QueuedKind["lane"], kind: string): QueuedKind => ({ lane, kind, jobs: 1, queuedAt: 1 });
const node = (given: Partial<Node>): Node => ({
  name: "ship:1",
  role: "worker",
  version: "1.2.3",
  lanes: { fast: 1, slow: 1, run: 0 },
  tasks: null,
  address: null,
  since: 1,
  seenAt: 1,
  silentMs: 0,
  isAlive: true,
  ...given,
});

test("a kind is served by a node that lives, has places in its lane, and takes all kinds or this one", () => {
  const waiting = [queued("fast", "ingest"), queued("slow", "move"), queued("run", "command")];
  const unserved = (...nodes: Node[]) => unservedOf(waiting, nodes).map(({ kind }) => kind);
  assert.deepEqual(unserved(), ["ingest", "move", "command"]);
  assert.deepEqual(unserved(node({})), ["command"]);
  assert.deepEqual(unserved(node({ isAlive: false })), ["ingest", "move", "command"]);
  assert.deepEqual(unserved(node({ tasks: ["move"] })), ["ingest", "command"]);
  const runner = node({ tasks: ["command"], lanes: { fast: 0, slow: 0, run: 1 } });
  assert.deepEqual(unserved(node({ tasks: ["move"] }), runner), ["ingest"]);
});

test("what nobody takes is told once, and when it is over", async () => {
  const told: (readonly string[])[] = [];
  let kinds = [queued("fast", "ingest")];
  const look = unservedWatch(
    async () => kinds,
    (found) => told.push(found.map(({ kind }) => kind)),
  );
  await look();
  await look();
  kinds = [];
  await look();
  await look();
  assert.deepEqual(told, [["ingest"], []]);
});
