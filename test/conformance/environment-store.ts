import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { EnvironmentStore, KeptVariable } from "../../src/core/environment/environment-store.ts";

interface Opened {
  readonly environment: EnvironmentStore;
  close(): Promise<void>;
}

/** What every EnvironmentStore must do. One fresh database for the whole suite. */
export function environmentStoreConformance(name: string, open: () => Promise<Opened>): void {
  describe(`EnvironmentStore: ${name}`, () => {
    let opened: Opened;
    let store: EnvironmentStore;
    before(async () => {
      opened = await open();
      store = opened.environment;
    });
    after(() => opened?.close());

    async function put(given: Partial<KeptVariable>): Promise<KeptVariable> {
      const kept: KeptVariable = {
        scope: "global",
        name: "A",
        secret: false,
        content: "x",
        setAt: 1_000,
        setBy: "ada",
        ...given,
      };
      await store.put(kept);
      return kept;
    }

    test("a variable comes back as it was put, and one of the same scope and name takes its place", async () => {
      const scope = "schedule:it's Ü 漢🚢";
      await put({ scope, content: "old" });
      const kept = await put({ scope, secret: true, content: "a\n'b\"\\%", setAt: 1_700_000_000_000, setBy: "eve" });
      assert.deepEqual(await store.list([scope]), [kept]);
      assert.equal(await store.removeScope(scope), 1);
    });

    test("variables are listed by scope and name, all or those of some scopes", async () => {
      const [d, c, b, a] = [
        await put({ scope: "schedule:x", name: "A" }),
        await put({ scope: "register:x", name: "A" }),
        await put({ name: "_B" }),
        await put({ name: "B" }),
      ];
      assert.deepEqual(await store.list(), [a, b, c, d]);
      assert.deepEqual(await store.list(["schedule:x", "global"]), [a, b, d]);
      assert.deepEqual(await store.list([]), []);
      assert.deepEqual(await store.list(["schedule:y"]), []);
    });

    test("a value is not removed for a secret, nor a secret for a value", async () => {
      await put({ scope: "register:kinds", name: "VALUE" });
      await put({ scope: "register:kinds", name: "SECRET", secret: true });
      assert.equal(await store.remove("register:kinds", "VALUE", true), false);
      assert.equal(await store.remove("register:kinds", "SECRET", false), false);
      assert.equal((await store.list(["register:kinds"])).length, 2);
      assert.equal(await store.remove("register:kinds", "SECRET", true), true);
      assert.equal(await store.remove("register:kinds", "SECRET", true), false);
      assert.equal(await store.remove("register:kinds", "VALUE", false), true);
    });

    test("a scope goes with all that is in it, and nothing else does", async () => {
      for (const variable of ["A", "B"]) await put({ scope: "schedule:gone", name: variable });
      const other = await put({ scope: "schedule:gone too" });
      assert.equal(await store.removeScope("schedule:gone"), 2);
      assert.equal(await store.removeScope("schedule:gone"), 0);
      assert.deepEqual(await store.list(["schedule:gone", "schedule:gone too"]), [other]);
    });

    test("of many that are put under one name at once, one is there in the end", async () => {
      const scope = "register:racing";
      const putters = Array.from({ length: 8 }, (_, index) => put({ scope, content: String(index) }));
      const made = await Promise.all(putters);
      const [left, ...others] = await store.list([scope]);
      assert.deepEqual(others, []);
      assert.ok(made.some(({ content }) => content === left?.content));
    });
  });
}
