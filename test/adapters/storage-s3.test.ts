import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { text } from "node:stream/consumers";
import { describe, test } from "node:test";
import { crc32 } from "node:zlib";
import { CreateMultipartUploadCommand, PutObjectCommand } from "@aws-sdk/client-s3";
import { memoryObjectStorage } from "../../src/adapters/storage/memory.ts";
import { s3ObjectStorage } from "../../src/adapters/storage/s3.ts";
import { ocflArchive } from "../../src/core/archive/archive.ts";
import { gatherFrom } from "../../src/core/archive/many-files.ts";
import type { ObjectStorage } from "../../src/core/archive/object-storage.ts";
import { eachAtOnce, mapInOrder } from "../../src/core/streams.ts";
import { objectStorageConformance } from "../conformance/object-storage.ts";
import { seededRandom } from "../support/random.ts";
import { isAtTop, s3Archives } from "../support/s3-archive.ts";
import { BUCKET, type S3Server, startS3Server, withoutS3 } from "../support/s3-server.ts";

const MIB = 1024 ** 2;
const isMissing = withoutS3();

if (isMissing) test("an archive in S3", { skip: isMissing }, () => {});
else withServer(await startS3Server());

function withServer(server: S3Server): void {
  const { client, settings, newPlace, opened, meddling, keysAt, leftBehind } = s3Archives(server);

  objectStorageConformance(
    "s3",
    async () => {
      const place = newPlace();
      return {
        open: () => s3ObjectStorage({ place, settings, isHeldBack: isAtTop }),
        leftovers: () => leftBehind(place),
      };
    },
    { manyFiles: 1_300 },
  );

  describe("s3ObjectStorage", () => {
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

    test("a large file does not take the place of one that the tree has", async (t) => {
      const place = newPlace();
      const storage = await opened(t, { place });
      const tree = await storage.stage("object");
      await put(tree, "v1/file", Buffer.from("first"));
      const large = put(tree, "v1/file", randomBytes(9 * MIB));
      await assert.rejects(large, { code: "object_exists", details: { path: "v1/file" } });
      assert.equal(await text(await tree.open("v1/file")), "first");
      await tree.discard();
      assert.deepEqual(await leftBehind(place), []);
    });

    test("parts of a process that died go with its tree", async (t) => {
      const place = newPlace();
      const dying = await opened(t, { place });
      await dying.stage("object");
      const Key = `${place.slice(BUCKET.length + 1)}/object/v1/large`;
      await client.send(new CreateMultipartUploadCommand({ Bucket: BUCKET, Key }));
      const later = await opened(t, { place });
      await (await later.reopen("object"))?.discard();
      assert.deepEqual(await leftBehind(place), []);
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
}

async function put(tree: Awaited<ReturnType<ObjectStorage["stage"]>>, path: string, bytes: Uint8Array): Promise<void> {
  const writer = tree.writer(["sha512"]);
  writer.begin(path);
  await writer.write(bytes);
  writer.end();
  await writer.finish();
}
