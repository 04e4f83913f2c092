import assert from "node:assert/strict";
import { randomBytes, randomUUID } from "node:crypto";
import { mkdtempSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { after, before, describe, test } from "node:test";
import { CreateBucketCommand, S3Client } from "@aws-sdk/client-s3";
import { s3PackageFiles } from "../../src/adapters/packages/s3.ts";
import { s3RunOutputs } from "../../src/adapters/run/s3-run-outputs.ts";
import { openS3Store, PATIENT_TRIES, type S3Store } from "../../src/adapters/s3/client.ts";
import { type S3Objects, s3Objects } from "../../src/adapters/s3/objects.ts";
import { s3UploadStore } from "../../src/adapters/upload/s3.ts";
import { jobId } from "../../src/core/ids.ts";
import { packageFilesConformance } from "../conformance/package-files.ts";
import { runOutputsConformance, SEGMENT_BYTES } from "../conformance/run-outputs.ts";
import { about, bytes, ID, sha1, uploadStoreConformance } from "../conformance/upload-store.ts";
import { faultyProxy } from "../support/faulty-proxy.ts";
import { seededRandom } from "../support/random.ts";
import { refusingProxy } from "../support/refusing-proxy.ts";
import { BUCKET, type S3Server, startS3Server, withoutS3 } from "../support/s3-server.ts";
import { until } from "../support/until.ts";

const MIB = 1024 ** 2;
const HOUR_MS = 3_600_000;

const isMissing = withoutS3();
if (isMissing) test("what nodes share, in S3", { skip: isMissing }, () => {});
else await withServer(await startS3Server());

async function withServer(server: S3Server): Promise<void> {
  const folders: string[] = [];
  const region = "us-east-1";
  before(async () => {
    const client = new S3Client({ endpoint: server.url, region, credentials: server, forcePathStyle: true });
    await client.send(new CreateBucketCommand({ Bucket: BUCKET }));
    client.destroy();
  });
  after(async () => {
    await server.stop();
    await Promise.all(folders.map((folder) => rm(folder, { recursive: true })));
  });

  const openStore = (place: string, endpoint = server.url, secretAccessKey = server.secretAccessKey) => {
    const { accessKeyId } = server;
    const settings = { endpoint, region, pathStyle: true, credentials: { accessKeyId, secretAccessKey } };
    return openS3Store(place, settings, { tries: PATIENT_TRIES });
  };
  const newPlace = () => `${BUCKET}/${randomUUID()}`;
  const bucket = await openStore(BUCKET);
  const newStore = () => ({ ...bucket, prefix: `${randomUUID()}/` });
  const newObjects = () => s3Objects(newStore());
  const pathsIn = async (objects: S3Objects, below = "") =>
    (await Array.fromAsync(objects.list(below))).map(({ path }) => path);

  function workFolder(): string {
    const folder = mkdtempSync(join(tmpdir(), "longshore-work-"));
    folders.push(folder);
    return folder;
  }

  uploadStoreConformance(
    "s3",
    () => {
      const objects = newObjects();
      return async () => s3UploadStore(objects);
    },
    { isShared: true },
  );

  describe("uploads in S3", () => {
    test("a long piece is kept while it comes, and reads back whole, whatever it was cut into", async (t) => {
      const random = seededRandom(t);
      const objects = newObjects();
      const store = s3UploadStore(objects);
      const content = randomBytes(10 * MIB + 12_345);
      const more = Promise.withResolvers<void>();
      async function* slowly(): AsyncGenerator<Uint8Array> {
        for (let at = 0, end = 0; at < content.length; at = end) {
          end = at + 1 + random(200_000);
          if (end > 9 * MIB) await more.promise;
          yield content.subarray(at, end);
        }
      }
      await store.create({ ...about, sizeBytes: content.length });
      const appended = store.append(ID, 0, slowly());
      // Two pieces of 4 MiB are there, the third is not full.
      await until("what came counts", async () => (await store.get(ID))?.offset === 8 * MIB);
      more.resolve();
      assert.equal(await appended, content.length);
      await store.seal(ID);
      const { bytes: stream } = await store.open(ID);
      assert.ok((await buffer(stream)).equals(content));
      await store.remove(ID);
      assert.deepEqual(await pathsIn(objects), [`${ID}/facts/about`, `${ID}/facts/sealed`, `${ID}/facts/taken`]);
    });

    test("a long piece with a digest counts when all of it is there, and is not kept when it is another", async () => {
      const objects = newObjects();
      const store = s3UploadStore(objects);
      const content = "longshore!".repeat(MIB);
      await store.create({ ...about, sizeBytes: content.length });
      const rest = Promise.withResolvers<void>();
      async function* inTwo(): AsyncGenerator<Uint8Array> {
        yield Buffer.from(content.slice(0, 9 * MIB));
        await rest.promise;
        yield Buffer.from(content.slice(9 * MIB));
      }
      const appended = store.append(ID, 0, inTwo(), sha1(content));
      const parts = `${ID}/parts/`;
      await until("pieces are in the store", async () => (await pathsIn(objects, parts)).length === 2);
      assert.equal((await store.get(ID))?.offset, 0);
      rest.resolve();
      assert.equal(await appended, content.length);
      const { bytes: stream } = await store.open(ID);
      assert.equal(String(await buffer(stream)), content);
      const kept = await pathsIn(objects, parts);
      await assert.rejects(store.append(ID, content.length, bytes("more"), sha1("less")), { code: "digest_mismatch" });
      assert.deepEqual(await pathsIn(objects, parts), kept);
    });

    test("an id that is none leads nowhere", async () => {
      const objects = newObjects();
      const store = s3UploadStore(objects);
      for (const id of ["../outside", "", "x".repeat(32), ID.toUpperCase(), `${ID}/../../outside`]) {
        assert.equal(await store.get(id), undefined);
        assert.equal(await store.has(id), false);
        await assert.rejects(store.remove(id), { code: "upload_unknown" });
        await assert.rejects(store.create({ ...about, id, sizeBytes: 1 }), { code: "upload_unknown" });
      }
      assert.deepEqual(await pathsIn(objects), []);
    });

    test("silent uploads expire, and what is left of others; complete ones wait for their job, however long", async () => {
      const objects = newObjects();
      const store = s3UploadStore(objects);
      const id = (n: number) => String(n).padStart(32, "0");
      for (const [n, size] of [
        [1, 5], // unfinished
        [2, 3], // complete, waits
        [3, 3], // ingested
      ] as const) {
        await store.create({ ...about, id: id(n), sizeBytes: size });
        await store.append(id(n), 0, bytes("abc"));
      }
      await store.seal(id(3));
      await store.assign(id(3), jobId(4));
      await store.remove(id(3));
      // What another node wrote of an upload that was given up meanwhile.
      await objects.put(`${id(4)}/parts/${randomUUID()}`, Buffer.from("abc"));
      assert.equal(await store.removeExpired(Date.now() - HOUR_MS), 0);
      assert.equal(await store.removeExpired(Date.now() + HOUR_MS), 3);
      assert.deepEqual(
        (await Array.fromAsync(store.list())).map((upload) => upload.id),
        [id(2)],
      );
      assert.ok((await pathsIn(objects)).every((path) => path.startsWith(id(2))));
    });
  });

  packageFilesConformance("s3", () => {
    const parts = { store: newStore(), work: workFolder() };
    return () => s3PackageFiles(parts);
  });

  test("of a package's work another machine finds nothing, and says so where some was said to be durable", async () => {
    const store = newStore();
    const [here, there] = [workFolder(), workFolder()];
    const place = await s3PackageFiles({ store, work: here }).workspace("w");
    const file = await place.append("a", 0);
    await file.write(Buffer.from("hello"));
    await file.sync();
    await file.close();
    const elsewhere = await s3PackageFiles({ store, work: there }).workspace("w");
    assert.equal(await elsewhere.sizeOf("a"), undefined);
    await assert.rejects(elsewhere.append("a", 5), { code: "object_corrupt" });
    await place.publish("a", "p.zip");
    assert.equal((await s3PackageFiles({ store, work: there }).stat("p.zip"))?.sizeBytes, 5);
  });

  runOutputsConformance("s3", async () =>
    s3RunOutputs({ objects: newObjects(), segmentBytes: SEGMENT_BYTES, shownAfterMs: 20 }),
  );

  describe("a store in trouble", () => {
    test("503 SlowDown and 500 are ridden out: nothing is lost and nothing is written twice", async (t) => {
      const random = seededRandom(t);
      const proxy = await refusingProxy(server.url);
      t.after(() => proxy.close());
      proxy.refuse(() => (random(5) === 0 ? (random(2) === 0 ? 503 : 500) : undefined));
      await thereAndBack(await openStore(newPlace(), proxy.url));
      assert.ok(proxy.refusals > 5, String(proxy.refusals));
    });

    test("connections that break in either direction are ridden out", async (t) => {
      const random = seededRandom(t);
      const proxy = await faultyProxy(server.url);
      t.after(() => proxy.close());
      proxy.cutAfter(() => (random(3) === 0 ? random(2 * MIB) : Number.POSITIVE_INFINITY));
      await thereAndBack(await openStore(newPlace(), proxy.url));
      assert.ok(proxy.cuts > 0);
    });

    test("a bucket that is not there, and a wrong key, are said", async () => {
      const nowhere = s3UploadStore(s3Objects(await openStore("not-there/uploads")));
      await assert.rejects(nowhere.create({ ...about, sizeBytes: 1 }), {
        code: "storage_unavailable",
        message: /there is no such bucket/,
      });
      const stranger = s3UploadStore(s3Objects(await openStore(newPlace(), server.url, "another secret")));
      await assert.rejects(stranger.get(ID), { code: "storage_unavailable", message: /secret is not the server's/ });
    });
  });

  /** An upload, a package and an output, written and read through the same trouble. */
  async function thereAndBack(store: S3Store): Promise<void> {
    const below = (name: string) => ({ ...store, prefix: `${store.prefix}${name}/` });
    const content = randomBytes(6 * MIB);
    const uploads = s3UploadStore(s3Objects(below("uploads")));
    await uploads.create({ ...about, sizeBytes: content.length });
    await uploads.append(ID, 0, bytes("")); // of no bytes
    for (let at = 0; at < content.length; at += 1.5 * MIB) await uploads.append(ID, at, slice(at));
    await uploads.seal(ID);
    const { bytes: stream } = await uploads.open(ID);
    assert.ok((await buffer(stream)).equals(content));

    const packages = s3PackageFiles({ store: below("packages"), work: workFolder() });
    const place = await packages.workspace("w");
    const file = await place.append("a", 0);
    await file.write(content, content, content);
    await file.close();
    await place.publish("a", "p.zip");
    const read = await buffer(await packages.open("p.zip", { start: 5 * MIB, end: 13 * MIB - 1 }));
    assert.ok(read.equals(Buffer.concat([content, content, content]).subarray(5 * MIB, 13 * MIB)));

    const outputs = s3RunOutputs({ objects: s3Objects(below("runs")) });
    const writer = await outputs.create("a/1");
    await writer.write(content.subarray(0, 700_000));
    await writer.close();
    const printed = Buffer.concat(await Array.fromAsync((await outputs.read("a/1")) ?? []));
    assert.ok(printed.equals(content.subarray(0, 700_000)));

    async function* slice(at: number): AsyncGenerator<Uint8Array> {
      yield content.subarray(at, at + 1.5 * MIB);
    }
  }
}
