import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { extractionId } from "../../src/core/ids.ts";
import { webFace } from "../../src/web/face.ts";
import { clustersOf, WORLD } from "../../src/web/map.ts";
import { crawlRows, record } from "../conformance/crawl-rows.ts";
import { type RealServer, realServer } from "../http/real-server.ts";
import { until } from "../support/until.ts";
import { testBrowser, withoutBrowser } from "./browser.ts";

const HOSTILE = "<img src=x onerror=alert(1)>";

test("places are together by the cells of a grid, and those at the edges of the world are in one", () => {
  const places = [
    [90, 180],
    [89, 179],
    [-90, -180],
    [0, 0],
    [91, 0],
  ].map(([latitude = 0, longitude = 0]) => ({ latitude, longitude }));
  const clusters = clustersOf(WORLD, places);
  assert.deepEqual(
    clusters.map(({ count, area }) => [count, ...Object.values(area)]),
    [
      [2, 80, 90, 160, 180],
      [1, -90, -80, -180, -160],
      [1, 0, 20, 0, 20],
    ],
  );
  assert.deepEqual(clusters[0]?.middle, { latitude: 89.5, longitude: 179.5 });
});

describe("pages of saved queries and of records", () => {
  let server: RealServer;
  before(async () => {
    server = await realServer({ face: webFace, worker: false });
  });
  after(() => server.stop());
  const { crawling, wantedExtraction } = crawlRows(() => server.stores);
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
    const taken = await send("/search/saved", { name: HOSTILE, query: "other" });
    assert.equal(taken.status, 409);
    const again = await taken.text();
    assert.match(
      again,
      /aria-invalid="true" required value="&lt;img[\s\S]*id="name-problem">You have a saved search of this name/,
    );
    assert.match(again, /name="query" value="other"/);
    const nameless = await send("/search/saved", { name: "", query: "other" });
    assert.equal(nameless.status, 400);
    assert.match(await nameless.text(), /id="name-problem">Give it a name/);
    const unclear = await send("/search/saved", { name: "unclear", query: '"open' });
    assert.equal(unclear.status, 400);
    assert.match(await unclear.text(), /value="unclear"[\s\S]*value="&quot;open"[\s\S]*id="query-problem">/);
    const [, remove = ""] = /action="(\/search\/saved\/[^"]+\/remove)"/.exec(shown) ?? [];
    assert.equal((await send(remove)).status, 303);
    assert.doesNotMatch(await textOf("/search"), /Saved searches/);
    assert.equal((await fetch(`${server.url}${path}`)).status, 404);
  });

  test("a record has a page with its extractor, files and data, which a search leads to", async () => {
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

  test("what was found is on a map, each place a link to what lies there", async () => {
    const { extractions } = server.stores;
    const id = extractionId(randomUUID());
    await extractions.create(wantedExtraction(await crawling(), { id, owner: "local" }));
    await extractions.update(id, ["waiting"], { status: "extracting" });
    const places = [
      { latitude: 59.91, longitude: 10.75 }, // Oslo
      { latitude: 57.71, longitude: 11.97 }, // Gothenburg
      { latitude: -33.87, longitude: 151.21 }, // Sydney
    ];
    const records = places.map((place, at) =>
      record(`placed-${at}`, { data: { gps: { ...place, altitudeMetres: null } } }),
    );
    const counts = { pulled: 3, success: 3, failed: 0, unknown: 0 };
    assert.ok(await extractions.keep(id, 0, { seq: 1, records, counts, pending: 0 }, 4_000));
    await until("it is indexed", async () => (await textOf("/search?q=placed")).includes("3 have coordinates"));
    const world = await textOf("/search?q=placed+OR+nothing");
    assert.equal([...world.matchAll(/<circle /g)].length, 2);
    const [, north = ""] = /<li><a href="([^"]+)">2 at 40° N to 60° N, 0° E to 20° E</.exec(world) ?? [];
    const near = await textOf(north.replaceAll("&amp;", "&"));
    assert.match(near, /2 found/);
    assert.match(near, /value="\(placed OR nothing\) latitude:40\.\.&lt;60 longitude:0\.\.&lt;20"/);
    assert.equal([...near.matchAll(/<circle /g)].length, 2, "each in a cell of its own, as cells are smaller now");
    assert.match(near, /viewBox="0 -60 20 20"/);
    assert.match(near, /href="\/search\?q=%28placed\+OR\+nothing%29">Everywhere/);
    assert.doesNotMatch(await textOf("/search?q=quokka"), /class="map"/, "nowhere is no place");
    const land = await fetch(`${server.url}/search/land.svg`);
    assert.equal(land.headers.get("content-type"), "image/svg+xml");
    assert.match(await land.text(), /^<svg [^>]*><path id="land" [^>]*d="M/);

    if (withoutBrowser()) return;
    const browser = await testBrowser();
    try {
      for (const colorScheme of ["light", "dark"] as const) {
        const opened = await browser.open(`${server.url}/search?q=placed`, { colorScheme });
        await opened.assertAccessible();
        await opened.page
          .getByRole("link", { name: /^1 at 40° S to 20° S/ })
          .first()
          .press("Enter");
        await opened.page.getByText("1 found").waitFor();
        opened.assertQuiet();
        await opened.close();
      }
    } finally {
      await browser.close();
    }
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
