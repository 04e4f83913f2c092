import assert from "node:assert/strict";
import { buffer, text } from "node:stream/consumers";
import { test } from "node:test";
import type { ObjectStorage, TreeWriter, WrittenFile } from "../../src/core/archive/object-storage.ts";
import type { Digests } from "../../src/core/digest.ts";
import { seededRandom } from "../support/random.ts";

const BOTH = ["sha512", "sha1"] as const;

/**
 * Files whose bytes are `(i*31 + (i>>8)*7 + (i>>16)) & 255`, by size around what adapters may cut at. The digests are
 * what `sha512sum` and `sha1sum` (GNU coreutils 9.1) say, the CRC-32 is Python 3's `zlib.crc32`, of the same bytes
 * written by Python: `bytes((i*31 + (i>>8)*7 + (i>>16)) & 255 for i in range(size))`.
 */
const KNOWN = [
  {
    sizeBytes: 0,
    crc32: 0,
    sha1: "da39a3ee5e6b4b0d3255bfef95601890afd80709",
    sha512:
      "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e",
  },
  {
    sizeBytes: 1,
    crc32: 3523407757,
    sha1: "5ba93c9db0cff93f52b521d7420e43f6eda2784f",
    sha512:
      "b8244d028981d693af7b456af8efa4cad63d282e19ff14942c246e50d9351d22704a802a71c3580b6370de4ceb293c324a8423342557d4e5c38438f0e36910ee",
  },
  {
    sizeBytes: 4096,
    crc32: 2562879313,
    sha1: "b043505450b02941f6f8b30337a2205e0da87704",
    sha512:
      "705045c61ffaf79de77e62d3d74864a914d244b4826392b52547a59b06892b0e5fdc0eb4c7ae0714aaedddd2e2d08870bc2ad88b186f5aed6be5b46f207ecaa5",
  },
  {
    sizeBytes: 200000,
    crc32: 3624453735,
    sha1: "e28d51553570603ba2626270de089af17164cfeb",
    sha512:
      "b16aceaaf34184e5a9b9ec127d142ec2ac1983ca377c49424cab3cfa2e1eb70df90de9f9b7af5ade500e9d6e8deedba9f64a5f9836ca07ca656e7600f3eba9b7",
  },
  {
    sizeBytes: 1048576,
    crc32: 2060752234,
    sha1: "21acaa257a336108c74329183fc5d2d23a79cac8",
    sha512:
      "d50dbfbe47be6756be9ccb1f721a0a1e712573c0749d862703e621710b507b81d30b2b37c05b61f866a21d017d8742703cbf352e41f9c88d7d431b18ef7b2620",
  },
  {
    sizeBytes: 1048577,
    crc32: 1655219002,
    sha1: "665d0e6a8232979d525b080955b23adf9ce7401f",
    sha512:
      "a30e8badd0a7fff39dbc671f843519304bcaaec1b31a906fcbaa264f8953b28bc5905ff4e914f608359dcf778c3afd3b489d548d273ec418f87ac787d1022535",
  },
  {
    sizeBytes: 3145735,
    crc32: 3448662909,
    sha1: "9ec77b1511229d619dfb508307c797083e1d84c5",
    sha512:
      "c760e90b88d54574ea9430594e7659326a651acbbe149c8626f7a908498cb54e10a328936cee5f75e791c8047aaf59b8035914bdff264d7a44aa8526799f5276",
  },
] as const;

