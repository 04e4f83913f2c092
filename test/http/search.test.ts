import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { until } from "../support/until.ts";
import { type Deposited, depositFiles, postCart, type WireCart } from "./cart-client.ts";
import { json, problem } from "./client.ts";
import { type RealServer, realServer } from "./real-server.ts";

interface WireHit {
  readonly id: string;
  readonly type: string;
  readonly title: string;
  readonly highlight: readonly { readonly text: string; readonly isMatch: boolean }[] | null;
  readonly fields: Readonly<Record<string, readonly (string | number)[]>>;
  readonly links: { readonly self: string };
}
interface WireHits {
  readonly items: readonly WireHit[];
  readonly next: string | null;
  readonly total: number;
  readonly isLowerBound: boolean;
  readonly facets: Readonly<Record<string, readonly { readonly value: string; readonly count: number }[]>>;
}
interface WireSaved {
  readonly id: string;
  readonly name: string;
  readonly query: string;
  readonly types: readonly string[];
}
type Fields = Readonly<Record<string, string>>;

describe("searches", () => {
  let server: RealServer;
  let first: Deposited;
  let second: Deposited;
  before(async () => {
    server = await realServer();
    first = await depositFiles(server, { "spectra/raw.csv": "1,2", "spectra/readme.txt": "hello" });
    second = await depositFiles(server, { "images/scan.png": "x" });
    await indexed();
  });
  after(() => server.stop());

  const api = () => `${server.url}/api/v1`;
  const indexed = () => until("everything is indexed", async () => (await server.stores.searchChanges.depth()) === 0);
  const found = (parameters: Fields | [string, string][], headers: Fields = {}) =>
    json<WireHits>(`${api()}/search?${new URLSearchParams(parameters)}`, headers);
  const idsOf = ({ items }: WireHits) => items.map(({ id }) => id).sort();
  const file = (deposited: Deposited, path: string) => `file:${deposited.ids[path] ?? assert.fail(path)}`;

  test("find files and transactions by words and fields, and say where they are", async () => {
    const hits = await found({ q: "raw", type: "file" });
    assert.deepEqual([hits.total, hits.isLowerBound, hits.next], [1, false, null]);
    const hit = hits.items[0] ?? assert.fail();
    assert.deepEqual([hit.id, hit.type, hit.title], [file(first, "spectra/raw.csv"), "file", "spectra/raw.csv"]);
    assert.deepEqual(hit.fields.size, [3]);
    assert.deepEqual(await json(server.url + hit.links.self), await json(`${api()}/files/${hit.id.slice(5)}`));
    // The bundles of these tests are all of project 1234a.
    assert.deepEqual(idsOf(await found({ q: "project:1234a type:transaction" })), [
      `transaction:${first.transaction}`,
      `transaction:${second.transaction}`,
    ]);
    assert.deepEqual(
      idsOf(await found({ q: "extension:png OR size:5..5" })),
      [file(first, "spectra/readme.txt"), file(second, "images/scan.png")].sort(),
    );
    assert.deepEqual((await found({ q: "raw", type: "transaction" })).total, 0);
    assert.equal(
      (
        await found([
          ["type", "file"],
          ["type", "transaction"],
        ])
      ).total,
      5,
    );
  });

  test("mark what was found, as parts and without markup", async () => {
    const { items } = await found({ q: "readme" });
    const parts = items[0]?.highlight ?? assert.fail();
    assert.deepEqual(
      parts.filter(({ isMatch }) => isMatch),
      [{ text: "readme", isMatch: true }],
    );
    assert.match(parts.map(({ text }) => text).join(""), /^spectra\/readme\.txt · 1234a/);
    assert.equal((await found({ q: "size:5" })).items[0]?.highlight, null);
  });

  test("are paged to the end, and count values", async () => {
    const seen: string[] = [];
    let cursor: string | null = null;
    do {
      const page: WireHits = await found({ order: "newest", limit: "2", ...(cursor === null ? {} : { cursor }) });
      assert.equal(page.total, 5);
      seen.push(...page.items.map(({ id }) => id));
      cursor = page.next;
    } while (cursor !== null);
    assert.deepEqual([seen.length, new Set(seen).size], [5, 5]);
    const { facets } = await found([
      ["facet", "extension"],
      ["facet", "nothing"],
    ]);
    assert.deepEqual(facets, {
      extension: [
        { value: "csv", count: 1 },
        { value: "png", count: 1 },
        { value: "txt", count: 1 },
      ],
      nothing: [],
    });
  });

  test("that cannot be understood are refused with the place and what was expected", async () => {
    const response = await fetch(`${api()}/search?q=${encodeURIComponent("raw (spectrum")}`);
    const { details } = await problem(response, 400, "query_invalid");
    assert.deepEqual(details, { column: 14, expected: ") for the ( in column 5", found: "the end of the query" });
    await problem(await fetch(`${api()}/search?order=oldest`), 400, "request_invalid");
    await problem(await fetch(`${api()}/search?cursor=newest.0.1`), 400, "request_invalid"); // the order is another
    await problem(await fetch(`${api()}/search?type=record&type=cart`), 400, "request_invalid");
  });

  test("hint at values that are there", async () => {
    const { items } = await json<{ items: string[] }>(`${api()}/search/suggest?field=path&prefix=spec`);
    assert.deepEqual(items, ["spectra/raw.csv", "spectra/readme.txt"]);
  });

  test("become carts of everything they find, each file once", async () => {
    const cart = async (body: unknown, headers: Fields = {}) => {
      const response = await postCart(server, body, headers);
      assert.equal(response.status, 201, await response.clone().text());
      const { id } = (await response.json()) as WireCart;
      const { items } = await json<{ items: { path: string }[] }>(`${api()}/carts/${id}/files`, headers);
      return items.map(({ path }) => path).sort();
    };
    assert.deepEqual(await cart({ search: "spectra", name: "spectra" }), [
      `${first.transaction}/spectra/raw.csv`,
      `${first.transaction}/spectra/readme.txt`,
    ]);
    // A transaction stands for its files, beside a file that is found itself.
    const all = [
      ...Object.keys(first.ids).map((path) => `${first.transaction}/${path}`),
      `${second.transaction}/images/scan.png`,
    ];
    assert.deepEqual(await cart({ search: `transaction:${first.transaction} OR png` }), all.sort());
    const empty = await problem(await postCart(server, { search: "nowhere" }), 422, "cart_refused");
    assert.deepEqual(
      (empty.details.problems as { code: string }[]).map(({ code }) => code),
      ["cart_empty"],
    );
    await problem(await postCart(server, { search: "a (b" }), 400, "query_invalid");
    await problem(await postCart(server, { search: " " }), 400, "request_invalid");
  });

  test("can be saved, asked again, changed and forgotten", async () => {
    const post = (body: unknown) =>
      fetch(`${api()}/saved-queries`, {
        method: "POST",
        body: JSON.stringify(body),
        headers: { "content-type": "application/json" },
      });
    for (const name of ["a\u0000b", "line\nbreak", "\ud800"])
      await problem(await post({ name, query: "size:<4" }), 400, "request_invalid");
    const response = await post({ name: "small", query: "size:<4", types: ["file"] });
    assert.equal(response.status, 201);
    const saved = (await response.json()) as WireSaved;
    const address = `/api/v1/saved-queries/${saved.id}`;
    assert.equal(response.headers.get("location"), address);
    assert.deepEqual([saved.name, saved.query, saved.types], ["small", "size:<4", ["file"]]);
    assert.deepEqual(await json(server.url + address), saved);
    await problem(await post({ name: "small", query: "" }), 409, "saved_query_exists");
    await problem(await post({ name: "broken", query: "(" }), 400, "query_invalid");

    const hits = await json<WireHits>(`${server.url}${address}/hits?facet=extension`);
    assert.deepEqual(idsOf(hits), [file(first, "spectra/raw.csv"), file(second, "images/scan.png")].sort());
    assert.equal(hits.facets.extension?.length, 2);

    const change = (body: unknown) =>
      fetch(server.url + address, {
        method: "PATCH",
        body: JSON.stringify(body),
        headers: { "content-type": "application/json" },
      });
    const changed = (await (await change({ query: "size:>=4", types: [] })).json()) as WireSaved;
    assert.deepEqual([changed.name, changed.query, changed.types], ["small", "size:>=4", []]);
    await problem(await change({ query: "-" }), 400, "query_invalid");
    const list = await json<{ items: WireSaved[]; next: null }>(`${api()}/saved-queries`);
    assert.deepEqual(list, { items: [changed], next: null });

    assert.equal((await fetch(server.url + address, { method: "DELETE" })).status, 204);
    for (const method of ["GET", "DELETE"])
      await problem(await fetch(server.url + address, { method }), 404, "saved_query_unknown");
  });

  test("the index says how it stands, and is made anew while it answers", async () => {
    const look = () =>
      json<{ documents: number; pending: number; rebuild: { finishedAt: string | null; error: unknown } | null }>(
        `${api()}/search/index`,
      );
    const { documents, pending } = await look();
    assert.deepEqual([documents, pending], [5, 0]);
    const response = await fetch(`${api()}/search/index/rebuild`, { method: "POST" });
    assert.equal(response.status, 202);
    const { startedAt } = ((await response.json()) as { rebuild: { startedAt: string } }).rebuild;
    assert.equal(new Date(startedAt).toISOString(), startedAt);
    await until("it is finished", async () => {
      assert.equal((await found({})).total, 5);
      return (await look()).rebuild?.finishedAt !== null;
    });
    const { rebuild, ...after } = await look();
    assert.equal(rebuild?.error, null);
    assert.deepEqual([after.documents, after.pending], [5, 0]);
  });

  test("what the index does not have yet is a metric", async () => {
    const text = await (await fetch(`${server.url}/metrics`)).text();
    assert.match(text, /^longshore_search_changes 0$/m);
  });
});

