import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { SavedQueries, SavedQuery } from "../../src/core/catalogue/saved-queries.ts";
import { savedQueryId } from "../../src/core/ids.ts";

interface Opened {
  readonly savedQueries: SavedQueries;
  close(): Promise<void>;
}

/** What every SavedQueries must do. One fresh database for the whole suite. */
export function savedQueriesConformance(name: string, open: () => Promise<Opened>): void {
  describe(`SavedQueries: ${name}`, () => {
    let opened: Opened;
    let store: SavedQueries;
    before(async () => {
      opened = await open();
      store = opened.savedQueries;
    });
    after(() => opened?.close());

    let last = 0;
    async function save(given: Partial<SavedQuery>): Promise<SavedQuery> {
      const id = savedQueryId(`query-${++last}`);
      const saved: SavedQuery = { id, owner: "ada", name: id, query: "x", types: [], createdAt: 1_000, ...given };
      await store.create(saved);
      return saved;
    }

    test("a query comes back as it was saved, and is unknown once it is removed", async () => {
      const saved = await save({ name: "it's Ü 漢🚢", query: 'a:"\\" OR -b*', types: ["record", "file"] });
      assert.deepEqual(await store.get(saved.id), saved);
      assert.equal(await store.remove(saved.id), true);
      assert.equal(await store.remove(saved.id), false);
      assert.equal(await store.get(saved.id), undefined);
    });

    test("queries are listed by name, each owner's own", async () => {
      const made = [];
      for (const queryName of ["b", "a", "B", "ä"]) made.push(await save({ owner: "eve", name: queryName }));
      await save({ owner: "ivy", name: "a" });
      const [b, a, upperB, umlaut] = made;
      assert.deepEqual(await store.list("eve"), [upperB, a, b, umlaut]);
      assert.deepEqual(await store.list("nobody"), []);
    });

    test("of those who save under the same name at once one does, and others' names do not matter", async () => {
      const answers = await Promise.allSettled(
        Array.from({ length: 6 }, () => save({ owner: "racing", name: "same" })),
      );
      for (const answer of answers)
        if (answer.status === "rejected") assert.equal(answer.reason.code, "saved_query_exists");
      assert.equal(answers.filter(({ status }) => status === "fulfilled").length, 1);
      assert.equal((await store.list("racing")).length, 1);
      await save({ owner: "somebody else", name: "same" });
    });

    test("what is left out of a replacement stays, and a name that is taken is refused", async () => {
      const saved = await save({ owner: "joe", name: "old", types: ["file"] });
      await save({ owner: "joe", name: "taken" });
      assert.deepEqual(await store.replace(saved.id, {}), saved);
      assert.deepEqual(await store.replace(saved.id, { query: "y", types: [] }), { ...saved, query: "y", types: [] });
      const renamed = await store.replace(saved.id, { name: "new" });
      assert.deepEqual(renamed, { ...saved, name: "new", query: "y", types: [] });
      await assert.rejects(store.replace(saved.id, { name: "taken", query: "z" }), { code: "saved_query_exists" });
      assert.deepEqual(await store.get(saved.id), renamed);
      assert.deepEqual(await store.replace(saved.id, { name: "new" }), renamed, "its own name is not taken");
      assert.equal(await store.replace(savedQueryId("nobody's"), { name: "x" }), undefined);
    });
  });
}