/** `printf hello` through the algorithm of this name in Python 3's hashlib; the CRC-32 from its zlib. */
const HELLO_CRC32 = 907060870;
const HELLO: Required<Digests> = {
  md5: "5d41402abc4b2a76b9719d911017c592",
  sha1: "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d",
  sha224: "ea09ae9cc6768c50fcee903ed054556e5bfc8347907f12598aa24193",
  sha256: "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
  sha384: "59e1748777448c69de6b800d7a33bbfb9ff1b463e44354c3553bcdb9c666fa90125a3c79f90397bdf5f6a13de828684f",
  sha512:
    "9b71d224bd62f3785d96d46ad3ea3d73319bfbc2890caadae2dff72519673ca72323c3d99ba5c11d7c7acc6e14b8c5da0c4663475c2e5c3adef46f73bcdec043",
  sha3_224: "b87f88c72702fff1748e58b87e9141a42c0dbedc29a78cb0d4a5cd81",
  sha3_256: "3338be694f50c5f338814986cdf0686453a888b84f424d792af4b9202398f392",
  sha3_384: "720aea11019ef06440fbf05d87aa24680a2153df3907b23631e7177ce620fa1330ff07c0fddee54699a4c3ee0ee9d887",
  sha3_512:
    "75d527c368f2efe848ecf6b073a36767800805e9eef2b1857d5f984f036eb6df891d75f72d9b154518c1cd58835286d1da9a38deba3de98b5a53e5ed78a84976",
  "blake2b-512":
    "e4cfa39a3d37be31c59609e807970799caa68a19bfaa15135f165085e01d41a65ba1e1b146aeb6bd0092b49eac214c103ccfa3a365954bbbe52f74a2b3620c94",
  blake2s: "19213bacc58dee6dbde3ceb9a47cbb330b3d86f8cca8997eb00be456f140ca25",
};

const CHUNK_SIZES = [1024, 65_536, 100_003, 1_048_576, 4_000_000];

