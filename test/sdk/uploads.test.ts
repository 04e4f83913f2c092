import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { buffer } from "node:stream/consumers";
import { after, before, describe, test } from "node:test";
import { type Longshore, LongshoreError, longshore } from "../../src/sdk/index.ts";
import { faultyProxy } from "../support/faulty-proxy.ts";
import { seededRandom } from "../support/random.ts";
import { lastingPort, type ServerProcess, startServer } from "../support/server.ts";
import { bundleOf } from "./deposit.ts";

const CHUNK = 256 * 1024;
const MIB = 1024 * 1024;

describe("uploads", () => {
  let server: ServerProcess;
  let client: Longshore;
  before(async () => {
    server = await startServer();
    client = longshore({ url: server.url });
  });
  after(() => server.stop());

  /** Waits for the job and compares what the archive gives back with what was sent. */
  async function requireArchived(through: Longshore, jobId: number, sent: Uint8Array): Promise<void> {
    const job = await through.jobs.wait(jobId);
    assert.equal(job.state, "succeeded", JSON.stringify(job.error));
    const [file] = await Array.fromAsync(through.transactions.files(job.id));
    const { bytes } = await through.files.content(file?.id ?? 0);
    const sha256 = (data: Uint8Array) => createHash("sha256").update(data).digest("hex");
    assert.equal(sha256(await buffer(bytes)), sha256(sent));
  }

  test("a connection that is cut again and again at random bytes changes nothing in the result", async (t) => {
    const below = seededRandom(t);
    const proxy = await faultyProxy(server.url);
    t.after(() => proxy.close());
    proxy.cutAfter(() => 20_000 + below(600_000));
    const content = randomBytes(4 * MIB);
    const retries: string[] = [];
    const { jobId } = await longshore({ url: proxy.url }).uploads.send(bundleOf({ "cut.bin": content }), {
      chunkBytes: CHUNK,
      onRetry: (error) => retries.push(error.code),
    });
    assert.ok(proxy.cuts >= 5, `only ${proxy.cuts} connections were cut`);
    assert.deepEqual([...new Set(retries)], ["server_unavailable"]);
    await requireArchived(client, jobId, content);
  });

  test("a server that is killed and started again in the middle gets the rest", async (t) => {
    const port = await lastingPort();
    const first = await startServer({ port });
    t.after(() => first.stop());
    let second: Promise<ServerProcess> | undefined;
    const content = randomBytes(4 * MIB);
    const steady = longshore({ url: first.url });
    const { jobId } = await steady.uploads.send(bundleOf({ "restart.bin": content }), {
      chunkBytes: CHUNK,
      onProgress(offset) {
        if (offset < MIB || second) return;
        second = first.end("SIGKILL").then(() => startServer({ dataDir: first.dataDir, port }));
      },
    });
    await requireArchived(steady, jobId, content);
    await (await second)?.stop();
  });

  test("another client continues an upload by its address, and sends only what is missing", async () => {
    const content = randomBytes(3 * MIB);
    const stop = new AbortController();
    let url = "";
    const source = bundleOf({ "resumed.bin": content });
    await assert.rejects(
      client.uploads.send(source, {
        chunkBytes: CHUNK,
        signal: stop.signal,
        onCreated: (created) => {
          url = created;
        },
        onProgress: (offset) => {
          if (offset >= 2 * MIB) stop.abort(new Error("enough for now"));
        },
      }),
      { message: "enough for now" },
    );
    const { offset, jobId: none } = await client.uploads.status(url);
    assert.ok(offset >= 2 * MIB && offset < source.sizeBytes, `stands at ${offset}`);
    assert.equal(none, undefined);

    let sent = 0;
    const counting = longshore({
      url: server.url,
      fetch: (input, init) => {
        if (init?.body instanceof Uint8Array) sent += init.body.length;
        return fetch(input, init);
      },
    });
    const { jobId } = await counting.uploads.send(source, { url, chunkBytes: CHUNK });
    assert.equal(sent, source.sizeBytes - offset);
    await requireArchived(client, jobId, content);
    assert.deepEqual(await client.uploads.send(source, { url }), { url, jobId }, "asked again, it names the same job");
  });

  test("a piece that was damaged on the way is refused, and the upload stands where it stood", async () => {
    const { url } = await client.uploads.create({ sizeBytes: 100_000 });
    const checksum = `sha1 ${createHash("sha1").update("something else").digest("base64")}`;
    // 460: tus 1.0, extension "Checksum"
    await assert.rejects(client.uploads.patch(url, 0, new Uint8Array(50_000), { checksum }), { status: 460 });
    assert.equal((await client.uploads.status(url)).offset, 0);
    await client.uploads.abort(url);
  });

  test("pieces damaged on the way are sent again until they arrive", async () => {
    const content = randomBytes(2 * MIB);
    let damaged = 0;
    const unlucky = longshore({
      url: server.url,
      fetch(input, init) {
        if (!(init?.body instanceof Uint8Array) || damaged >= 3) return fetch(input, init);
        const body = Uint8Array.from(init.body);
        body[damaged * 1000] = (body[damaged * 1000] ?? 0) ^ 1;
        damaged++;
        return fetch(input, { ...init, body });
      },
    });
    const { jobId } = await unlucky.uploads.send(bundleOf({ "damaged.bin": content }), { chunkBytes: CHUNK });
    assert.equal(damaged, 3);
    await requireArchived(client, jobId, content);
  });

  test("an upload that was given up is gone", async () => {
    const { url } = await client.uploads.create({ sizeBytes: 10, metadata: { filename: "grüße.tar" } });
    await client.uploads.abort(url);
    await assert.rejects(client.uploads.status(url), { code: "upload_unknown" });
    await assert.rejects(client.uploads.send(bundleOf({ a: "b" }), { url }), { code: "upload_unknown" });
  });

  test("an error of the source ends the upload with that error", async () => {
    const source = bundleOf({ "a.txt": "fine" });
    const broken = {
      ...source,
      async *open() {
        yield new Uint8Array(512);
        throw new LongshoreError("local_file_changed", "a.txt changed");
      },
    };
    await assert.rejects(client.uploads.send(broken), { code: "local_file_changed" });
  });

  test("without a server it fails at once, and says where it looked", async () => {
    const nowhere = longshore({ url: "http://127.0.0.1:9" });
    await assert.rejects(nowhere.uploads.send(bundleOf({ a: "b" })), {
      code: "server_unavailable",
      message: /http:\/\/127\.0\.0\.1:9 does not answer/,
    });
  });
});
