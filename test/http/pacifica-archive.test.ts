import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { stat, truncate, unlink, utimes, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { Readable } from "node:stream";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { AppError } from "../../src/core/errors.ts";
import { fileId } from "../../src/core/ids.ts";
import { leftBehind } from "../support/ingest.ts";
import { until } from "../support/until.ts";
import { bundle } from "./bundle.ts";
import { deposit, finished, raw } from "./client.ts";
import { type RealServer, realServer } from "./real-server.ts";

/*
 * Expected answers are what the original (pacifica-archiveinterface 0.4.1 on CherryPy 18.8) answered when it was asked, and
 * what its peers (pacifica-ingest 0.4.1, pacifica-cartd 0.7.0) read of them; where Longshore answers otherwise on purpose,
 * the test's name says so.
 */

const run = promisify(execFile);
const ALL = "DELETE, GET, HEAD, PATCH, POST, PUT";
/** What cartd reads of a HEAD; a field that is missing kills its task. */
const READ_BY_CARTD = [
  "x-pacifica-messsage",
  "x-content-length",
  "x-pacifica-ctime",
  "last-modified",
  "x-pacifica-bytes-per-level",
  "x-pacifica-file-storage-media",
];

const put = (door: string, id: number | string, body: string | Uint8Array<ArrayBuffer>, headers = {}) =>
  fetch(`${door}/${id}`, { method: "PUT", body, headers: { "content-type": "application/octet-stream", ...headers } });

async function refusal(response: Response, status: number): Promise<string> {
  const text = await response.text();
  assert.equal(response.status, status, text);
  const error = JSON.parse(text) as Record<string, string>;
  assert.deepEqual(Object.keys(error).sort(), ["message", "status", "traceback", "version"]);
  assert.equal(error.traceback, "");
  return error.message ?? "";
}

for (const place of ["below /doors", "on a port of its own"] as const)
  describe(`the Pacifica archive door ${place}`, () => {
    let server: RealServer;
    let door: string;
    before(async () => {
      server = await realServer();
      door = place === "below /doors" ? `${server.url}/doors/pacifica-archive` : await server.door("pacifica-archive");
    });
    after(() => server.stop());

    test("GET / says that it is up", async () => {
      const response = await fetch(`${door}/`);
      assert.deepEqual(await response.json(), { message: "Pacifica Archive Interface Up and Running" });
      assert.equal(response.headers.get("content-type"), "application/json");
    });

    test("a file that was PUT is there when the answer comes, in every way of asking for it", async () => {
      const answer = await put(door, 1234, "hello", { "last-modified": "Sun Sep 13 12:26:40 2020" });
      assert.equal(answer.status, 201);
      assert.deepEqual(await answer.json(), { message: "File added to archive", total_bytes: 5 });
      assert.equal(answer.headers.get("allow"), ALL);

      const staged = await fetch(`${door}/1234`, { method: "POST" });
      assert.deepEqual([staged.status, await staged.json()], [200, { message: "File was staged", file: "1234" }]);

      const head = await fetch(`${door}/1234`, { method: "HEAD" });
      assert.equal(head.status, 204);
      for (const name of READ_BY_CARTD) assert.ok(head.headers.has(name), name);
      assert.equal(head.headers.get("x-pacifica-messsage"), "File was found");
      assert.equal(head.headers.get("x-content-length"), "5");
      assert.equal(head.headers.get("x-pacifica-bytes-per-level"), "(5,)");
      assert.equal(head.headers.get("x-pacifica-file-storage-media"), "disk");
      assert.equal(head.headers.get("last-modified"), "1600000000.0"); // date -u -d 'Sun Sep 13 12:26:40 2020' +%s
      assert.match(head.headers.get("x-pacifica-ctime") ?? "", /^\d+\.\d+$/);
      assert.ok(!head.headers.get("x-pacifica-file")?.includes(server.root), "the server's own path is not told");

      const got = await fetch(`${door}/1234`);
      assert.equal(got.status, 200);
      assert.equal(got.headers.get("content-type"), "application/octet-stream");
      assert.equal(got.headers.get("content-encoding"), null);
      assert.equal(await got.text(), "hello");
    });

    test("it is a transaction like any other: its owner's, with digests, by the native API too", async () => {
      await put(door, 1300, "hello");
      const { file, transaction } = await archived(server, 1300);
      assert.equal(file.path, "data/1300");
      assert.equal(file.digests.sha1, "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d"); // printf hello | sha1sum
      assert.deepEqual([transaction.owner, transaction.fileCount, transaction.sizeBytes], ["root", 1, 5]);
      const native = await fetch(`${server.url}/api/v1/files/1300/content`);
      assert.equal(await native.text(), "hello");
    });

    test("byte_range has an end that is not included, and status 200", async () => {
      await put(door, 1301, "0123456789");
      for (const [range, text] of [
        ["2-5", "234"],
        ["0-10", "0123456789"],
        ["8-100", "89"],
        ["3-3", ""],
      ]) {
        const part = await fetch(`${door}/1301?byte_range=${range}`);
        assert.equal(part.status, 200, range);
        assert.equal(await part.text(), text, range);
      }
      for (const range of ["5-2", "11-12", "x", "-3", "1-"])
        await refusal(await fetch(`${door}/1301?byte_range=${range}`), 416);
    });

    test("Range is answered as well", async () => {
      await put(door, 1302, "0123456789");
      const part = await fetch(`${door}/1302`, { headers: { range: "bytes=2-4" } });
      assert.deepEqual([part.status, await part.text()], [206, "234"]);
      assert.equal(part.headers.get("content-range"), "bytes 2-4/10");
      const beyond = await fetch(`${door}/1302`, { headers: { range: "bytes=10-" } });
      await refusal(beyond, 416);
      assert.equal(beyond.headers.get("content-range"), "bytes */10");
    });

    test("a body without a length in advance is counted, by curl as well; an empty file is a file", async () => {
      const local = join(server.root, "local");
      await writeFile(local, "x".repeat(100_000));
      const chunked = ["-H", "Transfer-Encoding: chunked", "-T", local];
      const { stdout } = await run("curl", ["-sS", ...chunked, `${door}/1303`]);
      assert.deepEqual(JSON.parse(stdout), { message: "File added to archive", total_bytes: 100_000 });
      assert.deepEqual(await (await put(door, 1304, "")).json(), { message: "File added to archive", total_bytes: 0 });
      assert.equal(await (await fetch(`${door}/1304`)).text(), "");
      const { hostname, port, pathname } = new URL(door);
      const bare = await raw(
        { url: door },
        `PUT ${pathname.replace(/\/$/, "")}/1305 HTTP/1.1\r\nHost: ${hostname}:${port}\r\nConnection: close\r\n\r\n`,
      );
      assert.match(bare, /^HTTP\/1\.1 411 /);
    });

    test("what Last-Modified says in any of its forms is the file's time; what is no time is the present", async () => {
      for (const [index, [field, expected]] of (
        [
          ["Sun Sep 13 12:26:40 2020", "1600000000.0"],
          ["Sun, 13 Sep 2020 12:26:40 GMT", "1600000000.0"],
          ["1600000000.25", "1600000000.25"],
          ["1600000000", "1600000000.0"],
        ] as const
      ).entries()) {
        await put(door, 1310 + index, field, { "last-modified": field });
        const head = await fetch(`${door}/${1310 + index}`, { method: "HEAD" });
        assert.equal(head.headers.get("last-modified"), expected, field);
      }
      for (const [index, field] of ["garbage", "9".repeat(40), "5"].entries()) {
        assert.equal((await put(door, 1320 + index, field, { "last-modified": field })).status, 201, field);
        const head = await fetch(`${door}/${1320 + index}`, { method: "HEAD" });
        const seconds = Number(head.headers.get("last-modified"));
        assert.ok(field === "5" ? seconds === 5 : Math.abs(seconds - Date.now() / 1000) < 60, field);
      }
    });

    test("the same bytes again are welcome, other bytes are refused and change nothing (the original overwrites)", async () => {
      await put(door, 1330, "first");
      const again = await put(door, 1330, "first");
      assert.deepEqual([again.status, await again.json()], [201, { message: "File added to archive", total_bytes: 5 }]);
      for (const other of ["other", "longer than that"]) {
        const message = await refusal(await put(door, 1330, other), 409);
        assert.ok(!message.includes("total_bytes"));
      }
      assert.equal(await (await fetch(`${door}/1330`)).text(), "first");
    });

    test("what is missing is 500 to whoever wants to read it: peers take every other status for a file", async () => {
      for (const id of ["999999", "0", "-1", "01", "foo", "..", "%2e%2e%2fetc%2fpasswd", "9".repeat(30), "1e3"])
        for (const method of ["GET", "HEAD", "POST", "DELETE"]) {
          const { status, text, message } = await asked(`${door}/${id}`, method);
          // fetch resolves dot segments itself: what is asked for then is the door, or what lies above it
          if (id === "..") continue;
          assert.equal(status, 500, `${method} ${id}`);
          assert.match(message ?? "", /No file with this id is known/, `${method} ${id}`);
          if (method !== "HEAD") assert.match(text, /No file with this id is known/);
        }
      await refusal(await fetch(`${door}/a/b`), 404);
    });

    test("an id that is none is refused before its body is kept", async () => {
      for (const id of ["foo", "0", "-5", "1.5", "9007199254740993", "%2e%2e%2fx"])
        await refusal(await put(door, id, "hello"), 400);
      await refusal(await put(door, String(2 ** 52 + 1), "hello"), 400);
    });

    test("PATCH takes a file over from a folder that may be moved from, and from no other", async () => {
      const source = join(server.sources, "measured data.bin");
      await writeFile(source, "moved");
      await utimes(source, 1_500_000_000, 1_500_000_000);
      const patch = (id: number, body: string) =>
        fetch(`${door}/${id}`, { method: "PATCH", body, headers: { "content-type": "application/json" } });
      const moved = await patch(1340, JSON.stringify({ path: source }));
      assert.deepEqual([moved.status, await moved.json()], [200, { message: "File Moved Successfully" }]);
      assert.equal(await (await fetch(`${door}/1340`)).text(), "moved");
      assert.equal((await fetch(`${door}/1340`, { method: "HEAD" })).headers.get("last-modified"), "1500000000.0");
      await assert.rejects(stat(source), { code: "ENOENT" });

      await writeFile(source, "another");
      await refusal(await patch(1340, JSON.stringify({ path: source })), 409);
      await refusal(await patch(1341, JSON.stringify({ path: "/etc/passwd" })), 403);
      await refusal(await patch(1341, JSON.stringify({ path: join(server.sources, "none") })), 404);
      for (const body of ["{}", "[]", "null", "not json", '{"path": 5}', '{"path": "/a\\u0000b"}'])
        await refusal(await patch(1341, body), 400);
      assert.equal((await stat(source)).size, 7, "what was refused lies where it lay");
    });

    test("nothing is deleted (the original deletes)", async () => {
      await put(door, 1350, "kept");
      assert.match(await refusal(await fetch(`${door}/1350`, { method: "DELETE" }), 403), /keeps/);
      assert.equal(await (await fetch(`${door}/1350`)).text(), "kept");
    });

    test("a method that it does not have is 405", async () => {
      await refusal(await fetch(`${door}/1234`, { method: "OPTIONS" }), 405);
    });
  });

describe("files by id", () => {
  let server: RealServer;
  let door: string;
  before(async () => {
    server = await realServer();
    door = `${server.url}/doors/pacifica-archive`;
  });
  after(() => server.stop());

  test("forty files sent and read at the same time are whole (two at once broke the original)", async () => {
    const files = Array.from({ length: 40 }, (_, index) => ({
      id: 5_000 + index,
      bytes: randomBytes(200_000 + index),
    }));
    await Promise.all(files.map(async ({ id, bytes }) => assert.equal((await put(door, id, bytes)).status, 201)));
    await Promise.all(
      files.map(async ({ id, bytes }) => {
        const got = Buffer.from(await (await fetch(`${door}/${id}`)).arrayBuffer());
        assert.equal(sha256(got), sha256(bytes), String(id));
      }),
    );
  });

  test("of several that bring different bytes for one id at the same time, one wins and the others are told", async () => {
    const bodies = Array.from({ length: 8 }, (_, index) => `version ${index}`);
    const answers = await Promise.all(bodies.map((body) => put(door, 6_000, body)));
    assert.deepEqual(answers.map(({ status }) => status).sort(), [201, ...Array(7).fill(409)]);
    const winner = answers.findIndex(({ status }) => status === 201);
    assert.equal(await (await fetch(`${door}/6000`)).text(), bodies[winner]);
    const jobs = await server.deps.jobs.list({ limit: 1_000 });
    assert.equal(jobs.filter(({ input }) => input.fileId === 6_000).length, 1, "the others never got as far as a job");
  });

  test("ids that others brought are never given to files of bundles, nor by the uniqueid door", async () => {
    await put(door, 70_000, "brought");
    const { id } = await deposit(server, bundle({ "a.txt": "hello" }));
    await finished(server, id);
    const [file] = await server.deps.catalogue.listFiles(id as never, { limit: 10 });
    assert.equal(file?.id, 70_001);
    const ids = await fetch(`${server.url}/doors/pacifica-uniqueid/getid?mode=file&range=5`);
    assert.deepEqual(await ids.json(), { startIndex: 70_002, endIndex: 70_006 });
    // Those ids are the asker's now: numbers below the highest are as good as those above.
    assert.equal((await put(door, 70_004, "by its own number")).status, 201);
  });

  test("a body that is cut short leaves nothing, and the id is free for another try", async () => {
    const { hostname, port, pathname } = new URL(`${door}/7000`);
    const socket = connect(Number(port), hostname);
    socket.write(
      `PUT ${pathname} HTTP/1.1\r\nHost: ${hostname}:${port}\r\nContent-Length: 1000000\r\n\r\n${"x".repeat(300_000)}`,
    );
    const running = () => server.deps.jobs.list({ states: ["running"], limit: 10 });
    await until("the file is being received", async () => (await running()).length === 1);
    const [job] = await running();
    socket.destroy();
    await once(socket, "close");
    assert.equal((await finished(server, job?.id ?? 0)).error?.code, "upload_interrupted");
    assert.deepEqual(await leftBehind(archiveOf(server)), []);
    assert.equal(await server.deps.catalogue.file(fileId(7_000)), undefined);
    assert.equal((await put(door, 7_000, "whole")).status, 201);
  });

  test("a file that the archive has lost or that was cut is 500, and HEAD does not say that it is on disk", async () => {
    await put(door, 7_100, "precious");
    const { file, transaction } = await archived(server, 7_100);
    const path = join(archiveOf(server), transaction.objectPath, file.contentPath);
    await truncate(path, 3);
    const damaged = await fetch(`${door}/7100`, { method: "HEAD" });
    assert.equal(damaged.status, 500);
    assert.match(damaged.headers.get("x-pacifica-messsage") ?? "", /does not match its inventory/);
    await unlink(path);
    assert.equal((await fetch(`${door}/7100`, { method: "HEAD" })).status, 500);
    const lost = await fetch(`${door}/7100`);
    await refusal(lost, 500);
    for (const name of ["etag", "content-disposition", "repr-digest"])
      assert.equal(lost.headers.get(name), null, `${name} of the file is not the error's`);
  });

  test("what comes while the archive cannot take it is an error without total_bytes, and comes in at the next try", async () => {
    const refused = await realServer({
      wrap: (deps) => ({
        ...deps,
        numberedFiles: {
          ...deps.numberedFiles,
          put: async () => {
            throw new AppError("storage_full", { freeBytes: 0 });
          },
        },
      }),
    });
    try {
      const message = await refusal(await put(`${refused.url}/doors/pacifica-archive`, 1, "x"), 503);
      assert.match(message, /no space left/);
    } finally {
      await refused.stop();
    }
  });

  test("a second request for an id waits for a job that an earlier process left, and takes its file for its own", async (t) => {
    const first = await realServer({ worker: false });
    const started = [first];
    t.after(async () => {
      for (const one of started.toReversed()) await one.stop();
    });
    const sent = put(`${first.url}/doors/pacifica-archive`, 42, "hello").catch(() => undefined);
    await until("the job is queued", async () => (await first.stores.jobs.countOpen()).queued === 1);
    const [before] = await first.deps.jobs.list({ states: ["queued"], limit: 1 });
    await first.app.close();
    await sent;

    const second = await realServer({ root: first.root });
    started.push(second);
    const answer = await put(`${second.url}/doors/pacifica-archive`, 42, "hello");
    assert.equal(answer.status, 201);
    const { transaction } = await archived(second, 42);
    assert.equal(transaction.id, before?.id, "the file came in once");
    assert.equal((await second.deps.catalogue.totals()).transactions, 1);
  });

  test("a job that is begun again when its id is taken by now fails, and leaves nothing", async () => {
    await put(door, 7_200, "first");
    // As an operator's retry would, past the door and its look at what is there.
    const { id } = await server.deps.ingest.receiveFile(
      Readable.from([Buffer.from("second")]),
      { name: "7200", modifiedAt: "2020-09-13T12:26:40.000Z" },
      { owner: "root", fileId: fileId(7_200) },
    );
    assert.equal((await finished(server, id)).error?.code, "object_exists");
    await until("nothing is left of it", async () => (await leftBehind(archiveOf(server))).length === 0);
    assert.equal(await (await fetch(`${door}/7200`)).text(), "first");
  });
});

describe("who may use the archive door", () => {
  let server: RealServer;
  let door: string;
  before(async () => {
    server = await realServer({ loopback: false });
    door = `${server.url}/doors/pacifica-archive`;
  });
  after(() => server.stop());

  test("writing takes deposit, reading takes read, and others' files do not exist", async () => {
    const ada = await server.token("ada", "deposit", "read");
    const bob = await server.token("bob", "deposit", "read");
    const reader = await server.token("ada", "read");
    const operator = await server.token("op", "operate");
    await refusal(await put(door, 1, "hello"), 401);
    await refusal(await put(door, 1, "hello", reader), 403);
    assert.equal((await put(door, 1, "hello", ada)).status, 201);
    assert.equal(await (await fetch(`${door}/1`, { headers: reader })).text(), "hello");
    assert.equal(await (await fetch(`${door}/1`, { headers: operator })).text(), "hello");
    await refusal(await fetch(`${door}/1`), 401);
    await refusal(await fetch(`${door}/1`, { headers: bob }), 500);
    // That the bytes are the same is not told either.
    await refusal(await put(door, 1, "hello", bob), 409);
  });

  test("what came in is in the audit log", async () => {
    const entries = await server.deps.audit.list(0, 100);
    assert.deepEqual(
      entries.filter(({ action }) => action === "file.put").map(({ actor, target }) => [actor, target]),
      [["ada", "file/1"]],
    );
  });
});

async function asked(url: string, method: string) {
  const response = await fetch(url, { method });
  return { status: response.status, text: await response.text(), message: response.headers.get("x-pacifica-messsage") };
}

async function archived(server: RealServer, id: number) {
  const file = await server.deps.catalogue.file(fileId(id));
  assert.ok(file, `file ${id}`);
  const transaction = await server.deps.catalogue.transaction(file.transactionId);
  assert.ok(transaction);
  return { file, transaction };
}

const archiveOf = (server: RealServer) => join(server.root, "archive");
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
