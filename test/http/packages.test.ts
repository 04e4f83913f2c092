import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { countedCsv, memberNames, unzipped } from "../support/packaging.ts";
import { until } from "../support/until.ts";
import { json, problem } from "./client.ts";
import { order, type PackageServer, packageServer, type WirePackage } from "./package-server.ts";

const ROWS = { kind: "datastore", resourceId: "r" };
const DAY = /^\d{4}-\d{2}-\d{2}$/;

interface Counts {
  readonly emails: number;
  readonly requests: number;
  readonly errors: number;
  readonly bytes: number;
  readonly rows: number;
}

interface Statistics {
  readonly totals: Counts;
  readonly days: readonly (Counts & { readonly day: string })[];
}

const api = ({ url }: Pick<PackageServer, "url">, path: string) => `${url}/api/v1${path}`;

describe("packages over HTTP", () => {
  test("an order is answered at once, with the address to ask at, and becomes a ZIP with a manifest", async (t) => {
    const server = await packageServer(t);
    const answer = await order(server.url, { ...ROWS, apiUrl: server.portal.apiUrl, key: "k-of-ada", limit: 10 });
    const ordered = (await answer.json()) as WirePackage;
    assert.equal(answer.status, 202, JSON.stringify(ordered));
    assert.equal(answer.headers.get("location"), `/api/v1/packages/${ordered.id}`);
    assert.deepEqual([ordered.status, ordered.link, ordered.sha256], ["building", null, null]);

    const made = await server.made({ ...ROWS, key: "k-of-ada", limit: 10 });
    assert.equal(made.status, "ready", JSON.stringify(made.error));
    const { status, ...shown } = await json<WirePackage>(api(server, `/packages/${ordered.id}`));
    assert.deepEqual([status, shown.sha256, shown.rows], ["ready", made.sha256, 10]);
    assert.notEqual(shown.id, made.id, "each order is one's own");
    assert.notEqual(shown.link, made.link);
    assert.ok(!JSON.stringify([ordered, made, shown]).includes("k-of-ada"), "a key is never shown");

    const download = await fetch(api(server, `/packages/${made.id}/download`));
    const zip = new Uint8Array(await download.arrayBuffer());
    assert.equal(createHash("sha256").update(zip).digest("hex"), made.sha256);
    assert.equal(zip.length, made.sizeBytes);
    const path = join(server.dataDir, "made.zip");
    await writeFile(path, zip);
    assert.deepEqual([...memberNames(path)].sort(), ["manifest.json", "resource.csv"]);
    assert.equal(unzipped(path, "resource.csv").toString(), countedCsv(10));
    assert.deepEqual(made.members.map(({ name }) => name).sort(), ["manifest.json", "resource.csv"]);
    for (const { crc32 } of made.members) assert.match(crc32, /^[0-9a-f]{8}$/);

    const again = await order(server.url, { ...ROWS, apiUrl: server.portal.apiUrl, key: "k-of-ada", limit: 10 });
    assert.equal(again.status, 201, "an equal one is ready: there is nothing to wait for");
    assert.ok(((await again.json()) as WirePackage).link);
  });

  test("every kind and format can be ordered, with the query as the portal understands it", async (t) => {
    const server = await packageServer(t);
    const formats = ["tsv", "xlsx", "jsonl", "parquet"];
    const asked = { filters: { name: ["row 7", "row 8"] }, fields: "name,_id", sort: "name desc" };
    const tables = await Promise.all(
      formats.map((format) => server.made({ ...ROWS, ...asked, format, manifest: false })),
    );
    for (const [at, made] of tables.entries()) {
      assert.deepEqual([made.status, made.rows], ["ready", 2], JSON.stringify(made.error));
      assert.deepEqual(
        made.members.map(({ name }) => name),
        [`resource.${formats[at]}`],
      );
    }
    const archive = await server.made({ ...ROWS, kind: "dwca", format: "tsv", manifest: false });
    assert.deepEqual(archive.members.map(({ name }) => name).sort(), ["meta.xml", "occurrence.tsv"]);
    const [search] = server.portal.requests;
    assert.deepEqual([search?.body.filters, search?.body.fields], [asked.filters, asked.fields]);
  });

  test("what an order would bring is shown before it is given", async (t) => {
    const server = await packageServer(t);
    const preview = (wanted: object) =>
      fetch(api(server, "/packages/preview"), {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ ...ROWS, apiUrl: server.portal.apiUrl, ...wanted }),
      });
    const all = (await (await preview({})).json()) as { columns: string[]; rows: string[][]; rowCount: number };
    assert.deepEqual([all.columns[0], all.rows.length, all.rows[0]?.[0]], ["_id", 10, "1"]);
    assert.ok(all.rowCount > 10, String(all.rowCount));
    const some = (await (await preview({ limit: 3, fields: "name" })).json()) as typeof all;
    assert.deepEqual(some, { columns: ["name"], rows: [["row 1"], ["row 2"], ["row 3"]], rowCount: 3 });
    await problem(await preview({ resourceId: "gone" }), 422, "portal_refused");
    await problem(await preview({ format: "pdf" }), 400, "request_invalid");
    assert.deepEqual(await json(api(server, "/packages")), { items: [], next: null }, "nothing is ordered");
  });

  test("a failure is told with its reason, and there is nothing to download", async (t) => {
    const server = await packageServer(t);
    const made = await server.made({ ...ROWS, resourceId: "gone" });
    assert.deepEqual([made.status, made.error?.code, made.link], ["failed", "portal_refused", null]);
    await problem(await fetch(api(server, `/packages/${made.id}/download`)), 422, "package_failed");
    const renew = await fetch(api(server, `/packages/${made.id}/renew`), { method: "POST" });
    await problem(renew, 422, "package_failed");
  });

  test("an order that cannot be met is refused by field, before anything is fetched", async (t) => {
    const server = await packageServer(t);
    const { apiUrl } = { apiUrl: server.portal.apiUrl };
    const good = { ...ROWS, apiUrl };
    const cases: readonly (readonly [Readonly<Record<string, unknown>>, number, string])[] = [
      [{}, 400, "request_invalid"],
      [{ ...good, kind: "sql" }, 400, "request_invalid"],
      [ROWS, 400, "request_invalid"],
      [{ ...good, resourceId: "" }, 400, "request_invalid"],
      [{ ...good, limit: 0 }, 400, "request_invalid"],
      [{ ...good, limit: "10" }, 400, "request_invalid"],
      [{ ...good, format: "csvx" }, 400, "request_invalid"],
      [{ ...good, kind: "dwca", format: "xlsx" }, 400, "request_invalid"],
      [{ ...good, filters: ["name"] }, 400, "request_invalid"],
      [{ ...good, resourceUrl: apiUrl }, 400, "request_invalid"],
      [{ ...good, secret: "x" }, 400, "request_invalid"],
      [{ ...good, email: "ada@example.org, bob@example.org" }, 400, "request_invalid"],
      [{ ...good, webhook: apiUrl }, 400, "request_invalid"], // there is no secret to sign it with
      [{ ...good, apiUrl: "http://169.254.169.254/" }, 403, "fetch_refused"],
      [{ kind: "url", resourceId: "f", resourceUrl: "file:///etc/passwd" }, 403, "fetch_refused"],
    ];
    for (const [body, status, code] of cases) await problem(await order(server.url, body), status, code);
    assert.equal(server.portal.requests.length, 0);
    assert.deepEqual((await json<{ items: [] }>(api(server, "/packages"))).items, []);
  });

  test("orders are their owners': to anybody else they do not exist; operators see all and clear them", async (t) => {
    const server = await packageServer(t, { loopback: false });
    const [ada, bob, operator] = [
      await server.token("ada", "read"),
      await server.token("bob", "read"),
      await server.token("ops", "operate"),
    ];
    await problem(await order(server.url, ROWS), 401, "token_missing");
    const made = await server.made(ROWS, ada);
    for (const path of ["", "/download"])
      await problem(await fetch(api(server, `/packages/${made.id}${path}`), { headers: bob }), 404, "package_unknown");
    for (const verb of ["renew", "revoke"]) {
      const change = await fetch(api(server, `/packages/${made.id}/${verb}`), { method: "POST", headers: bob });
      await problem(change, 404, "package_unknown");
    }
    const ids = async (headers: Record<string, string>) =>
      (await json<{ items: WirePackage[] }>(api(server, "/packages"), headers)).items.map(({ id }) => id);
    assert.deepEqual([await ids(ada), await ids(bob), await ids(operator)], [[made.id], [], [made.id]]);

    const clear = (headers: Record<string, string>) => fetch(api(server, "/packages"), { method: "DELETE", headers });
    await problem(await clear(ada), 403, "scope_missing");
    assert.deepEqual(await (await clear(operator)).json(), { removed: 1 });
    await problem(await fetch(api(server, `/packages/${made.id}/download`), { headers: ada }), 410, "package_gone");
    const actions = (await server.deps.audit.list(0, 100)).map(({ actor, action }) => `${actor} ${action}`);
    assert.deepEqual(actions, ["ada package.order", "ops package.clear"]);
  });

  test("lists come in pages, newest first", async (t) => {
    const server = await packageServer(t);
    const ids: string[] = [];
    for (let limit = 1; limit <= 5; limit++) ids.unshift((await server.made({ ...ROWS, limit })).id);
    const found: string[] = [];
    for (let next: string | null = ""; next !== null; ) {
      const cursor: string = next === "" ? "" : `&cursor=${next}`;
      const page: { items: WirePackage[]; next: string | null } = await json(api(server, `/packages?limit=2${cursor}`));
      found.push(...page.items.map(({ id }) => id));
      next = page.next;
    }
    assert.deepEqual(found, ids);
    await problem(await fetch(api(server, "/packages?cursor=!")), 400, "request_invalid");
  });

  test("statistics count orders, bytes and rows, in all and by day and resource, for operators", async (t) => {
    const server = await packageServer(t, { loopback: false });
    const ada = await server.token("ada", "read");
    const ops = await server.token("ops", "operate");
    const statistics = (query = "") => json<Statistics>(api(server, `/statistics/packages${query}`), ops);
    assert.deepEqual(await statistics(), {
      totals: { emails: 0, requests: 0, errors: 0, bytes: 0, rows: 0 },
      days: [],
    });

    const small = await server.made({ ...ROWS, limit: 10, email: "ada@x.org" }, ada);
    const large = await server.made({ ...ROWS, email: "ada@x.org" }, ada);
    await server.made({ ...ROWS, resourceId: "gone" }, ada);
    await until("both requesters are told", async () => (await statistics()).totals.requests === 2);
    const bytes = (small.sizeBytes ?? 0) + (large.sizeBytes ?? 0);
    const { totals, days } = await statistics();
    assert.deepEqual(totals, { emails: 1, requests: 2, errors: 1, bytes, rows: 110 });
    // All of it today, unless midnight has just passed.
    for (const { day } of days) assert.match(day, DAY);
    const sum = (name: keyof Counts) => days.reduce((total, counts) => total + counts[name], 0);
    assert.deepEqual([sum("requests"), sum("errors"), sum("bytes")], [2, 1, bytes]);
    const { totals: gone } = await statistics("?resource=gone");
    assert.deepEqual([gone.requests, gone.errors], [0, 1]);

    const first = days[0]?.day ?? "";
    assert.equal((await statistics(`?from=${first}T13:00:00Z`)).days.length, days.length, "a time stands for its day");
    assert.deepEqual((await statistics(`?to=${first}`)).days, [], "the last day is the one before");
    await problem(
      await fetch(api(server, "/statistics/packages?from=yesterday"), { headers: ops }),
      400,
      "request_invalid",
    );

    const { items } = await json<{ items: Record<string, unknown>[] }>(
      api(server, "/statistics/packages/resources"),
      ops,
    );
    assert.deepEqual(
      items.map(({ resourceId, requests }) => [resourceId, requests]),
      [
        ["gone", 0],
        ["r", 2],
      ],
    );
    interface Entries {
      readonly items: readonly Record<string, unknown>[];
      readonly next: string | null;
    }
    const entries = (path: string) => json<Entries>(api(server, `/statistics/packages/${path}`), ops);
    const page = await entries("requests?limit=1&email=ada@x.org");
    const rest = await entries(`requests?limit=1&email=ada@x.org&cursor=${page.next}`);
    assert.deepEqual([...page.items, ...rest.items].map((entry) => entry.package).sort(), [small.id, large.id].sort());
    assert.equal(rest.next, null);
    const errors = await entries("errors?resource=gone");
    assert.deepEqual([errors.items.length, errors.items[0]?.email], [1, null]);
    for (const path of ["", "/resources", "/requests", "/errors"])
      await problem(await fetch(api(server, `/statistics/packages${path}`), { headers: ada }), 403, "scope_missing");
  });
});
