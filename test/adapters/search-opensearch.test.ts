import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingMessage, request } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import { after, describe, type TestContext, test } from "node:test";
import { FORMAT, indexDefinition } from "../../src/adapters/search/opensearch/stored-document.ts";
import { parseQuery } from "../../src/core/catalogue/query.ts";
import type { SearchDocument, SearchIndex } from "../../src/core/catalogue/search-index.ts";
import { AppError, type Code } from "../../src/core/errors.ts";
import { searchIndexConformance } from "../conformance/search-index.ts";
import { faultyProxy } from "../support/faulty-proxy.ts";
import { movingClock } from "../support/moving-clock.ts";
import { type IndexesOfEngine, openIndexes, withoutEngine } from "../support/opensearch-server.ts";
import { everything } from "../support/search.ts";

const isMissing = withoutEngine("opensearch");
if (isMissing) test("searches in OpenSearch", { skip: isMissing }, () => {});
else withEngine(await openIndexes("opensearch"));

function withEngine(engine: IndexesOfEngine): void {
  after(() => engine.stop());

  /** What the engine itself says, or is told. */
  async function ask(method: string, path: string, body?: unknown): Promise<Record<string, unknown>> {
    const answer = await fetch(engine.url + path, {
      method,
      headers: { "content-type": "application/json" },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    assert.ok(answer.ok, `${method} ${path}: ${answer.status}`);
    return (await answer.json()) as Record<string, unknown>;
  }

  /** Names of all indexes that begin so. */
  const indexesOf = async (prefix: string) => Object.keys(await ask("GET", `/${prefix}-*`));

  searchIndexConformance("opensearch", () => engine.open());

  describe("an index in OpenSearch", () => {
    test("pages go on behind ten thousand hits, which are all counted where facets are", async () => {
      const index = engine.open();
      const builder = await index.rebuild();
      const count = 12_000;
      for (let id = 0; id < count; id += 4000)
        await builder.put(Array.from({ length: 4000 }, (_, i) => document(id + i, { fields: { kind: ["a"] } })));
      await builder.finish();
      const counted = await index.search({ order: "newest", limit: 1, facets: ["kind"] });
      assert.deepEqual([counted.total, counted.isLowerBound], [count, false]);
      assert.deepEqual(counted.facets.kind, [{ value: "a", count }]);
      const quick = await index.search({ order: "newest", limit: 1 });
      assert.deepEqual([quick.total, quick.isLowerBound], [10_000, true]);
      assert.equal((await everything(index)).length, count);
    });

    test("what has thousands of field names is filed and found like anything else", async () => {
      const index = engine.open();
      const fields = Object.fromEntries(Array.from({ length: 5000 }, (_, i) => [`name ${i}`, [i, `v${i}`]]));
      await index.put([document(1, { fields }), document(2)]);
      assert.deepEqual(await keys(index, { field: "name 4321", is: "V4321", isPrefix: false }), ["file:1"]);
      assert.equal((await index.search({ order: "newest", limit: 1, facets: ["name 7"] })).facets["name 7"]?.length, 2);
    });

    test("a document that the engine does not take is named, and the others are there", async () => {
      const index = engine.open();
      const tooLong = document(2, { owner: "o".repeat(40_000) }); // Lucene's longest term has 32,766 bytes
      await assert.rejects(
        index.put([document(1), tooLong, document(3)]),
        failing("search_refused", { document: "file:2" }),
      );
      assert.deepEqual(await keys(index), ["file:3", "file:1"]);
    });

    test("the longest words and values, and text of no language, are filed", async () => {
      const index = engine.open();
      const value = `${"é/".repeat(20_000)}end`;
      await index.put([document(1, { text: "x".repeat(100_000), fields: { path: [value], "\ud800": ["\ud800\0"] } })]);
      assert.deepEqual(await keys(index, { field: "path", is: value, isPrefix: false }), ["file:1"]);
      assert.deepEqual(await keys(index, parseQuery(`${"x".repeat(199)}*`)), ["file:1"]);
    });

    test("what a busy engine does not take comes in smaller requests, and all of it arrives", async (t) => {
      const sizes: number[] = [];
      const front = await frontOf(engine.url, t, (_, path, body) => {
        if (!path.startsWith("/_bulk")) return undefined;
        sizes.push(body.length);
        return body.length > 5_000
          ? { status: 429, body: { error: { type: "rejected_execution_exception" } } }
          : undefined;
      });
      const index = engine.open({ url: front });
      await index.put(Array.from({ length: 40 }, (_, id) => document(id)));
      assert.equal((await everything(index)).length, 40);
      assert.ok((sizes[0] ?? 0) > 5_000 && (sizes.at(-1) ?? 0) <= 5_000, String(sizes));
    });

    test("an answer that breaks off is asked for again", async (t) => {
      const proxy = await faultyProxy(engine.url);
      t.after(() => proxy.close());
      const prefix = engine.freshPrefix();
      await engine.open({ prefix }).put(Array.from({ length: 200 }, (_, id) => document(id)));
      // In the middle of the first page, behind what is asked before it.
      let connections = 0;
      proxy.cutAfter(() => (connections++ === 0 ? 15_000 : Number.POSITIVE_INFINITY));
      assert.equal((await keys(engine.open({ url: proxy.url, prefix }))).length, 200);
      assert.equal(proxy.cuts, 1);
    });

    test("an index that takes nothing more says so, and answers searches still", async () => {
      const prefix = engine.freshPrefix();
      const index = engine.open({ prefix });
      await index.put([document(1)]);
      // What the engine itself does when a disk is nearly full (the flood stage).
      await ask("PUT", `/${prefix}/_settings`, { "index.blocks.read_only_allow_delete": true });
      const full = /disk usage exceeded flood-stage watermark/;
      await assert.rejects(index.put([document(2)]), failing("search_unavailable", { status: 429 }, full));
      assert.deepEqual(await keys(index), ["file:1"]);
      await ask("PUT", `/${prefix}/_settings`, { "index.blocks.read_only_allow_delete": null });
      await index.put([document(2)]);
      assert.deepEqual(await keys(index), ["file:2", "file:1"]);
    });

    test("a closed index, and one whose shards are not there, are unavailable until they can be used", async () => {
      const prefix = engine.freshPrefix();
      const index = engine.open({ prefix });
      await index.put([document(1)]);
      await ask("POST", `/${prefix}/_close`);
      await assert.rejects(index.search({ order: "newest", limit: 1 }), { code: "search_unavailable" });
      await ask("POST", `/${prefix}/_open`);
      assert.deepEqual(await keys(index), ["file:1"]);

      const red = engine.freshPrefix();
      const { settings, mappings } = indexDefinition({ longshore: FORMAT, filled: true, aliveAt: 0 }, 1);
      const nowhere = { "index.routing.allocation.require._name": "nobody" };
      await ask("PUT", `/${red}-0000000000000-000000?wait_for_active_shards=0&timeout=1s`, {
        settings: { ...settings, ...nowhere },
        mappings,
        aliases: { [red]: {} },
      });
      assert.equal((await ask("GET", `/_cluster/health/${red}`)).status, "red");
      const unassigned = engine.open({ prefix: red });
      await assert.rejects(unassigned.search({ order: "newest", limit: 1 }), { code: "search_unavailable" });
      await assert.rejects(unassigned.put([document(1)]), { code: "search_unavailable" });
      await ask("PUT", `/${red}/_settings`, { "index.routing.allocation.require._name": null });
      await unassigned.put([document(1)]);
      assert.deepEqual(await keys(unassigned), ["file:1"]);
    });

    test("with the wrong password it is unavailable, and says nothing of the password", async (t) => {
      const expected = `Basic ${Buffer.from("ada:right horse").toString("base64")}`;
      const front = await frontOf(engine.url, t, ({ headers }) =>
        headers.authorization === expected ? undefined : { status: 401, body: { error: { reason: "who are you?" } } },
      );
      const withPassword = (password: string) =>
        engine.open({ url: front.replace("//", `//ada:${encodeURIComponent(password)}@`) });
      const refused = failing("search_unavailable", { engine: front, status: 401 }, /^(?!.*horse)/);
      await assert.rejects(withPassword("wrong horse").put([document(1)]), refused);
      const index = withPassword("right horse");
      await index.put([document(1)]);
      assert.deepEqual(await keys(index), ["file:1"]);
    });

    test("an engine that is too old, or something else, is refused with what was found", async (t) => {
      const old = { version: { number: "6.8.23" } };
      for (const [body, found] of [
        [old, "elasticsearch 6.8.23"],
        [{ hello: "world" }, "something else"],
      ] as const) {
        const front = await frontOf(engine.url, t, () => ({ status: 200, body }));
        await assert.rejects(engine.open({ url: front }).counts(), failing("search_unavailable", { found }));
      }
    });

    test("an index or an alias of somebody else is left as it is", async () => {
      const [taken, aliased] = [engine.freshPrefix(), engine.freshPrefix()];
      await ask("PUT", `/${taken}`);
      await ask("PUT", "/somebody-else", { aliases: { [aliased]: {} } });
      for (const prefix of [taken, aliased]) {
        const index = engine.open({ prefix });
        const isRefused = { code: "search_unavailable" };
        await assert.rejects(index.put([document(1)]), isRefused);
        await assert.rejects(index.search({ order: "newest", limit: 1 }), isRefused);
        await assert.rejects(index.rebuild(), isRefused);
        assert.equal((await ask("GET", `/${prefix}/_count`)).count, 0);
      }
    });

    test("an index of an earlier format is made anew, and one of a later Longshore is not touched", async () => {
      const prefix = engine.freshPrefix();
      const index = engine.open({ prefix });
      await index.put([document(1)]);
      await index.declareFilled();
      const formatIs = (longshore: number) =>
        ask("PUT", `/${prefix}/_mapping`, { _meta: { longshore, filled: true, aliveAt: 0 } });
      await formatIs(0);
      const earlier = engine.open({ prefix });
      assert.equal(await earlier.isFilled(), false);
      await assert.rejects(earlier.search({ order: "newest", limit: 1 }), { code: "search_unavailable" });
      const builder = await earlier.rebuild();
      await earlier.put([document(2)]);
      await builder.finish();
      assert.deepEqual(await keys(earlier), ["file:2"]);
      assert.equal(await earlier.isFilled(), true);
      await formatIs(99);
      const later = engine.open({ prefix });
      await assert.rejects(later.isFilled(), { code: "search_unavailable" });
      await assert.rejects(later.put([document(3)]), { code: "search_unavailable" });
      await assert.rejects(later.rebuild(), { code: "search_unavailable" });
    });

    test("an index that has vanished is damage, which a rebuild mends", async () => {
      const prefix = engine.freshPrefix();
      const index = engine.open({ prefix });
      await index.put([document(1)]);
      for (const name of await indexesOf(prefix)) await ask("DELETE", `/${name}`);
      await assert.rejects(index.search({ order: "newest", limit: 1 }), { code: "database_damaged" });
      await assert.rejects(index.put([document(2)]), { code: "database_damaged" });
      const builder = await index.rebuild();
      await builder.put([document(1), document(2)]);
      await builder.finish();
      assert.deepEqual(await keys(index), ["file:2", "file:1"]);
    });

    test("what several processes put into an index that none of them has seen is in one", async () => {
      const prefix = engine.freshPrefix();
      const indexes = Array.from({ length: 6 }, () => engine.open({ prefix }));
      await Promise.all(indexes.map((index, id) => index.put([document(id)])));
      assert.equal((await indexesOf(prefix)).length, 1);
      for (const index of indexes) assert.equal((await index.counts()).documents, 6);
    });

    test("changes of every process reach the index that another one makes, and nothing is left of the old one", async () => {
      const prefix = engine.freshPrefix();
      const [one, other] = [engine.open({ prefix }), engine.open({ prefix })];
      await one.put([document(1), document(2), document(3)]);
      const builder = await one.rebuild();
      await builder.put([document(1, { text: "stale" }), document(2, { text: "rebuilt" })]);
      await other.put([document(1, { text: "changed" })]);
      await other.remove(["file:3"]);
      await builder.put([document(3, { text: "stale" })]);
      await builder.finish();
      for (const index of [one, other]) {
        assert.deepEqual(await keys(index, parseQuery("changed")), ["file:1"]);
        assert.deepEqual(await keys(index, parseQuery("stale")), []);
        assert.equal((await index.counts()).documents, 2);
        assert.equal(await index.isFilled(), true);
      }
      assert.equal((await indexesOf(prefix)).length, 1);
    });

    test("of two processes that make it anew, the later one does", async () => {
      const prefix = engine.freshPrefix();
      const [one, other] = [engine.open({ prefix }), engine.open({ prefix })];
      await one.put([document(1)]);
      const earlier = await one.rebuild();
      const later = await other.rebuild();
      await assert.rejects(earlier.put([document(2)]), { code: "job_cancelled" });
      await assert.rejects(earlier.finish(), { code: "job_cancelled" });
      await later.put([document(3)]);
      await later.finish();
      await earlier.abandon();
      await later.abandon();
      assert.deepEqual(await keys(one), ["file:3"]);
      assert.equal((await indexesOf(prefix)).length, 1);
    });

    test("changes go through while indexes take each other's place", async () => {
      const prefix = engine.freshPrefix();
      const [one, other] = [engine.open({ prefix }), engine.open({ prefix })];
      await one.put([document(0)]);
      let isOver = false;
      /** As with the real one, changes are in it before an index is told of them. */
      const database = [0];
      const changes = (async () => {
        for (let id = 1; !isOver; id++) {
          database.push(id);
          await other.put([document(id)]);
        }
      })();
      for (let round = 0; round < 4; round++) {
        const builder = await one.rebuild();
        await builder.put(database.map((id) => document(id)));
        await builder.finish();
      }
      isOver = true;
      await changes;
      const found = new Set((await everything(one)).map(({ key }) => key));
      assert.deepEqual(
        database.filter((id) => !found.has(`file:${id}`)),
        [],
      );
      assert.equal((await indexesOf(prefix)).length, 1);
    });

    test("an index whose maker has died is removed when nothing was heard of it for an hour, or by the next", async () => {
      const prefix = engine.freshPrefix();
      const clock = movingClock();
      const index = engine.open({ prefix, clock });
      await index.put([document(1)]);
      await index.rebuild();
      await index.put([document(2)]);
      assert.equal((await indexesOf(prefix)).length, 2);
      clock.pass(3_600_001);
      await index.put([document(3)]);
      assert.equal((await indexesOf(prefix)).length, 1);
      await index.rebuild();
      await (await engine.open({ prefix }).rebuild()).finish();
      assert.equal((await indexesOf(prefix)).length, 1);
    });

    // The last one, as the engine is away in it.
    test("an engine that is killed is unavailable, and when it is back, so is what was put", async () => {
      const index = engine.open();
      await index.put([document(1)]);
      await engine.kill();
      await assert.rejects(index.search({ order: "newest", limit: 1 }), { code: "search_unavailable" });
      await assert.rejects(index.put([document(2)]), { code: "search_unavailable" });
      await engine.start();
      await index.put([document(2)]);
      assert.deepEqual(await keys(index), ["file:2", "file:1"]);
      await index.close();
      await assert.rejects(index.counts(), failing("search_unavailable", { reason: "it is closed" }));
    });
  });
}

interface Instead {
  readonly status: number;
  readonly body: unknown;
}

/** A server before the engine, which answers some requests itself: a proxy with passwords, a busy engine, another one. */
async function frontOf(
  url: string,
  t: TestContext,
  answer: (incoming: IncomingMessage, path: string, body: Buffer) => Instead | undefined,
): Promise<string> {
  const server = createServer(async (incoming, outgoing) => {
    const body = await buffer(incoming);
    const { method, headers, url: path = "" } = incoming;
    const instead = answer(incoming, path, body);
    if (instead) {
      outgoing.writeHead(instead.status, { "content-type": "application/json" }).end(JSON.stringify(instead.body));
      return;
    }
    const onward = request(new URL(path, url), { method, headers }, (reply) => {
      outgoing.writeHead(reply.statusCode ?? 502, reply.headers);
      reply.pipe(outgoing);
    });
    onward.end(body);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** A failure with this code, with these among its details, and so worded. */
const failing =
  (code: Code, details: AppError["details"], words = /./) =>
  (error: unknown) => {
    assert.ok(error instanceof AppError, String(error));
    assert.equal(error.code, code);
    assert.partialDeepStrictEqual(error.details, details);
    assert.match(error.message, words);
    return true;
  };

function document(id: number, about: Partial<SearchDocument> = {}): SearchDocument {
  const own = { key: `file:${id}`, type: "file", owner: "ann", title: `t${id}`, createdAt: id } as const;
  return { ...own, text: "", fields: {}, ...about };
}

async function keys(index: SearchIndex, query?: ReturnType<typeof parseQuery>): Promise<readonly string[]> {
  const { hits } = await index.search({ order: "newest", limit: 1000, ...(query && { query }) });
  return hits.map(({ key }) => key);
}