test("everybody finds their own, and operators everything; saved queries are one's own", async (t) => {
  const server = await realServer();
  t.after(() => server.stop());
  const ann = await server.token("ann", "deposit", "read");
  const bob = await server.token("bob", "deposit", "read");
  const operator = await server.token("op", "operate");
  await depositFiles(server, { "of-ann.txt": "a" }, ann);
  await depositFiles(server, { "of-bob.txt": "b" }, bob);
  await until("everything is indexed", async () => (await server.stores.searchChanges.depth()) === 0);

  const api = `${server.url}/api/v1`;
  const titles = async (headers: Fields) =>
    (await json<WireHits>(`${api}/search?q=type:file`, headers)).items.map(({ title }) => title).sort();
  assert.deepEqual(await titles(ann), ["of-ann.txt"]);
  assert.deepEqual(await titles(bob), ["of-bob.txt"]);
  assert.deepEqual(await titles(operator), ["of-ann.txt", "of-bob.txt"]);
  const hints = await json<{ items: string[] }>(`${api}/search/suggest?field=name&prefix=of`, ann);
  assert.deepEqual(hints.items, ["of-ann.txt"]);

  const cart = (await (await postCart(server, { search: "type:file" }, bob)).json()) as WireCart;
  assert.equal(cart.files, 1);

  const saved = (await (
    await fetch(`${api}/saved-queries`, {
      method: "POST",
      body: JSON.stringify({ name: "mine", query: "type:file" }),
      headers: { "content-type": "application/json", ...ann },
    })
  ).json()) as WireSaved;
  const hits = (headers: Fields) => fetch(`${api}/saved-queries/${saved.id}/hits`, { headers });
  assert.equal(((await (await hits(ann)).json()) as WireHits).total, 1);
  await problem(await hits(bob), 404, "saved_query_unknown");
  // By the rights of who asks, not of who wrote it.
  assert.equal(((await (await hits(operator)).json()) as WireHits).total, 2);

  await problem(await fetch(`${api}/search/index`, { headers: ann }), 403, "scope_missing");
  await problem(await fetch(`${api}/search/index/rebuild`, { method: "POST", headers: bob }), 403, "scope_missing");
  await problem(await fetch(`${api}/search`), 401, "token_missing");
});
