import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { openSqlite, type Stores } from "../../../src/adapters/db/stores.ts";
import type { Principal } from "../../../src/core/access/access.ts";
import { type Documents, documentService } from "../../../src/core/documents/documents.ts";
import { ownIndices } from "../../../src/core/documents/own-indices.ts";
import { parseSearch } from "../../../src/http/doors/elasticsearch-search.ts";
import { seededRandom } from "../../support/random.ts";

const OPERATOR: Principal = { name: "op", scopes: ["operate"], via: "token" };
const clock = { now: () => Date.parse("2026-11-22T12:00:00Z"), sleep: () => Promise.resolve() };

const MAPPING = {
  properties: {
    status: { type: "keyword" },
    tags: { type: "keyword" },
    n: { type: "integer" },
    x: { type: "double" },
    at: { type: "date" },
    done: { type: "boolean" },
    title: { type: "text" },
    inner: { properties: { name: { type: "keyword" } } },
  },
};

interface Row {
  readonly status?: string | null;
  readonly tags?: readonly string[];
  readonly n?: number;
  readonly x?: number;
  readonly at?: string;
  readonly done?: boolean;
  readonly title?: string;
  readonly inner?: { readonly name?: string };
}

const STATUSES = ["Requested", "Request", "Downloading", "Ünïcode 🚢", "😀", "￿", ""];
const WORDS = ["film", "Reel", "two", "film_scan", "2"];

type Random = (below: number) => number;
type Query = Readonly<Record<string, unknown>>;

const pick = <T>(random: Random, from: readonly T[]): T => from[random(from.length)] as T;
const dayOf = (day: number) => new Date(Date.UTC(2026, 9, 1) + day * 43_200_000).toISOString();

function randomRow(random: Random): Row {
  return {
    ...(random(5) && { status: random(9) ? pick(random, STATUSES) : null }),
    ...(random(3) && { tags: Array.from({ length: random(4) }, () => pick(random, STATUSES)) }),
    ...(random(4) && { n: random(20) - 10 }),
    ...(random(4) && { x: random(40) / 4 - 5 }),
    ...(random(4) && { at: dayOf(random(30)) }),
    ...(random(3) && { done: random(2) === 0 }),
    ...(random(3) && { title: Array.from({ length: 1 + random(4) }, () => pick(random, WORDS)).join(" ") }),
    ...(random(2) && { inner: random(3) ? { name: pick(random, STATUSES) } : {} }),
  };
}

const BOUNDS = ["gt", "gte", "lt", "lte"] as const;

function randomQuery(random: Random, depth: number): Query {
  const bounds = (value: () => unknown) =>
    Object.fromEntries(BOUNDS.filter(() => random(3) === 0).map((bound) => [bound, value()]));
  const text = () => pick(random, ["status", "tags", "inner.name"]);
  switch (random(depth > 0 ? 13 : 10)) {
    case 0:
      return { term: { [text()]: { value: pick(random, STATUSES) } } };
    case 1:
      return { terms: { [text()]: Array.from({ length: random(3) }, () => pick(random, STATUSES)) } };
    case 2:
      return { term: { n: random(2) ? random(20) - 10 : String(random(20) - 10) } };
    case 3:
      return { range: { n: bounds(() => (random(40) - 20) / 2) } };
    case 4:
      return { range: { at: bounds(() => dayOf(random(30))) } };
    case 5:
      return { range: { [text()]: bounds(() => pick(random, STATUSES)) } };
    case 6:
      return { exists: { field: pick(random, ["status", "tags", "n", "title", "inner", "inner.name", "nothing"]) } };
    case 7:
      return { prefix: { [text()]: pick(random, STATUSES).slice(0, 3) } };
    case 8:
      return {
        match: {
          title: { query: `${pick(random, WORDS)} ${pick(random, WORDS)}`, operator: pick(random, ["or", "and"]) },
        },
      };
    case 9:
      return random(2)
        ? { ids: { values: [String(random(300)), String(random(300))] } }
        : { term: { done: random(2) === 0 } };
    default: {
      const clauses = () => Array.from({ length: random(3) }, () => randomQuery(random, depth - 1));
      const should = clauses();
      return {
        bool: {
          must: clauses(),
          filter: clauses(),
          must_not: clauses().slice(1),
          should,
          ...(random(3) === 0 && { minimum_should_match: random(should.length + 1) }),
        },
      };
    }
  }
}

