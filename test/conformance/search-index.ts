import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseQuery } from "../../src/core/catalogue/query.ts";
import type {
  Query,
  SearchDocument,
  SearchIndex,
  SearchPage,
  SearchRequest,
} from "../../src/core/catalogue/search-index.ts";
import { AppError } from "../../src/core/errors.ts";
import { seededRandom } from "../support/random.ts";
import { naiveFacet, naiveHits, randomDocuments, randomRequest } from "./naive-search.ts";

/** What every SearchIndex must do. `make` gives an empty one. */
export function searchIndexConformance(name: string, make: () => SearchIndex): void {
  describe(`SearchIndex: ${name}`, () => {
    test("words, phrases and prefixes are found in title and text, whatever their case and accents", async () => {
      const index = make();
      await index.put([
        file(1, { title: "data/Ångström.png", text: "Ein Spektrum" }),
        file(2, { text: "raw spectrum, calibrated" }),
        file(3, { text: "calibrated raw data of a spectrum" }),
        file(4, { text: "光譜測量" }),
      ]);
      assert.deepEqual(await found(index, "angstrom"), [1]);
      assert.deepEqual(await found(index, "SPECTRUM"), [2, 3]);
      assert.deepEqual(await found(index, "spe*"), [1, 2, 3]);
      assert.deepEqual(await found(index, '"raw spectrum"'), [2]);
      assert.deepEqual(await found(index, "raw-data"), [3]);
      assert.deepEqual(await found(index, "譜測"), [4]);
      assert.deepEqual(await found(index, "calibrated -data"), [2]);
      assert.deepEqual(await found(index, "angstrom OR (raw data)"), [1, 3]);
      assert.deepEqual(await found(index, "-raw"), [1, 4]);
      assert.deepEqual(await found(index, ""), [1, 2, 3, 4]);
    });

    test("fields are found by the whole value, or by its beginning, and words are not found in them", async () => {
      const index = make();
      await index.put([
        file(1, { fields: { project: ["1234a"], path: ["raw data/ä (1).csv"] } }),
        file(2, { fields: { project: ["1234"], Method: ['say "x"* \\ 1..2', ""] } }),
        file(3, { fields: { other: ["1234a"], path: [`${"long/".repeat(700)}a`] } }),
        file(4, { fields: { path: [`${"long/".repeat(700)}b`] } }),
      ]);
      assert.deepEqual(await found(index, "project:1234A"), [1]);
      assert.deepEqual(await found(index, "project:1234"), [2]);
      assert.deepEqual(await found(index, "project:1234*"), [1, 2]);
      assert.deepEqual(await found(index, "project:*"), [1, 2]);
      assert.deepEqual(await found(index, "PROJECT:1234a"), [1]);
      assert.deepEqual(await found(index, 'path:"RAW  data/a (1).csv"'), [1]);
      assert.deepEqual(await found(index, 'path:"raw d"*'), [1]);
      assert.deepEqual(await found(index, "path:raw"), []);
      assert.deepEqual(await found(index, { field: "method", is: 'say "x"* \\ 1..2', isPrefix: false }), [2]);
      assert.deepEqual(await found(index, { field: "path", is: `${"long/".repeat(700)}b`, isPrefix: false }), [4]);
      assert.deepEqual(await found(index, "1234"), []);
      assert.deepEqual(await found(index, "-project:1234*"), [3, 4]);
    });

    test("a prefix finds all words and values that begin so, few or many", async () => {
      const index = make();
      await index.put(Array.from({ length: 100 }, (_, id) => file(id, { text: `w${id}`, fields: { f: [`v${id}`] } })));
      // 7 and 70 to 79.
      const seven = [7, 70, 71, 72, 73, 74, 75, 76, 77, 78, 79];
      assert.deepEqual(await found(index, "w7*"), seven);
      assert.deepEqual(await found(index, "f:v7*"), seven);
      assert.equal((await found(index, "w*")).length, 100);
      assert.equal((await found(index, "f:v* -w7*")).length, 89);
      assert.deepEqual(await found(index, "x* OR f:x*"), []);
    });

    test("a range finds exactly the numbers that comparing finds", async (t) => {
      const below = seededRandom(t);
      const index = make();
      const edges = [0, -0, 1, -1, 0.1, 1000, 1001, 1023, 1024, 2 ** 31, 2 ** 53, -1e300, 1e-300, 1704067200000];
      edges.push(Number.MAX_VALUE, -Number.MAX_VALUE, Number.MIN_VALUE);
      const random = () => (below(2000) - 1000) * 10 ** (below(9) - 4);
      const numbers = [...edges, ...Array.from({ length: 150 }, random)];
      await index.put(numbers.map((n, id) => file(id, { fields: { n: [n] } })));
      const anyNumber = () => (below(3) === 0 ? random() : (numbers[below(numbers.length)] ?? 0));
      for (let i = 0; i < 150; i++) {
        const [from = 0, until = 0] = [anyNumber(), anyNumber()].sort((a, b) => a - b);
        const [fromIn, untilIn] = [below(2) === 0, below(2) === 0];
        const hasFrom = below(4) > 0;
        const hasUntil = below(4) > 0;
        const range = { field: "n", ...(hasFrom && { from }), ...(hasUntil && { until }), fromIn, untilIn };
        const fits = (n: number) =>
          (!hasFrom || n > from || (fromIn && n === from)) && (!hasUntil || n < until || (untilIn && n === until));
        const expected = numbers.flatMap((n, id) => (fits(n) ? [id] : []));
        assert.deepEqual(await found(index, range), expected, JSON.stringify(range));
      }
    });

    test("a number is found by its text too, and text never by a range", async () => {
      const index = make();
      await index.put([file(1, { fields: { width: [1000, 7] } }), file(2, { fields: { width: ["1000"] } })]);
      assert.deepEqual(await found(index, "width:1000"), [1, 2]);
      assert.deepEqual(await found(index, "width:>=1000"), [1]);
      assert.deepEqual(await found(index, "width:<10 width:>999"), [1]);
    });

    test("owners find what is theirs, and types narrow", async () => {
      const index = make();
      await index.put([
        file(1, { owner: "ann", text: "a" }),
        file(2, { owner: "bob", text: "a" }),
        { ...file(3, { owner: "ann", text: "a" }), key: "record:3", type: "record" },
      ]);
      const keys = async (request: Partial<SearchRequest>) => keysOf(await search(index, "a", request));
      assert.deepEqual(await keys({ owner: "ann" }), ["record:3", "file:1"]);
      assert.deepEqual(await keys({ owner: "an" }), []);
      assert.deepEqual(await keys({ owner: "bob", types: ["file", "record"] }), ["file:2"]);
      assert.deepEqual(await keys({ types: ["record", "transaction"] }), ["record:3"]);
      assert.deepEqual(await keys({ types: [] }), []);
      assert.deepEqual((await search(index, "a", { owner: "ann", facets: ["type"] })).total, 2);
    });

    test("putting a key again replaces what it was, and removing forgets it", async () => {
      const index = make();
      await index.put([file(1, { text: "old", fields: { project: ["x"], n: [1] } }), file(2, { text: "old" })]);
      await index.put([file(1, { text: "no" }), file(1, { text: "new", createdAt: 99, fields: { n: [2] } })]);
      assert.deepEqual(await found(index, "old"), [2]);
      assert.deepEqual(await found(index, "no"), []);
      assert.deepEqual(await found(index, "new n:2..2"), [1]);
      assert.deepEqual(await found(index, "project:x OR n:1..1"), []);
      const page = await search(index, "", { facets: ["project", "n"] });
      assert.deepEqual(page.facets, { project: [], n: [{ value: "2", count: 1 }] });
      await index.remove(["file:1", "file:77"]);
      assert.deepEqual(await found(index, ""), [2]);
      assert.equal((await index.counts()).documents, 1);
    });

    test("newest comes first; by relevance, hits in the title come first", async () => {
      const index = make();
      await index.put([
        file(1, { title: "raw spectrum", text: "x", createdAt: 10 }),
        file(2, { title: "raw", text: "spectrum", createdAt: 40 }),
        file(3, { title: "other", text: "spectrum raw raw", createdAt: 30 }),
        file(4, { title: "spectrum", text: "raw", createdAt: -20 }),
      ]);
      assert.deepEqual(keysOf(await search(index, "raw spectrum")), ["file:2", "file:3", "file:1", "file:4"]);
      const byRelevance = await search(index, "raw spectrum", { order: "relevance" });
      assert.deepEqual(keysOf(byRelevance), ["file:1", "file:2", "file:4", "file:3"]);
    });

    for (const order of ["newest", "relevance"] as const) {
      test(`pages by ${order} have each hit once, while others come and go`, async (t) => {
        const below = seededRandom(t);
        const index = make();
        const lasting = Array.from({ length: 120 }, (_, id) =>
          // Some have the same time.
          file(id, { title: below(2) === 0 ? "a" : "b", text: "a c", createdAt: below(40) }),
        );
        await index.put(lasting);
        const seen: string[] = [];
        let cursor: string | null = null;
        let pages = 0;
        do {
          const page: SearchPage = await search(index, "a c", { order, limit: 7, ...(cursor !== null && { cursor }) });
          seen.push(...keysOf(page));
          cursor = page.next;
          pages += 1;
          await index.put(
            Array.from({ length: 5 }, (_, i) => file(1000 + pages * 5 + i, { text: "a c", createdAt: below(40) })),
          );
          await index.remove([`file:${1000 + pages * 5}`]);
          const again = lasting[below(lasting.length)];
          if (again) await index.put([again]);
        } while (cursor !== null);
        const ids = seen.map((key) => Number(key.slice("file:".length))).filter((id) => id < 1000);
        assert.deepEqual(
          ids.toSorted((a, b) => a - b),
          lasting.map((_, id) => id),
        );
        assert.equal(new Set(seen).size, seen.length);
      });
    }

    test("a cursor that is none of ours is refused", async () => {
      const index = make();
      for (const cursor of ["", "x", "newest.9.1", "relevance.0.1", "newest.0.99999999999999999999"]) {
        await assert.rejects(search(index, "a", { cursor }), { code: "request_invalid" });
      }
    });

    test("facets count the most frequent values of all hits, not of the page", async () => {
      const index = make();
      const kinds = ["image", "image", "image", "text", "text", "Audio"];
      await index.put(
        kinds.map((kind, id) => file(id, { text: id === 0 ? "b" : "a", fields: { kind: [kind], n: [id % 2] } })),
      );
      const page = await search(index, "a", { limit: 1, facets: ["kind", "n", "none"] });
      assert.equal(page.hits.length, 1);
      assert.equal(page.total, 5);
      assert.equal(page.isLowerBound, false);
      assert.deepEqual(page.facets, {
        kind: [
          { value: "image", count: 2 },
          { value: "text", count: 2 },
          { value: "Audio", count: 1 },
        ],
        n: [
          { value: "1", count: 3 },
          { value: "0", count: 2 },
        ],
        none: [],
      });
    });

    test("a hit shows what it is, and what was found in it", async () => {
      const index = make();
      const long = `${"before ".repeat(100)}the \u0002Spéctrum\u0003 raw spectrum ${"after ".repeat(100)}`;
      await index.put([file(1, { title: "t.csv", text: long, fields: { n: [1.5], project: ["É"] }, createdAt: 12 })]);
      const first = await search(index, "spectrum OR other");
      const [hit] = first.hits;
      assert.equal(hit?.key, "file:1");
      assert.equal(hit?.type, "file");
      assert.equal(hit?.title, "t.csv");
      assert.equal(hit?.createdAt, 12);
      assert.deepEqual(hit?.fields, { n: [1.5], project: ["É"] });
      const marked = (page: SearchPage) =>
        page.hits[0]?.highlight?.replaceAll("\u0002", "[").replaceAll("\u0003", "]") ?? "";
      assert.match(marked(first), /^…before .*the {2}\[Spéctrum\] {2}raw \[spectrum\] after .*…$/);
      assert.ok((hit?.highlight ?? "").length < 300);
      assert.equal((await search(index, "n:1.5")).hits[0]?.highlight, null);
      assert.match(marked(await search(index, '"the spectrum raw"')), /before \[the {2}Spéctrum {2}raw\] spectrum/);
      assert.equal(marked(await search(index, "t*")).includes("[the]"), true);
      assert.equal(marked(await search(index, "csv")), "t.[csv]");
    });

    test("hints are values that begin so, as they were written, of what the owner may see", async () => {
      const index = make();
      await index.put([
        file(1, { owner: "ann", fields: { project: ["Élan", "elbow"], other: ["elf"] } }),
        file(2, { owner: "bob", fields: { project: ["Elk", "x y"] } }),
      ]);
      assert.deepEqual(await index.suggest("project", "el", undefined, 10), ["Élan", "elbow", "Elk"]);
      assert.deepEqual(await index.suggest("Project", "ÉL", "ann", 10), ["Élan", "elbow"]);
      assert.deepEqual(await index.suggest("project", "", "bob", 1), ["Elk"]);
      assert.deepEqual(await index.suggest("project", "X  Y", undefined, 10), ["x y"]);
      assert.deepEqual(await index.suggest("none", "", undefined, 10), []);
      await index.remove(["file:2"]);
      assert.deepEqual(await index.suggest("project", "elk", undefined, 10), []);
    });

    test("an index is made anew beside the one in use, which answers until it is finished", async () => {
      const index = make();
      await index.put([file(1, { text: "old" }), file(2, { text: "old" }), file(3, { text: "gone since" })]);
      const builder = await index.rebuild();
      await builder.put([file(1, { text: "stale" }), file(2, { text: "rebuilt" })]);
      // What changes meanwhile is newer than what the builder brings, whichever comes first.
      await index.put([file(1, { text: "changed" }), file(4, { text: "changed" })]);
      await index.remove(["file:5"]);
      await builder.put([file(4, { text: "stale" }), file(5, { text: "stale" })]);
      assert.deepEqual(await found(index, "old OR changed OR gone"), [1, 2, 3, 4]);
      assert.deepEqual(await found(index, "rebuilt OR stale"), []);
      const during = search(index, "old OR changed OR rebuilt");
      await builder.finish();
      assert.equal((await during).total, 3);
      assert.deepEqual(await found(index, "changed"), [1, 4]);
      assert.deepEqual(await found(index, "rebuilt"), [2]);
      assert.deepEqual(await found(index, "stale OR old OR gone"), []);
      await index.put([file(6, { text: "after" })]);
      assert.deepEqual(await found(index, "after"), [6]);
      await assert.rejects(builder.put([]), { code: "job_cancelled" });
    });

    test("an abandoned rebuild leaves the index as it is; another one takes a former one's place", async () => {
      const index = make();
      await index.put([file(1, { text: "a" })]);
      const abandoned = await index.rebuild();
      await abandoned.put([file(2, { text: "a" })]);
      await abandoned.abandon();
      await abandoned.abandon();
      assert.deepEqual(await found(index, "a"), [1]);
      const former = await index.rebuild();
      const later = await index.rebuild();
      await assert.rejects(former.finish(), { code: "job_cancelled" });
      await former.abandon();
      await later.put([file(3, { text: "a" })]);
      await later.finish();
      assert.deepEqual(await found(index, "a"), [3]);
    });

    test("any query finds what looking at every document finds, in the same order, on pages of any size", async (t) => {
      const below = seededRandom(t);
      const index = make();
      const documents = randomDocuments(150, below);
      await index.put(documents.toSorted(() => below(3) - 1));
      let hits = 0;
      for (let i = 0; i < 80; i++) {
        const request = randomRequest(below);
        const expected = naiveHits(documents, request);
        hits += expected.length;
        const seen: string[] = [];
        for (let cursor: string | null | undefined; cursor !== null; ) {
          const page: SearchPage = await index.search({ ...request, ...(cursor !== undefined && { cursor }) });
          seen.push(...keysOf(page));
          cursor = page.next;
          assert.equal(page.total, expected.length, JSON.stringify(request));
          for (const field of request.facets ?? [])
            assert.deepEqual(page.facets[field], naiveFacet(expected, field), JSON.stringify(request));
        }
        assert.deepEqual(seen, keysOf({ hits: expected }), JSON.stringify(request));
      }
      assert.ok(hits > 1500, `only ${hits} were to be found`);
    });

    test("text that no database likes is found by the rest of it", async () => {
      const index = make();
      await index.put([
        file(1, { title: "a\0b", text: "lone \ud800 half", fields: { "na\0me": ["v\0w"], n: [1e21, -0, 0.1 + 0.2] } }),
        file(2, { text: `${"distinct ".repeat(20_000)}end of it`, fields: { "": ["x"], n: [5e-324] } }),
      ]);
      assert.deepEqual(await found(index, "lone half"), [1]);
      assert.deepEqual(await found(index, '"end of it"'), [2]);
      assert.deepEqual(await found(index, "n:>=1000000000000000000000"), [1]);
      const { facets } = await search(index, "", { facets: ["n"] });
      const counted = ["0", "0.30000000000000004", "1e+21", "5e-324"].map((value) => ({ value, count: 1 }));
      assert.deepEqual(facets.n, counted);
      const name = "na\0me";
      assert.equal((await search(index, "", { facets: [name] })).facets[name]?.length, 1);
      assert.equal((await index.suggest(name, "v", undefined, 9)).length, 1);
      assert.deepEqual(await index.suggest(name, "\0", undefined, 9), []);
    });

    test("whatever a user types is answered or refused with a column", async (t) => {
      const below = seededRandom(t);
      const index = make();
      await index.put([file(1, { text: "a b near not and or" })]);
      const scraps = [
        "a",
        "b",
        "NEAR",
        "NOT",
        "OR",
        "AND",
        " ",
        " ",
        "-",
        "+",
        "^",
        "(",
        ")",
        '"',
        "'",
        "*",
        ":",
        "{",
        "}",
      ];
      scraps.push(
        "title:",
        "x:>1",
        "x:1..2",
        "%",
        "\0",
        "\ud800",
        "\ue000",
        "é",
        "光",
        ";",
        "--",
        "/*",
        ",",
        "NEAR(a b, 2)",
      );
      let answered = 0;
      for (let i = 0; i < 600; i++) {
        const text = Array.from({ length: 1 + below(7) }, () => scraps[below(scraps.length)]).join("");
        try {
          await search(index, text, { order: i % 2 === 0 ? "newest" : "relevance" });
          answered += 1;
        } catch (error) {
          assert.ok(
            error instanceof AppError && error.code === "query_invalid",
            `${JSON.stringify(text)}: ${String(error)}`,
          );
        }
      }
      assert.ok(answered > 60, `only ${answered} were answered`);
    });

    test("the longest and deepest queries are answered", async () => {
      const index = make();
      await index.put([file(1, { text: "w0 w199", fields: { n: [3] } })]);
      assert.deepEqual(await found(index, Array.from({ length: 200 }, (_, i) => `w${i}`).join(" OR ")), [1]);
      assert.deepEqual(await found(index, `${"-(".repeat(6)}w0${")".repeat(6)}`), [1]);
      assert.deepEqual(await found(index, `${"(x OR w0 ".repeat(12)}w0${")".repeat(12)} OR w0`), [1]);
      assert.deepEqual(await found(index, `${"-(x y OR w0 z -(".repeat(3)}w1 OR n:0.1<..<0.3${"))".repeat(3)}`), [1]);
      const deepest = await search(index, `${"(x OR w0 -y ".repeat(11)}n:0.1<..<0.3${")".repeat(11)}`, {
        owner: "ann",
        types: ["file", "record"],
        order: "relevance",
      });
      assert.equal(deepest.total, 0);
      assert.deepEqual(await found(index, Array.from({ length: 200 }, () => "n:>0.123456789").join(" ")), [1]);
    });
  });
}

function file(id: number, about: Partial<SearchDocument> = {}): SearchDocument {
  return {
    key: `file:${id}`,
    type: "file",
    owner: "ann",
    title: `t${id}`,
    text: "",
    fields: {},
    createdAt: id,
    ...about,
  };
}

async function search(
  index: SearchIndex,
  asked: string | Query,
  request: Partial<SearchRequest> = {},
): Promise<SearchPage> {
  const query = typeof asked === "string" ? parseQuery(asked) : asked;
  return index.search({ ...(query && { query }), order: "newest", limit: 1000, ...request });
}

/** Ids in order, and as many as the total says. */
async function found(index: SearchIndex, asked: string | Query): Promise<readonly number[]> {
  const page = await search(index, asked);
  assert.equal(page.total, page.hits.length);
  return page.hits.map(({ key }) => Number(key.slice("file:".length))).sort((a, b) => a - b);
}

function keysOf(page: { readonly hits: readonly { readonly key: string }[] }): readonly string[] {
  return page.hits.map(({ key }) => key);
}
