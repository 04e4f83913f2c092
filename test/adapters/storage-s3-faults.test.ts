import assert from "node:assert/strict";
import { randomBytes, randomUUID } from "node:crypto";
import { buffer, text } from "node:stream/consumers";
import { describe, test } from "node:test";
import { PutObjectCommand } from "@aws-sdk/client-s3";
import type { ObjectStorage } from "../../src/core/archive/object-storage.ts";
import { faultyProxy } from "../support/faulty-proxy.ts";
import { seededRandom } from "../support/random.ts";
import { s3Archives } from "../support/s3-archive.ts";
import type { S3Request } from "../support/s3-proxy.ts";
import { BUCKET, type S3Server, startS3Server, withoutS3 } from "../support/s3-server.ts";

const MIB = 1024 ** 2;
const isMissing = withoutS3();

if (isMissing) test("an archive in S3 that does not do its part", { skip: isMissing }, () => {});
else withServer(await startS3Server());

function withServer(server: S3Server): void {
  const { client, settings, newPlace, opened, meddling } = s3Archives(server);
  const { accessKeyId } = server;

  describe("s3ObjectStorage, when S3 does not do its part", () => {
    const large = randomBytes(20 * MIB);
    const small = Array.from({ length: 30 }, (_, i) => [`v1/content/${i}`, randomBytes(2_000 * i)] as const);

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
        assert.ok(proxy.interfered > 10, `${proxy.interfered} requests were interfered with`);
      });

    test("what was carried out and not answered is found to be done", async (t) => {
      const proxy = await meddling(t);
      let requests = 0;
      proxy.interfere(({ method }) => (method !== "GET" && ++requests % 3 === 0 ? { lost: true } : undefined));
      await depositAndRead(await opened(t, { url: proxy.url }));
      assert.ok(proxy.interfered > 10, `${proxy.interfered} requests were interfered with`);
    });

    test("connections break in the middle of bodies, up and down", async (t) => {
      const proxy = await faultyProxy(server.url);
      t.after(() => proxy.close());
      const random = seededRandom(t);
      proxy.cutAfter(() => 5_000_000 + random(10_000_000));
      await depositAndRead(await opened(t, { url: proxy.url }));
      assert.ok(proxy.cuts > 0, "how often depends on which connections its requests go over");
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

    test("files that are gathered, or their beginnings, are whole though bodies come short or break off", async (t) => {
      const proxy = await meddling(t);
      const storage = await opened(t, { url: proxy.url });
      const bytes = large.subarray(0, 200_000);
      await storage.put("file", bytes);
      const gathered = async (sizeBytes: number) => {
        const part = { path: "file", start: 0, sizeBytes, at: 0, crc: true };
        const found = await storage.gather?.(new Uint8Array(sizeBytes), [part]);
        return Buffer.from(found?.buffer ?? []).equals(bytes.subarray(0, sizeBytes));
      };
      const isRead = ({ method, path }: S3Request) => method === "GET" && path.endsWith("/file");
      for (const fault of [{ half: true }, { lost: true }] as const) {
        let faults = 2;
        proxy.interfere((request) => (isRead(request) && faults-- > 0 ? fault : undefined));
        for (const sizeBytes of [200_000, 199_999, 1]) assert.ok(await gathered(sizeBytes));
        assert.ok(faults < 0);
      }
      proxy.interfere((request) => (isRead(request) ? { half: true } : undefined));
      await assert.rejects(gathered(200_000), { code: "storage_unavailable" });
      proxy.interfere(() => undefined);
      await assert.rejects(gathered(200_001), { code: "object_corrupt" });
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
