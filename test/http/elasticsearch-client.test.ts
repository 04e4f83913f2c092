import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Client, errors } from "@elastic/elasticsearch";
import { bundle } from "./bundle.ts";
import { deposit, finished } from "./client.ts";
import { type RealServer, realServer } from "./real-server.ts";

/* Elasticsearch's own JavaScript client (9.5), which is used as its documentation has it. */

const MAPPINGS = {
  properties: {
    filepath: { type: "keyword" },
    name: { type: "keyword" },
    status: { type: "keyword" },
    timestamp: { type: "date" },
  },
} as const;

interface Row {
  readonly filepath: string;
  readonly name: string;
  readonly status: string;
  readonly timestamp: string;
}

describe("the elasticsearch door, used by Elasticsearch's client,", () => {
  let server: RealServer;
  let client: Client;
  before(async () => {
    server = await realServer();
    client = new Client({ node: await server.door("elasticsearch"), maxRetries: 0 });
  });
  after(async () => {
    await client.close();
    await server.stop();
  });

  test("answers a ping and says what it is, on a port of its own and below /doors", async () => {
    const below = new Client({ node: `${server.url}/doors/elasticsearch`, maxRetries: 0 });
    for (const one of [client, below]) {
      assert.equal(await one.ping(), true);
      const { tagline, version } = await one.info();
      assert.equal(tagline, "You Know, for Search");
      assert.match(version.number, /^\d+\.\d+\.\d+$/);
      assert.equal((await one.count({ index: "files" })).count, 0);
    }
    await below.close();
  });

  test("an index is made once, is there until it is removed, and shows its fields", async () => {
    const index = "file_metadata";
    assert.equal(await client.indices.exists({ index }), false);
    assert.deepEqual(await client.indices.create({ index, mappings: MAPPINGS }), {
      acknowledged: true,
      shards_acknowledged: true,
      index,
    });
    await assert.rejects(client.indices.create({ index }), (error) => {
      assert.ok(error instanceof errors.ResponseError);
      assert.equal(error.statusCode, 400);
      assert.equal(error.body.error.type, "resource_already_exists_exception");
      return true;
    });
    assert.equal(await client.indices.exists({ index }), true);
    assert.deepEqual((await client.indices.getMapping({ index }))[index]?.mappings, MAPPINGS);
    assert.deepEqual((await client.indices.get({ index: "file_*" }))[index]?.mappings, MAPPINGS);
    await client.indices.delete({ index });
    assert.equal(await client.indices.exists({ index }), false);
    await assert.rejects(client.search({ index }), (error) => {
      assert.ok(error instanceof errors.ResponseError);
      assert.equal(error.statusCode, 404);
      assert.equal(error.body.error.root_cause[0].type, "index_not_found_exception");
      return true;
    });
  });

  test("a request is put in, found by its status, moved on, and taken out", async () => {
    const index = "downloads";
    await client.indices.create({ index, mappings: MAPPINGS });
    for (const [name, status] of [
      ["a.mkv", "Requested"],
      ["b.mkv", "Download complete"],
      ["c.mkv", "Requested"],
    ] as const) {
      const document = { filepath: "/mnt", name, status, timestamp: "2026-11-01 10:00:00" };
      assert.equal((await client.index({ index, id: name, document })).result, "created");
    }
    await client.indices.refresh({ index });
    const { hits } = await client.search<Row>({
      index,
      query: { term: { status: { value: "Requested" } } },
      size: 200,
    });
    assert.deepEqual(hits.total, { value: 2, relation: "eq" });
    assert.deepEqual(
      hits.hits.map(({ _id }) => _id),
      ["a.mkv", "c.mkv"],
    );
    assert.deepEqual(Object.keys(hits.hits[0]?._source ?? {}), ["filepath", "name", "status", "timestamp"]);

    const moved = await client.update({ index, id: "a.mkv", doc: { status: "Downloading" } });
    assert.deepEqual([moved.result, moved._version], ["updated", 2]);
    const again = await client.update({ index, id: "a.mkv", doc: { status: "Downloading" } });
    assert.deepEqual([again.result, again._version], ["noop", 2]);
    const made = await client.update({ index, id: "d.mkv", doc: { status: "new" }, doc_as_upsert: true });
    assert.equal(made.result, "created");
    assert.equal((await client.get<Row>({ index, id: "a.mkv" }))._source?.status, "Downloading");
    assert.equal(await client.exists({ index, id: "x.mkv" }), false);
    assert.equal((await client.count({ index, query: { prefix: { status: "Down" } } })).count, 2);

    assert.equal((await client.delete({ index, id: "b.mkv" })).result, "deleted");
    await assert.rejects(client.delete({ index, id: "b.mkv" }), { statusCode: 404 });
    await assert.rejects(client.update({ index, id: "b.mkv", doc: {} }), (error) => {
      assert.ok(error instanceof errors.ResponseError);
      assert.equal(error.body.error.type, "document_missing_exception");
      return true;
    });
    const names = (await client.cat.indices({ format: "json" })).map((row) => [row.index, row["docs.count"]]);
    assert.deepEqual(names, [
      ["downloads", "3"],
      ["files", "0"],
    ]);
  });

  test("of two who move the same request on, one is told that it has changed", async () => {
    const index = "races";
    const { _seq_no: seqNo } = await client.index({ index, id: "1", document: { status: "Requested" } });
    const answers = await Promise.allSettled(
      ["left", "right"].map((status) =>
        client.update({ index, id: "1", doc: { status }, if_seq_no: seqNo ?? 0, if_primary_term: 1 }),
      ),
    );
    const refused = answers.flatMap((answer) => (answer.status === "rejected" ? [answer.reason] : []));
    assert.equal(refused.length, 1);
    assert.equal(refused[0].statusCode, 409);
    assert.equal(refused[0].body.error.type, "version_conflict_engine_exception");
    await assert.rejects(client.create({ index, id: "1", document: {} }), { statusCode: 409 });
  });

  test("many documents are written at once, and each is told what became of it", async () => {
    const index = "many";
    const { items, errors: failed } = await client.bulk({
      index,
      operations: [
        { index: { _id: "1" } },
        { n: 1, at: "2026-01-01" },
        { create: { _id: "1" } },
        { n: 2 },
        { update: { _id: "1" } },
        { doc: { n: 3 } },
        { index: { _id: "2" } },
        { at: "no date" },
        { delete: { _id: "9" } },
        { create: { _index: "others" } },
        { n: 4 },
      ],
    });
    assert.equal(failed, true);
    assert.deepEqual(
      items.map((item) => Object.entries(item).map(([op, { status, error }]) => [op, status, error?.type])[0]),
      [
        ["index", 201, undefined],
        ["create", 409, "version_conflict_engine_exception"],
        ["update", 200, undefined],
        ["index", 400, "document_parsing_exception"],
        ["delete", 404, undefined],
        ["create", 201, undefined],
      ],
    );
    assert.deepEqual((await client.get({ index, id: "1" }))._source, { n: 3, at: "2026-01-01" });

    const {
      total,
      successful,
      failed: lost,
    } = await client.helpers.bulk({
      datasource: Array.from({ length: 12_000 }, (_, n) => ({ n, even: n % 2 === 0 })),
      onDocument: ({ n }) => [{ index: { _index: "numbers", _id: String(n) } }, { n, even: n % 2 === 0 }],
    });
    assert.deepEqual([total, successful, lost], [12_000, 12_000, 0]);
    assert.equal((await client.count({ index: "numbers" })).count, 12_000);
  });

  test("beyond ten thousand hits, the next are asked for by where the last ended", async () => {
    const index = "numbers";
    await assert.rejects(client.search({ index, from: 9_999, size: 2 }), (error) => {
      assert.ok(error instanceof errors.ResponseError);
      assert.equal(error.statusCode, 400);
      const { root_cause: causes, type } = error.body.error;
      assert.equal(type, "search_phase_execution_exception");
      assert.match(
        causes[0].reason,
        /^Result window is too large, from \+ size must be less than or equal to: \[10000\] but was \[10001\]/,
      );
      return true;
    });
    const capped = await client.search({ index, size: 0 });
    assert.deepEqual(capped.hits.total, { value: 10_000, relation: "gte" });
    const seen: number[] = [];
    for (let after: (string | number | null)[] | undefined; ; ) {
      const { hits } = await client.search<{ n: number }>({
        index,
        size: 5_000,
        sort: [{ even: "desc" }, { n: { order: "asc" } }],
        track_total_hits: true,
        ...(after && { search_after: after }),
      });
      assert.deepEqual(hits.total, { value: 12_000, relation: "eq" });
      if (hits.hits.length === 0) break;
      seen.push(...hits.hits.map(({ _source }) => _source?.n ?? -1));
      after = hits.hits.at(-1)?.sort as (string | number)[];
    }
    const evens = Array.from({ length: 6_000 }, (_, n) => 2 * n);
    assert.deepEqual(seen, [...evens, ...evens.map((n) => n + 1)]);
  });

  test("the archive's files are an index that is only read", async () => {
    const job = await deposit(server, bundle({ "film/one.mkv": "1", "film/two.txt": "22" }));
    await finished(server, job.id);
    const { hits } = await client.search<{ path: string; sizeBytes: number }>({
      index: "files",
      query: { bool: { filter: [{ prefix: { path: "data/film/" } }, { range: { sizeBytes: { gt: 1 } } }] } },
    });
    assert.deepEqual(
      hits.hits.map(({ _source }) => _source?.path),
      ["data/film/two.txt"],
    );
    const id = hits.hits[0]?._id ?? "";
    assert.equal((await client.get<{ sizeBytes: number }>({ index: "files", id }))._source?.sizeBytes, 2);
    const byWord = await client.count({ index: "files", query: { match: { name: "ONE.mkv" } } });
    assert.equal(byWord.count, 1);
    await assert.rejects(client.index({ index: "files", document: {} }), (error) => {
      assert.ok(error instanceof errors.ResponseError);
      assert.deepEqual([error.statusCode, error.body.error.type], [403, "cluster_block_exception"]);
      return true;
    });
    await assert.rejects(client.indices.delete({ index: "files" }), { statusCode: 403 });
    await assert.rejects(client.indices.create({ index: "files" }), { statusCode: 400 });
  });
});

