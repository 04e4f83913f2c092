import assert from "node:assert/strict";
import { after, test } from "node:test";
import pg from "pg";
import { postgresIndex } from "../../src/adapters/search/postgres.ts";
import { parseQuery } from "../../src/core/catalogue/query.ts";
import type { SearchDocument, SearchIndex, SearchRequest } from "../../src/core/catalogue/search-index.ts";
import { searchIndexConformance } from "../conformance/search-index.ts";
import { startPostgres } from "../support/postgres.ts";

const postgres = await startPostgres();
const opened: { close(): Promise<void> }[] = [];
const troubles: unknown[] = [];
after(async () => {
  for (const index of opened) await index.close();
  await postgres.stop();
  assert.deepEqual(troubles, []);
});

function open(url: string) {
  const index = postgresIndex({ url, onTrouble: (error) => troubles.push(error) });
  opened.push(index);
  return index;
}

/** The suite asks for an index, and a database takes a while. */
const databases = await Promise.all(Array.from({ length: 30 }, () => postgres.freshDatabase()));
const freshUrl = () => databases.pop() ?? assert.fail("there are too few databases");
searchIndexConformance("postgres", () => open(freshUrl()));

async function asked<Row>(url: string, text: string): Promise<readonly Row[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(text)).rows;
  } finally {
    await client.end();
  }
}

async function tables(url: string): Promise<readonly string[]> {
  const rows = await asked<{ tablename: string }>(
    url,
    "SELECT tablename FROM pg_tables WHERE schemaname = 'longshore_search'",
  );
  return rows.map(({ tablename }) => tablename.replace(/_\d+$/, "")).sort();
}

test("all processes have one index: what one puts the others find, and what one has filled is filled", async () => {
  const url = freshUrl();
  const [one, other] = [open(url), open(url)];
  await Promise.all([one.put([document(1, "a")]), other.put([document(2, "a")])]);
  await other.remove(["file:1"]);
  assert.deepEqual(await keys(one, "a"), ["file:2"]);
  assert.equal((await one.counts()).documents, 1);
  await (await one.rebuild()).finish();
  assert.deepEqual([await other.isFilled(), await keys(other, "a")], [true, []]);
});

test("a rebuild by one process gets the changes of another, and gives way to a rebuild by another", async () => {
  const url = freshUrl();
  const [one, other] = [open(url), open(url)];
  await other.put([document(1, "old"), document(2, "old")]);
  const builder = await one.rebuild();
  await builder.put([document(1, "stale")]);
  await other.put([document(1, "changed")]);
  await other.remove(["file:2"]);
  await builder.put([document(2, "stale"), document(3, "brought")]);
  const later = await other.rebuild();
  await assert.rejects(builder.put([document(4, "brought")]), { code: "job_cancelled" });
  await assert.rejects(builder.finish(), { code: "job_cancelled" });
  assert.deepEqual(await keys(one, "old OR changed"), ["file:1"]);
  await later.put([document(3, "brought")]);
  await one.put([document(5, "new")]);
  await later.finish();
  assert.deepEqual(await keys(one, ""), ["file:5", "file:3"]);
});

test("what a process leaves that died while it made an index is gone with the next one", async () => {
  const url = freshUrl();
  const dying = postgresIndex({ url });
  await dying.put([document(1, "a")]);
  await (await dying.rebuild()).put([document(2, "a")]);
  await dying.close();
  assert.deepEqual(await tables(url), ["changed", "documents", "documents", "state", "vocabulary", "vocabulary"]);
  const next = open(url);
  await next.put([document(3, "a")]);
  const builder = await next.rebuild();
  await builder.put([document(4, "a")]);
  await builder.finish();
  assert.deepEqual(await keys(next, "a"), ["file:4"]);
  assert.deepEqual(await tables(url), ["changed", "documents", "state", "vocabulary"]);
});

test("searches go on while an index takes the place of another", async () => {
  const url = freshUrl();
  const [one, other] = [open(url), open(url)];
  await one.put([document(1, "a")]);
  let isOver = false;
  let answers = 0;
  const searching = (async () => {
    for (; !isOver; answers++) assert.deepEqual(await keys(other, "a"), ["file:1"]);
  })();
  for (let i = 0; i < 5; i++) {
    const builder = await one.rebuild();
    await builder.put([document(1, "a")]);
    await builder.finish();
  }
  isOver = true;
  await searching;
  assert.ok(answers > 0);
});

/** Far more than are looked through at once, some at the same time, in no order. */
test("rare and common things are found in all of many documents, and counted up to a limit", async () => {
  const index = open(freshUrl());
  const count = 12_000;
  const documents = Array.from({ length: count }, (_, i): SearchDocument => {
    const id = (i * 7919) % count;
    return {
      ...document(id, `common${id % 1000 === 7 ? " rare" : ""}${id < 10 ? " oldest" : ""}`),
      title: id % 500 === 7 ? "common rare" : "t",
      fields: { kind: [id < 10 ? "Ancient" : "recent"] },
      createdAt: id < 6000 ? 1_500_000_000_000 : 1_600_000_000_000 + id * 3_600_000,
    };
  });
  const builder = await index.rebuild();
  for (let at = 0; at < count; at += 500) await builder.put(documents.slice(at, at + 500));
  await builder.finish();
  const newest = documents
    .toSorted((a, b) => b.createdAt - a.createdAt || Number(b.key.slice(5)) - Number(a.key.slice(5)))
    .map(({ key }) => Number(key.slice(5)));
  const numbers = async (query: string, order: SearchRequest["order"], limit: number) =>
    (await keys(index, query, order, limit)).map((key) => Number(key.slice(5)));

  assert.deepEqual(await numbers("common", "newest", 700), newest);
  assert.deepEqual(
    await numbers("rare", "newest", 5),
    newest.filter((id) => id % 500 === 7),
  );
  const inTitle = newest.filter((id) => id % 500 === 7);
  assert.deepEqual(await numbers("common rare", "relevance", 7), inTitle);
  assert.deepEqual(await numbers("common", "relevance", 900), [...inTitle, ...newest.filter((id) => id % 500 !== 7)]);
  assert.deepEqual(
    await numbers("oldest", "newest", 3),
    newest.filter((id) => id < 10),
  );
  assert.deepEqual(
    await numbers('"common oldest"', "newest", 100),
    newest.filter((id) => id < 10 && id !== 7),
  );
  assert.deepEqual(await index.suggest("kind", "", undefined, 10), ["Ancient", "recent"]);
  const page = await index.search({ query: { word: "common", isPrefix: false }, order: "newest", limit: 1 });
  assert.deepEqual([page.total, page.isLowerBound], [2000, true]);
});

