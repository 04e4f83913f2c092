import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { readdir, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { until } from "../support/until.ts";
import { bundle, sum, TRANSACTION } from "./bundle.ts";
import { deposit, finished, json, problem, type WireJob } from "./client.ts";
import { type RealServer, realServer } from "./real-server.ts";

const run = promisify(execFile);

describe("POST /bundles", () => {
  let server: RealServer;
  before(async () => {
    server = await realServer();
  });
  after(() => server.stop());

  const post = (body: Blob | string, headers: Record<string, string> = {}) =>
    fetch(`${server.url}/api/v1/bundles`, { method: "POST", body, headers });

  test("a deposited bundle becomes a transaction with its files and key-values", async () => {
    const { id } = await deposit(server, bundle({ "a.txt": "hello", "deep/b.txt": "world" }));
    const job = await finished(server, id);
    assert.equal(job.state, "succeeded", JSON.stringify(job.error));
    assert.deepEqual(
      job.tasks.map(({ name }) => name),
      ["receive", "metadata", "policy", "files", "catalogue"],
    );
    assert.deepEqual(Object.keys(job.result ?? {}).sort(), [
      "bytes",
      "files",
      "inventoryDigest",
      "objectPath",
      "transactionId",
    ]);
    assert.equal(job.result?.transactionId, id);
    assert.equal(job.result?.bytes, 10);

    const transaction = await json<Record<string, unknown>>(`${server.url}/api/v1/transactions/${id}`);
    assert.equal(transaction.submitter, "10");
    assert.equal(transaction.project, "1234a");
    assert.equal(transaction.files, 2);
    assert.deepEqual(transaction.keyValues, [{ key: "Temp C", value: "27", fileId: null }]);
    const { items } = await json<{ items: Record<string, unknown>[] }>(`${server.url}/api/v1/transactions/${id}/files`);
    assert.deepEqual(
      items.map(({ path }) => path),
      ["data/a.txt", "data/deep/b.txt"],
    );
    // printf hello | sha1sum; python3 -c 'import zlib; print(hex(zlib.crc32(b"hello")))'
    assert.equal(Object(items[0]?.digests).sha1, "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d");
    assert.equal(items[0]?.crc32, "3610a686");
    assert.deepEqual(items[0]?.declared, { algorithm: "sha1", value: "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d" });
  });

  test("curl sends it chunked, from a pipe, as the documentation shows", async () => {
    const file = join(server.root, "curl.tar");
    await writeFile(file, bundle({ "c.txt": "curl" }));
    const { stdout } = await run("sh", [
      "-c",
      `cat ${file} | curl -sS -X POST -T - -H 'Content-Type: application/x-tar' ${server.url}/api/v1/bundles`,
    ]);
    assert.equal((await finished(server, (JSON.parse(stdout) as WireJob).id)).state, "succeeded");
  });

  test("octet-stream and no type at all are taken for a tar", async () => {
    const tar = bundle({ "t.txt": "typeless" });
    await deposit(server, tar, { "content-type": "application/octet-stream" });
    const response = await post(new Blob([tar]));
    assert.equal(response.status, 202);
  });

  test("compressed and foreign types are refused before the body is read, with a hint", async () => {
    const gzip = await problem(await post("x", { "content-type": "application/gzip" }), 415, "media_type_unsupported");
    assert.match(String(gzip.details.hint), /uncompressed/);
    await problem(await post("x", { "content-type": "text/plain" }), 415, "media_type_unsupported");
    const coded = await post("x", { "content-type": "application/x-tar", "content-encoding": "gzip" });
    await problem(coded, 415, "media_type_unsupported");
  });

  test("garbage is still 202, with a job that has failed already and says why", async () => {
    const job = await deposit(server, Buffer.from("this is no tar".repeat(100)));
    assert.equal(job.state, "failed");
    assert.equal(job.error?.code, "bundle_not_tar");
  });

  test("a file whose digest is wrong fails the job and nothing of it is archived", async () => {
    const { id } = await deposit(server, bundle({ "a.txt": "hello" }, { hashsum: "0".repeat(40) }));
    const job = await finished(server, id);
    assert.equal(job.error?.code, "file_digest_mismatch");
    await problem(await fetch(`${server.url}/api/v1/transactions/${id}`), 404, "transaction_unknown");
  });

  test("the same Idempotency-Key gets the same job", async () => {
    const tar = bundle({ "i.txt": "once" });
    const first = await deposit(server, tar, { "idempotency-key": "once-1" });
    const second = await deposit(server, tar, { "idempotency-key": "once-1" });
    assert.equal(second.id, first.id);
    await problem(await post(new Blob([tar]), { "idempotency-key": "ü" }), 400, "request_invalid");
    await problem(await post(new Blob([tar]), { "idempotency-key": "x".repeat(256) }), 400, "request_invalid");
  });

  describe("promised digests", () => {
    const tar = bundle({ "d.txt": "promised" });
    const b64 = (algorithm: string, bytes: Uint8Array) => createHash(algorithm).update(bytes).digest("base64");

    test("a body that keeps its promises is accepted, in either field, beside algorithms nobody knows", async () => {
      const fields = {
        "content-digest": `sha-256=:${b64("sha256", tar)}:, unixsum=:AAA=:`,
        "repr-digest": `sha-512=:${b64("sha512", tar)}:;note=1`,
      };
      const job = await finished(server, (await deposit(server, tar, fields)).id);
      assert.equal(job.state, "succeeded");
    });

    test("a broken promise is 422 naming the job that failed over it", async () => {
      const fields = { "content-digest": `sha-256=:${b64("sha256", Buffer.from("other"))}:` };
      const document = await problem(await post(new Blob([tar]), fields), 422, "digest_mismatch");
      const job = await finished(server, Number(document.details.jobId));
      assert.deepEqual([job.state, job.error?.code], ["failed", "digest_mismatch"]);
    });

    test("a malformed promise is 400 before the body is read", async () => {
      for (const field of ["sha-256=abc", "sha-256", "sha-256=:AAAA:", ":AAAA:", `sha-256=:${b64("sha256", tar)}`])
        await problem(await post(new Blob([tar]), { "content-digest": field }), 400, "request_invalid");
      const contradiction = {
        "content-digest": `sha-256=:${b64("sha256", tar)}:`,
        "repr-digest": `sha-256=:${b64("sha256", Buffer.from("other"))}:`,
      };
      await problem(await post(new Blob([tar]), contradiction), 400, "request_invalid");
    });
  });

  test("a sender that goes away half-way leaves a failed job, no staged bytes, and the server alive", async () => {
    const tar = bundle({ "big.bin": Buffer.alloc(3_000_000, 7) });
    const { hostname, port } = new URL(server.url);
    const socket = connect(Number(port), hostname);
    socket.write(
      `POST /api/v1/bundles HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-tar\r\nContent-Length: ${tar.length}\r\nIdempotency-Key: gone\r\n\r\n`,
    );
    socket.write(tar.subarray(0, 1_500_000));
    const feeding = async () => (await server.deps.jobs.list({ states: ["running"], limit: 1 }))[0];
    await until("the job is fed", async () => (await feeding())?.tasks.at(-1)?.name === "receive");
    const job = await feeding();
    assert.ok(job);
    socket.destroy();
    const ended = await finished(server, job.id);
    assert.deepEqual([ended.state, ended.error?.code], ["failed", "upload_interrupted"]);
    assert.deepEqual(await Array.fromAsync(server.deps.storage.staged()), []);
    // The key is free again: nothing came of the first try.
    assert.notEqual((await deposit(server, tar, { "idempotency-key": "gone" })).id, job.id);
  });

  test("a body without the rest it announced is not taken for complete", async () => {
    const { hostname, port } = new URL(server.url);
    const socket = connect(Number(port), hostname);
    const tar = bundle({ "s.txt": "short" });
    socket.end(
      Buffer.concat([
        Buffer.from(`POST /api/v1/bundles HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${tar.length + 1}\r\n\r\n`),
        tar,
      ]),
    );
    await once(socket.resume(), "close");
    await until("its job has failed", async () => {
      const [newest] = await server.deps.jobs.list({ limit: 1 });
      return newest?.error?.code === "upload_interrupted";
    });
  });

  test("every deposit leaves a line in the audit log", async () => {
    const { id } = await deposit(server, bundle({ "l.txt": "line" }));
    const { items } = await json<{ items: Record<string, unknown>[] }>(`${server.url}/api/v1/audit?limit=1000`);
    const line = items.find(({ target }) => target === `job/${id}`);
    assert.deepEqual([line?.actor, line?.action], ["local", "bundle.deposit"]);
    assert.equal((await server.deps.audit.verifyChain()).brokenAt, null);
  });
});

describe("POST /moves", () => {
  let server: RealServer;
  before(async () => {
    server = await realServer();
  });
  after(() => server.stop());

  const post = (body: string, type = "application/json") =>
    fetch(`${server.url}/api/v1/moves`, { method: "POST", body, headers: { "content-type": type } });

  test("files on the server are archived and gone from where they lay", async () => {
    const source = join(server.sources, "m.txt");
    await writeFile(source, "moved");
    const file = {
      destinationTable: "Files",
      name: "m.txt",
      subdir: "data",
      source,
      size: 5,
      hashtype: "sha1",
      hashsum: sum("sha1sum", source),
    };
    const response = await post(JSON.stringify([...TRANSACTION, file]));
    assert.equal(response.status, 202, await response.clone().text());
    const { id, kind } = (await response.json()) as WireJob;
    assert.equal(kind, "move");
    const job = await finished(server, id);
    assert.equal(job.state, "succeeded", JSON.stringify(job.error));
    assert.deepEqual(await readdir(server.sources), []);
  });

  test("what is not a JSON array is refused at once", async () => {
    await problem(await post("[{"), 400, "metadata_not_json");
    await problem(await post("{}"), 400, "metadata_invalid");
    await problem(await post("[]", "text/plain"), 415, "media_type_unsupported");
    await problem(await fetch(`${server.url}/api/v1/moves`, { method: "POST" }), 400, "request_invalid");
  });
});