/** What a query means, clause by clause over plain values: nothing of it is shared with what is tested. */
function answers(query: Query, row: Row, id: string): boolean {
  const [kind = "", body] = Object.entries(query)[0] as [string, Record<string, unknown>];
  const of = (field: string): readonly unknown[] => {
    const raw = field === "inner.name" ? row.inner?.name : row[field as keyof Row];
    return (Array.isArray(raw) ? raw : [raw]).filter((value) => value !== undefined && value !== null);
  };
  const [field = "", given] = Object.entries(body)[0] ?? [];
  const option = (name: string) => (typeof given === "object" ? (given as Record<string, unknown>)[name] : given);
  switch (kind) {
    case "term":
      return of(field).some((value) => String(value) === String(option("value")));
    case "terms":
      return of(field).some((value) => (given as unknown[]).includes(value));
    case "prefix":
      return of(field).some((value) => String(value).startsWith(String(given)));
    case "ids":
      return (given as string[]).includes(id);
    case "exists":
      return given === "inner" ? of("inner.name").length > 0 : of(String(given)).length > 0;
    case "range":
      return of(field).some((value) => BOUNDS.every((bound) => isOnSide(bound, value, option(bound))));
    case "match": {
      const words = String(of(field)[0] ?? "")
        .toLowerCase()
        .split(" ");
      const wanted = String(option("query")).toLowerCase().split(" ");
      const found = wanted.filter((word) => words.includes(word)).length;
      return option("operator") === "and" ? found === wanted.length : found > 0;
    }
    default: {
      const clauses = (name: string) => (body[name] as Query[]).map((clause) => answers(clause, row, id));
      const [must, filter, mustNot, should] = ["must", "filter", "must_not", "should"].map(clauses) as boolean[][];
      const least =
        body.minimum_should_match ?? (must?.length || filter?.length ? 0 : Math.min(1, should?.length ?? 0));
      return (
        [...(must ?? []), ...(filter ?? [])].every(Boolean) &&
        !mustNot?.some(Boolean) &&
        (should ?? []).filter(Boolean).length >= Number(least)
      );
    }
  }
}

function isOnSide(bound: string, value: unknown, limit: unknown): boolean {
  if (limit === undefined) return true;
  const order = orderOf(value, limit);
  return bound === "gt" ? order > 0 : bound === "gte" ? order >= 0 : bound === "lt" ? order < 0 : order <= 0;
}

/** Text as its UTF-8 is ordered; `at` is ISO 8601 in UTC throughout, and ordered as text. */
function orderOf(a: unknown, b: unknown): number {
  return typeof a === "string" ? Buffer.compare(Buffer.from(a), Buffer.from(String(b))) : Number(a) - Number(b);
}