test("a long value is found by any beginning of it, and as a whole", async () => {
  const index = open(freshUrl());
  // Shorter, as long as, and longer than what one lexeme holds, and twice that.
  const lengths = [399, 400, 401, 799, 800, 801, 3000];
  const value = (length: number) => "0123456789".repeat(300).slice(0, length);
  await index.put(lengths.map((length) => ({ ...document(length, ""), fields: { path: [value(length)] } })));
  for (const length of [1, 200, 399, 400, 401, 799, 800, 801, 1200, 3000]) {
    const found = async (isPrefix: boolean) => {
      const query = { field: "path", is: value(length), isPrefix };
      const { hits } = await index.search({ query, order: "newest", limit: 100 });
      return hits.map(({ key }) => Number(key.slice(5))).sort((a, b) => a - b);
    };
    assert.deepEqual(
      await found(false),
      lengths.filter((one) => one === length),
      String(length),
    );
    assert.deepEqual(
      await found(true),
      lengths.filter((one) => one >= length),
      `${length}*`,
    );
  }
});

test("a schema that is dropped is made again, empty; one of a newer Longshore is left alone", async () => {
  const url = freshUrl();
  const index = open(url);
  await index.put([document(1, "a")]);
  await index.declareFilled();
  await asked(url, "DROP SCHEMA longshore_search CASCADE");
  assert.deepEqual(await keys(index, ""), []);
  assert.equal(await index.isFilled(), false);
  await index.put([document(2, "abc")]);
  assert.deepEqual(await keys(index, "ab*"), ["file:2"]);
  await asked(url, "UPDATE longshore_search.state SET format = 9");
  const other = open(url);
  await assert.rejects(other.search({ order: "newest", limit: 1 }), (error: unknown) => {
    assert.ok(error instanceof Error && "code" in error && "details" in error);
    assert.deepEqual(error.details, { reason: "a newer Longshore has the index", expected: 1, found: 9 });
    return error.code === "search_unavailable";
  });
});

test("a user who may not make the schema is told so, and searches when somebody has made it", async () => {
  const url = freshUrl();
  await asked(url, "CREATE ROLE poor LOGIN PASSWORD 'poor'");
  const index = open(url.replace("postgres:password@", "poor:poor@"));
  await assert.rejects(index.search({ order: "newest", limit: 1 }), (error: unknown) => {
    assert.ok(error instanceof Error && "code" in error);
    assert.match(error.message, /may not create a schema/);
    return error.code === "search_unavailable";
  });
  await open(url).put([document(1, "a")]);
  await asked(
    url,
    "GRANT USAGE ON SCHEMA longshore_search TO poor; GRANT SELECT ON ALL TABLES IN SCHEMA longshore_search TO poor",
  );
  assert.deepEqual(await keys(index, "a"), ["file:1"]);
});

test("without PostgreSQL, search is unavailable, and what was to be put is there when it was put again", async () => {
  const url = freshUrl();
  const index = open(url);
  await index.put([document(1, "a")]);
  const { port } = new URL(url);
  const away = postgresIndex({ url: url.replace(`:${port}/`, ":1/") });
  opened.push(away);
  await assert.rejects(away.search({ order: "newest", limit: 1 }), { code: "search_unavailable" });
  await assert.rejects(away.put([document(2, "a")]), { code: "search_unavailable" });
  // Connections that break while they are used: those of this index, and of no other test.
  const name = new URL(url).pathname.slice(1);
  const breaking = asked(
    new URL("/postgres", url).href,
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${name}'`,
  );
  const put = async (): Promise<void> => {
    try {
      await index.put([document(2, "a")]);
    } catch (error) {
      assert.ok(error instanceof Error && "code" in error && error.code === "search_unavailable", String(error));
      await put();
    }
  };
  await put();
  await breaking;
  troubles.length = 0; // the pool tells of idle connections that broke
  assert.deepEqual(await keys(index, "a"), ["file:2", "file:1"]);
});

/** All of a query, page by page. */
async function keys(
  index: SearchIndex,
  text: string,
  order: SearchRequest["order"] = "newest",
  limit = 100,
): Promise<readonly string[]> {
  const query = parseQuery(text);
  const found: string[] = [];
  for (let cursor: string | null | undefined; cursor !== null; ) {
    const page = await index.search({ ...(query && { query }), order, limit, ...(cursor !== undefined && { cursor }) });
    found.push(...page.hits.map(({ key }) => key));
    cursor = page.next;
  }
  return found;
}

function document(id: number, text: string): SearchDocument {
  return { key: `file:${id}`, type: "file", owner: "ann", title: "t", text, fields: {}, createdAt: id };
}
