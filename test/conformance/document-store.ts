import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Document } from "../../src/core/documents/document.ts";
import type { DocumentStore, IndexState } from "../../src/core/documents/document-store.ts";

interface Opened {
  readonly documents: DocumentStore;
  close(): Promise<void>;
}

/** What every DocumentStore must do. Each adapter's test file is one call of this. */
export function documentStoreConformance(name: string, open: () => Promise<Opened>): void {
  describe(`DocumentStore: ${name}`, () => {
    let opened: Opened;
    let store: DocumentStore;
    before(async () => {
      opened = await open();
      store = opened.documents;
    });
    after(() => opened?.close());

    const make = (index: string) => store.createIndex({ name: index, mapping: {}, createdAt: 1_000 });

    /** Puts documents with the next sequence numbers. @returns the state that they were put on. */
    async function put(index: string, sources: Readonly<Record<string, string>>): Promise<IndexState | undefined> {
      return store.change(index, Object.keys(sources), (state) => {
        let { lastSeqNo } = state;
        const documents = Object.entries(sources).map(([id, source]) => {
          const { version = 0 } = state.documents.get(id) ?? {};
          return { id, source, version: version + 1, seqNo: ++lastSeqNo };
        });
        return [{ mapping: state.mapping, put: documents, removed: [], lastSeqNo }, state];
      });
    }

    const plain = (documents: readonly Document[]) =>
      documents.map(({ id, source, version, seqNo }) => [id, source, version, seqNo]);

    test("an index is made once, and is known until it is removed", async () => {
      const mapping = { properties: { 2: { type: "keyword" }, ä: { type: "date" }, 1: { type: "text" } } };
      assert.equal(await store.createIndex({ name: "made", mapping, createdAt: 5 }), true);
      assert.equal(await store.createIndex({ name: "made", mapping: {}, createdAt: 6 }), false);
      assert.deepEqual(await store.index("made"), { name: "made", mapping, createdAt: 5 });
      await make("Zed");
      const names = (await store.indices()).map((index) => index.name);
      assert.deepEqual(names, [...names].sort());
      assert.ok(names.includes("made"));
      assert.equal(await store.removeIndex("made"), true);
      assert.equal(await store.removeIndex("made"), false);
      assert.equal(await store.index("made"), undefined);
      assert.ok(!(await store.indices()).some((index) => index.name === "made"));
    });

    test("a document comes back to the letter, and a change keeps its place", async () => {
      await make("places");
      const first = '{ "b": 1.0, "a": [12345678901234567890],\n "2": "\\u0000\\ud800", "1": null }';
      assert.equal((await put("places", { one: first, two: "{}" }))?.lastSeqNo, -1);
      assert.equal((await put("places", { one: '{"x":"日本"}' }))?.lastSeqNo, 1);
      const page = await store.page("places", 0, 10);
      assert.deepEqual(plain(page), [
        ["one", '{"x":"日本"}', 2, 2],
        ["two", "{}", 1, 1],
      ]);
      await put("places", { one: first });
      assert.equal((await store.documents("places", ["one", "none"]))[0]?.source, first);
      assert.deepEqual(
        (await store.page("places", page[0]?.number ?? 0, 10)).map(({ id }) => id),
        ["two"],
      );
      assert.deepEqual(
        (await store.page("places", 0, 1)).map(({ id }) => id),
        ["one"],
      );
      assert.equal(await store.count("places"), 2);
    });

    test("of what is changed together all is done, or nothing", async () => {
      await make("together");
      await put("together", { a: "{}", b: "{}" });
      await assert.rejects(
        store.change("together", ["a"], () => {
          throw new RangeError("the change's own");
        }),
        RangeError,
      );
      const kept = await store.change("together", ["a", "c"], ({ documents, lastSeqNo }) => {
        const added = { id: "c", source: "{}", version: 1, seqNo: lastSeqNo + 2 };
        const mapping = { dynamic: "strict" } as const;
        return [{ mapping, put: [added], removed: ["a"], lastSeqNo: lastSeqNo + 2 }, [...documents.keys()]];
      });
      assert.deepEqual(kept, ["a"]);
      assert.deepEqual(plain(await store.page("together", 0, 10)), [
        ["b", "{}", 1, 1],
        ["c", "{}", 1, 3],
      ]);
      assert.deepEqual((await store.index("together"))?.mapping, { dynamic: "strict" });
      assert.equal(await store.change("nothing", [], (state) => [{ ...state, put: [], removed: [] }, 1]), undefined);
    });

    test("those who change an index at once wait for each other", async () => {
      await make("counted");
      await put("counted", { n: "0" });
      await Promise.all(
        Array.from({ length: 12 }, () =>
          store.change("counted", ["n"], ({ documents, mapping, lastSeqNo: last }) => {
            const found = documents.get("n");
            const document = { id: "n", source: String(Number(found?.source) + 1), version: 1, seqNo: last + 1 };
            return [{ mapping, put: [document], removed: [], lastSeqNo: last + 1 }, undefined];
          }),
        ),
      );
      assert.deepEqual(plain(await store.page("counted", 0, 10)), [["n", "12", 1, 12]]);
    });

    test("indices with the same ids do not see each other, and one that is made again is empty", async () => {
      await make("left");
      await make("right");
      await put("left", { same: '"left"', more: '"left"' });
      await put("right", { same: '"right"' });
      assert.equal((await store.documents("left", ["same"]))[0]?.source, '"left"');
      const many = Object.fromEntries(Array.from({ length: 1_500 }, (_, i) => [`many-${i}`, "{}"]));
      await put("left", many);
      assert.equal(await store.count("left"), 1_502);
      assert.equal(await store.removeIndex("left"), true);
      assert.equal(await store.count("left"), 0);
      assert.deepEqual(await store.page("left", 0, 10), []);
      assert.equal(await make("left"), true);
      assert.equal(await store.count("left"), 0);
      assert.equal((await store.documents("right", ["same"]))[0]?.source, '"right"');
    });
  });
}
