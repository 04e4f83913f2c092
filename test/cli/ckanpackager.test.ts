import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { after, before, beforeEach, describe, test } from "node:test";
import { runCli } from "./run-cli.ts";

interface Received {
  readonly path: string;
  readonly type: string | undefined;
  readonly fields: Readonly<Record<string, string>>;
}

/** What ckanpackager 0.4.1 was seen to receive and to answer is the measure of these tests. */
describe("longshore ckanpackager", () => {
  const received: Received[] = [];
  let answer: { readonly status: number; readonly body: string; readonly location?: string };
  let host: string;
  let folder: string;
  let defaults: string;
  const server = createServer(async (request, response) => {
    const fields = Object.fromEntries(new URLSearchParams(await text(request)));
    received.push({ path: request.url ?? "", type: request.headers["content-type"], fields });
    const { status, body, location } = answer;
    response.writeHead(status, { "content-type": "application/json", ...(location && { location }) }).end(body);
  });
  before(async () => {
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    host = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    folder = await mkdtemp(join(tmpdir(), "longshore-ckanpackager-"));
    defaults = join(folder, "defaults.json");
    await writeFile(defaults, JSON.stringify({ secret: "s", api_url: "http://portal/api", limit: 7 }));
  });
  beforeEach(() => {
    received.length = 0;
    answer = { status: 200, body: '{"worker_count": 3}' };
  });
  after(async () => {
    server.close();
    await once(server, "close");
    await rm(folder, { recursive: true });
  });
  const cli = (...args: string[]) => runCli(["ckanpackager", "-p", host, ...args]);

  test("status posts the secret alone, and prints as the original does", async () => {
    const { code, stdout, stderr } = await cli("-d", defaults, "status");
    assert.deepEqual([code, stderr], [0, ""]);
    assert.equal(stdout, 'Fetching status.\nResponse:\n{\n  "worker_count": 3\n}\n');
    const type = "application/x-www-form-urlencoded;charset=UTF-8";
    assert.deepEqual(received, [{ path: "/status", type, fields: { secret: "s" } }]);
  });

  test("both names of a verb work, and options may stand behind it", async () => {
    for (const verb of ["cc", "clear-cache"]) await cli(verb, "-s", "t", "-D");
    for (const verb of ["stats", "statistics"]) await cli("-D", verb, "totals", "-s", "t");
    assert.deepEqual(
      received.map(({ path }) => path),
      ["/clear_caches", "/clear_caches", "/statistics", "/statistics"],
    );
    for (const { fields } of received) assert.deepEqual(fields, { secret: "t" });
  });

  test("queue sends the file's parameters, then -s, then its own; a value may have colons", async () => {
    await cli("-d", defaults, "queue", "package_url", "resource_url:http://files/a:b", "limit:9", "key:");
    await cli("-d", defaults, "-s", "t", "queue", "package_datastore", "resource_id:05ff – é");
    assert.deepEqual(
      received.map(({ path, fields }) => [path, fields]),
      [
        [
          "/package_url",
          { secret: "s", api_url: "http://portal/api", limit: "9", resource_url: "http://files/a:b", key: "" },
        ],
        ["/package_datastore", { secret: "t", api_url: "http://portal/api", limit: "7", resource_id: "05ff – é" }],
      ],
    );
    const wrong = await cli("queue", "package_url", "resource");
    assert.equal(wrong.code, 2);
    assert.match(wrong.stderr, /error\[usage\]: Parameters are written as PARAM:VALUE/);
  });

  test("requests and errors are asked for with a page and filters", async () => {
    await cli("-D", "stats", "requests");
    await cli("-D", "-o", "20", "-l", "5", "-r", "05ff", "-e", "me@example.org", "statistics", "errors");
    assert.deepEqual(
      received.map(({ path, fields }) => [path, fields]),
      [
        ["/statistics/requests", { offset: "0", limit: "100" }],
        ["/statistics/errors", { offset: "20", limit: "5", resource_id: "05ff", email: "me@example.org" }],
      ],
    );
  });

  test("-x tells of errors by the exit code", async () => {
    for (const [body, expected] of [
      ['{"status": true, "totals": {}}', 0],
      ['{"status": true, "totals": {"*": {"errors": 0}}}', 0],
      ['{"status": true, "totals": {"*": {"errors": 2}}}', 1],
      ['{"success": true, "errors": []}', 0],
      ['{"success": true, "errors": [{"message": "m"}]}', 1],
    ] as const) {
      answer = { status: 200, body };
      assert.equal((await cli("-D", "-x", "stats")).code, expected, body);
    }
    assert.equal((await cli("-D", "stats")).code, 0);
  });

  test("--json prints the reply alone; -q prints nothing, whatever happens", async () => {
    assert.equal((await cli("-D", "--json", "status")).stdout, '{"worker_count":3}\n');
    assert.deepEqual(await cli("-D", "-q", "status"), { code: 0, signal: null, stdout: "", stderr: "" });
    answer = { status: 500, body: "" };
    assert.deepEqual(await cli("-D", "-q", "status"), { code: 1, signal: null, stdout: "", stderr: "" });
  });

  test("a refusal is told with what was said", async () => {
    answer = { status: 401, body: '{"status":"failed","error":"NotAuthorizedError","message":"Wrong/missing secret"}' };
    const refused = await cli("-s", "secret words", "status");
    assert.equal(refused.code, 5);
    assert.match(refused.stderr, /error\[remote_refused\]: Request failed: .* 401 Unauthorized: Wrong\/missing secret/);
    assert.doesNotMatch(refused.stderr, /secret words/);
    answer = { status: 200, body: "<html>" };
    assert.match((await cli("-D", "status")).stderr, /answered something that is not a JSON object/);
    answer = { status: 302, body: "", location: `${host}/elsewhere` };
    received.length = 0;
    assert.equal((await cli("-D", "status")).code, 5);
    assert.equal(received.length, 1, "the secret goes to nobody else");
  });

  test("a host that does not answer, and a file that is none, have codes of their own", async () => {
    const gone = await runCli(["ckanpackager", "-D", "-p", "http://127.0.0.1:1", "status"]);
    assert.equal(gone.code, 75);
    assert.match(gone.stderr, /error\[remote_unavailable\]: http:\/\/127\.0\.0\.1:1 does not answer/);
    const absent = await cli("-d", join(folder, "absent"), "status");
    assert.deepEqual([absent.code, received.length], [2, 0]);
    assert.match(absent.stderr, /error\[local_file_unusable\]: .*absent cannot be read: ENOENT/);
    await writeFile(join(folder, "list"), "[]");
    assert.match((await cli("-d", join(folder, "list"), "status")).stderr, /is not a JSON object/);
  });
});
