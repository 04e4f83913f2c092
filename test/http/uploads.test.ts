import assert from "node:assert/strict";
import { execFile, execFileSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, readdir, rm, utimes, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { Upload, type UploadOptions } from "tus-js-client";
import { faultyProxy } from "../support/faulty-proxy.ts";
import { seededRandom } from "../support/random.ts";
import { until } from "../support/until.ts";
import { bundle } from "./bundle.ts";
import { finished, json, problem } from "./client.ts";
import { type RealServer, realServer } from "./real-server.ts";

const run = promisify(execFile);
const TUS = { "tus-resumable": "1.0.0" };
const PIECE = { ...TUS, "content-type": "application/offset+octet-stream" };
type Fields = Readonly<Record<string, string>>;

const tar = bundle({ "a.txt": "hello" });

/** Creates an upload and gives its address. */
async function create(server: RealServer, sizeBytes: number, headers: Fields = {}): Promise<string> {
  const response = await fetch(`${server.url}/api/v1/uploads`, {
    method: "POST",
    headers: { ...TUS, "upload-length": String(sizeBytes), ...headers },
  });
  assert.equal(response.status, 201, await response.text());
  return new URL(response.headers.get("location") ?? "", server.url).href;
}

const patch = (url: string, offset: number, body: Uint8Array<ArrayBuffer>, headers: Fields = {}) =>
  fetch(url, { method: "PATCH", body, headers: { ...PIECE, "upload-offset": String(offset), ...headers } });

const head = (url: string, headers: Fields = {}) => fetch(url, { method: "HEAD", headers: { ...TUS, ...headers } });

const offsetOf = async (url: string, headers: Fields = {}) =>
  Number((await head(url, headers)).headers.get("upload-offset"));

const checksum = (algorithm: string, body: Uint8Array) => ({
  "upload-checksum": `${algorithm} ${createHash(algorithm).update(body).digest("base64")}`,
});

describe("tus uploads", () => {
  let server: RealServer;
  before(async () => {
    server = await realServer();
  });
  after(() => server.stop());

  test("OPTIONS tells the version, the extensions and the checksum algorithms", async () => {
    const response = await fetch(`${server.url}/api/v1/uploads`, { method: "OPTIONS" });
    assert.equal(response.status, 204);
    assert.equal(response.headers.get("tus-version"), "1.0.0");
    assert.equal(
      response.headers.get("tus-extension"),
      "creation,creation-with-upload,creation-defer-length,termination,expiration,checksum",
    );
    assert.ok(response.headers.get("tus-checksum-algorithm")?.split(",").includes("sha1"), "tus 1.0 requires sha1");
    assert.equal(response.headers.get("access-control-allow-origin"), null);
  });

  test("a complete upload is a bundle: its last answer and HEAD name the job, which succeeds", async () => {
    const url = await create(server, tar.length);
    assert.equal(await offsetOf(url), 0);
    const first = await patch(url, 0, tar.slice(0, 1000));
    assert.deepEqual([first.status, first.headers.get("upload-offset")], [204, "1000"]);
    assert.equal(first.headers.get("longshore-job"), null);
    assert.ok(Date.parse(first.headers.get("upload-expires") ?? "") > Date.now());
    const last = await patch(url, 1000, tar.slice(1000));
    const job = last.headers.get("longshore-job");
    assert.deepEqual([last.status, last.headers.get("link")], [204, `</api/v1/jobs/${job}>; rel="status"`]);
    assert.equal((await finished(server, Number(job))).state, "succeeded");

    const known = await head(url);
    assert.deepEqual(
      [known.headers.get("longshore-job"), known.headers.get("upload-offset"), known.headers.get("upload-length")],
      [job, String(tar.length), String(tar.length)],
      "also after the job has taken the bytes",
    );
    const left = (await readdir(join(server.root, "uploads"))).filter((name) =>
      url.endsWith(name.split(".")[0] ?? "-"),
    );
    assert.deepEqual(
      left.map((name) => name.slice(33)),
      ["json"],
    );
    const { items } = await json<{ items: { target: string; action: string }[] }>(
      `${server.url}/api/v1/audit?limit=1000`,
    );
    assert.equal(items.filter(({ target }) => target === `job/${job}`).length, 1);
  });

  test("everything can come with the creation, and the length can come later", async () => {
    const whole = await fetch(`${server.url}/api/v1/uploads`, {
      method: "POST",
      body: tar,
      headers: { ...PIECE, "upload-length": String(tar.length) },
    });
    assert.equal(whole.status, 201);
    assert.equal((await finished(server, Number(whole.headers.get("longshore-job")))).state, "succeeded");

    const begun = await fetch(`${server.url}/api/v1/uploads`, {
      method: "POST",
      headers: { ...TUS, "upload-defer-length": "1" },
    });
    const url = new URL(begun.headers.get("location") ?? "", server.url).href;
    assert.equal((await head(url)).headers.get("upload-defer-length"), "1");
    await patch(url, 0, tar.slice(0, 512));
    const last = await patch(url, 512, tar.slice(512), { "upload-length": String(tar.length) });
    assert.equal((await finished(server, Number(last.headers.get("longshore-job")))).state, "succeeded");
  });

  test("what the client says about an upload comes back as it was", async () => {
    const metadata = `filename ${Buffer.from("bündel.tar").toString("base64")},owner ${Buffer.from("eve").toString("base64")},empty`;
    const url = await create(server, 5, { "upload-metadata": metadata });
    const back = (await head(url)).headers.get("upload-metadata") ?? "";
    assert.deepEqual(back.split(",").sort(), metadata.split(",").sort());
  });

  test("the protocol's refusals have its statuses, as problems", async () => {
    const url = await create(server, tar.length);
    const conflict = await patch(url, 7, tar.slice(7));
    assert.equal(conflict.headers.get("tus-resumable"), "1.0.0");
    await problem(conflict, 409, "upload_offset_mismatch");
    await problem(await patch(url, 0, new Uint8Array(tar.length + 1)), 413, "body_too_large");
    const noOffset = await fetch(url, { method: "PATCH", body: tar, headers: PIECE });
    await problem(noOffset, 403, "request_invalid");
    const wrongType = await patch(url, 0, tar, { "content-type": "application/x-tar" });
    await problem(wrongType, 415, "media_type_unsupported");
    const noVersion = await fetch(`${server.url}/api/v1/uploads`, {
      method: "POST",
      headers: { "upload-length": "5" },
    });
    await problem(noVersion, 412, "request_invalid");
    const noLength = await fetch(`${server.url}/api/v1/uploads`, { method: "POST", headers: TUS });
    await problem(noLength, 400, "request_invalid");
    for (const id of ["0".repeat(32), "nothing", "..%2F..%2Fetc"])
      assert.equal((await head(`${server.url}/api/v1/uploads/${id}`)).status, 404, id);
    assert.equal(await offsetOf(url), 0);
  });

  test("checksums: a good piece counts, a damaged one is 460 and does not", async () => {
    const url = await create(server, tar.length);
    const piece = tar.slice(0, 4096);
    const good = await patch(url, 0, piece, checksum("sha1", piece));
    assert.deepEqual([good.status, good.headers.get("upload-offset")], [204, "4096"]);
    const rest = tar.slice(4096);
    await problem(await patch(url, 4096, rest, checksum("sha256", piece)), 460, "digest_mismatch");
    assert.equal(await offsetOf(url), 4096);
    for (const field of ["crc32 AAAAAA==", "sha1", "sha1 %%", "sha3_256 AAAA"])
      await problem(await patch(url, 4096, rest, { "upload-checksum": field }), 400, "request_invalid");
    const last = await patch(url, 4096, rest, checksum("sha512", rest));
    assert.equal((await finished(server, Number(last.headers.get("longshore-job")))).state, "succeeded");
  });

  test("curl can do it all: create, send with a checksum, look, give up", async () => {
    const file = join(server.root, "half.tar");
    await writeFile(file, tar.slice(0, 2000));
    const curl = async (...args: string[]) =>
      (await run("curl", ["-sSi", "-H", "Tus-Resumable: 1.0.0", ...args])).stdout;
    const created = await curl("-X", "POST", "-H", `Upload-Length: ${tar.length}`, `${server.url}/api/v1/uploads`);
    const url = server.url + /^location: (\S+)/im.exec(created)?.[1];
    // sha1sum, in base64 as tus has it: openssl dgst -sha1 -binary | base64
    const sum = execFileSync("sh", ["-c", `openssl dgst -sha1 -binary ${file} | base64`], { encoding: "utf8" }).trim();
    const sent = await curl(
      ...["-X", "PATCH", "--data-binary", `@${file}`, "-H", "Content-Type: application/offset+octet-stream"],
      ...["-H", "Upload-Offset: 0", "-H", `Upload-Checksum: sha1 ${sum}`, url],
    );
    assert.match(sent, /204 No Content[\s\S]*upload-offset: 2000/i);
    assert.match(await curl("-I", url), /200 OK[\s\S]*upload-offset: 2000/i);
    assert.match(await curl("-X", "DELETE", url), /204 No Content/);
    assert.match(await curl("-I", url), /404 Not Found/);
    const id = url.split("/").at(-1) ?? "";
    assert.deepEqual(
      (await readdir(join(server.root, "uploads"))).filter((name) => name.startsWith(id)),
      [],
    );
  });

  test("a complete upload cannot be given up: its job can", async () => {
    const url = await create(server, tar.length);
    await patch(url, 0, tar);
    await problem(await fetch(url, { method: "DELETE", headers: TUS }), 400, "request_invalid");
  });

  test("clients that can only POST say what they mean", async () => {
    const url = await create(server, tar.length);
    const override = (method: string, headers: Fields = {}, body?: Uint8Array<ArrayBuffer>) =>
      fetch(url, {
        method: "POST",
        headers: { ...TUS, "x-http-method-override": method, ...headers },
        ...(body ? { body } : {}),
      });
    const sent = await override("PATCH", { ...PIECE, "upload-offset": "0" }, tar.slice(0, 700));
    assert.deepEqual([sent.status, sent.headers.get("upload-offset")], [204, "700"]);
    assert.equal((await override("DELETE")).status, 204);
    assert.equal((await head(url)).status, 404);
    await problem(await fetch(url, { method: "POST", headers: TUS }), 405, "method_not_allowed");
  });

  test("a second request takes over from a connection that hangs", async () => {
    const url = await create(server, tar.length);
    const { hostname, port, pathname } = new URL(url);
    const hanging = connect(Number(port), hostname);
    hanging.on("error", () => {}); // the server hangs up on it
    const head = Object.entries({
      ...PIECE,
      host: "localhost",
      "upload-offset": "0",
      "content-length": `${tar.length}`,
    });
    hanging.write(`PATCH ${pathname} HTTP/1.1\r\n${head.map((field) => field.join(": ")).join("\r\n")}\r\n\r\n`);
    hanging.write(tar.slice(0, 3_000));
    await until("something has arrived", async () => {
      const uploads = await Array.fromAsync(server.deps.uploads.list());
      return (uploads.find(({ id }) => url.endsWith(id))?.offset ?? 0) > 0;
    });
    const arrived = await offsetOf(url);
    assert.equal(arrived, 3_000);
    const last = await patch(url, arrived, tar.slice(arrived));
    assert.equal((await finished(server, Number(last.headers.get("longshore-job")))).state, "succeeded");
    hanging.destroy();
  });
});

describe("tus uploads that are cut", () => {
  test("tus-js-client finishes through a hundred cuts at random offsets, and the file is the very same", async (t) => {
    const below = seededRandom(t);
    const content = randomBytes(6_000_000);
    const cutTar = bundle({ "cut.bin": content });
    const server = await realServer();
    const proxy = await faultyProxy(server.url);
    try {
      // Every connection is cut after about 40 kB on average, head and answer included, until it has been often enough.
      proxy.cutAfter(() => (proxy.cuts < 100 ? 1 + below(80_000) : Number.POSITIVE_INFINITY));
      const job = await sendWithTus(Buffer.from(cutTar), {
        endpoint: `${proxy.url}/api/v1/uploads`,
        chunkSize: 1_000_000,
      });
      assert.ok(proxy.cuts >= 100, `only ${proxy.cuts} cuts`);
      assert.equal((await finished(server, job)).state, "succeeded");
      const { items } = await json<{ items: { id: number }[] }>(`${server.url}/api/v1/transactions/${job}/files`);
      const back = await fetch(`${server.url}/api/v1/files/${items[0]?.id}/content`);
      assert.ok(Buffer.from(await back.arrayBuffer()).equals(content));
    } finally {
      await proxy.close();
      await server.stop();
    }
  });
});

describe("who may continue an upload", () => {
  test("its owner; to others it does not exist", async () => {
    const server = await realServer({ loopback: false });
    try {
      const ada = await server.token("ada", "deposit", "read");
      const bob = await server.token("bob", "deposit", "operate");
      const url = await create(server, tar.length, ada);
      assert.equal((await head(url, bob)).status, 404);
      await problem(await patch(url, 0, tar, bob), 404, "upload_unknown");
      await problem(await fetch(url, { method: "DELETE", headers: { ...TUS, ...bob } }), 404, "upload_unknown");
      await problem(await patch(url, 0, tar), 401, "token_missing");
      const last = await patch(url, 0, tar, ada);
      const job = await finished(server, Number(last.headers.get("longshore-job")), ada);
      assert.deepEqual([job.state, job.owner], ["succeeded", "ada"]);
    } finally {
      await server.stop();
    }
  });
});

describe("uploads and the life of the server", () => {
  test("an upload that was complete when the server died becomes a job when the next one starts", async () => {
    const root = await mkdtemp(join(tmpdir(), "longshore-sweep-"));
    try {
      const dying = await realServer({
        root,
        worker: false,
        // The last byte is on the disk, and the process dies before there is a job.
        wrap: (deps) => ({
          ...deps,
          ingest: { ...deps.ingest, receiveSpooled: () => Promise.reject(new Error("the process is gone")) },
        }),
      });
      const url = await create(dying, tar.length);
      await problem(await patch(url, 0, tar), 500, "internal");
      await dying.stop();

      const next = await realServer({ root });
      try {
        const again = url.replace(dying.url, next.url);
        const job = Number((await head(again)).headers.get("longshore-job"));
        assert.equal((await finished(next, job)).state, "succeeded");
        const { items } = await json<{ items: object[] }>(`${next.url}/api/v1/jobs`);
        assert.equal(items.length, 1);
      } finally {
        await next.stop();
      }
    } finally {
      await rm(root, { recursive: true });
    }
  });

  test("an upload that could not become a job does when its client asks where it stands", async () => {
    let broken = true;
    const server = await realServer({
      wrap: (deps) => ({
        ...deps,
        ingest: {
          ...deps.ingest,
          receiveSpooled: (...args) =>
            broken ? Promise.reject(new Error("not now")) : deps.ingest.receiveSpooled(...args),
        },
      }),
    });
    try {
      const url = await create(server, tar.length);
      await problem(await patch(url, 0, tar), 500, "internal");
      broken = false;
      const answers = await Promise.all(Array.from({ length: 5 }, () => head(url)));
      const named = new Set(answers.map(({ headers }) => headers.get("longshore-job")));
      assert.equal(named.size, 1, "everybody hears of the same job");
      const job = Number([...named][0]);
      assert.equal((await finished(server, job)).state, "succeeded");
      const { items } = await json<{ items: { target: string }[] }>(`${server.url}/api/v1/audit`);
      assert.equal(items.filter(({ target }) => target === `job/${job}`).length, 1);
    } finally {
      await server.stop();
    }
  });

  test("what nobody continued expires: it is gone for its client, and its bytes go at the next look", async () => {
    const root = await mkdtemp(join(tmpdir(), "longshore-expiry-"));
    const folder = join(root, "uploads");
    const during = async (work: (server: RealServer) => Promise<void>) => {
      const server = await realServer({ root, uploadExpiryMs: 60_000, worker: false });
      await work(server).finally(server.stop);
    };
    try {
      let path = "";
      await during(async (server) => {
        const url = await create(server, tar.length);
        path = new URL(url).pathname;
        await patch(url, 0, tar.slice(0, 100));
        const old = new Date(Date.now() - 120_000);
        for (const name of await readdir(folder)) await utimes(join(folder, name), old, old);
        assert.equal((await head(url)).status, 410);
        await problem(await patch(url, 100, tar.slice(100)), 410, "upload_unknown");
      });
      await during(async (server) => {
        await until("its files are gone", async () => (await readdir(folder)).length === 0);
        assert.equal((await head(server.url + path)).status, 404);
      });
    } finally {
      await rm(root, { recursive: true });
    }
  });

  test("a full disk is 503, and the upload continues when there is room", async (t) => {
    if (userInfo().uid !== 0) return t.skip("mounting a small file system needs root");
    const server = await realServer();
    const folder = join(server.root, "uploads");
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", folder]);
    try {
      const big = bundle({ "big.bin": Buffer.alloc(3_000_000, 7) });
      const url = await create(server, big.length);
      const full = await patch(url, 0, big);
      assert.equal(full.headers.get("retry-after"), "5");
      await problem(full, 503, "storage_full");
      const stopped = await offsetOf(url);
      assert.ok(stopped > 0 && stopped < big.length);
      execFileSync("mount", ["-o", "remount,size=8m", folder]);
      const last = await patch(url, stopped, big.slice(stopped));
      assert.equal((await finished(server, Number(last.headers.get("longshore-job")))).state, "succeeded");
    } finally {
      execFileSync("umount", ["-l", folder]);
      await server.stop();
    }
  });
});

/** Uploads with an independent client, through whatever happens. @returns the id of the job. */
function sendWithTus(body: Buffer, options: UploadOptions): Promise<number> {
  return new Promise((resolve, reject) => {
    const upload = new Upload(body, {
      retryDelays: Array(100).fill(0),
      onError: reject,
      onSuccess: ({ lastResponse }) => resolve(Number(lastResponse.getHeader("longshore-job"))),
      ...options,
    });
    upload.start();
  });
}
