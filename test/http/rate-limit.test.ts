import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { after, before, beforeEach, describe, test } from "node:test";
import { callLimits } from "../../src/core/access/call-limits.ts";
import { jobId, transactionId } from "../../src/core/ids.ts";
import { LongshoreError, longshore } from "../../src/sdk/index.ts";
import { movingClock } from "../support/moving-clock.ts";
import { startServer } from "../support/server.ts";
import { until } from "../support/until.ts";
import { bundle } from "./bundle.ts";
import { deposit, problem } from "./client.ts";
import { type RealServer, realServer } from "./real-server.ts";

const DAY_MS = 86_400_000;

describe("a server with a limit of 3 requests in 30 seconds", () => {
  const clock = movingClock();
  const limits = callLimits([{ calls: 3, perMs: 30_000 }], clock);
  let server: RealServer;
  let ada: { readonly authorization: string };
  let file: number;
  let eve: { readonly authorization: string };
  before(async () => {
    server = await realServer({
      trustedProxies: ["127.0.0.1"],
      ckanpackager: { secret: "s", successMessage: "", workerCount: 1 },
      wrap: (deps) => ({ ...deps, callLimits: limits }),
    });
    ada = await server.token("ada", "read", "deposit", "operate");
    eve = await server.token("eve", "read");
    const { id } = await deposit(server, bundle({ "raw.bin": "0123456789" }), ada);
    await until("it is archived", async () => (await server.deps.jobs.get(jobId(id))).state === "succeeded");
    const [archived] = await server.stores.catalogue.listFiles(transactionId(id), { limit: 1 });
    file = archived?.id ?? 0;
  });
  after(() => server.stop());
  beforeEach(() => clock.pass(DAY_MS));

  const get = (path: string, headers: Record<string, string> = {}) => fetch(server.url + path, { headers });
  const statusesOf = async (times: number, ask: () => Promise<Response>) => {
    const statuses = [];
    for (let n = 0; n < times; n++) {
      const response = await ask();
      await response.arrayBuffer();
      statuses.push(response.status);
    }
    return statuses;
  };

  test("answers the fourth with 429, the limit in a sentence and when to come again; and then lets it through", async () => {
    assert.deepEqual(await statusesOf(3, () => get("/api/v1/jobs", ada)), [200, 200, 200]);
    const refused = await get("/api/v1/jobs", ada);
    assert.equal(refused.headers.get("retry-after"), "10");
    const { detail, details } = await problem(refused, 429, "rate_limited");
    assert.match(detail, /limit: 3 in 30 s; retryAfterSeconds: 10/);
    assert.deepEqual(details, { limit: "3 in 30 s", retryAfterSeconds: 10 });
    clock.pass(10_000);
    assert.deepEqual(await statusesOf(2, () => get("/api/v1/jobs", ada)), [200, 429]);
  });

  test("counts by token, wherever it comes from and whatever it asks, and by address without one", async () => {
    const from = (address: string, headers = {}) => ({ "x-forwarded-for": `9.9.9.9, ${address}`, ...headers });
    assert.deepEqual(await statusesOf(2, () => get("/api/v1/files/999", ada)), [404, 404]);
    assert.deepEqual(await statusesOf(2, () => get("/api/v1/jobs", from("192.0.2.1", ada))), [200, 429]);
    assert.deepEqual(await statusesOf(1, () => get("/api/v1/jobs", eve)), [200]);
    assert.deepEqual(await statusesOf(4, () => get("/openapi.json", from("192.0.2.1"))), [200, 200, 200, 429]);
    assert.deepEqual(await statusesOf(1, () => get("/openapi.json", from("192.0.2.2"))), [200]);
    assert.deepEqual(await statusesOf(1, () => get("/nothing", from("192.0.2.1"))), [429]);
    // Whoever has an IPv6 address has 2^64 of them.
    const ipv6 = ["2001:db8:1:2::1", "2001:db8:1:2:ffff:1:2:3", "2001:db8:1:2::", "2001:db8:1:2::4"].values();
    const next = () => get("/openapi.json", from(ipv6.next().value ?? ""));
    assert.deepEqual(await statusesOf(4, next), [200, 200, 200, 429]);
    assert.deepEqual(await statusesOf(1, () => get("/openapi.json", from("2001:db8:1:3::1"))), [200]);
    // A proxy's own users are counted apart.
    const user = (name: string) => from("192.0.2.1", { "x-http-authed-user": name });
    assert.deepEqual(await statusesOf(4, () => get("/api/v1/jobs", user("joe"))), [200, 200, 200, 429]);
    assert.deepEqual(await statusesOf(1, () => get("/api/v1/jobs", user("ann"))), [200]);
  });

  test("a token may have a limit of its own, or none; one that is no limit is refused", async () => {
    const made = async (rateLimit: string) => {
      const scopes = ["read"] as const;
      const { text } = await server.deps.tokens.create({ owner: "portal", scopes, expiresAt: null, rateLimit });
      return { authorization: `Bearer ${text}` };
    };
    const [more, free] = [await made("5/s, 100/d"), await made("none")];
    assert.deepEqual(await statusesOf(6, () => get("/api/v1/jobs", more)), [...Array(5).fill(200), 429]);
    assert.deepEqual(await statusesOf(20, () => get("/api/v1/jobs", free)), Array(20).fill(200));
    const admin = await server.token("root", "admin");
    const create = (rateLimit: string) =>
      fetch(`${server.url}/api/v1/tokens`, {
        method: "POST",
        body: JSON.stringify({ owner: "x", scopes: ["read"], rateLimit }),
        headers: { ...admin, "content-type": "application/json" },
      });
    await problem(await create("many"), 400, "request_invalid");
    assert.equal(((await (await create("1/h")).json()) as { rateLimit: string }).rateLimit, "1/h");
  });

  test("guessed tokens count for the address, and never for the token whose id they have", async () => {
    const guess = { authorization: `${ada.authorization.slice(0, -4)}AAAA` };
    assert.deepEqual(await statusesOf(4, () => get("/api/v1/jobs", guess)), [401, 401, 401, 429]);
    assert.deepEqual(await statusesOf(1, () => get("/api/v1/jobs", ada)), [200]);
  });

  test("monitors are never limited, and count for nothing", async () => {
    assert.deepEqual(await statusesOf(9, () => get("/healthz")), Array(9).fill(200));
    assert.deepEqual(await statusesOf(9, () => get("/metrics", ada)), Array(9).fill(200));
    assert.deepEqual(await statusesOf(4, () => get("/api/v1/jobs", ada)), [200, 200, 200, 429]);
  });

  test("a download that has begun is never cut short nor kept from going on; one that begins is counted", async () => {
    const path = `/api/v1/files/${file}/content`;
    assert.deepEqual(await statusesOf(4, () => get(path, ada)), [200, 200, 200, 429]);
    const rest = await get(path, { ...ada, range: "bytes=4-" });
    assert.deepEqual([rest.status, await rest.text()], [206, "456789"]);
    for (const range of ["bytes=0-3", "bytes=-3", "bytes=x"])
      assert.deepEqual(await statusesOf(1, () => get(path, { ...ada, range })), [429], range);
    assert.deepEqual(await statusesOf(1, () => get("/api/v1/jobs", { ...ada, range: "bytes=4-" })), [429]);
  });

  test("doors refuse in their own form, with the same field", async () => {
    const ask = () =>
      fetch(`${server.url}/doors/ckanpackager/statistics`, {
        method: "POST",
        body: new URLSearchParams({ secret: "s" }),
      });
    assert.deepEqual(await statusesOf(3, ask), [200, 200, 200]);
    const refused = await ask();
    assert.deepEqual([refused.status, refused.headers.get("retry-after")], [429, "10"]);
    assert.equal(((await refused.json()) as { error: string }).error, "TooManyRequests");
    const cherry = await get("/doors/pacifica-ingest/get_state?job_id=1");
    assert.deepEqual([cherry.status, cherry.headers.get("retry-after")], [429, "10"]);
    assert.equal(((await cherry.json()) as { status: string }).status, "429 Too Many Requests");
  });

  test("a body that is one too many is not waited for", async () => {
    assert.deepEqual(await statusesOf(3, () => get("/api/v1/jobs", ada)), [200, 200, 200]);
    const head = `POST /api/v1/bundles HTTP/1.1\r\nHost: localhost\r\nAuthorization: ${ada.authorization}\r\n`;
    const { hostname, port } = new URL(server.url);
    const socket = connect(Number(port), hostname);
    try {
      socket.write(`${head}Content-Type: application/x-tar\r\nContent-Length: 1000000\r\n\r\n`);
      const [answer] = await once(socket, "data");
      assert.match(String(answer), /^HTTP\/1\.1 429 [\s\S]*retry-after: 10/i);
    } finally {
      socket.destroy();
    }
  });

  test("the SDK says how long to wait", async () => {
    const client = longshore({ url: server.url, token: ada.authorization.replace("Bearer ", "") });
    for (let n = 0; n < 3; n++) await client.jobs.list().page();
    await assert.rejects(client.jobs.list().page(), (error) => {
      assert.ok(error instanceof LongshoreError && error.transient);
      assert.deepEqual([error.code, error.status, error.retryAfterMs], ["rate_limited", 429, 10_000]);
      return true;
    });
  });
});

test("the server keeps to the limit of its setting", async () => {
  const server = await startServer({ env: { LONGSHORE_RATE_LIMIT: "2/h" } });
  try {
    const statuses = [];
    for (let n = 0; n < 3; n++) statuses.push((await fetch(`${server.url}/openapi.json`)).status);
    assert.deepEqual(statuses, [200, 200, 429]);
  } finally {
    await server.stop();
  }
});