test("the client gets in with a token as its password, as its API key and as its bearer, and not without", async () => {
  const server = await realServer();
  try {
    const { authorization } = await server.token("ada", "operate");
    const token = authorization.replace("Bearer ", "");
    const [, id = "", key = ""] = /^lsh_([0-9a-f]+)_(.+)$/.exec(token) ?? [];
    const node = `${server.url}/doors/elasticsearch`;
    for (const auth of [
      { username: "elastic", password: token },
      { username: id, password: key },
      { apiKey: token },
      { apiKey: { id, api_key: key } },
      { bearer: token },
    ]) {
      const client = new Client({ node, auth, maxRetries: 0 });
      assert.equal((await client.index({ index: "x", document: {} })).result, "created");
      await client.close();
    }
    const reader = (await server.token("eve", "read")).authorization.replace("Bearer ", "");
    const readOnly = new Client({ node, auth: { bearer: reader }, maxRetries: 0 });
    assert.equal((await readOnly.count({ index: "x" })).count, 5);
    await assert.rejects(readOnly.index({ index: "x", document: {} }), { statusCode: 403 });
    await assert.rejects(readOnly.indices.delete({ index: "x" }), { statusCode: 403 });
    await readOnly.close();
    for (const auth of [{ username: "elastic", password: "changeme" }, { apiKey: "bm8=" }, undefined]) {
      const client = new Client({ node, ...(auth && { auth }), maxRetries: 0 });
      await assert.rejects(client.count({ index: "x" }), { statusCode: 401 });
      await client.close();
    }
  } finally {
    await server.stop();
  }
});
