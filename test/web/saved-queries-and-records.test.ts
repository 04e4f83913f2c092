import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { extractionId } from "../../src/core/ids.ts";
import { webFace } from "../../src/web/face.ts";
import { crawlRows, record } from "../conformance/crawl-rows.ts";
import { type RealServer, realServer } from "../http/real-server.ts";
import { until } from "../support/until.ts";

const HOSTILE = "<img src=x onerror=alert(1)>";

describe("pages of saved queries and of records", () => {
  let server: RealServer;
  before(async () => {
    server = await realServer({ face: webFace, worker: false });
  });
  after(() => server.stop());
  const textOf = async (path: string) => (await fetch(`${server.url}${path}`)).text();
  const send = (path: string, fields: Record<string, string> = {}) =>
    fetch(`${server.url}${path}`, { method: "POST", body: new URLSearchParams(fields), redirect: "manual" });

  test("a search is saved under a name, asked again and removed", async () => {
    assert.match(await textOf("/search?q=type:image"), /name="query" value="type:image"/);
    assert.doesNotMatch(await textOf("/search?q=%22open"), /name="query"/, "what cannot be asked is not saved");
    const saved = await send("/search/saved", { name: HOSTILE, query: "type:image" });
    const path = saved.headers.get("location") ?? "";
    assert.match(path, /^\/search\?saved=[0-9a-f]{32}$/);
    const shown = await textOf(path);
    assert.match(shown, /name="q" value="type:image"/);
    assert.ok(shown.includes("&lt;img src=x onerror=alert(1)&gt;</a>") && !shown.includes("<img"));
    assert.equal((await send("/search/saved", { name: HOSTILE, query: "other" })).status, 409);
    assert.equal((await send("/search/saved", { name: "", query: "other" })).status, 400);
    const [, remove = ""] = /action="(\/search\/saved\/[^"]+\/remove)"/.exec(shown) ?? [];
    assert.equal((await send(remove)).status, 303);
    assert.doesNotMatch(await textOf("/search"), /Saved searches/);
    assert.equal((await fetch(`${server.url}${path}`)).status, 404);
  });

  test("a record has a page with its extractor, files and data, which a search leads to", async () => {
    const { crawling, wantedExtraction } = crawlRows(() => server.stores);
    const { extractions } = server.stores;
    const id = extractionId(randomUUID());
    await extractions.create(wantedExtraction(await crawling(), { id, owner: "local" }));
    await extractions.update(id, ["waiting"], { status: "extracting" });
    const records = [
      record("one", { data: { quokka: HOSTILE }, files: [{ endpoint: 0, path: `f/${HOSTILE}`, sizeBytes: 2_048 }] }),
      record("two", { data: null, failure: { reason: "unreadable", message: "It is no table." } }),
    ];
    const counts = { pulled: 2, success: 1, failed: 1, unknown: 0 };
    assert.ok(await extractions.keep(id, 0, { seq: 1, records, counts, pending: 0 }, 4_000));

    const shown = await textOf(`/extractions/${id}/records/1`);
    assert.match(shown, /Record 1 of extractor tabular/);
    assert.match(shown, /2\.00 KiB/);
    assert.ok(shown.includes("&quot;quokka&quot;: &quot;&lt;img") && !shown.includes("<img"));
    assert.match(await textOf(`/extractions/${id}/records/2`), /It is no table\./);
    assert.equal((await fetch(`${server.url}/extractions/${id}/records/3`)).status, 404);
    await until("it is indexed", async () =>
      (await textOf("/search?q=extractor:tabular")).includes(`href="/extractions/${id}/records/1"`),
    );
  });

  test("a query that was saved for some types finds these alone", async () => {
    const { search } = server.deps;
    const local = { name: "local", scopes: ["read"], via: "local" } as const;
    for (const [type, isFound] of [
      ["record", true],
      ["file", false],
    ] as const) {
      const { id } = await search.save(local, { name: type, query: "extractor:tabular", types: [type] });
      const shown = await textOf(`/search?saved=${id}`);
      assert.equal(shown.includes("/records/1"), isFound, type);
      assert.match(shown, new RegExp(`<span class="soft">${type}</span>`));
    }
  });
});
