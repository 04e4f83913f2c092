import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { DropStore, NewDelivery } from "../../src/core/drop/drop.ts";
import { jobId, transactionId } from "../../src/core/ids.ts";

interface Opened {
  readonly drops: DropStore;
  close(): Promise<void>;
}

const LATE = 2_000_000_000_001;

/** What every DropStore must do. One fresh database for the whole suite. */
export function dropStoreConformance(name: string, open: () => Promise<Opened>): void {
  describe(`DropStore: ${name}`, () => {
    let opened: Opened;
    let store: DropStore;
    before(async () => {
      opened = await open();
      store = opened.drops;
    });
    after(() => opened?.close());

    let last = 0;
    const fresh = (drop: string, given: Partial<NewDelivery> = {}): NewDelivery => ({
      drop,
      name: `n-${++last}`,
      fingerprint: "f",
      stableAt: LATE,
      note: null,
      ...given,
    });

    test("declarations come back by name, the later one counts, and can be taken back", async () => {
      await store.putDeclaration("b", "1");
      await store.putDeclaration("a", '{"ü":"\\u0000"}');
      await store.putDeclaration("b", "2");
      assert.deepEqual([...(await store.declarations())].sort(), [
        ["a", '{"ü":"\\u0000"}'],
        ["b", "2"],
      ]);
      assert.deepEqual([await store.removeDeclaration("a"), await store.removeDeclaration("a")], [true, false]);
    });

    test("a delivery begins as arriving, and of one name only one is open", async () => {
      const one = fresh("once", { name: "漢 '🚢\n", note: "it's here" });
      await store.add([one, fresh("once")], 5);
      await store.add([{ ...one, fingerprint: "other" }], 6);
      const [found, other] = await store.open("once");
      assert.deepEqual(found, {
        ...one,
        id: found?.id,
        state: "arriving",
        job: null,
        transactionId: null,
        permittedBy: null,
        removalJob: null,
        version: 1,
        createdAt: 5,
        updatedAt: 5,
      });
      assert.ok(found && other && other.id > found.id);
      await store.change(found, { state: "gone" }, 7);
      assert.deepEqual((await store.open("once")).length, 1);
      await store.add([one], 8);
      assert.equal((await store.list({ drop: "once", limit: 10 })).length, 3, "closed, the name is free");
    });

    test("a change applies to what was read, once, and to all of its fields", async () => {
      await store.add([fresh("changing")], 1);
      const [found] = await store.open("changing");
      assert.ok(found);
      const change = {
        state: "removing",
        fingerprint: "g",
        stableAt: LATE + 1,
        note: "n",
        job: jobId(7),
        transactionId: transactionId(7),
        permittedBy: "ada",
        removalJob: jobId(8),
      } as const;
      const answers = await Promise.all(Array.from({ length: 6 }, () => store.change(found, change, LATE + 2)));
      const changed = answers.filter((answer) => answer !== undefined);
      assert.deepEqual(changed, [{ ...found, ...change, version: 2, updatedAt: LATE + 2 }]);
      assert.deepEqual(await store.get(found.id), changed[0]);
      assert.equal(await store.get(4_711_000), undefined);
    });

    test("deliveries are listed newest first, of one drop, in one state, page by page", async () => {
      await store.add(
        Array.from({ length: 1_200 }, () => fresh("many")),
        1,
      );
      await store.add([fresh("other")], 1);
      const all = await store.open("many");
      assert.equal(all.length, 1_200);
      const [first] = all;
      assert.ok(first);
      await store.change(first, { state: "quarantined" }, 2);
      const listed = await store.list({ drop: "many", state: "arriving", limit: 2 });
      assert.deepEqual(
        listed.map(({ id }) => id),
        all
          .slice(-2)
          .map(({ id }) => id)
          .reverse(),
      );
      const rest = await store.list({ drop: "many", beforeId: listed[1]?.id ?? 0, limit: 5_000 });
      assert.deepEqual([rest.length, rest.at(-1)?.state], [1_198, "quarantined"]);
    });

    test("of those who want to look one does, until the time has come again", async () => {
      const begun = await Promise.all(Array.from({ length: 6 }, () => store.beginLook("looked", LATE, 1_000)));
      assert.equal(begun.filter(Boolean).length, 1);
      await store.endLook("looked", "no such folder");
      assert.deepEqual(await store.lastLook("looked"), { at: LATE, trouble: "no such folder" });
      assert.equal(await store.beginLook("looked", LATE + 999, 1_000), false);
      assert.equal(await store.beginLook("looked", LATE + 1_000, 1_000), true);
      assert.equal(await store.lastLook("never"), undefined);
    });
  });
}
