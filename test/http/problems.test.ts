import assert from "node:assert/strict";
import { connect } from "node:net";
import { after, before, describe, test } from "node:test";
import { CODES } from "../../src/core/errors.ts";
import { until } from "../support/until.ts";
import { problem, raw } from "./client.ts";
import { type RealServer, realServer } from "./real-server.ts";

describe("what a server answers when it cannot do what is asked", () => {
  let server: RealServer;
  before(async () => {
    server = await realServer({
      wrap: (deps) => ({
        ...deps,
        catalogue: {
          ...deps.catalogue,
          transaction: async () => {
            throw new Error("a defect with a secret in it");
          },
        },
      }),
    });
  });
  after(() => server.stop());

  test("an unknown address is 404, wherever it lies", async () => {
    for (const path of ["/nothing", "/api/v1", "/api/v1/", "/api/v1/nothing", "/api/v2/jobs", "/doors/unknown"])
      await problem(await fetch(server.url + path), 404, "route_unknown");
  });

  test("a method that an address does not answer to is 405 with those it does", async () => {
    const cases = [
      ["PUT", "/api/v1/bundles", "POST"],
      ["GET", "/api/v1/moves", "POST"],
      ["DELETE", "/api/v1/jobs/7", "GET, HEAD, PATCH"],
      ["POST", "/healthz", "GET, HEAD"],
      ["GET", "/api/v1/uploads/abc", "DELETE, HEAD, OPTIONS, PATCH, POST"],
    ] as const;
    for (const [method, path, allow] of cases) {
      const response = await fetch(server.url + path, { method });
      assert.equal(response.headers.get("allow"), allow, path);
      await problem(response, 405, "method_not_allowed");
    }
  });

  test("JSON that is none, too much of it, or of another type, is refused", async () => {
    const send = (body: string, type = "application/json") =>
      fetch(`${server.url}/api/v1/tokens`, { method: "POST", body, headers: { "content-type": type } });
    await problem(await send("{"), 400, "request_invalid");
    await problem(await send(JSON.stringify({ owner: "x".repeat(1024 * 1024) })), 413, "body_too_large");
    await problem(await send("<xml/>", "application/xml"), 415, "media_type_unsupported");
    const wrong = await problem(
      await send(JSON.stringify({ owner: "", scopes: ["root"], extra: 1 })),
      400,
      "request_invalid",
    );
    const problems = wrong.details.problems as { path: string }[];
    assert.deepEqual(problems.map(({ path }) => path).sort(), ["", "owner", "scopes/0"]);
  });

  test("a defect is 500 without its text; the log has the cause under the request's id", async () => {
    const response = await fetch(`${server.url}/api/v1/transactions/1`);
    const { requestId, detail } = await problem(response, 500, "internal");
    assert.ok(!detail.includes("secret"));
    const line = server.log.find((entry) => entry.requestId === requestId && entry.level === 50);
    assert.match(JSON.stringify(line?.err), /a defect with a secret in it/);
  });

  test("a request id that a proxy gives is kept when it is harmless", async () => {
    const given = await fetch(`${server.url}/nothing`, { headers: { "x-request-id": "proxy-17" } });
    assert.equal((await problem(given, 404, "route_unknown")).requestId, "proxy-17");
    const harmful = await fetch(`${server.url}/nothing`, { headers: { "x-request-id": `x${" ".repeat(3)}"}` } });
    assert.notEqual((await problem(harmful, 404, "route_unknown")).requestId, `x   "}`);
  });

  test("credentials never reach the log, not even through an error that carries the request", async () => {
    const response = await fetch(`${server.url}/api/v1/jobs`, {
      headers: { authorization: "Bearer lsh_secret", cookie: "session=secret" },
    });
    await problem(response, 401, "token_invalid");
    server.app.log.info({ headers: { authorization: "Bearer lsh_secret" }, req: { headers: { cookie: "secret" } } });
    await until("it is logged", () => server.log.some(({ headers }) => headers !== undefined));
    assert.ok(!JSON.stringify(server.log).includes("lsh_secret") && !JSON.stringify(server.log).includes("session="));
    assert.match(JSON.stringify(server.log.at(-1)), /hidden/);
  });

  test("what is not HTTP is answered as a problem and ends the connection", async () => {
    const answer = await raw(server, "NONSENSE\r\n\r\n");
    assert.match(answer, /^HTTP\/1\.1 400 /);
    assert.match(answer, /"code":"request_invalid"/);
    const long = await raw(server, `GET / HTTP/1.1\r\nHost: localhost\r\nX: ${"x".repeat(20_000)}\r\n\r\n`);
    assert.match(long, /^HTTP\/1\.1 431 /);
    assert.match(
      await raw(server, "GET /%zz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"),
      /"code":"request_invalid"/,
    );
  });

  test("one line per request is logged, with what one looks for", async () => {
    const response = await fetch(`${server.url}/api/v1/jobs?limit=1`);
    const requestId = response.headers.get("x-request-id");
    await until("the line is there", () => server.log.some((line) => line.requestId === requestId));
    const lines = server.log.filter((line) => line.requestId === requestId);
    assert.equal(lines.length, 1);
    const { method, path, route, status, principal, durationMs } = lines[0] ?? {};
    assert.deepEqual([method, path, route, status, principal], ["GET", "/api/v1/jobs", "/api/v1/jobs", 200, "local"]);
    assert.equal(typeof durationMs, "number");
  });

  test("a refused body of any length does not keep the answer from its sender, nor the connection for ever", async () => {
    const { hostname, port } = new URL(server.url);
    const socket = connect(Number(port), hostname);
    socket.write(
      "POST /api/v1/bundles HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: 99999999999\r\n\r\n",
    );
    let answer = "";
    socket.setEncoding("utf8").on("data", (chunk) => {
      answer += chunk;
    });
    const sending = setInterval(() => socket.write("x".repeat(1000)), 5);
    socket.on("error", () => clearInterval(sending)); // the server hangs up in the end
    try {
      await until("the answer is here", () => answer.includes("media_type_unsupported"));
      await until("the connection is over", () => socket.closed);
    } finally {
      clearInterval(sending);
      socket.destroy();
    }
    assert.match(answer, /^HTTP\/1\.1 415 /);
  });

  test("every code is explained where its problems point", async () => {
    const page = await (await fetch(`${server.url}/docs/errors`)).text();
    for (const code of Object.keys(CODES)) assert.ok(page.includes(`id="${code}"`), code);
  });
});

