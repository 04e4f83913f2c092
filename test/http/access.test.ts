import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { openApiDocument } from "../../src/http/openapi.ts";
import { bundle } from "./bundle.ts";
import { deposit, finished, json, problem, raw } from "./client.ts";
import { type RealServer, realServer } from "./real-server.ts";

describe("a server that is open on its own machine", () => {
  let server: RealServer;
  before(async () => {
    server = await realServer({ worker: false });
  });
  after(() => server.stop());

  const get = (headers: Record<string, string>) => fetch(`${server.url}/api/v1/jobs`, { headers });

  test("serves programs and its own pages", async () => {
    const own = new URL(server.url).host;
    for (const headers of [
      {},
      { "sec-fetch-site": "same-origin", origin: server.url },
      { "sec-fetch-site": "none" },
      { origin: `https://${own}` },
    ] as Record<string, string>[])
      assert.equal((await get(headers)).status, 200, JSON.stringify(headers));
  });

  test("refuses what a page of another site sends through its visitor's browser", async () => {
    for (const headers of [
      { origin: "https://evil.example" },
      { origin: "null" },
      { origin: "http://localhost:1" },
      { "sec-fetch-site": "cross-site" },
      { "sec-fetch-site": "same-site" },
    ] as Record<string, string>[]) {
      await problem(await get(headers), 403, "origin_refused");
      const write = await fetch(`${server.url}/api/v1/bundles`, { method: "POST", body: "x", headers });
      await problem(write, 403, "origin_refused");
    }
  });

  test("refuses names that are not this machine's, against DNS rebinding", async () => {
    const ask = (host: string) =>
      raw(server, `GET /api/v1/jobs HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
    for (const host of [
      "evil.example",
      "evil.example:7700",
      "127.0.0.1.evil.example",
      "localhost.evil.example",
      "0.0.0.0",
    ])
      assert.match(await ask(host), /403 Forbidden[\s\S]*origin_refused/, host);
    for (const host of ["localhost", "LOCALHOST:1", "app.localhost:99", "127.0.0.1", "127.9.9.9:80", "[::1]:7700"])
      assert.match(await ask(host), /^HTTP\/1\.1 200/, host);
  });

  test("the door is guarded the same way", async () => {
    const response = await fetch(`${server.url}/doors/pacifica-ingest/upload`, {
      method: "POST",
      body: "x",
      headers: { origin: "https://evil.example" },
    });
    assert.equal(response.status, 403);
  });

  test("the first token closes it; a page of another site with a token is nobody's victim", async () => {
    const other = await realServer({ worker: false });
    try {
      const created = await fetch(`${other.url}/api/v1/tokens`, {
        method: "POST",
        body: JSON.stringify({ owner: "ada", scopes: ["admin"] }),
        headers: { "content-type": "application/json" },
      });
      assert.equal(created.status, 201);
      const { token, id } = (await created.json()) as { token: string; id: string };
      const refused = await fetch(`${other.url}/api/v1/jobs`);
      assert.match(refused.headers.get("www-authenticate") ?? "", /^Bearer/);
      await problem(refused, 401, "token_missing");

      const authorization = `Bearer ${token}`;
      const crossSite = { authorization, origin: "https://portal.example", "sec-fetch-site": "cross-site" };
      assert.equal((await fetch(`${other.url}/api/v1/jobs`, { headers: crossSite })).status, 200);
      const { items } = await json<{ items: object[] }>(`${other.url}/api/v1/tokens`, { authorization });
      assert.deepEqual(Object.keys(items[0] ?? {}), [
        "id",
        "owner",
        "scopes",
        "createdAt",
        "expiresAt",
        "revokedAt",
        "lastUsedAt",
        "rateLimit",
      ]);
      const revoke = () => fetch(`${other.url}/api/v1/tokens/${id}`, { method: "DELETE", headers: { authorization } });
      assert.equal((await revoke()).status, 204);
      const { items: lines } = await json<{ items: { action: string }[] }>(`${other.url}/api/v1/audit`);
      assert.deepEqual(
        lines.map(({ action }) => action),
        ["token.create", "token.revoke"],
      );
    } finally {
      await other.stop();
    }
  });
});

describe("tokens and owners", () => {
  let server: RealServer;
  const tar = bundle({ "a.txt": "hello" });
  let ada: { authorization: string };
  let bob: { authorization: string };
  let operator: { authorization: string };
  let reader: { authorization: string };
  before(async () => {
    server = await realServer({ loopback: false });
    ada = await server.token("ada", "deposit", "read");
    bob = await server.token("bob", "deposit", "read");
    operator = await server.token("olga", "operate");
    reader = await server.token("rita", "read");
  });
  after(() => server.stop());

  const ask = (method: string, path: string, headers: Record<string, string>) =>
    fetch(`${server.url}/api/v1${path}`, { method, headers });

  test("jobs, transactions and files exist for their owner and for operators; for others they do not", async () => {
    const { id } = await deposit(server, tar, ada);
    assert.equal((await finished(server, id, ada)).owner, "ada");
    const files = await json<{ items: { id: number }[] }>(`${server.url}/api/v1/transactions/${id}/files`, ada);
    const file = files.items[0]?.id;
    for (const [path, code] of [
      [`/jobs/${id}`, "job_unknown"],
      [`/jobs/${id}/events`, "job_unknown"],
      [`/transactions/${id}`, "transaction_unknown"],
      [`/transactions/${id}/files`, "transaction_unknown"],
      [`/files/${file}`, "file_unknown"],
      [`/files/${file}/content`, "file_unknown"],
    ] as const) {
      await problem(await ask("GET", path, bob), 404, code);
      for (const who of [ada, operator]) assert.equal((await ask("GET", path, who)).status, 200, path);
    }
    await problem(await ask("POST", `/jobs/${id}/cancel`, bob), 404, "job_unknown");
  });

  test("lists show what one may see", async () => {
    const mine = await deposit(server, tar, bob);
    await finished(server, mine.id, bob);
    const owners = async (path: string, who: { authorization: string }) => {
      const { items } = await json<{ items: { owner: string }[] }>(`${server.url}/api/v1${path}`, who);
      return [...new Set(items.map(({ owner }) => owner))].sort();
    };
    for (const list of ["/jobs", "/transactions"]) {
      assert.deepEqual(await owners(list, bob), ["bob"]);
      assert.deepEqual(await owners(list, operator), ["ada", "bob"]);
    }
    assert.deepEqual(await owners("/jobs?owner=ada", operator), ["ada"]);
    assert.deepEqual(await owners("/jobs?owner=ada", bob), []);
  });

  test("an operator steers the jobs of others", async () => {
    const { id } = await deposit(server, bundle({ "steered.txt": "by others" }), ada);
    await finished(server, id, ada);
    await problem(await ask("POST", `/jobs/${id}/cancel`, operator), 409, "job_state_conflict");
    await problem(await ask("POST", `/jobs/${id}/cancel`, bob), 404, "job_unknown");
  });

  test("every route asks for its scope", async () => {
    const needed = [
      ["POST", "/bundles", "deposit"],
      ["POST", "/moves", "deposit"],
      ["POST", "/uploads", "deposit"],
      ["POST", "/jobs/1/cancel", "deposit"],
      ["POST", "/jobs/1/retry", "deposit"],
      ["PATCH", "/jobs/1", "operate"],
      ["POST", "/verifications", "operate"],
      ["GET", "/audit", "operate"],
      ["GET", "/tokens", "admin"],
      ["POST", "/tokens", "admin"],
      ["DELETE", "/tokens/x", "admin"],
    ] as const;
    for (const [method, path, scope] of needed) {
      const document = await problem(await ask(method, path, reader), 403, "scope_missing");
      assert.equal(document.details.expected, scope, path);
      await problem(await ask(method, path, {}), 401, "token_missing");
    }
    for (const path of ["/jobs", "/jobs/1", "/transactions", "/files/1", "/files/1/content"])
      await problem(await ask("GET", path, await server.token("dora", "deposit")), 403, "scope_missing");
    assert.equal((await fetch(`${server.url}/metrics`)).status, 401);
    assert.equal((await fetch(`${server.url}/metrics`, { headers: operator })).status, 200);
  });

  test("a route that forgets to name its scope serves nobody", async () => {
    const paths: string[] = [];
    // Every documented route has been asked without a credential on the closed server: none answers 2xx.
    const { paths: documented }: Documented = JSON.parse(await openApiDocument(""));
    for (const [path, methods] of Object.entries(documented))
      for (const method of Object.keys(methods)) {
        const response = await fetch(server.url + path.replace("{id}", "1"), { method: method.toUpperCase() });
        assert.equal(response.status, 401, `${method} ${path}`);
        paths.push(path);
      }
    assert.ok(paths.length > 15);
  });

  test("what anybody may see is open: welcome, health, documentation", async () => {
    for (const path of ["/", "/healthz", "/openapi.json", "/docs/errors"])
      assert.equal((await fetch(server.url + path)).status, 200, path);
  });
});

describe("a trusted proxy", () => {
  const tar = bundle({ "p.txt": "proxied" });
  const user = (name: string) => ({ "x-http-authed-user": name });

  test("is believed about who its user is", async () => {
    const server = await realServer({ loopback: false, trustedProxies: ["10.1.1.1", "127.0.0.0/8"] });
    try {
      const { id } = await deposit(server, tar, user("ada"));
      assert.equal((await finished(server, id, user("ada"))).owner, "ada");
      await problem(await fetch(`${server.url}/api/v1/jobs/${id}`, { headers: user("bob") }), 404, "job_unknown");
      await problem(await fetch(`${server.url}/api/v1/audit`, { headers: user("ada") }), 403, "scope_missing");
      await problem(await fetch(`${server.url}/api/v1/jobs`), 401, "token_missing");
      await problem(await fetch(`${server.url}/api/v1/jobs`, { headers: user("eve, ada") }), 401, "token_invalid");
    } finally {
      await server.stop();
    }
  });

  test("nobody else is", async () => {
    const server = await realServer({ loopback: false, trustedProxies: ["10.1.1.1", "2001:db8::/32"] });
    try {
      await problem(await fetch(`${server.url}/api/v1/jobs`, { headers: user("ada") }), 401, "token_missing");
    } finally {
      await server.stop();
    }
  });

  test("the header can have another name", async () => {
    const server = await realServer({ loopback: false, trustedProxies: ["127.0.0.1"], authHeader: "Remote-User" });
    try {
      assert.equal((await fetch(`${server.url}/api/v1/jobs`, { headers: { "remote-user": "ada" } })).status, 200);
      await problem(await fetch(`${server.url}/api/v1/jobs`, { headers: user("ada") }), 401, "token_missing");
    } finally {
      await server.stop();
    }
  });
});

interface Documented {
  readonly paths: Readonly<Record<string, Readonly<Record<string, object>>>>;
}
