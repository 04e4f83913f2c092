import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { LeaseStore } from "../../src/core/nodes/leases.ts";
import type { NodeFacts, NodeStore } from "../../src/core/nodes/nodes.ts";

interface Opened {
  readonly leases: LeaseStore;
  readonly nodes: NodeStore;
  close(): Promise<void>;
}

interface Database {
  /** Another connection of the same database, each time, whose own clock is apart by so much. */
  open(apartMs?: number): Promise<Opened>;
  /** Lets time go by for the stores. */
  pass(ms: number): Promise<void>;
}

const MINUTE = 60_000;

/** What every LeaseStore and NodeStore must do. One fresh database for the whole suite. */
export function leaseStoreConformance(name: string, make: () => Promise<Database>): void {
  describe(`LeaseStore: ${name}`, () => {
    let database: Database;
    let opened: Opened;
    before(async () => {
      database = await make();
      opened = await database.open();
    });
    after(() => opened?.close());

    test("a duty has one holder, until it is released or runs out", async () => {
      const { leases } = opened;
      assert.equal(await leases.take("scheduler", "a", MINUTE), true);
      assert.equal(await leases.take("scheduler", "b", MINUTE), false);
      assert.equal(await leases.take("upkeep", "b", MINUTE), true, "each duty is one of its own");
      await leases.release("scheduler", "b");
      assert.equal(await leases.take("scheduler", "c", MINUTE), false, "only its holder releases it");
      await leases.release("scheduler", "a");
      assert.equal(await leases.take("scheduler", "b", MINUTE), true);
      await database.pass(MINUTE + 1_000);
      assert.equal(await leases.take("scheduler", "c", MINUTE), true);
      assert.equal(await leases.take("scheduler", "b", MINUTE), false, "who had it finds out");
      await leases.release("scheduler", "c");
    });

    test("what is extended does not run out, and is had since it was first taken", async () => {
      const { leases } = opened;
      const since = async () => (await leases.held()).find(({ duty }) => duty === "drops");
      assert.equal(await leases.take("drops", "a", MINUTE), true);
      const first = await since();
      assert.equal(first?.holder, "a");
      for (let round = 0; round < 3; round++) {
        await database.pass(MINUTE / 2);
        assert.equal(await leases.take("drops", "a", MINUTE), true);
        assert.equal(await leases.take("drops", "b", MINUTE), false);
      }
      assert.deepEqual(await since(), first);
      await database.pass(MINUTE + 1_000);
      assert.equal(await since(), undefined, "what has run out is held by nobody");
      assert.equal(await leases.take("drops", "b", MINUTE), true);
      assert.ok(((await since())?.since ?? 0) >= (first?.since ?? Number.POSITIVE_INFINITY));
      await leases.release("drops", "b");
    });

    test("of many who ask at once, one gets it", async () => {
      const { leases } = opened;
      const names = Array.from({ length: 12 }, (_, n) => `racer ${n}`);
      for (const held of [false, true]) {
        if (held) await leases.take("indexing", "the one before", 1);
        await database.pass(1_000);
        const granted = await Promise.all(names.map((name) => leases.take("indexing", name, MINUTE)));
        const winner = names.filter((_, n) => granted[n]);
        assert.equal(winner.length, 1);
        assert.deepEqual(
          (await leases.held()).filter(({ duty }) => duty === "indexing").map(({ holder }) => holder),
          winner,
        );
        await leases.release("indexing", winner[0] ?? "");
      }
    });

    test("nodes are seen, fall silent, and are forgotten", async () => {
      const { nodes } = opened;
      const server: NodeFacts = {
        name: "ship:1",
        role: "server",
        version: "1.2.3",
        lanes: { fast: 2, slow: 0, run: 8 },
        tasks: null,
        address: "http://127.0.0.1:7700",
      };
      const worker: NodeFacts = { ...server, name: "ship:2", role: "worker", tasks: ["ingest", "Ü"], address: null };
      await nodes.see(server);
      await nodes.see(worker);
      const factsOf = (node: NodeFacts | undefined): NodeFacts | undefined =>
        node && {
          name: node.name,
          role: node.role,
          version: node.version,
          lanes: node.lanes,
          tasks: node.tasks,
          address: node.address,
        };
      assert.deepEqual((await nodes.list()).map(factsOf), [server, worker]);
      const [begun] = await nodes.list();
      await database.pass(10_000);
      await nodes.see({ ...server, version: "1.2.4" });
      const [seen, silent] = await nodes.list();
      assert.equal(seen?.version, "1.2.4");
      assert.ok((seen?.silentMs ?? 9_999) < 5_000 && (silent?.silentMs ?? 0) >= 10_000);
      assert.ok((seen?.since ?? 0) <= (begun?.since ?? 0), "being seen again is no new start");
      await nodes.removeSilent(10_000);
      assert.deepEqual(
        (await nodes.list()).map(({ name }) => name),
        ["ship:1"],
      );
      await nodes.remove("ship:1");
      assert.deepEqual(await nodes.list(), []);
    });
  });
}

/** Besides, for a store with a clock of its own: what the nodes' clocks show is nothing to it. */
export function ownClockConformance(name: string, make: () => Promise<Database>): void {
  test(`LeaseStore: ${name}: nodes whose clocks are an hour apart take turns all the same`, async () => {
    const database = await make();
    const [early, late] = await Promise.all([database.open(-30 * MINUTE), database.open(30 * MINUTE)]);
    try {
      assert.equal(await early.leases.take("scheduler", "early", MINUTE), true);
      assert.equal(await late.leases.take("scheduler", "late", MINUTE), false);
      assert.deepEqual(await early.leases.held(), await late.leases.held());
      assert.ok(Math.abs((await early.nodes.now()) - (await late.nodes.now())) < MINUTE);
      await early.leases.release("scheduler", "early");
      assert.equal(await late.leases.take("scheduler", "late", MINUTE), true);
      assert.equal(await early.leases.take("scheduler", "early", MINUTE), false);
    } finally {
      await Promise.all([early.close(), late.close()]);
    }
  });
}