describe("queries of documents", () => {
  let stores: Stores;
  let documents: Documents;
  before(async () => {
    stores = await openSqlite({ path: ":memory:", clock });
    documents = documentService(ownIndices(stores.documents, clock), [], clock);
  });
  after(() => stores.close());

  async function fill(index: string, rows: readonly Row[]): Promise<void> {
    await documents.createIndex(OPERATOR, index, MAPPING);
    const writes = rows.map((row, i) => ({ op: "index", id: String(i), source: JSON.stringify(row) }) as const);
    for (const outcome of await documents.write(OPERATOR, index, writes, { strict: true }))
      assert.ok(!("error" in outcome), JSON.stringify(outcome));
  }

  async function found(index: string, body: Readonly<Record<string, unknown>>) {
    const asked = parseSearch({ size: 1_000, ...body }, {});
    const { total, hits } = await documents.search(OPERATOR, [index], asked.search, { strict: true });
    const all = await Array.fromAsync(hits());
    return { total, ids: all.map(({ document }) => document.id), keys: all.map(({ keys }) => keys) };
  }

  test("find what they mean, clause by clause", async (t) => {
    const random = seededRandom(t);
    const rows = Array.from({ length: 300 }, () => randomRow(random));
    await fill("random", rows);
    let notNone = 0;
    for (let i = 0; i < 300; i++) {
      const query = randomQuery(random, 3);
      const expected = rows.flatMap((row, id) => (answers(query, row, String(id)) ? [String(id)] : []));
      const { ids, total } = await found("random", { query });
      assert.deepEqual(ids.sort(byNumber), expected, JSON.stringify(query));
      assert.equal(total, expected.length);
      assert.equal(
        await documents.count(OPERATOR, ["random"], parseSearch({ query }, {}).search.query, { strict: true }),
        total,
      );
      if (expected.length > 0 && expected.length < rows.length) notNone++;
    }
    assert.ok(notNone > 100, `only ${notNone} queries told rows apart`);
  });

  test("come in the order that is asked for, and in pages that leave nothing out", async (t) => {
    const random = seededRandom(t);
    const rows = Array.from({ length: 200 }, () => randomRow(random));
    await fill("sorted", rows);
    for (const field of ["status", "n", "at", "x", "inner.name"])
      for (const order of ["asc", "desc"])
        for (const missing of ["_first", "_last"]) {
          const sort = [{ [field]: { order, missing } }, { _doc: "asc" }];
          const value = (id: number) =>
            (field === "inner.name" ? rows[id]?.inner?.name : rows[id]?.[field as keyof Row]) ?? undefined;
          const expected = [...rows.keys()].sort((a, b) => {
            const [left, right] = [value(a), value(b)];
            if (left === undefined || right === undefined)
              return left === right ? a - b : (left === undefined) === (missing === "_first") ? -1 : 1;
            return (order === "asc" ? 1 : -1) * orderOf(left, right) || a - b;
          });
          const { ids } = await found("sorted", { sort });
          assert.deepEqual(ids, expected.map(String), `${field} ${order} ${missing}`);
          const paged: string[] = [];
          for (let search_after: unknown; ; ) {
            const page = await found("sorted", { sort, size: 33, ...(search_after !== undefined && { search_after }) });
            if (page.ids.length === 0) break;
            paged.push(...page.ids);
            // As it goes over the wire and back.
            search_after = JSON.parse(JSON.stringify(page.keys.at(-1)));
          }
          assert.deepEqual(paged, ids, `${field} ${order} ${missing} in pages`);
          assert.deepEqual((await found("sorted", { sort, from: 50, size: 10 })).ids, ids.slice(50, 60));
        }
  });

  test("the best come first: what has more of the words and clauses", async () => {
    await fill("scored", [{ title: "film" }, { title: "film reel" }, { title: "reel film two", status: "Requested" }]);
    const match = { match: { title: "film reel two" } };
    assert.deepEqual((await found("scored", { query: match })).ids, ["2", "1", "0"]);
    const should = { bool: { must: { match_all: {} }, should: { term: { status: "Requested" } } } };
    assert.deepEqual((await found("scored", { query: should })).ids, ["2", "0", "1"]);
    const two = { match: { title: { query: "film reel two", minimum_should_match: "67%" } } };
    assert.deepEqual((await found("scored", { query: two })).ids, ["2", "1"]);
  });

  test("words are those of Elasticsearch's standard analyzer", async () => {
    // Its reference, "Standard analyzer": The 2 QUICK Brown-Foxes jumped over the lazy dog's bone.
    await fill("words", [
      { title: "The 2 QUICK Brown-Foxes jumped over the lazy dog's bone. film_scan/a1.mkv 3.14 映画" },
    ]);
    const has = async (word: string) => (await found("words", { query: { term: { title: word } } })).ids.length === 1;
    for (const word of ["the", "2", "quick", "brown", "foxes", "dog's", "bone", "film_scan", "3.14", "映", "画"])
      assert.ok(await has(word), word);
    for (const word of ["QUICK", "brown-foxes", "dog", "film", "映画"]) assert.ok(!(await has(word)), word);
  });

  test("what cannot be asked of a field is refused", async () => {
    await documents.createIndex(OPERATOR, "refused", MAPPING);
    for (const body of [
      { query: { term: { n: "x" } } },
      { query: { range: { at: { gte: "someday" } } } },
      { query: { range: { at: { gte: "now", time_zone: "Europe/Nowhere" } } } },
      { query: { prefix: { n: "1" } } },
      { query: { term: { done: "maybe" } } },
      { sort: "title" },
      { sort: "nothing" },
      { sort: "n", search_after: ["x"] },
      { from: 9_999, size: 2 },
    ])
      await assert.rejects(found("refused", body), { code: "document_query_invalid" }, JSON.stringify(body));
    assert.deepEqual((await found("refused", { query: { term: { nothing: 1 } } })).ids, []);
    assert.deepEqual((await found("refused", { sort: { nothing: { unmapped_type: "long" } } })).ids, []);
  });
});

const byNumber = (a: string, b: string) => Number(a) - Number(b);