test("a connection that falls silent is cut, and its job fails; one that waits for us is not", async () => {
  let receiving = Promise.withResolvers<void>();
  const server = await realServer({
    silenceMs: 150,
    worker: false,
    wrap: (deps) => ({
      ...deps,
      ingest: {
        ...deps.ingest,
        async receive(bytes, request) {
          const job = await deps.ingest.receive(bytes, request);
          await receiving.promise;
          return job;
        },
      },
    }),
  });
  try {
    const { hostname, port } = new URL(server.url);
    const socket = connect(Number(port), hostname);
    socket.on("error", () => {}); // it is cut: that is the point
    socket.write("POST /api/v1/bundles HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999\r\n\r\nmetadata.txt");
    await until("its job has failed", async () => {
      const [job] = await server.deps.jobs.list({ limit: 1 });
      return job?.error?.code === "upload_interrupted";
    });
    receiving.resolve();

    receiving = Promise.withResolvers();
    const begun = performance.now();
    const slow = fetch(`${server.url}/api/v1/bundles`, { method: "POST", body: new Blob(["no tar"]) });
    await until("three times the limit has passed", () => performance.now() - begun > 450);
    receiving.resolve();
    assert.equal((await slow).status, 202);
  } finally {
    await server.stop();
  }
});

describe("a server that closes", () => {
  test("breaks off a body that never ends, and ends its job, before it counts as closed", async () => {
    const server = await realServer({ closeGraceMs: 50, worker: false });
    const { hostname, port } = new URL(server.url);
    const socket = connect(Number(port), hostname);
    socket.on("error", () => {}); // it is cut off: that is the point
    socket.write("POST /api/v1/bundles HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999\r\n\r\nmetadata.txt");
    await until(
      "the job is fed",
      async () => (await server.deps.jobs.list({ states: ["running"], limit: 1 })).length > 0,
    );
    await server.app.close();
    const [job] = await server.deps.jobs.list({ limit: 1 });
    assert.deepEqual([job?.state, job?.error?.code], ["failed", "upload_interrupted"]);
    await server.stop();
  });
});
