import assert from "node:assert/strict";
import { randomBytes, randomUUID } from "node:crypto";
import { buffer, text } from "node:stream/consumers";
import { after, before, describe, type TestContext, test } from "node:test";
import { crc32 } from "node:zlib";
import {
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from "@aws-sdk/client-s3";
import { STAGING } from "../../src/adapters/storage/fs/layout.ts";
import { memoryObjectStorage } from "../../src/adapters/storage/memory.ts";
import { s3ObjectStorage } from "../../src/adapters/storage/s3.ts";
import { ocflArchive } from "../../src/core/archive/archive.ts";
import { gatherFrom } from "../../src/core/archive/many-files.ts";
import type { ObjectStorage } from "../../src/core/archive/object-storage.ts";
import { eachAtOnce, mapInOrder } from "../../src/core/streams.ts";
import { objectStorageConformance } from "../conformance/object-storage.ts";
import { faultyProxy } from "../support/faulty-proxy.ts";
import { seededRandom } from "../support/random.ts";
import { type S3Proxy, type S3Request, s3Proxy } from "../support/s3-proxy.ts";
import { type S3Server, startS3Server, withoutS3 } from "../support/s3-server.ts";

const BUCKET = "longshore";
const MIB = 1024 ** 2;
const isMissing = withoutS3();

if (isMissing) test("an archive in S3", { skip: isMissing }, () => {});
else withServer(await startS3Server());

function withServer(server: S3Server): void {
  const { url, accessKeyId, secretAccessKey } = server;
  const access = { endpoint: url, region: "us-east-1", credentials: { accessKeyId, secretAccessKey } };
  const settings = { ...access, pathStyle: true };
  let client: S3Client;
  before(async () => {
    client = new S3Client({ ...access, forcePathStyle: true });
    await client.send(new CreateBucketCommand({ Bucket: BUCKET }));
  });
  after(async () => {
    client.destroy();
    await server.stop();
  });

  async function leftBehind(prefix: string): Promise<readonly string[]> {
    const staging = { Bucket: BUCKET, Prefix: `${prefix}/${STAGING}` };
    const { Contents = [] } = await client.send(new ListObjectsV2Command(staging));
    const parts = { Bucket: BUCKET, Prefix: `${prefix}/` };
    const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand(parts));
    return [...Contents, ...Uploads].map(({ Key = "" }) => Key);
  }

  objectStorageConformance(
    "s3",
    async () => {
      const prefix = randomUUID();
      const isHeldBack = (path: string) => !path.includes("/");
      return {
        open: () => s3ObjectStorage({ place: `${BUCKET}/${prefix}`, settings, isHeldBack }),
        leftovers: () => leftBehind(prefix),
      };
    },
    { manyFiles: 1_300 },
  );

  const isHeldBack = (path: string) => !path.includes("/");
  const newPlace = () => `${BUCKET}/${randomUUID()}`;

  /** @param more of the storage's parts. */
  async function opened(
    t: TestContext,
    { place = newPlace(), url = server.url, ...more }: Partial<Opened> = {},
  ): Promise<ObjectStorage> {
    const storage = await s3ObjectStorage({ place, settings: { ...settings, endpoint: url }, isHeldBack, ...more });
    t.after(() => storage.close());
    return storage;
  }
  async function meddling(t: TestContext): Promise<S3Proxy> {
    const proxy = await s3Proxy(server.url);
    t.after(() => proxy.close());
    return proxy;
  }
  async function keysAt(place: string): Promise<readonly string[]> {
    const [Bucket, prefix] = place.split("/");
    const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket, Prefix: `${prefix}/` }));
    return Contents.map(({ Key = "" }) => Key.slice(`${prefix}/`.length));
  }

  describe("s3ObjectStorage", { timeout: 120_000 }, () => {
    test("what makes a folder an object is the last to be there, and nobody else finds the tree before", async (t) => {
      const place = newPlace();
      const storage = await opened(t, { place });
      const onlooker = await opened(t, { place });
      const tree = await storage.stage("ab/object");
      await put(tree, "v1/content/file", Buffer.from("content"));
      await tree.put("0=ocfl_object_1.1", Buffer.from("ocfl_object_1.1\n"));
      await tree.put("inventory.json", Buffer.from("{}"));
      assert.deepEqual(
        (await keysAt(place)).filter((key) => key.startsWith("ab/")),
        ["ab/object/v1/content/file"],
      );
      assert.equal(await onlooker.stat("ab/object/v1/content/file"), undefined);
      await assert.rejects(onlooker.open("ab/object/v1/content/file"), { code: "object_missing" });
      await tree.publish(["inventory.json", "0=ocfl_object_1.1"]);
      assert.equal(await text(await onlooker.open("ab/object/inventory.json")), "{}");
      // Nothing but the object: no marker, no copy.
      assert.deepEqual(
        await keysAt(place),
        ["0=ocfl_object_1.1", "inventory.json", "v1/content/file"].map((path) => `ab/object/${path}`),
      );
    });

    test("whoever finds a publication half done ends it: at each request the publisher may have died", async (t) => {
      const proxy = await meddling(t);
      for (let survived = 0, isDone = false; !isDone; survived++) {
        const place = newPlace();
        const dying = await opened(t, { place, url: proxy.url, tries: 1 });
        const tree = await dying.stage("object");
        await put(tree, "v1/file", Buffer.from("content"));
        await tree.put("inventory.json", Buffer.from("{}"));
        let left = survived;
        proxy.interfere(() => (left-- > 0 ? undefined : { status: 500 }));
        isDone = await tree.publish(["inventory.json"]).then(
          () => true,
          () => false,
        );
        proxy.interfere(() => undefined);
        const later = await opened(t, { place });
        await (await later.reopen("object"))?.publish(["inventory.json"]);
        const files = (await Array.fromAsync(later.list(""))).map(({ path }) => path);
        assert.deepEqual(files, ["object/inventory.json", "object/v1/file"], `died at request ${survived + 1}`);
        assert.deepEqual((await keysAt(place)).toSorted(), files, `died at request ${survived + 1}`);
      }
    });

    test("the order of a listing is that of the folders, whatever characters names have", async (t) => {
      const random = seededRandom(t);
      const place = newPlace();
      const storage = await opened(t, { place });
      const names = ["a", "b", "a-", "a b", "a.b", "-", "a!", "\uFB01", "\u{1F600}", "a\u{1F600}", "a\uFB01"];
      const paths = new Set<string>();
      while (paths.size < 300)
        paths.add(Array.from({ length: 1 + random(4) }, () => names[random(names.length)]).join("/"));
      const memory = memoryObjectStorage();
      await eachAtOnce(
        paths,
        () => 16,
        async (path) => {
          await storage.put(path, Buffer.from(path));
          await memory.put(path, Buffer.from(path));
        },
      );
      const listed = async (from: ObjectStorage, below: string) =>
        (await Array.fromAsync(from.list(below))).map(({ path }) => path);
      for (const below of ["", "a", "a-/b"])
        assert.deepEqual(await listed(storage, below), await listed(memory, below));
    });

    test("a listing of several pages is whole", async (t) => {
      const storage = await opened(t);
      const paths = Array.from({ length: 2_300 }, (_, i) => `folder-${i % 2}/${String(i).padStart(5, "0")} x.txt`);
      await eachAtOnce(
        [...paths, "folder/z"],
        () => 32,
        (path) => storage.put(path, Buffer.from("x")),
      );
      const listed = (await Array.fromAsync(storage.list(""))).map(({ path }) => path);
      assert.deepEqual(listed, ["folder/z", ...paths.toSorted()]);
    });

    test("keys that are no paths are told as oddities, not as files", async (t) => {
      const place = newPlace();
      const storage = await opened(t, { place });
      await storage.put("a/file", Buffer.from("x"));
      for (const key of ["a/", "b//c"])
        await client.send(
          new PutObjectCommand({
            Bucket: BUCKET,
            Key: `${place.slice(BUCKET.length + 1)}/${key}`,
            Body: Buffer.alloc(0),
          }),
        );
      assert.deepEqual(
        (await Array.fromAsync(storage.list(""))).map(({ path }) => path),
        ["a/file"],
      );
      const odd = await Array.fromAsync(storage.oddities?.("") ?? []);
      assert.deepEqual(
        odd.map(({ path }) => path),
        ["a/", "b//c"],
      );
    });

    test("windows of a large file that are read one after the other come from one request", async (t) => {
      const proxy = await meddling(t);
      const place = newPlace();
      const bytes = randomBytes(8 * MIB);
      await (await opened(t, { place })).put("large", bytes);
      let requests = 0;
      proxy.interfere(({ method, path }) => {
        if (method === "GET" && path.endsWith("/large")) requests += 1;
        return undefined;
      });
      const storage = await opened(t, { place, url: proxy.url });
      const windows = mapInOrder(Array(8).keys(), 3, async (i) => {
        const part = { path: "large", start: i * MIB, sizeBytes: MIB, at: 0, crc: true };
        const { buffer: window, crcs } = await gatherFrom(
          storage,
          new Uint8Array(MIB),
          [part],
          new AbortController().signal,
        );
        assert.equal(crcs[0], crc32(bytes.subarray(i * MIB, (i + 1) * MIB)));
        return window;
      });
      assert.ok(Buffer.concat(await Array.fromAsync(windows)).equals(bytes));
      assert.equal(requests, 1);
    });

    test("parts of a process that died go with its tree", async (t) => {
      const place = newPlace();
      const dying = await opened(t, { place });
      await dying.stage("object");
      const Key = `${place.slice(BUCKET.length + 1)}/object/v1/large`;
      await client.send(new CreateMultipartUploadCommand({ Bucket: BUCKET, Key }));
      const later = await opened(t, { place });
      await (await later.reopen("object"))?.discard();
      assert.deepEqual(await leftBehind(place.slice(BUCKET.length + 1)), []);
    });

    test("a folder that holds something else is refused as an archive", async (t) => {
      const storage = await opened(t);
      await storage.put("holiday/photo.jpg", Buffer.from("x"));
      await assert.rejects(ocflArchive(storage, "sha512").prepare(), { code: "object_corrupt" });
    });

    test("two processes that begin an archive at once both get it", async (t) => {
      const place = newPlace();
      const archives = await Promise.all(
        Array.from({ length: 4 }, async () => ocflArchive(await opened(t, { place }), "sha512")),
      );
      await Promise.all(archives.map((archive) => archive.prepare()));
      assert.ok((await keysAt(place)).includes("0=ocfl_1.1"));
    });
  });

  describe("s3ObjectStorage, when S3 does not do its part", { timeout: 180_000 }, () => {
    const large = randomBytes(20 * MIB);
    const small = Array.from({ length: 60 }, (_, i) => [`v1/content/${i}`, randomBytes(1_000 * i)] as const);

    /** Deposits and reads back one large file and some small ones. */
    async function depositAndRead(storage: ObjectStorage): Promise<void> {
      const tree = await storage.stage("object");
      const writer = tree.writer(["sha512"]);
      for (const [path, bytes] of [...small, ["v1/content/large", large] as const]) {
        writer.begin(path);
        await writer.write(bytes);
        writer.end();
      }
      await writer.finish();
      await tree.put("inventory.json", Buffer.from("{}"));
      await tree.publish(["inventory.json"]);
      assert.equal((await Array.fromAsync(storage.list("object"))).length, small.length + 2);
      for (const [path, bytes] of [...small, ["v1/content/large", large] as const])
        assert.ok((await buffer(await storage.open(`object/${path}`))).equals(bytes), path);
    }

    for (const [name, status, code] of [
      ["503 SlowDown", 503, "SlowDown"],
      ["500", 500, "InternalError"],
    ] as const)
      test(`a third of all requests meets ${name}: it is tried again`, async (t) => {
        const proxy = await meddling(t);
        let requests = 0;
        proxy.interfere(() => (++requests % 3 === 0 ? { status, code } : undefined));
        await depositAndRead(await opened(t, { url: proxy.url }));
        assert.ok(proxy.interfered > 20, `${proxy.interfered} requests were interfered with`);
      });

    test("what was carried out and not answered is found to be done", async (t) => {
      const proxy = await meddling(t);
      let requests = 0;
      proxy.interfere(({ method }) => (method !== "GET" && ++requests % 3 === 0 ? { lost: true } : undefined));
      await depositAndRead(await opened(t, { url: proxy.url }));
      assert.ok(proxy.interfered > 20, `${proxy.interfered} requests were interfered with`);
    });

    test("connections break in the middle of bodies, up and down", async (t) => {
      const proxy = await faultyProxy(server.url);
      t.after(() => proxy.close());
      const random = seededRandom(t);
      proxy.cutAfter(() => 5_000_000 + random(10_000_000));
      await depositAndRead(await opened(t, { url: proxy.url }));
      assert.ok(proxy.cuts >= 2, `cut ${proxy.cuts} times`);
    });

    test("half a body that is said to be the whole is not taken for it", async (t) => {
      const proxy = await meddling(t);
      const storage = await opened(t, { url: proxy.url });
      await storage.put("file", large.subarray(0, 1_000_000));
      let halves = 2;
      const isRead = ({ method, path }: S3Request) => method === "GET" && path.endsWith("/file");
      proxy.interfere((request) => (isRead(request) && halves-- > 0 ? { half: true } : undefined));
      assert.ok((await buffer(await storage.open("file"))).equals(large.subarray(0, 1_000_000)));
      proxy.interfere((request) => (isRead(request) ? { half: true } : undefined));
      await assert.rejects(storage.open("file").then(buffer), { code: "storage_unavailable" });
    });

    test("an entity tag that is not that of what was sent: it is sent again, and given up", async (t) => {
      const proxy = await meddling(t);
      const storage = await opened(t, { url: proxy.url });
      const wrong = { answer: { etag: `"${"0".repeat(32)}"` } };
      let left = 2;
      proxy.interfere(({ method }) => (method === "PUT" && left-- > 0 ? wrong : undefined));
      await storage.put("once", Buffer.from("x"));
      assert.equal(await text(await storage.open("once")), "x");
      proxy.interfere(({ method }) => (method === "PUT" ? wrong : undefined));
      const tree = await storage.stage("object").catch((error: unknown) => error);
      assert.equal((tree as { code?: string }).code, "storage_unavailable");
    });

    test("an object that is replaced while it is read is not spliced", async (t) => {
      const place = newPlace();
      const proxy = await faultyProxy(server.url);
      t.after(() => proxy.close());
      const storage = await opened(t, { place, url: proxy.url });
      await storage.put("file", large);
      proxy.cutAfter(() => 3_000_000);
      const other = await opened(t, { place, url: proxy.url });
      const stream = await other.open("file");
      const Key = `${place.slice(BUCKET.length + 1)}/file`;
      await client.send(new PutObjectCommand({ Bucket: BUCKET, Key, Body: randomBytes(large.length) }));
      await assert.rejects(buffer(stream), { code: "object_corrupt" });
    });

    test("wrong credentials, no bucket, a clock that is off, nobody there: each is said", async (t) => {
      const proxy = await meddling(t);
      proxy.interfere(() => ({ status: 403, code: "RequestTimeTooSkewed" }));
      const withKey = (accessKeyId: string, secretAccessKey: string) => ({
        settings: { ...settings, credentials: { accessKeyId, secretAccessKey } },
      });
      for (const [parts, hint] of [
        [withKey("NOBODY", "nothing"), /does not know the access key/],
        [withKey(accessKeyId, "another"), /secret is not the server's/],
        [{ place: `none-${randomUUID()}/x` }, /no such bucket/],
        [{ url: proxy.url }, /clocks .* are apart/],
      ] as const) {
        const storage = await opened(t, { tries: 2, ...parts });
        for (const work of [
          () => storage.open("file"),
          () => storage.stat("file"),
          () => Array.fromAsync(storage.list("")),
          () => storage.put("file", Buffer.from("x")),
          () => storage.stage("object"),
        ])
          await assert.rejects(work, (error: { code?: string; details?: { hint?: string } }) => {
            assert.equal(error.code, "storage_unavailable");
            assert.match(error.details?.hint ?? "", hint);
            return true;
          });
      }
      const nobody = await opened(t, { url: "http://127.0.0.1:9", tries: 2 });
      await assert.rejects(nobody.stat("file"), {
        code: "storage_unavailable",
        details: { path: "file", reason: "ECONNREFUSED" },
      });
    });

    test("a server that writes over what it was asked to leave is refused before the first deposit", async (t) => {
      const proxy = await meddling(t);
      proxy.interfere(({ method, headers }) =>
        method === "PUT" && headers["if-none-match"] === "*"
          ? {
              status: 200,
              headers: { etag: `"${Buffer.from(String(headers["content-md5"]), "base64").toString("hex")}"` },
            }
          : undefined,
      );
      const storage = await opened(t, { url: proxy.url });
      await assert.rejects(storage.stage("object"), (error: { code?: string; details?: { hint?: string } }) => {
        assert.equal(error.code, "storage_unavailable");
        assert.match(error.details?.hint ?? "", /If-None-Match/);
        return true;
      });
    });

    test("files in cold storage are asked for by tier, and say when they can be expected", async (t) => {
      // The server knows no Glacier: the proxy says of it what Amazon documents (HeadObject, RestoreObject).
      const proxy = await meddling(t);
      const storage = await opened(t, { url: proxy.url, restore: { tier: "standard", days: 3 } });
      for (const path of ["warm", "cold", "deep"]) await storage.put(path, Buffer.from(path));
      let restore: Readonly<Record<string, string>> = {};
      const asked: string[] = [];
      proxy.interfere(({ method, path, query }) => {
        const name = path.split("/").at(-1) ?? "";
        if (name === "warm") return undefined;
        if (method === "POST" && query.has("restore")) {
          asked.push(name);
          return asked.filter((one) => one === name).length > 1
            ? { status: 409, code: "RestoreAlreadyInProgress" }
            : { status: 202 };
        }
        const storageClass = name === "cold" ? "GLACIER" : "DEEP_ARCHIVE";
        if (method === "HEAD") return { answer: { "x-amz-storage-class": storageClass, ...restore } };
        if (method === "GET" && restore["x-amz-restore"] === undefined && ["cold", "deep"].includes(name))
          return { status: 403, code: "InvalidObjectState" };
        return undefined;
      });
      const { state, request } = storage.restore ?? assert.fail("it restores nothing");
      assert.deepEqual(await state("warm"), { online: true });
      assert.deepEqual(await state("cold"), { online: false, restoring: false });
      await assert.rejects(state("none"), { code: "object_missing" });
      await assert.rejects(storage.open("cold"), (error: { details?: { hint?: string } }) =>
        /cold storage/.test(error.details?.hint ?? ""),
      );
      const from = Date.now();
      for (const path of ["cold", "deep", "cold"]) await request(path);
      assert.deepEqual(asked, ["cold", "deep", "cold"]);
      restore = { "x-amz-restore": 'ongoing-request="true"' };
      for (const [path, hours] of [
        ["cold", 5],
        ["deep", 12],
      ] as const) {
        const found = await state(path);
        assert.ok(!found.online && found.restoring);
        assert.ok(Math.abs((found.readyAt ?? 0) - from - hours * 3_600_000) < 60_000, path);
      }
      restore = { "x-amz-restore": 'ongoing-request="false", expiry-date="Fri, 21 Dec 2035 00:00:00 GMT"' };
      assert.deepEqual(await state("cold"), { online: true });
      assert.equal(await text(await storage.open("cold")), "cold");
    });
  });
}

type Opened = Parameters<typeof s3ObjectStorage>[0] & { readonly url: string };

async function put(tree: Awaited<ReturnType<ObjectStorage["stage"]>>, path: string, bytes: Uint8Array): Promise<void> {
  const writer = tree.writer(["sha512"]);
  writer.begin(path);
  await writer.write(bytes);
  writer.end();
  await writer.finish();
}
