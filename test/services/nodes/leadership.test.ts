import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { openSqlite } from "../../../src/adapters/db/stores.ts";
import { type DutyWork, leadership, whileLeading } from "../../../src/core/nodes/leadership.ts";
import type { LeaseStore } from "../../../src/core/nodes/leases.ts";
import { movingClock } from "../../support/moving-clock.ts";
import { until } from "../../support/until.ts";

const folder = await mkdtemp(join(tmpdir(), "leadership-"));
const clock = movingClock();
const stores = await openSqlite({ path: join(folder, "leases.db"), clock });
after(async () => {
  await stores.close();
  await rm(folder, { recursive: true });
});

/** Longer than any lease. */
const A_MINUTE = 60_000;

/** Lets time go by, and everybody act whose time has come. */
async function pass(ms: number): Promise<void> {
  for (let passedMs = 0; passedMs < ms; passedMs += 1_000) {
    clock.pass(1_000);
    await setTimeout(2);
  }
}

/** Nodes, and what happens, in order, as `a begins`. */
function fleet() {
  const happened: string[] = [];
  const trouble: string[] = [];
  return {
    happened,
    trouble,
    node: (node: string, leases: LeaseStore = stores.leases) =>
      leadership({
        leases,
        node,
        clock,
        ticks: clock.now,
        onTrouble: (error, during) => trouble.push(`${node}: ${during}: ${(error as Error).message}`),
      }),
    work:
      (node: string): DutyWork =>
      async (signal) => {
        happened.push(`${node} begins`);
        await new Promise((resolve) => signal.addEventListener("abort", resolve));
        happened.push(`${node} ends`);
      },
  };
}

/** A store that can be cut off, as when the node's connection is gone: it refuses at once, or does not answer. */
function cuttable(store: LeaseStore) {
  let cut: "refused" | "silent" | undefined;
  const through =
    <A extends readonly unknown[], R>(call: (...args: A) => Promise<R>) =>
    async (...args: A): Promise<R> => {
      if (cut === "silent") return new Promise(() => {});
      if (cut === "refused") throw new Error("no connection");
      return call(...args);
    };
  return {
    store: { take: through(store.take), release: through(store.release), held: through(store.held) },
    cut(how: typeof cut) {
      cut = how;
    },
  };
}

test("one of two leads, for longer than the lease; when it stops the other follows, after its work has ended", async () => {
  const { happened, trouble, node, work } = fleet();
  const first = node("a").lead("scheduler", work("a"));
  await until("a leads", () => first.isLeading());
  const second = node("b").lead("scheduler", work("b"));
  await pass(A_MINUTE);
  assert.deepEqual(happened, ["a begins"]);
  await first.stop();
  assert.equal(first.isLeading(), false);
  await pass(1_000);
  await until("b leads", () => second.isLeading());
  assert.deepEqual(happened, ["a begins", "a ends", "b begins"]);
  await second.stop();
  assert.deepEqual(await stores.leases.held(), []);
  assert.deepEqual(trouble, []);
});

for (const how of ["refused", "silent"] as const)
  test(`who cannot renew (${how}) ends its work before another can begin, says so once, and leads again later`, async () => {
    const { happened, trouble, node, work } = fleet();
    const line = cuttable(stores.leases);
    const first = node("a", line.store).lead("upkeep", work("a"));
    await until("a leads", () => first.isLeading());
    const second = node("b").lead("upkeep", work("b"));
    line.cut(how);
    for (let seconds = 0; happened.length === 1 && seconds < 30; seconds++) await pass(1_000);
    assert.deepEqual(happened, ["a begins", "a ends"], "before the lease is over");
    assert.equal(second.isLeading(), false);
    await pass(10_000);
    assert.deepEqual(happened, ["a begins", "a ends", "b begins"]);
    line.cut(undefined);
    await second.stop();
    await pass(A_MINUTE);
    await until("a leads again", () => first.isLeading());
    await first.stop();
    assert.equal(trouble.length, 1, trouble.join("\n"));
    assert.match(trouble[0] ?? "", /^a: asking for the duty upkeep: .*(no connection|no answer within)/);
  });

test("work that has not ended yet, though it was asked to, keeps its duty", async () => {
  const { happened, node, work } = fleet();
  const release = Promise.withResolvers<void>();
  const first = node("a").lead("drops", async (signal) => {
    await new Promise((resolve) => signal.addEventListener("abort", resolve));
    await release.promise;
    happened.push("a ends");
  });
  await until("a leads", () => first.isLeading());
  const second = node("b").lead("drops", work("b"));
  const stopped = first.stop();
  await pass(A_MINUTE);
  assert.deepEqual(happened, []);
  release.resolve();
  await stopped;
  await pass(1_000);
  await until("b leads", () => second.isLeading());
  assert.deepEqual(happened, ["a ends", "b begins"]);
  await second.stop();
});

test("work that fails is told, and done again", async () => {
  const { trouble, node, work, happened } = fleet();
  let tries = 0;
  const leading = node("a").lead("indexing", async (signal) => {
    if (++tries === 1) throw new Error("out of ink");
    await work("a")(signal);
  });
  await until("the first try", () => trouble.length === 1);
  await pass(2_000);
  await until("the second try", () => happened.length === 1);
  await leading.stop();
  assert.deepEqual(trouble, ["a: the duty indexing: out of ink"]);
});

test("what goes on until it is stopped is begun with the duty and stopped with it", async () => {
  const { happened, node } = fleet();
  const work = whileLeading(() => {
    happened.push("begun");
    return { stop: async () => happened.push("stopped") };
  });
  const leading = node("a").lead("scheduler", work);
  await until("it is begun", () => happened.length === 1);
  await leading.stop();
  assert.deepEqual(happened, ["begun", "stopped"]);
});
