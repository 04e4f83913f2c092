import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { type RealServer, realServer } from "./real-server.ts";

/*
 * What goes over the wire. Expected answers are Elasticsearch's: their shapes as its documentation and its clients have
 * them, errors by the names in its REST API's reference.
 */

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  readonly body: Record<string, unknown>;
}

const MAPPINGS = {
  properties: { name: { type: "keyword" }, status: { type: "keyword" }, timestamp: { type: "date" } },
};

describe("the elasticsearch door", () => {
  let server: RealServer;
  before(async () => {
    server = await realServer();
    const books = await readFile(join(import.meta.dirname, "../../examples/registers/books.json"), "utf8");
    await server.deps.registers.declare(books);
    await server.deps.registers.declare(REQUESTS);
  });
  after(() => server.stop());

  async function send(
    method: string,
    path: string,
    body?: unknown,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Answer> {
    const response = await fetch(`${server.url}/doors/elasticsearch${path}`, {
      method,
      headers: { ...(body !== undefined && { "content-type": "application/json" }), ...headers },
      ...(body !== undefined && { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    const parsed = text.startsWith("{") ? (JSON.parse(text) as Record<string, unknown>) : {};
    return { status: response.status, headers: response.headers, text, body: parsed };
  }

  /** Type and status of an answer that is an error. */
  async function refusal(...request: Parameters<typeof send>): Promise<readonly [number, string, string]> {
    const { status, body } = await send(...request);
    const error = body.error as { root_cause: { type: string; reason: string }[]; type: string; reason: string };
    assert.equal(body.status, status);
    return [status, error.root_cause[0]?.type ?? "", error.root_cause[0]?.reason ?? ""];
  }
  const hitsOf = ({ body }: Answer) =>
    (
      body.hits as {
        hits: { _id: string; _source: Record<string, unknown>; sort?: unknown[]; _score: number | null }[];
      }
    ).hits;
  const STRICT = { "x-longshore-strict": "true" };

  test("every answer says that it is one of Elasticsearch's, in the media type that was asked for", async () => {
    for (const path of ["/", "/none", "/none/_search", "/_nothing/at/all", "/none/_doc/1"]) {
      const plain = await send("GET", path);
      assert.equal(plain.headers.get("x-elastic-product"), "Elasticsearch", path);
      assert.match(plain.headers.get("content-type") ?? "", /^application\/json/, path);
    }
    for (const generation of ["7", "8", "9"]) {
      const type = `application/vnd.elasticsearch+json; compatible-with=${generation}`;
      const headers = { accept: type, "content-type": type };
      const { status, headers: answered } = await send("POST", "/typed/_doc", "{}", headers);
      assert.equal(status, 201);
      assert.equal(answered.get("content-type"), `application/vnd.elasticsearch+json;compatible-with=${generation}`);
    }
    const old = await send("GET", "/", undefined, { accept: "application/vnd.elasticsearch+json;compatible-with=6" });
    assert.deepEqual([old.status, (old.body.error as { type: string }).type], [406, "media_type_header_exception"]);
    const head = await send("HEAD", "/");
    assert.deepEqual([head.status, head.text, head.headers.get("x-elastic-product")], [200, "", "Elasticsearch"]);
    assert.equal((await send("HEAD", "/none")).status, 404);
    assert.equal((await send("HEAD", "/typed")).status, 200);
    assert.deepEqual((await send("GET", "/_nothing/at/all")).body, {
      error: "no handler found for uri [/doors/elasticsearch/_nothing/at/all] and method [GET]",
      status: 400,
    });
    assert.equal((await send("PATCH", "/typed")).status, 405);
  });

  test("a document comes back to the letter, and keeps the order of its members when it is changed", async () => {
    const source = '{ "b": 1.0, "2": [9007199254740993, 2], "a": "\\u00e9", "1": null }';
    assert.equal((await send("PUT", "/letters/_doc/x", source)).status, 201);
    assert.equal((await send("GET", "/letters/_source/x")).text, source);
    assert.ok((await send("GET", "/letters/_doc/x")).text.endsWith(`"found":true,"_source":${source}}`));
    assert.ok((await send("POST", "/letters/_search", {})).text.includes(`"_source":${source}}`));
    const changed = await send("POST", "/letters/_update/x", '{"doc": {"3": {"k": 1}, "2": 5.50, "a": "e"}}');
    assert.equal(changed.body.result, "updated");
    assert.equal((await send("GET", "/letters/_source/x")).text, '{"b":1.0,"2":5.50,"a":"e","1":null,"3":{"k": 1}}');
    const again = await send("POST", "/letters/_update/x", '{"doc": {"3": { "k" : 1.0 }}}');
    assert.deepEqual([again.status, again.body.result], [200, "noop"]);
    const some = await send("GET", "/letters/_doc/x?_source_includes=3.*,b");
    assert.ok(some.text.endsWith('"_source":{"b":1.0,"3":{"k":1}}}'), some.text);
    const none = await send("POST", "/letters/_search", { _source: false });
    assert.deepEqual(Object.keys(hitsOf(none)[0] ?? {}), ["_index", "_id", "_score"]);
    const without = await send("POST", "/letters/_search", { _source: { excludes: ["3", "2"] } });
    assert.deepEqual(hitsOf(without)[0]?._source, { b: 1, a: "e", 1: null });
  });

  test("a date with a space is taken, unless the caller is strict or the mapping has its format", async () => {
    const spaced = { timestamp: "2026-11-01 10:00:00" };
    await send("PUT", "/lenient", { mappings: MAPPINGS });
    assert.equal((await send("POST", "/lenient/_doc", spaced)).status, 201);
    const [status, type, reason] = await refusal("POST", "/lenient/_doc", spaced, STRICT);
    assert.deepEqual([status, type], [400, "document_parsing_exception"]);
    assert.match(reason, /^failed to parse field \[timestamp\] of type \[date\]/);
    const format = "yyyy-MM-dd HH:mm:ss||strict_date_optional_time||epoch_millis";
    await send("PUT", "/formatted", { mappings: { properties: { timestamp: { type: "date", format } } } });
    for (const timestamp of [spaced.timestamp, "2026-11-01T10:00:00Z", 1_793_527_200_000])
      assert.equal((await send("POST", "/formatted/_doc", { timestamp }, STRICT)).status, 201, String(timestamp));
    assert.equal((await refusal("POST", "/formatted/_doc", { timestamp: "yesterday" }))[0], 400);
    // 1793527200 is 2026-11-01T10:00:00Z by `date -u -d @1793527200`: one time, written in three ways.
    const range = { timestamp: { gte: "2026-11-01 10:00:00", lte: "2026-11-01 10:00:00" } };
    assert.equal((await send("POST", "/formatted/_count", { query: { range } })).body.count, 3);
  });

  test("an update whose members are called properties is taken, unless the caller is strict", async () => {
    await send("PUT", "/updates/_doc/1", { status: "Requested", name: "a" });
    const update = { properties: { status: "Download complete" } };
    assert.deepEqual(await refusal("POST", "/updates/_update/1", update, STRICT), [
      400,
      "x_content_parse_exception",
      "[1:2] [UpdateRequest] unknown field [properties]",
    ]);
    assert.equal((await send("POST", "/updates/_update/1", update)).body.result, "updated");
    assert.equal((await send("GET", "/updates/_source/1")).text, '{"status":"Download complete","name":"a"}');
    assert.equal(
      (await refusal("POST", "/updates/_update/1", { script: "ctx._source.n++" }))[1],
      "x_content_parse_exception",
    );
    assert.equal((await refusal("POST", "/updates/_update/1", {}))[1], "action_request_validation_exception");
  });

  test("the requests of the last fortnight are found by date math, also when the dates have become text", async () => {
    const day = (ago: number) => new Date(server.deps.clock.now() - ago * 86_400_000).toISOString();
    const spaced = (ago: number) => day(ago).slice(0, 19).replace("T", " ");
    await send("PUT", "/dated", { mappings: { properties: { date: { type: "date" } } } });
    for (const ago of [0, 13, 15, 40]) {
      await send("PUT", `/dated/_doc/${ago}`, { date: day(ago) });
      await send("PUT", `/text_dated/_doc/${ago}`, { date: spaced(ago) });
    }
    const query = { range: { date: { gte: "now-14d/d", lte: "now/d" } } };
    for (const index of ["dated", "text_dated"]) {
      const found = await send("POST", `/${index}/_search`, { query, size: 500 });
      assert.deepEqual(
        hitsOf(found).map(({ _id }) => _id),
        ["0", "13"],
        index,
      );
    }
    assert.deepEqual(hitsOf(await send("POST", "/text_dated/_search", { query }, STRICT)), []);
  });

  test("what Elasticsearch refuses is refused by the same name, and nothing is passed over", async () => {
    await send("PUT", "/asked", { mappings: { properties: { n: { type: "integer" }, t: { type: "text" } } } });
    await send("PUT", "/asked/_doc/1", { n: 1, t: "words" });
    const search = (body: unknown) => refusal("POST", "/asked/_search", body);
    assert.equal((await search({ aggs: {} }))[1], "parsing_exception");
    assert.deepEqual(await search({ query: { fuzzy: { t: "x" } } }), [
      400,
      "parsing_exception",
      "unknown query [fuzzy]",
    ]);
    assert.equal((await search({ query: { term: { a: 1, b: 2 } } }))[1], "parsing_exception");
    assert.equal((await search({ query: { term: { n: "many" } } }))[1], "query_shard_exception");
    assert.equal((await search({ query: { range: { n: { from: 1 } } } }))[1], "parsing_exception");
    assert.equal((await search({ query: { bool: { must: { match_all: {} }, any: [] } } }))[1], "parsing_exception");
    assert.equal((await search({ sort: "t" }))[1], "illegal_argument_exception");
    assert.equal((await search({ sort: "nothing" }))[1], "query_shard_exception");
    assert.equal((await search({ size: 10_001 }))[1], "illegal_argument_exception");
    assert.equal((await search({ from: 1, sort: "n", search_after: [1] }))[1], "action_request_validation_exception");
    assert.equal((await search({ sort: "n", search_after: [1, 2] }))[1], "illegal_argument_exception");
    assert.equal((await search('{"query":'))[1], "x_content_parse_exception");
    assert.equal((await refusal("GET", "/asked/_search?q=t:words"))[1], "illegal_argument_exception");
    assert.equal((await refusal("POST", "/asked/_doc", { n: "many" }))[1], "document_parsing_exception");
    assert.equal((await refusal("POST", "/asked/_doc", { n: { a: 1 } }))[1], "document_parsing_exception");
    assert.equal((await refusal("POST", "/asked/_doc", [1]))[0], 400);
    assert.equal((await refusal("PUT", "/asked/_doc/1?version=3", {}))[1], "illegal_argument_exception");
    assert.equal((await refusal("PUT", `/asked/_doc/${"x".repeat(513)}`, {}))[1], "illegal_argument_exception");
    assert.equal((await refusal("PUT", "/Asked"))[1], "invalid_index_name_exception");
    assert.equal((await refusal("PUT", "/_asked"))[1], "invalid_index_name_exception");
    const geo = { mappings: { properties: { p: { type: "geo_point" } } } };
    assert.equal((await refusal("PUT", "/places", geo))[1], "mapper_parsing_exception");
    const wrongFormat = { mappings: { properties: { p: { type: "date", format: "QQ" } } } };
    assert.equal((await refusal("PUT", "/places", wrongFormat))[1], "mapper_parsing_exception");
    assert.equal((await refusal("PUT", "/asked/_mapping", { properties: { n: { type: "keyword" } } }))[0], 400);
    assert.equal((await refusal("POST", "/asked/_bulk", '{"move":{}}\n{}\n'))[1], "illegal_argument_exception");
    assert.equal((await refusal("DELETE", "/none"))[1], "index_not_found_exception");
    assert.equal((await refusal("DELETE", "/none/_doc/1"))[1], "index_not_found_exception");
    const form = { "content-type": "application/x-www-form-urlencoded" };
    assert.deepEqual((await refusal("POST", "/asked/_search", "{}", form)).slice(0, 2), [
      406,
      "media_type_header_exception",
    ]);
    const strictIndex = { mappings: { dynamic: "strict", properties: {} } };
    await send("PUT", "/closed", strictIndex);
    assert.equal((await refusal("POST", "/closed/_doc", { x: 1 }))[1], "strict_dynamic_mapping_exception");
  });

  test("what is nested too deep is refused, wherever it stands", async () => {
    const deep = (text: string, times: number) => text.repeat(times);
    const nested = `{"a": ${deep("[", 100_000)}${deep("]", 100_000)}}`;
    for (const path of ["/deep/_doc", "/deep/_search", "/deep/_update/1", "/deep/_bulk"])
      assert.deepEqual((await refusal("POST", path, nested)).slice(0, 2), [400, "x_content_parse_exception"], path);
    assert.equal((await refusal("PUT", "/deep", nested))[1], "x_content_parse_exception");
    const objects = `${deep('{"a":', 30)}1${deep("}", 30)}`;
    assert.equal((await refusal("POST", "/deep/_doc", objects))[0], 400);
    const query = `{"query": ${deep('{"bool": {"must": ', 40)}{"match_all": {}}${deep("}}", 40)}}`;
    assert.equal((await refusal("POST", "/deep/_search", query))[1], "illegal_argument_exception");
    const arrays = `{"ids": ${deep("[", 900)}"x"${deep("]", 900)}}`;
    assert.equal((await send("POST", "/deep/_doc", arrays)).status, 201);
    assert.equal((await send("POST", "/deep/_count", { query: { term: { ids: "x" } } })).body.count, 1);
  });

  test("who has changed what is in the audit log, and what changed nothing is not", async () => {
    const last = (await server.deps.audit.list(0, 10_000)).length;
    await send("PUT", "/audited");
    await send("PUT", "/audited/_mapping", { properties: { n: { type: "long" } } });
    await send("PUT", "/audited/_doc/1", { n: 1 });
    await send("POST", "/audited/_update/1", { doc: { n: 1 } });
    await send("POST", "/audited/_update/1", { doc: { n: "none" } });
    await send("POST", "/audited/_bulk", '{"index":{}}\n{"n":2}\n{"index":{}}\n{"n":"x"}\n{"delete":{"_id":"9"}}\n');
    await send("DELETE", "/audited/_doc/1");
    await send("DELETE", "/audited");
    const lines = (await server.deps.audit.list(0, 10_000)).slice(last);
    assert.deepEqual(
      lines.map(({ actor, action, target, details }) => [actor, action, target, details.documents ?? null]),
      [
        ["local", "index.create", "index/audited", null],
        ["local", "index.extend", "index/audited", null],
        ["local", "document.index", "index/audited/1", null],
        ["local", "document.bulk", "index/audited", 1],
        ["local", "document.delete", "index/audited/1", null],
        ["local", "index.remove", "index/audited", null],
      ],
    );
  });

  test("a body that is too large is refused before it has come", async () => {
    const large = `{"text": "${"x".repeat(9 * 1024 ** 2)}"}`;
    assert.deepEqual((await refusal("POST", "/large/_doc", large)).slice(0, 2), [413, "content_too_long_exception"]);
    assert.equal((await send("HEAD", "/large")).status, 404);
  });

  test("fields that are new are added with the type that they show", async () => {
    await send("POST", "/grown/_doc", {
      word: "x",
      whole: 1,
      part: 1.5,
      yes: true,
      at: "2026-11-01",
      inner: { word: "y" },
      list: [null, "z"],
      nothing: null,
    });
    const text = { type: "text", fields: { keyword: { type: "keyword", ignore_above: 256 } } };
    assert.deepEqual((await send("GET", "/grown/_mapping")).body, {
      grown: {
        mappings: {
          properties: {
            word: text,
            whole: { type: "long" },
            part: { type: "float" },
            yes: { type: "boolean" },
            at: { type: "date" },
            inner: { properties: { word: text } },
            list: text,
          },
        },
      },
    });
    const many = Object.fromEntries(Array.from({ length: 1_001 }, (_, i) => [`f${i}`, i]));
    assert.match((await refusal("POST", "/grown/_doc", many))[2], /^Limit of total fields \[1000\]/);
  });

  test("a register is an index: its entries move by its own rules", async () => {
    const request = { name: "Ada", email: "ada@example.org", fname: "a.mkv" };
    const made = await send("POST", "/requests/_doc", { ...request, status: "Requested" });
    assert.equal(made.status, 201);
    const { _id: id, _seq_no: seqNo } = made.body as { _id: string; _seq_no: number };
    const query = { term: { status: { value: "Requested" } } };
    const [hit, ...others] = hitsOf(await send("POST", "/requests/_search", { query, size: 200 }));
    assert.equal(others.length, 0);
    assert.deepEqual(Object.keys(hit?._source ?? {}), ["name", "email", "fname", "status", "date"]);
    assert.equal(hit?._id, id);

    const guard = `?if_seq_no=${seqNo}&if_primary_term=1`;
    const taken = await send("POST", `/requests/_update/${id}${guard}`, { doc: { status: "Downloading" } });
    assert.equal(taken.body.result, "updated");
    assert.equal((await refusal("POST", `/requests/_update/${id}${guard}`, { doc: { status: "Cancelled" } }))[0], 409);
    const again = await send("POST", `/requests/_update/${id}`, { doc: { status: "Downloading", fname: "a.mkv" } });
    assert.equal(again.body.result, "noop");
    assert.equal((await refusal("POST", `/requests/_update/${id}`, { doc: { status: "Requested" } }))[0], 409);
    assert.equal(
      (await refusal("POST", `/requests/_update/${id}`, { doc: { nonsense: 1 } }))[1],
      "document_parsing_exception",
    );
    assert.equal((await refusal("POST", "/requests/_doc", { name: "Eve" }))[1], "document_parsing_exception");
    assert.equal((await refusal("PUT", "/requests/_doc/999", request))[1], "document_parsing_exception");
    assert.equal((await refusal("POST", "/requests/_update/999", { doc: {} }))[0], 404);

    const shown = JSON.parse((await send("GET", `/requests/_source/${id}`)).text) as Record<string, unknown>;
    const whole = await send("PUT", `/requests/_doc/${id}`, { ...shown, email: "eve@example.org" });
    assert.equal(whole.body.result, "updated");
    const entry = await server.deps.registers.entry(ADMIN, "requests", Number(id));
    assert.deepEqual([entry.status, entry.fields.email], ["Downloading", "eve@example.org"]);
    assert.equal((await send("POST", "/requests/_count", {})).body.count, 1);
    assert.equal((await send("DELETE", `/requests/_doc/${id}`)).body.result, "deleted");
    assert.equal((await send("POST", "/requests/_count", {})).body.count, 0);
    assert.equal((await refusal("DELETE", "/requests"))[0], 403);
  });
});

const ADMIN = { name: "root", scopes: ["admin"], via: "token" } as const;
const REQUESTS = JSON.stringify({
  name: "requests",
  title: "Requests",
  fields: {
    name: { type: "string" },
    email: { type: "string" },
    fname: { type: "string" },
  },
  required: ["name", "email", "fname"],
  initial: "Requested",
  statuses: {
    Requested: { next: { Downloading: ["operate"], Cancelled: ["operate"] } },
    Downloading: { next: { "Download complete": ["operate"] } },
    "Download complete": {},
    Cancelled: {},
  },
  permissions: { create: ["operate"], read: ["read"], change: ["operate"], remove: ["operate"] },
});
