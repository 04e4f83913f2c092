import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { pacificaIdSource } from "../../src/adapters/pacifica/id-source.ts";
import { systemClock } from "../../src/adapters/system-clock.ts";
import { httpSend } from "../../src/core/outbound/send.ts";
import { bundle } from "./bundle.ts";
import { deposit, finished } from "./client.ts";
import { type RealServer, realServer } from "./real-server.ts";

/* Expected answers are what the original (pacifica-uniqueid 0.5.1 on CherryPy 18.8) answered when it was asked. */

for (const place of ["below /doors", "on a port of its own"] as const)
  describe(`the Pacifica uniqueid door ${place}`, () => {
    let server: RealServer;
    let door: string;
    before(async () => {
      server = await realServer();
      door =
        place === "below /doors" ? `${server.url}/doors/pacifica-uniqueid` : await server.door("pacifica-uniqueid");
    });
    after(() => server.stop());

    async function ids(query: string) {
      const response = await fetch(`${door}/getid${query}`);
      assert.equal(response.headers.get("content-type"), "application/json");
      return { status: response.status, body: await response.json() };
    }

    test("GET / says that it is up, and which methods it has", async () => {
      const response = await fetch(`${door}/`);
      assert.deepEqual(await response.json(), { message: "Pacifica UniqueID Up and Running" });
      assert.equal(response.headers.get("allow"), "GET, HEAD");
    });

    test("a range is consecutive, begins with 1, and each mode counts for itself", async () => {
      assert.deepEqual(await ids("?range=10&mode=mine"), { status: 200, body: { startIndex: 1, endIndex: 10 } });
      assert.deepEqual(await ids("?range=1&mode=mine"), { status: 200, body: { startIndex: 11, endIndex: 11 } });
      assert.deepEqual(await ids("?mode=%C3%BCber%20alles&range=2"), {
        status: 200,
        body: { startIndex: 1, endIndex: 2 },
      });
    });

    test("a request for nothing is 200 with the original's odd numbers, and takes nothing", async () => {
      for (const query of ["", "?mode=odd", "?range=0&mode=odd", "?range=-5&mode=odd", "?range=5", "?range=5&mode="])
        assert.deepEqual(await ids(query), { status: 200, body: { startIndex: -1, endIndex: -3 } }, query);
      assert.deepEqual((await ids("?range=1&mode=odd")).body, { startIndex: 1, endIndex: 1 });
    });

    test("a range that is no number is 500", async () => {
      for (const query of ["?range=abc&mode=x", "?range=1.5&mode=x", "?range=1&range=2&mode=x", "?range=&mode=x"]) {
        const { status, body } = await ids(query);
        assert.equal(status, 500, query);
        assert.deepEqual(Object.keys(body as object).sort(), ["message", "status", "traceback", "version"]);
      }
    });

    test("nobody uses a sequence up, or fills the database with its name", async () => {
      for (const query of ["?range=1000000001&mode=x", "?range=1e3&mode=x", `?range=${"9".repeat(30)}&mode=x`])
        assert.ok((await ids(query)).status >= 400, query);
      assert.equal((await ids(`?range=1&mode=${"x".repeat(256)}`)).status, 400);
      assert.equal((await ids("?range=1&mode=a%00b")).status, 400);
    });

    test("many who ask at once get ranges that do not overlap", async () => {
      const answers = await Promise.all(Array.from({ length: 50 }, () => ids("?range=3&mode=crowd")));
      const starts = answers.map(({ body }) => (body as { startIndex: number }).startIndex).sort((a, b) => a - b);
      assert.deepEqual(
        starts,
        Array.from({ length: 50 }, (_, index) => 1 + 3 * index),
      );
    });

    test("the modes file and upload_job are the numbers that Longshore gives itself", async () => {
      const first = await finished(server, (await deposit(server, bundle({ "a.txt": "a", "b.txt": "b" }))).id);
      assert.deepEqual((await ids("?range=1&mode=upload_job")).body, {
        startIndex: first.id + 1,
        endIndex: first.id + 1,
      });
      assert.deepEqual((await ids("?range=4&mode=file")).body, { startIndex: 3, endIndex: 6 });
      const second = await finished(server, (await deposit(server, bundle({ "c.txt": "c" }))).id);
      assert.equal(second.id, first.id + 2);
      const [file] = await server.deps.catalogue.listFiles(second.id as never, { limit: 1 });
      assert.equal(file?.id, 7);
    });

    test("another Longshore can take its ids from here", async () => {
      const source = pacificaIdSource({ url: door, send: httpSend(systemClock) });
      const start = await source.reserve("elsewhere", 5);
      assert.deepEqual([start, await source.reserve("elsewhere", 1)], [1, 6]);
    });

    test("other methods and paths are refused in CherryPy's words", async () => {
      const post = await fetch(`${door}/getid`, { method: "POST", body: "x" });
      assert.equal(post.status, 405);
      assert.equal(
        ((await post.json()) as { message: string }).message,
        "Specified method is invalid for this resource",
      );
      assert.equal((await fetch(`${door}/nothing`)).status, 404);
    });
  });

test("ids are for those who may deposit", async () => {
  const server = await realServer({ loopback: false });
  try {
    const url = `${server.url}/doors/pacifica-uniqueid/getid?range=1&mode=file`;
    assert.equal((await fetch(url)).status, 401);
    assert.equal((await fetch(url, { headers: await server.token("ada", "read") })).status, 403);
    assert.equal((await fetch(url, { headers: await server.token("ada", "deposit") })).status, 200);
  } finally {
    await server.stop();
  }
});
