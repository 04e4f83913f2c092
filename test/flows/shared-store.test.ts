import assert from "node:assert/strict";
import { randomBytes, randomUUID } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { CreateBucketCommand, ListObjectsV2Command, S3Client } from "@aws-sdk/client-s3";
import { Upload } from "tus-js-client";
import { bundle } from "../http/bundle.ts";
import { finished, json } from "../http/client.ts";
import type { WirePackage } from "../http/package-server.ts";
import { type Ckan, ckan } from "../support/ckan.ts";
import { type FaultyProxy, faultyProxy } from "../support/faulty-proxy.ts";
import { startWorkerProcess, type WorkerProcess } from "../support/nodes.ts";
import { countedCsv, countedTable, unzipped } from "../support/packaging.ts";
import { startPostgres, type TestPostgres } from "../support/postgres.ts";
import { BUCKET, type S3Server, startS3Server, withoutS3 } from "../support/s3-server.ts";
import { type ServerProcess, startServer } from "../support/server.ts";
import { until } from "../support/until.ts";

const TUS = { "tus-resumable": "1.0.0" };
const MIB = 1024 ** 2;
/** A node that serves and leaves the work to others. */
const HTTP_ONLY = { LONGSHORE_WORKERS: "fast:0,slow:0,run:0" };

const isMissing = withoutS3();
if (isMissing) test("nodes that share a store", { skip: isMissing }, () => {});
else describe("nodes that share PostgreSQL and S3, each with a data folder of its own", nodes);