/** The part of the suite that is about {@link TreeWriter}. */
/** @param manyFiles of tests that are about many; at least 1,235. */
export function treeWriterConformance(open: () => Promise<ObjectStorage>, manyFiles: number): void {
  for (const chunkBytes of CHUNK_SIZES) {
    test(`files of all sizes, in chunks of ${chunkBytes} bytes, are hashed and stored as they came`, async () => {
      const storage = await open();
      const tree = await storage.stage("object");
      const writer = tree.writer(BOTH);
      for (const { sizeBytes } of KNOWN) await write(writer, `f${sizeBytes}`, content(sizeBytes), chunkBytes);
      assert.deepEqual(
        await writer.finish(),
        KNOWN.map(({ sizeBytes, crc32, sha1, sha512 }) => {
          return { path: `f${sizeBytes}`, sizeBytes, crc32, digests: { sha512, sha1 } };
        }),
      );
      await tree.publish([]);
      for (const { sizeBytes } of KNOWN) {
        const stored = await buffer(await storage.open(`object/f${sizeBytes}`));
        assert.ok(stored.equals(content(sizeBytes)), `f${sizeBytes} differs`);
      }
    });
  }

  test("chunks of random sizes give the same digests", async (t) => {
    const random = seededRandom(t);
    const tree = await (await open()).stage("object");
    const writer = tree.writer(BOTH);
    for (const { sizeBytes } of KNOWN) await write(writer, `f${sizeBytes}`, content(sizeBytes), () => random(300_000));
    assert.deepEqual(
      (await writer.finish()).map((file) => file.digests.sha512),
      KNOWN.map((file) => file.sha512),
    );
    await tree.discard();
  });

  test("small and large files in turn keep their order and their digests", async () => {
    const tree = await (await open()).stage("object");
    // The slow ones are there so that an adapter that hashes beside its writing falls far behind with the large files.
    const writer = tree.writer([...BOTH, "sha3_512", "sha256", "sha3_384", "md5", "sha3_256"]);
    const round = [KNOWN[6], KNOWN[6], ...Array.from({ length: 12 }, () => KNOWN[3])];
    const files = Array.from({ length: 3 }, () => round).flat();
    const contents = new Map([KNOWN[6], KNOWN[3]].map(({ sizeBytes }) => [sizeBytes, content(sizeBytes)]));
    for (const [i, { sizeBytes }] of files.entries()) {
      await write(writer, `${i}`, contents.get(sizeBytes) ?? Buffer.alloc(0), 65_536);
    }
    assert.deepEqual(
      (await writer.finish()).map(({ digests, ...file }) => ({ ...file, sha512: digests.sha512, sha1: digests.sha1 })),
      files.map((file, i) => ({ path: `${i}`, ...file })),
    );
    await tree.discard();
  });

  test("every algorithm can be asked for, alone, with others, or not at all", async () => {
    const tree = await (await open()).stage("object");
    const names = Object.keys(HELLO) as (keyof typeof HELLO)[];
    for (const algorithms of [names, [], ...names.map((name) => [name])]) {
      const writer = tree.writer(algorithms);
      const path = `by-${algorithms.length}-${algorithms[0]}`;
      await write(writer, path, Buffer.from("hello"), 2);
      const digests = Object.fromEntries(algorithms.map((name) => [name, HELLO[name]]));
      assert.deepEqual(await writer.finish(), [{ path, sizeBytes: 5, crc32: HELLO_CRC32, digests }]);
    }
    await tree.discard();
  });

  test(`${manyFiles} tiny files go through one writer and come out in order`, async () => {
    const storage = await open();
    const tree = await storage.stage("object");
    const writer = tree.writer(BOTH);
    const paths = Array.from({ length: manyFiles }, (_, i) => `v1/content/data/${Math.floor(i / 1000)}/${i}.txt`);
    for (const [i, path] of paths.entries()) await write(writer, path, Buffer.from(`file ${i}`), 64);
    const written = await writer.finish();
    assert.deepEqual(
      written.map((file) => file.path),
      paths,
    );
    // printf 'file 1234' | sha1sum
    assert.equal(written[1234]?.digests.sha1, "653649754647520193076563166806be538bf880");
    await tree.publish([]);
    assert.equal((await Array.fromAsync(storage.list("object"))).length, manyFiles);
    assert.equal(await text(await storage.open(`object/${paths.at(-1)}`)), `file ${manyFiles - 1}`);
  });

  test("facts that are taken as they come are all there, once and in order", async () => {
    const tree = await (await open()).stage("object");
    const writer = tree.writer(BOTH);
    const taken: WrittenFile[] = [];
    for (let i = 0; i < manyFiles; i++) {
      writer.begin(`d/${i}`);
      await writer.write(Buffer.from(`file ${i}`));
      writer.end();
      if (i % 100 === 0) taken.push(...writer.take());
    }
    const rest = await writer.finish();
    assert.deepEqual(writer.take(), []);
    assert.ok(rest.length < manyFiles, "nothing could be taken");
    taken.push(...rest);
    const paths = Array.from({ length: manyFiles }, (_, i) => `d/${i}`);
    assert.deepEqual(
      taken.map(({ path }) => path),
      paths,
    );
    // printf 'file 1234' | sha1sum
    assert.equal(taken[1234]?.digests.sha1, "653649754647520193076563166806be538bf880");
    await tree.publish([]);
  });

  test(`${manyFiles} empty files go through one writer`, async () => {
    const tree = await (await open()).stage("object");
    const writer = tree.writer(["sha1"]);
    for (let i = 0; i < manyFiles; i++) {
      writer.begin(`empty/${i}`);
      writer.end();
    }
    const written = await writer.finish();
    assert.equal(written.length, manyFiles);
    assert.ok(written.every((file) => file.sizeBytes === 0 && file.digests.sha1 === KNOWN[0].sha1));
    await tree.discard();
  });

  test("a chunk may be used again as soon as write has returned", async () => {
    const tree = await (await open()).stage("object");
    const writer = tree.writer(["sha1"]);
    const chunk = Buffer.alloc(3_145_735);
    writer.begin("reused");
    content(3_145_735).copy(chunk);
    const behind = writer.write(chunk);
    chunk.fill(0);
    await behind;
    writer.end();
    assert.equal((await writer.finish())[0]?.digests.sha1, KNOWN[6].sha1);
    await tree.discard();
  });

  test("ten writers on ten trees do not mix up their bytes", async () => {
    const storage = await open();
    const trees = await Promise.all(Array.from({ length: 10 }, (_, i) => storage.stage(`object-${i}`)));
    const all = await Promise.all(
      trees.map(async (tree) => {
        const writer = tree.writer(BOTH);
        for (const { sizeBytes } of KNOWN) await write(writer, `f${sizeBytes}`, content(sizeBytes), 50_000);
        return writer.finish();
      }),
    );
    for (const written of all) {
      const sums = written.map(({ digests, crc32 }) => ({ sha512: digests.sha512, sha1: digests.sha1, crc32 }));
      assert.deepEqual(
        sums,
        KNOWN.map(({ sha512, sha1, crc32 }) => ({ sha512, sha1, crc32 })),
      );
    }
    for (const tree of trees) await tree.discard();
  });

  test("two writers of one tree fill it together", async () => {
    const storage = await open();
    const tree = await storage.stage("object");
    const writers = [tree.writer(["sha1"]), tree.writer(["sha512"])] as const;
    for (const [i, writer] of writers.entries()) writer.begin(`from-${i}`);
    for (const [i, writer] of writers.entries()) await writer.write(Buffer.from(`bytes of ${i}`));
    for (const writer of writers) writer.end();
    for (const writer of writers) await writer.finish();
    await tree.publish([]);
    assert.equal(await text(await storage.open("object/from-0")), "bytes of 0");
    assert.equal(await text(await storage.open("object/from-1")), "bytes of 1");
  });

  test("a path that the tree already has fails the writer, and everything after it", async () => {
    const tree = await (await open()).stage("object");
    await tree.put("taken", Buffer.from("first"));
    const writer = tree.writer(["sha1"]);
    await write(writer, "taken", Buffer.from("second"), 10);
    await assert.rejects(writer.finish(), { code: "object_exists", details: { path: "taken" } });
    await writer.abort();
    assert.equal(await text(await tree.open("taken")), "first");
    await tree.discard();
  });

  test("writes reject once a file before them has failed", async () => {
    const tree = await (await open()).stage("object");
    await tree.put("taken", Buffer.from("first"));
    const writer = tree.writer(["sha1"]);
    await write(writer, "taken", Buffer.from("second"), 10);
    writer.begin("next");
    await assert.rejects(
      async () => {
        // How far an adapter runs ahead is its own affair; it has an end, and this is far behind it.
        for (let i = 0; i < 1000; i++) await writer.write(content(1_048_576));
      },
      { code: "object_exists" },
    );
    await assert.rejects(writer.finish(), { code: "object_exists" });
    await tree.discard();
  });

  test("abort is safe at any moment, more than once, and before or after finish", async () => {
    const tree = await (await open()).stage("object");
    const untouched = tree.writer(["sha1"]);
    await untouched.abort();
    await untouched.abort();
    await assert.rejects(untouched.finish(), /aborted/);

    const halfWay = tree.writer(BOTH);
    halfWay.begin("half");
    await halfWay.write(content(1_048_577));
    await halfWay.abort();
    await assert.rejects(halfWay.finish(), /aborted/);

    const finished = tree.writer(["sha1"]);
    await write(finished, "whole", Buffer.from("hello"), 5);
    await finished.finish();
    await finished.abort();
    assert.equal(await text(await tree.open("whole")), "hello");
    await tree.discard();
  });

  test("calls out of order are refused on the spot", async () => {
    const tree = await (await open()).stage("object");
    const writer = tree.writer([]);
    assert.throws(() => writer.write(Buffer.from("x")), /no file has begun/);
    assert.throws(() => writer.end(), /no file has begun/);
    writer.begin("a");
    assert.throws(() => writer.begin("b"), /has not ended/);
    await assert.rejects(writer.finish(), /has not ended/);
    writer.end();
    await writer.finish();
    assert.throws(() => writer.begin("c"), /closed/);
    await tree.discard();
  });
}

function content(sizeBytes: number): Buffer {
  const bytes = Buffer.allocUnsafe(sizeBytes);
  for (let i = 0; i < sizeBytes; i++) bytes[i] = (i * 31 + (i >> 8) * 7 + (i >> 16)) & 255;
  return bytes;
}

async function write(writer: TreeWriter, path: string, bytes: Buffer, chunk: number | (() => number)): Promise<void> {
  writer.begin(path);
  for (let at = 0; at < bytes.byteLength; ) {
    const end = at + (typeof chunk === "number" ? chunk : chunk());
    const behind = writer.write(bytes.subarray(at, end));
    if (behind) await behind;
    at = end;
  }
  writer.end();
}
