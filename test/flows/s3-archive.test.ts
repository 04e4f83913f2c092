import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { buffer } from "node:stream/consumers";
import { after, before, describe, test } from "node:test";
import {
  CreateBucketCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutBucketPolicyCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
  PutObjectLockConfigurationCommand,
  S3Client,
} from "@aws-sdk/client-s3";
import { runCli } from "../cli/run-cli.ts";
import { bundle, sum } from "../http/bundle.ts";
import { finished, json } from "../http/client.ts";
import { faultyProxy } from "../support/faulty-proxy.ts";
import { type S3Proxy, s3Proxy } from "../support/s3-proxy.ts";
import { BUCKET, type S3Server, startS3Server, withoutS3 } from "../support/s3-server.ts";
import { type ServerProcess, startServer } from "../support/server.ts";
import { until } from "../support/until.ts";

const MIB = 1024 ** 2;
const isMissing = withoutS3();
if (isMissing) test("an archive in S3", { skip: isMissing }, () => {});
else describe("an archive in S3, from deposit to check", archive);

function archive(): void {
  let s3: S3Server;
  let proxy: S3Proxy;
  let client: S3Client;
  let folder: string;
  let settings: Readonly<Record<string, string>>;
  let server: ServerProcess;
  const large = randomBytes(20 * MIB);

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "longshore-s3-archive-"));
    s3 = await startS3Server();
    proxy = await s3Proxy(s3.url);
    client = new S3Client({ endpoint: s3.url, region: "us-east-1", credentials: s3, forcePathStyle: true });
    await client.send(new CreateBucketCommand({ Bucket: BUCKET }));
    settings = settingsFor(proxy.url);
    server = await startServer({ dataDir: join(folder, "data"), env: settings });
  });
  after(async () => {
    await server?.stop();
    client?.destroy();
    await proxy?.close();
    await s3?.stop();
    await rm(folder, { recursive: true });
  });

  const settingsFor = (url: string, place = `${BUCKET}/archive`) => ({
    LONGSHORE_ARCHIVE_URL: `s3://${place}`,
    LONGSHORE_ARCHIVE_RESTORE: "bulk",
    LONGSHORE_S3_ENDPOINT: url,
    LONGSHORE_S3_ACCESS_KEY_ID: s3.accessKeyId,
    LONGSHORE_S3_SECRET_ACCESS_KEY: s3.secretAccessKey,
  });
  /** Commands on the machine of the server; of another one with the same archive, with a data folder of its own. */
  const cli = (args: readonly string[], dataDir = server.dataDir, more: Readonly<Record<string, string>> = {}) =>
    runCli(args, {
      env: { ...settings, LONGSHORE_DATA_DIR: dataDir, LONGSHORE_URL: server.url, XDG_STATE_HOME: folder, ...more },
    });

  async function keys(): Promise<readonly string[]> {
    const found: string[] = [];
    for (let StartAfter: string | undefined; ; StartAfter = found.at(-1)) {
      const { Contents = [], IsTruncated } = await client.send(
        new ListObjectsV2Command({ Bucket: BUCKET, ...(StartAfter && { StartAfter }) }),
      );
      found.push(...Contents.map(({ Key = "" }) => Key));
      if (!IsTruncated) return found;
    }
  }
  /** Nothing but published objects and the root's own files. */
  async function assertTidy(): Promise<void> {
    assert.deepEqual(
      (await keys()).filter((key) => key.includes("longshore-staging")),
      [],
    );
  }
  async function deposit(files: Readonly<Record<string, string | Uint8Array>>): Promise<number> {
    const sent = await fetch(`${server.url}/api/v1/bundles`, {
      method: "POST",
      body: bundle(files),
      headers: { "content-type": "application/x-tar" },
    });
    const { id } = (await sent.json()) as { id: number };
    const { state, error } = await finished(server, id);
    assert.equal(state, "succeeded", JSON.stringify(error));
    return id;
  }
  const filesOf = async (id: number) =>
    (await json<{ items: { id: number; path: string }[] }>(`${server.url}/api/v1/transactions/${id}/files`)).items;

  test("bundles come over HTTP and from the command line; nothing is kept on the server's disk", async () => {
    const id = await deposit({ "large.raw": large, "small.txt": "hello\n", empty: "", "a b/ü.txt": "blank\n" });
    assert.equal((await filesOf(id)).length, 4);
    const inbox = join(folder, "inbox");
    await mkdir(join(inbox, "many"), { recursive: true });
    for (let i = 0; i < 200; i++) await writeFile(join(inbox, "many", `${i}.txt`), `number ${i}\n`);
    const put = await cli(["put", inbox, "--project", "p", "--instrument", "i"]);
    assert.equal(put.code, 0, put.stderr);
    await assertTidy();
    const onDisk = execFileSync("find", [server.dataDir, "-type", "f", "-size", "+1M"], { encoding: "utf8" });
    assert.equal(onDisk.includes("large.raw"), false, onDisk);
    const metrics = await (await fetch(`${server.url}/metrics`)).text();
    for (const operation of ["PutObject", "UploadPart", "ListObjectsV2"])
      assert.match(
        metrics,
        new RegExp(`s3_request_duration_seconds_count\\{operation="${operation}",outcome="done"\\} \\d`),
      );
  });

  test("a cart is downloaded, and any range of it is a range of the whole", async () => {
    const items = [...(await filesOf(1)), ...(await filesOf(2))];
    const made = await fetch(`${server.url}/api/v1/carts`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ files: items.map(({ id }) => ({ id })) }),
    });
    const cart = (await made.json()) as { id: string; status: string };
    assert.equal(made.status, 201, JSON.stringify(cart));
    const url = `${server.url}/api/v1/carts/${cart.id}/download.zip`;
    const whole = Buffer.from(await (await fetch(url)).arrayBuffer());
    assert.ok(whole.includes(large.subarray(MIB, MIB + 1000)));
    for (const [from, to] of [
      [0, 99],
      [5 * MIB - 7, 5 * MIB + 100_000],
      [whole.length - 5_000, whole.length - 1],
    ] as const) {
      const part = await fetch(url, { headers: { range: `bytes=${from}-${to}` } });
      assert.equal(part.status, 206);
      assert.ok(Buffer.from(await part.arrayBuffer()).equals(whole.subarray(from, to + 1)), `${from} to ${to}`);
    }
    const file = join(folder, "cart.zip");
    await writeFile(file, whole);
    execFileSync("unzip", ["-tqq", file]);
  });

  test("verify, fixity and doctor find it sound", async () => {
    const verified = await cli(["verify"]);
    assert.equal(verified.code, 0, verified.stdout + verified.stderr);
    const fixity = await cli(["fixity", "run", "--bytes", "1GiB", "--minutes", "5"]);
    assert.match(fixity.stdout, /^sound {2}2 transactions/, fixity.stderr);
    const { stdout } = await cli(["doctor"]);
    assert.match(stdout, new RegExp(`s3://${BUCKET}/archive is an OCFL storage root`));
    assert.match(stdout, /^ok +archive +objects can be written, read and removed$/m);
    assert.doesNotMatch(stdout, /^warn/m);
    assert.deepEqual(
      (await keys()).filter((key) => key.includes("doctor")),
      [],
      "nothing of it stays",
    );
  });

  test("a database is made anew from the bucket alone", async () => {
    const dataDir = join(folder, "anew");
    const rebuilt = await cli(["rebuild"], dataDir);
    assert.equal(rebuilt.code, 0, rebuilt.stderr);
    const verified = await cli(["verify"], dataDir);
    assert.equal(verified.code, 0, verified.stdout + verified.stderr);
  });

  test("the bucket, copied to a folder, is an archive that sha512sum checks without Longshore", async () => {
    const copy = join(folder, "copy");
    for (const key of await keys()) {
      const { Body } = await client.send(new GetObjectCommand({ Bucket: BUCKET, Key: key }));
      const path = join(copy, key.slice("archive/".length));
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, await buffer(Body as NodeJS.ReadableStream));
    }
    // OCFL 1.1: §4.1 the root's declaration, §3.3 the objects', §3.6 the sidecar, §3.5.2 the manifest.
    assert.equal(await readFile(join(copy, "0=ocfl_1.1"), "utf8"), "ocfl_1.1\n");
    const objects = execFileSync("find", [copy, "-name", "0=ocfl_object_1.1", "-printf", "%h\n"], { encoding: "utf8" });
    const roots = objects.trim().split("\n");
    assert.equal(roots.length, 2);
    for (const root of roots) {
      execFileSync("sha512sum", ["--check", "--quiet", "inventory.json.sha512"], { cwd: root });
      execFileSync("cmp", ["inventory.json", "v1/inventory.json"], { cwd: root });
      const { manifest } = JSON.parse(await readFile(join(root, "inventory.json"), "utf8"));
      const lines = Object.entries(manifest as Record<string, string[]>).flatMap(([digest, paths]) =>
        paths.map((path) => `${digest}  ${path}\n`),
      );
      execFileSync("sha512sum", ["--check", "--strict", "--quiet", "-"], { cwd: root, input: lines.join("") });
      const there = execFileSync("find", ["v1/content", "-type", "f"], { cwd: root, encoding: "utf8" });
      assert.equal(there.trim().split("\n").length, lines.length, "nothing more, nothing less");
    }
    const found = execFileSync("find", [copy, "-path", "*/v1/content/data/small.txt"], { encoding: "utf8" }).trim();
    assert.equal(sum("sha512sum", found), HELLO);
  });

  test("a deposit over which the server is killed leaves nothing, and its repetition is whole", async () => {
    const toServer = await faultyProxy(server.url);
    const body = bundle({ "killed.raw": large });
    const isHeldBack = toServer.stallAfter(12 * MIB);
    const sending = fetch(`${toServer.url}/api/v1/bundles`, {
      method: "POST",
      body,
      headers: { "content-type": "application/x-tar" },
    });
    sending.catch(() => undefined); // the server dies over it
    await isHeldBack;
    await until("the deposit has a tree", async () =>
      (await keys()).some((key) => key.includes("longshore-staging/trees/")),
    );
    await server.end("SIGKILL");
    await toServer.close();
    await assert.rejects(sending);
    assert.deepEqual((await keys()).filter((key) => key.endsWith("0=ocfl_object_1.1")).length, 2);

    server = await startServer({ dataDir: join(folder, "data"), env: settings });
    await until("the tree is discarded", async () => !(await keys()).some((key) => key.includes("longshore-staging")));
    await deposit({ "killed.raw": large });
    const verified = await cli(["verify"]);
    assert.equal(verified.code, 0, verified.stdout + verified.stderr);
  });

  test("a cart of files in cold storage is staged: it waits for them, and can be downloaded then", async () => {
    // The server knows no Glacier: the proxy says of it what Amazon documents (HeadObject, RestoreObject).
    const cold = (await filesOf(1)).find(({ path }) => path.endsWith("large.raw"));
    let isUp = false;
    let isAsked = false;
    const isCold = (path: string) => path.endsWith(`/v1/content/${cold?.path}`);
    proxy.interfere(({ method, path, query }) => {
      if (!isCold(path)) return undefined;
      if (method === "POST" && query.has("restore")) {
        isAsked = true;
        return { status: 202 };
      }
      const restore = isUp
        ? { "x-amz-restore": 'ongoing-request="false", expiry-date="Fri, 21 Dec 2035 00:00:00 GMT"' }
        : isAsked
          ? { "x-amz-restore": 'ongoing-request="true"' }
          : {};
      if (method === "HEAD") return { answer: { "x-amz-storage-class": "DEEP_ARCHIVE", ...restore } };
      return isUp ? undefined : { status: 403, code: "InvalidObjectState" };
    });
    const made = await fetch(`${server.url}/api/v1/carts`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ files: [{ id: cold?.id }] }),
    });
    const { id } = (await made.json()) as { id: string };
    const cart = () => json<{ status: string; [more: string]: unknown }>(`${server.url}/api/v1/carts/${id}`);
    await until("the file was asked for", async () => isAsked);
    assert.notEqual((await cart()).status, "ready");
    isUp = true;
    await until("the cart is ready", async () => (await cart()).status === "ready");
    const download = await fetch(`${server.url}/api/v1/carts/${id}/download.tar`);
    const bytes = Buffer.from(await download.arrayBuffer());
    assert.ok(bytes.includes(large.subarray(0, 1000)));
    proxy.interfere(() => undefined);
  });

  test("doctor says what a bucket keeps, and what the access key may not do in it", async () => {
    const [kept, locked, guarded] = ["kept", "locked", "guarded"];
    for (const Bucket of [kept, guarded]) await client.send(new CreateBucketCommand({ Bucket }));
    await client.send(new CreateBucketCommand({ Bucket: locked, ObjectLockEnabledForBucket: true }));
    const VersioningConfiguration = { Status: "Enabled" } as const;
    await client.send(new PutBucketVersioningCommand({ Bucket: kept, VersioningConfiguration }));
    const Rule = { DefaultRetention: { Mode: "GOVERNANCE", Days: 30 } } as const;
    const ObjectLockConfiguration = { ObjectLockEnabled: "Enabled", Rule } as const;
    await client.send(new PutObjectLockConfigurationCommand({ Bucket: locked, ObjectLockConfiguration }));
    const denied = { Effect: "Deny", Principal: "*", Action: "s3:DeleteObject", Resource: `arn:aws:s3:::${guarded}/*` };
    const Policy = JSON.stringify({ Version: "2012-10-17", Statement: [denied] });
    await client.send(new PutBucketPolicyCommand({ Bucket: guarded, Policy }));
    const doctor = async (more: Readonly<Record<string, string>>) =>
      (await cli(["doctor"], join(folder, "doctor"), more)).stdout;

    const keeping = await doctor({
      LONGSHORE_ARCHIVE_URL: `s3://${kept}/archive`,
      LONGSHORE_SHARED_URL: `s3://${locked}/shared`,
    });
    assert.match(keeping, /^warn +archive +kept keeps versions of what is removed\n +Have a lifecycle rule/m);
    assert.match(keeping, /^warn +shared place +locked locks every version \(GOVERNANCE, 30 days\)\n +What is under/m);
    // Observed with Ceph 16.2: where it keeps versions, each PUT makes a new one, whatever the condition.
    assert.match(keeping, /^fail +shared place .*not heed If-None-Match\n.*or a bucket that keeps no versions/m);
    const refused = await doctor({ LONGSHORE_ARCHIVE_URL: `s3://${guarded}` });
    assert.match(refused, /^fail +archive .*\/doctor-\S+ cannot be removed: the access key may not .*\n +Allow the/m);
  });

  test("a bucket that is not there, or holds something else, and a wrong key are said at start", async () => {
    await client.send(new PutObjectCommand({ Bucket: BUCKET, Key: "holiday/photo.jpg", Body: Buffer.from("x") }));
    const started = (more: Readonly<Record<string, string>>) =>
      cli(["verify"], join(folder, "fresh"), { LONGSHORE_START_ATTEMPTS: "1", ...more });
    for (const [more, said] of [
      [{ LONGSHORE_ARCHIVE_URL: "s3://no-such-bucket/x" }, /no such bucket/],
      [{ LONGSHORE_ARCHIVE_URL: `s3://${BUCKET}/holiday` }, /object_corrupt[\s\S]*photo\.jpg/],
      [{ LONGSHORE_S3_SECRET_ACCESS_KEY: "another" }, /secret is not the server's/],
    ] as const) {
      const { code, stderr } = await started(more);
      assert.notEqual(code, 0);
      assert.match(stderr, said);
      const doctor = await cli(["doctor"], join(folder, "fresh"), more);
      assert.match(doctor.stdout + doctor.stderr, /^.*fail.*archive.*$/im);
    }
  });
}

/** printf 'hello\n' | sha512sum */
const HELLO =
  "e7c22b994c59d9cf2b48e549b1e24666636045930d3da7c1acb299d1c3b7f931f94aae41edda2c2b207a36e10f8bcb8d45223e54878f5b316e7ce3b6bc019629";