function nodes(): void {
  let folder: string;
  let postgres: TestPostgres;
  let s3: S3Server;
  let toS3: FaultyProxy;
  let portal: Ckan;
  let client: S3Client;
  let settings: Readonly<Record<string, string>>;
  let first: ServerProcess;
  let second: ServerProcess;
  let worker: WorkerProcess;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "longshore-nodes-"));
    [postgres, s3] = await Promise.all([startPostgres(), startS3Server()]);
    toS3 = await faultyProxy(s3.url);
    portal = await ckan({ tables: { r: countedTable(1_000) } });
    client = new S3Client({ endpoint: s3.url, region: "us-east-1", credentials: s3, forcePathStyle: true });
    await client.send(new CreateBucketCommand({ Bucket: BUCKET }));
    settings = {
      LONGSHORE_DATABASE_URL: await postgres.freshDatabase(),
      LONGSHORE_ARCHIVE_URL: `s3://${BUCKET}/archive`,
      LONGSHORE_SHARED_URL: `s3://${BUCKET}/shared`,
      LONGSHORE_S3_ENDPOINT: toS3.url,
      LONGSHORE_S3_ACCESS_KEY_ID: s3.accessKeyId,
      LONGSHORE_S3_SECRET_ACCESS_KEY: s3.secretAccessKey,
      LONGSHORE_SECRET_KEY: randomUUID(),
      LONGSHORE_FETCH_ORIGINS: portal.origin,
    };
    first = await startServer({ env: { ...settings, ...HTTP_ONLY } });
    [second, worker] = await Promise.all([
      startServer({ env: { ...settings, ...HTTP_ONLY } }),
      startWorkerProcess(settings),
    ]);
  });
  after(async () => {
    await Promise.all([first?.stop(), second?.stop(), worker?.end("SIGTERM")]);
    client?.destroy();
    await portal?.close();
    await toS3?.close();
    await Promise.all([s3?.stop(), postgres?.stop()]);
    await rm(folder, { recursive: true });
  });

  async function keysBelow(path: string): Promise<readonly string[]> {
    const Prefix = `shared/${path}/`;
    const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket: BUCKET, Prefix }));
    return Contents.map(({ Key = "" }) => Key.slice(Prefix.length));
  }

  /** Begins an upload on a node. @returns its path. */
  async function begun(node: ServerProcess, sizeBytes: number): Promise<string> {
    const headers = { ...TUS, "upload-length": String(sizeBytes) };
    const response = await fetch(`${node.url}/api/v1/uploads`, { method: "POST", headers });
    assert.equal(response.status, 201, await response.text());
    return new URL(response.headers.get("location") ?? "", node.url).pathname;
  }

  async function offsetAt(node: ServerProcess, path: string): Promise<number> {
    const response = await fetch(`${node.url}${path}`, { method: "HEAD", headers: TUS });
    return Number(response.headers.get("upload-offset"));
  }

  /** Sends what is missing of an upload, as tus' own client does. @returns the job that takes it in. */
  async function resumed(node: ServerProcess, path: string, bytes: Uint8Array, chunkSize: number): Promise<number> {
    let job = 0;
    await new Promise<void>((resolve, reject) => {
      const upload = new Upload(Buffer.from(bytes), {
        uploadUrl: `${node.url}${path}`,
        chunkSize,
        retryDelays: [0, 100, 500, 1_000, 2_000, 4_000],
        onError: reject,
        onSuccess: () => resolve(),
        onAfterResponse(_request, response) {
          job = Number(response.getHeader("longshore-job") ?? 0);
        },
      });
      upload.start();
    });
    return job;
  }

  async function requireArchived(node: ServerProcess, job: number, content: Uint8Array): Promise<void> {
    const { state, error } = await finished(node, job);
    assert.equal(state, "succeeded", JSON.stringify(error));
    const { items } = await json<{ items: { id: number }[] }>(`${node.url}/api/v1/transactions/${job}/files`);
    const stored = await fetch(`${node.url}/api/v1/files/${items[0]?.id}/content`);
    assert.ok(Buffer.from(await stored.arrayBuffer()).equals(content));
  }

  test("an upload that one node was killed over goes on at another, and its bytes are what was sent", async () => {
    const content = randomBytes(20 * MIB);
    const tar = bundle({ "scan.raw": content });
    const dying = await startServer({ env: { ...settings, ...HTTP_ONLY } });
    const path = await begun(dying, tar.length);
    const toDying = await faultyProxy(dying.url);
    const isHeldBack = toDying.stallAfter(12 * MIB);
    const patch = fetch(`${toDying.url}${path}`, {
      method: "PATCH",
      body: tar,
      headers: { ...TUS, "content-type": "application/offset+octet-stream", "upload-offset": "0" },
    });
    patch.catch(() => undefined); // the node dies over it
    await isHeldBack;
    // The request is still open, and what it has sent so far counts already, wherever one asks.
    await until("another node has what came", async () => (await offsetAt(second, path)) >= 8 * MIB);
    await dying.end("SIGKILL");
    await toDying.close();
    await assert.rejects(patch);
    await rm(dying.dataDir, { recursive: true });

    const offset = await offsetAt(second, path);
    assert.ok(offset > 0 && offset < tar.length, String(offset));
    const job = await resumed(second, path, tar, 5 * MIB);
    await requireArchived(first, job, content);
    const id = path.split("/").at(-1) ?? "";
    await until("the job has removed the bytes", async () => {
      const keys = await keysBelow(`uploads/${id}`);
      return keys.length > 0 && keys.every((key) => key.startsWith("facts/"));
    });
  });

  /**
   * A client turns to another node while the first one still waits for its bytes, which come when all is over.
   * @returns what the first one answers then.
   */
  async function goneOver(from: ServerProcess, to: ServerProcess): Promise<number> {
    const content = randomBytes(10 * MIB);
    const tar = bundle({ "scan.raw": content });
    const path = await begun(from, tar.length);
    const slow = await faultyProxy(from.url);
    const isHeldBack = slow.stallAfter(6 * MIB);
    const patch = fetch(`${slow.url}${path}`, {
      method: "PATCH",
      body: tar,
      headers: { ...TUS, "content-type": "application/offset+octet-stream", "upload-offset": "0" },
    });
    await isHeldBack;
    await until("the other node has what came", async () => (await offsetAt(to, path)) >= 4 * MIB);
    const job = await resumed(to, path, tar, 4 * MIB);
    slow.heal();
    const { status } = await patch;
    await requireArchived(to, job, content);
    await slow.close();
    return status;
  }

  test("a request whose client has gone over to another node changes nothing when it goes on", async () => {
    assert.equal(await goneOver(first, second), 409);
  });

  test("nor does it where the nodes share a folder", async () => {
    const env = {
      ...settings,
      LONGSHORE_DATABASE_URL: await postgres.freshDatabase(),
      LONGSHORE_SHARED_URL: join(folder, "shared"),
      LONGSHORE_ARCHIVE_URL: join(folder, "archive"),
    };
    const from = await startServer({ env: { ...env, ...HTTP_ONLY } });
    const to = await startServer({ env });
    assert.equal(await goneOver(from, to), 409);
    await Promise.all([from.stop(), to.stop()]);
  });

  test("of two nodes that go on with an upload at once, one is told that it came too late", async () => {
    const path = await begun(first, 10);
    const send = (node: ServerProcess) =>
      fetch(`${node.url}${path}`, {
        method: "PATCH",
        body: "hello",
        headers: { ...TUS, "content-type": "application/offset+octet-stream", "upload-offset": "0" },
      });
    const statuses = (await Promise.all([send(first), send(second)])).map(({ status }) => status);
    assert.deepEqual(statuses.toSorted(), [204, 409]);
    assert.deepEqual([await offsetAt(first, path), await offsetAt(second, path)], [5, 5]);
    assert.equal((await fetch(`${second.url}${path}`, { method: "DELETE", headers: TUS })).status, 204);
    assert.deepEqual(await keysBelow(path.replace(/^.*\//, "uploads/")), []);
  });

  test("an upload gets through while connections to the store break again and again", async () => {
    const content = randomBytes(24 * MIB);
    const tar = bundle({ "scan.raw": content });
    const before = toS3.cuts;
    // Every other connection bears less than a chunk.
    let connections = 0;
    toS3.cutAfter(() => (++connections % 2 === 0 ? MIB : Number.POSITIVE_INFINITY));
    // Without any connections of earlier tests.
    const node = await startServer({ env: { ...settings, ...HTTP_ONLY } });
    try {
      const job = await resumed(node, await begun(node, tar.length), tar, 3 * MIB);
      toS3.heal();
      assert.ok(toS3.cuts > before, "nothing was broken");
      await requireArchived(second, job, content);
    } finally {
      toS3.heal();
      await node.stop();
    }
  });

  test("a package is ordered at one node, made by a worker and downloaded from another, from any byte on", async () => {
    const body = JSON.stringify({ kind: "datastore", resourceId: "r", apiUrl: portal.apiUrl });
    const headers = { "content-type": "application/json" };
    const ordered = await fetch(`${first.url}/api/v1/packages`, { method: "POST", body, headers });
    assert.equal(ordered.status, 202, await ordered.clone().text());
    const { id } = (await ordered.json()) as WirePackage;
    let made: WirePackage | undefined;
    await until("the package is ready, and who ordered it is told", async () => {
      made = await json<WirePackage>(`${second.url}/api/v1/packages/${id}`);
      return made.link !== null;
    });
    const link = `${second.url}${new URL(made?.link ?? "").pathname}`;
    const whole = Buffer.from(await (await fetch(link)).arrayBuffer());
    assert.equal(whole.length, made?.sizeBytes);
    const zip = join(folder, "package.zip");
    await writeFile(zip, whole);
    assert.equal(unzipped(zip, "resource.csv").toString(), countedCsv(1_000));
    const part = await fetch(link, { headers: { range: "bytes=100-299" } });
    assert.equal(part.status, 206);
    assert.ok(Buffer.from(await part.arrayBuffer()).equals(whole.subarray(100, 300)));
    assert.deepEqual(await keysBelow("packages"), [made?.fileName]);
  });

  test("a node with another secret key does not start, and says what to do", async () => {
    const stranger = startServer({ env: { ...settings, ...HTTP_ONLY, LONGSHORE_SECRET_KEY: randomUUID() } });
    await assert.rejects(stranger, /error\[secret_key_differs\].*set LONGSHORE_SECRET_KEY to theirs/);
  });

  test("a node whose shared place is not there does not start, and says which", async () => {
    const elsewhere = { LONGSHORE_SHARED_URL: "s3://not-there/shared", LONGSHORE_START_ATTEMPTS: "1" };
    const misled = startServer({ env: { ...settings, ...HTTP_ONLY, ...elsewhere } });
    await assert.rejects(misled, /error\[storage_unavailable\].*there is no such bucket/);
  });

  test("events of a job and the output of a run are read from a node that does neither", async () => {
    const gate = join(folder, "gate");
    const command = `echo begun; while [ ! -e '${gate}' ]; do sleep 0.1; done; echo over`;
    const schedule = { name: "slow", expression: "@yearly", action: { kind: "shell", command } };
    const headers = { "content-type": "application/json" };
    const declared = await fetch(`${first.url}/api/v1/schedules`, {
      method: "POST",
      body: JSON.stringify(schedule),
      headers,
    });
    assert.equal(declared.status, 201, await declared.clone().text());
    const { id } = (await declared.json()) as { readonly id: string };
    const asked = await fetch(`${first.url}/api/v1/schedules/${id}/runs`, { method: "POST", body: "{}", headers });
    assert.equal(asked.status, 202, await asked.clone().text());
    const { number, job } = (await asked.json()) as { readonly number: number; readonly job: number };
    const output = async () => {
      const response = await fetch(`${second.url}/api/v1/schedules/${id}/runs/${number}/output`);
      return response.status === 200 ? response.text() : undefined;
    };
    await until("the output is read while it grows", async () => (await output()) === "begun\n");
    const events = await fetch(`${second.url}/api/v1/jobs/${job}/events`, {
      headers: { accept: "text/event-stream" },
    });
    await writeFile(gate, "");
    const told = await events.text();
    const [, end = "{}"] = /\nevent: end\ndata: (.*)\n/.exec(told) ?? [];
    assert.equal(JSON.parse(end).state, "succeeded", told);
    assert.equal(await output(), "begun\nover\n");
  });
}
