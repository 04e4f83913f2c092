import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { openSqlite, type Stores } from "../../../src/adapters/db/stores.ts";
import type { Principal } from "../../../src/core/access/access.ts";
import type { ArchivedFile, Transaction } from "../../../src/core/catalogue/catalogue-store.ts";
import type { DocumentWrite } from "../../../src/core/documents/document.ts";
import { type Documents, documentService } from "../../../src/core/documents/documents.ts";
import { fileIndex } from "../../../src/core/documents/file-index.ts";
import { ownIndices } from "../../../src/core/documents/own-indices.ts";
import { fileId, transactionId } from "../../../src/core/ids.ts";

const clock = { now: () => 1_700_000_000_000, sleep: () => Promise.resolve() };
const LENIENT = { strict: false };

function principal(name: string, ...scopes: Principal["scopes"]): Principal {
  return { name, scopes, via: "token" };
}
const OPERATOR = principal("op", "operate");

describe("documents", () => {
  let stores: Stores;
  let documents: Documents;
  before(async () => {
    stores = await openSqlite({ path: ":memory:", clock });
    documents = documentService(ownIndices(stores.documents, clock), [fileIndex(stores.catalogue)], clock);
  });
  after(() => stores.close());

  const write = async (index: string, ...writes: readonly DocumentWrite[]) =>
    (await documents.write(OPERATOR, index, writes, LENIENT)).map((outcome) =>
      "error" in outcome ? outcome.error.code : `${outcome.result} ${outcome.version} ${outcome.seqNo}`,
    );
  const source = async (index: string, id: string) => (await documents.get(OPERATOR, index, id))?.source;
  const ids = async (who: Principal, names: readonly string[]) => {
    const found = await documents.search(who, names, { query: { kind: "all" }, sort: [], from: 0, size: 100 }, LENIENT);
    return (await Array.fromAsync(found.hits())).map(({ index, document }) => `${index}/${document.id}`);
  };

  test("writes on the same document, sent together, are done in turn", async () => {
    assert.deepEqual(
      await write(
        "turns",
        { op: "create", id: "a", source: '{"n":1}' },
        { op: "create", id: "a", source: '{"n":2}' },
        { op: "update", id: "a", doc: '{"m":{"x":1}}' },
        { op: "update", id: "a", doc: '{"m":{"y":2}}', ifSeqNo: 1 },
        { op: "update", id: "a", doc: '{"m":{"z":3}}', ifSeqNo: 1 },
        { op: "update", id: "b", doc: "{}" },
        { op: "update", id: "b", doc: '{"n":1}', upsert: '{"n":0}' },
        { op: "update", id: "b", doc: '{"n":1}', upsert: '{"n":0}' },
        { op: "delete", id: "b" },
        { op: "delete", id: "b" },
        { op: "index", id: "b", source: "[]" },
        { op: "index", id: "b", source: '{"n":"no number"}' },
        { op: "index", id: "b", source: '{"n":3}' },
      ),
      [
        "created 1 0",
        "document_conflict",
        "updated 2 1",
        "updated 3 2",
        "document_conflict",
        "document_unknown",
        "created 1 3",
        "updated 2 4",
        "deleted 3 5",
        "not_found 1 5",
        "document_invalid",
        "document_invalid",
        "created 1 6",
      ],
    );
    assert.equal(await source("turns", "a"), '{"n":1,"m":{"x":1,"y":2}}');
    assert.equal(await source("turns", "b"), '{"n":3}');
  });

  test("a document that is refused changes neither the others nor the fields of its index", async () => {
    assert.deepEqual(
      await write(
        "kept",
        { op: "index", id: "1", source: '{"new":true,"n":{"a":1}}' },
        { op: "index", id: "2", source: '{"n":1}' },
      ),
      ["created 1 0", "document_invalid"],
    );
    await write("kept", { op: "index", id: "3", source: '{"added":1,"n":2}' });
    const [index] = await documents.indices(["kept"]);
    assert.deepEqual(Object.keys(index?.mapping.properties ?? {}), ["new", "n"]);
  });

  test("ids are made up where none is given, and are such as a database can hold", async () => {
    const outcomes = await documents.write(
      OPERATOR,
      "ids",
      [1, 2].map(() => ({ op: "index", source: "{}" })),
      LENIENT,
    );
    assert.equal(new Set(outcomes.map(({ id }) => id)).size, 2);
    for (const id of ["", "a\0b", "\ud800", "x".repeat(513), "ü".repeat(257)])
      assert.deepEqual(await write("ids", { op: "index", id, source: "{}" }), ["document_invalid"], JSON.stringify(id));
    assert.deepEqual(await write("ids", { op: "index", id: "ü".repeat(256), source: "{}" }), ["created 1 2"]);
  });

  test("of many who put the first document into an index at once, all do", async () => {
    const outcomes = await Promise.all(Array.from({ length: 8 }, () => write("first", { op: "index", source: "{}" })));
    assert.deepEqual(
      outcomes.flat().sort(),
      Array.from({ length: 8 }, (_, i) => `created 1 ${i}`),
    );
    await assert.rejects(write("nothing", { op: "delete", id: "1" }), { code: "document_index_unknown" });
    await assert.rejects(write("nothing", { op: "update", id: "1", doc: "{}" }), { code: "document_index_unknown" });
  });

  test("names of indices are plain, and those of others are taken", async () => {
    for (const name of ["Upper", "a b", "a/b", "-a", "_a", ".", "..", "", "a,b", "a*", "x".repeat(256), "\ud800"])
      await assert.rejects(documents.createIndex(OPERATOR, name, {}), { code: "document_index_invalid" }, name);
    await documents.createIndex(OPERATOR, "plain", {});
    for (const name of ["plain", "files"])
      await assert.rejects(documents.createIndex(OPERATOR, name, {}), { code: "document_index_exists" });
    await assert.rejects(documents.removeIndex(OPERATOR, "files"), { code: "document_index_read_only" });
    await assert.rejects(write("files", { op: "index", source: "{}" }), { code: "document_index_read_only" });
    await documents.removeIndex(OPERATOR, "plain");
    await assert.rejects(documents.removeIndex(OPERATOR, "plain"), { code: "document_index_unknown" });
  });

  test("several indices are named with commas and stars", async () => {
    for (const name of ["log-1", "log-2", "lo-3"]) await write(name, { op: "index", id: "x", source: "{}" });
    assert.deepEqual(await ids(OPERATOR, ["log-*"]), ["log-1/x", "log-2/x"]);
    assert.deepEqual(await ids(OPERATOR, ["log-2", "lo*3", "log-2"]), ["log-2/x", "lo-3/x"]);
    assert.deepEqual(await ids(OPERATOR, ["*g-*2"]), ["log-2/x"]);
    assert.deepEqual(await ids(OPERATOR, ["nothing*"]), []);
    await assert.rejects(ids(OPERATOR, ["log-1", "nothing"]), { code: "document_index_unknown" });
  });

  test("who may only read changes nothing", async () => {
    const reader = principal("eve", "read", "deposit", "crawl");
    const put = [{ op: "index", source: "{}" }] as const;
    await assert.rejects(documents.write(reader, "turns", put, LENIENT), { code: "scope_missing" });
    await assert.rejects(documents.write(reader, "made", put, LENIENT), { code: "scope_missing" });
    await assert.rejects(documents.createIndex(reader, "made", {}), { code: "scope_missing" });
    await assert.rejects(documents.extendIndex(reader, "turns", {}), { code: "scope_missing" });
    await assert.rejects(documents.removeIndex(reader, "turns"), { code: "scope_missing" });
    assert.equal((await ids(reader, ["turns"])).length, 2);
  });

  test("of the archive's files each sees his own, and operators see all", async () => {
    for (const [id, owner] of [
      [1, "ada"],
      [2, "bob"],
      [3, "ada"],
    ] as const)
      await stores.catalogue.add(transactionOf(id, owner), filesOf(id), [], [], 0);
    const ada = principal("ada", "read");
    assert.deepEqual(await ids(ada, ["files"]), ["files/10", "files/11", "files/30", "files/31"]);
    assert.deepEqual((await ids(OPERATOR, ["files"])).length, 6);
    assert.equal(await documents.get(ada, "files", "20"), undefined);
    assert.equal(JSON.parse((await source("files", "20")) ?? "").path, "data/20");
    for (const id of ["0", "x", "-1", "1e1", "99"]) assert.equal(await documents.get(ada, "files", id), undefined);
    const count = (who: Principal) => documents.count(who, ["files"], { kind: "all" }, LENIENT);
    assert.deepEqual([await count(ada), await count(OPERATOR), await count(principal("eve", "read"))], [4, 6, 0]);
    const ofTransaction = { kind: "terms", field: "transaction", values: [2, 3] } as const;
    assert.equal(await documents.count(ada, ["files"], ofTransaction, LENIENT), 2);
  });
});

function transactionOf(id: number, owner: string): Transaction {
  return {
    id: transactionId(id),
    submitter: null,
    project: null,
    instrument: null,
    owner,
    fileCount: 2,
    sizeBytes: 2,
    objectPath: `t${id}`,
    inventoryDigest: "",
    createdAt: 0,
  };
}

async function* filesOf(transaction: number): AsyncGenerator<ArchivedFile> {
  for (const id of [10 * transaction, 10 * transaction + 1])
    yield {
      id: fileId(id),
      transactionId: transactionId(transaction),
      path: `data/${id}`,
      contentPath: `v1/content/data/${id}`,
      sizeBytes: 1,
      modifiedAt: null,
      changedAt: null,
      mediaType: "text/plain",
      digests: {},
      crc32: 0,
      declared: { algorithm: "sha1", value: "" },
    };
}
