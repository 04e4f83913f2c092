import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { LongshoreError, longshore } from "../../src/sdk/index.ts";
import { problem } from "./client.ts";
import { type RealServer, realServer } from "./real-server.ts";

const SECRET = "correct horse battery staple, and not a word more";

describe("the environment over HTTP", () => {
  let server: RealServer;
  let admin: { readonly authorization: string };
  before(async () => {
    server = await realServer({ worker: false });
    admin = await server.token("ada", "admin");
  });
  after(() => server.stop());

  const clientOf = ({ authorization }: { readonly authorization: string }) =>
    longshore({ url: server.url, token: authorization.replace("Bearer ", "") });

  test("values are set, listed for a scope or all, replaced and removed", async () => {
    const { environment } = clientOf(admin);
    const set = await environment.set("schedule:each night/Ü", "TARGET", "a");
    assert.deepEqual(set, { ...set, scope: "schedule:each night/Ü", name: "TARGET", value: "a", setBy: "ada" });
    await environment.set("schedule:each night/Ü", "TARGET", "b");
    await environment.set("global", "API_URL", "https://data.example.org");
    const values = async (options = {}) => (await environment.list(options).page()).items.map(({ value }) => value);
    assert.deepEqual(await values(), ["https://data.example.org", "b"]);
    assert.deepEqual(await values({ scope: "schedule:each night/Ü" }), ["b"]);
    await environment.remove("schedule:each night/Ü", "TARGET");
    assert.deepEqual(await values(), ["https://data.example.org"]);
    await assert.rejects(environment.remove("global", "TARGET"), { code: "environment_unknown", status: 404 });
  });

  test("a secret is in no answer, no log, no audit and no file", async () => {
    const { secrets, environment } = clientOf(admin);
    const set = await secrets.set("register:films", "API_KEY", SECRET);
    assert.deepEqual(Object.keys(set), ["scope", "name", "setAt", "setBy", "readable"]);
    assert.deepEqual((await secrets.list().page()).items, [set]);
    assert.equal((await environment.list({ scope: "register:films" }).page()).items.length, 0);
    const audited = await (await fetch(`${server.url}/api/v1/audit`, { headers: admin })).text();
    assert.match(audited, /"secret\.set","target":"secret\/register:films\/API_KEY","details":\{\}/);
    for (const [where, text] of [
      ["the audit log", audited],
      ["the log", JSON.stringify(server.log)],
      ["the database", await readFile(join(server.root, "longshore.sqlite"), "latin1")],
      ["its journal", await readFile(join(server.root, "longshore.sqlite-wal"), "latin1")],
    ] as const)
      assert.ok(!text.includes(SECRET), where);
    assert.equal((await server.deps.environment.resolve(["register:films"])).API_KEY, SECRET);
    await secrets.remove("register:films", "API_KEY");
  });

  test("what cannot be set is refused in a sentence without the value", async () => {
    const { secrets } = clientOf(admin);
    for (const [scope, name, value] of [
      ["global", "lower", SECRET],
      ["global", "NAME", SECRET.repeat(1_000)],
      ["job:1", "NAME", SECRET],
    ] as const)
      await assert.rejects(secrets.set(scope as "global", name, value), (error) => {
        assert.ok(error instanceof LongshoreError && error.code === "environment_invalid");
        assert.ok(!JSON.stringify([error.message, error.details]).includes(SECRET));
        return true;
      });
    const put = (body: string) =>
      fetch(`${server.url}/api/v1/secrets/global/NAME`, {
        method: "PUT",
        body,
        headers: { ...admin, "content-type": "application/json" },
      });
    for (const body of [`{"value":{"nested":"${SECRET}"}}`, `{"valu":"${SECRET}"}`, `{"value":"${SECRET}`]) {
      const response = await put(body);
      assert.equal(response.status, 400);
      assert.ok(!(await response.text()).includes(SECRET));
    }
    assert.ok(!JSON.stringify(server.log).includes(SECRET));
  });

  test("operators see values; secrets and changes are for administrators", async () => {
    const operator = await server.token("eve", "operate");
    const reader = await server.token("joe", "read");
    const ask = (path: string, headers: Record<string, string>, method = "GET") =>
      fetch(`${server.url}/api/v1${path}`, {
        method,
        headers: { ...headers, "content-type": "application/json" },
        ...(method === "PUT" && { body: '{"value":"x"}' }),
      });
    assert.equal((await ask("/environment", operator)).status, 200);
    await problem(await ask("/environment", reader), 403, "scope_missing");
    await problem(await ask("/secrets", operator), 403, "scope_missing");
    for (const path of ["/environment/global/A", "/secrets/global/A"])
      for (const method of ["PUT", "DELETE"]) await problem(await ask(path, operator, method), 403, "scope_missing");
  });
});
