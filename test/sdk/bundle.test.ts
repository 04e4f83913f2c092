import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { describe, test } from "node:test";
import { type BundleFile, type BundleHash, bundleSource, type MetadataObject } from "../../src/sdk/index.ts";

const SHA1: BundleHash = {
  name: "sha1",
  hexDigits: 40,
  start() {
    const hash = createHash("sha1");
    return { update: (bytes) => hash.update(bytes), hexDigest: () => hash.digest("hex") };
  },
};

/** A file in memory that counts how often it is opened. */
function file(path: string, content: string, sizeBytes = content.length) {
  const opened = { times: 0 };
  const made: BundleFile = {
    path,
    sizeBytes,
    modifiedAt: Date.UTC(2020, 8, 13, 12, 26, 40),
    async *open() {
      opened.times++;
      for (let at = 0; at < content.length; at += 700) yield Buffer.from(content.slice(at, at + 700));
    },
  };
  return Object.assign(made, { opened });
}

const whole = async (source: { open(offset: number): AsyncIterable<Uint8Array> }, offset = 0) =>
  buffer(source.open(offset));

/** `metadata.txt` as Python's tarfile finds it, with the digests Python computes of the members. */
const PYTHON_READ = `
import hashlib, json, sys, tarfile
with tarfile.open(sys.argv[1], "r:") as t:
    names = t.getnames()
    sums = {m.name: hashlib.sha1(t.extractfile(m).read()).hexdigest() for m in t if m.name != "metadata.txt"}
    print(json.dumps([names, sums, json.load(t.extractfile("metadata.txt"))]))
`;

describe("bundle source", () => {
  const contents = { "a.txt": "hello\n", "deep/er/b.bin": randomBytes(5000).toString("hex"), "deep/empty": "" };
  const files = () => Object.entries(contents).map(([path, content]) => file(path, content));
  const metadata: MetadataObject[] = [
    { destinationTable: "Transactions.submitter", value: 10 },
    { destinationTable: "TransactionKeyValue", key: "Temp C", value: "27" },
  ];

  test("it is a tar with metadata.txt last, whose digests are those Python computes", async () => {
    const folder = await mkdtemp(join(tmpdir(), "longshore-bundle-"));
    const source = bundleSource({ files: files(), hash: SHA1, metadata });
    const bytes = await whole(source);
    assert.equal(bytes.length, source.sizeBytes);
    const path = join(folder, "bundle.tar");
    await writeFile(path, bytes);
    const [names, sums, document] = JSON.parse(
      execFileSync("python3", ["-c", PYTHON_READ, path], { encoding: "utf8" }),
    );
    await rm(folder, { recursive: true });
    assert.deepEqual(names, ["data/a.txt", "data/deep/er/b.bin", "data/deep/empty", "metadata.txt"]);
    assert.deepEqual(document.slice(0, 2), metadata);
    assert.deepEqual(document[2], {
      destinationTable: "Files",
      name: "a.txt",
      subdir: "data/",
      size: 6,
      mimetype: "application/octet-stream",
      hashtype: "sha1",
      hashsum: "f572d396fae9206628714fb2ce00f72e94f2258f", // printf 'hello\n' | sha1sum
      ctime: "2020-09-13T12:26:40.000Z",
      mtime: "2020-09-13T12:26:40.000Z",
    });
    for (const entry of document.slice(2))
      assert.equal(entry.hashsum, sums[`${entry.subdir}${entry.name}`], entry.name);
  });

  test("opened at any offset it continues with the same bytes, whether it was read before or not", async () => {
    const expected = await whole(bundleSource({ files: files(), hash: SHA1, metadata }));
    const read = bundleSource({ files: files(), hash: SHA1, metadata });
    await whole(read);
    for (const offset of [0, 1, 511, 512, 513, 517, 1024, 1030, 5000, 11_000, expected.length - 1, expected.length]) {
      const fresh = bundleSource({ files: files(), hash: SHA1, metadata });
      for (const source of [fresh, read])
        assert.ok((await whole(source, offset)).equals(expected.subarray(offset)), `offset ${offset}`);
    }
  });

  test("it tells how much of each file lies before an offset", async () => {
    const source = bundleSource({ files: files(), hash: SHA1 });
    const bytes = await whole(source);
    const content = contents["deep/er/b.bin"];
    const beginsAt = bytes.indexOf(content.slice(0, 100)); // its bytes, after its header
    assert.equal(source.bytesBefore(beginsAt - 1, 1), 0);
    assert.equal(source.bytesBefore(beginsAt + 7, 1), 7);
    assert.equal(source.bytesBefore(bytes.length, 1), content.length);
    assert.equal(source.bytesBefore(bytes.length, 2), 0);
  });

  test("a file before the offset is not read again when its digest is known", async () => {
    const digests = new Map<string, string>();
    const first = bundleSource({
      files: files(),
      hash: SHA1,
      onDigest: ({ path }, digest) => digests.set(path, digest),
    });
    const expected = await whole(first);
    const again = files().map((f) => Object.assign(f, { digest: digests.get(f.path) }));
    const second = bundleSource({ files: again, hash: SHA1 });
    assert.ok((await whole(second, 3000)).equals(expected.subarray(3000)));
    assert.deepEqual(
      again.map((f) => f.opened.times),
      [0, 1, 1],
    );
  });

  for (const [how, size] of [
    ["grows", 5],
    ["shrinks", 7],
  ] as const)
    test(`a file that ${how} while it is read is an error that names it`, async () => {
      const source = bundleSource({ files: [file("log.txt", "123456", size)], hash: SHA1 });
      await assert.rejects(whole(source), { code: "local_file_changed", message: /log\.txt changed/ });
    });

  test("a Files object of the given metadata adds its fields and keeps its digest", async () => {
    const given = {
      destinationTable: "Files",
      name: "a.txt",
      subdir: "/data//",
      size: 99,
      mimetype: "text/x-greeting",
      hashtype: "md5",
      hashsum: "b1946ac92492d2347c6235b4d2611184", // printf 'hello\n' | md5sum
      displayTitle: "A greeting",
    };
    const source = bundleSource({ files: [file("a.txt", "hello\n")], hash: SHA1, metadata: [given] });
    const bytes = await whole(source);
    const [entry] = JSON.parse(bytes.toString("utf8", 1536, bytes.indexOf("\n]\n") + 3));
    assert.deepEqual(
      [entry.mimetype, entry.hashtype, entry.hashsum, entry.displayTitle, entry.size],
      ["text/x-greeting", "md5", "b1946ac92492d2347c6235b4d2611184", "A greeting", 6],
    );
  });

  test("metadata about a file that is not sent is refused by name", () => {
    const stray = { destinationTable: "Files", name: "b.txt", subdir: "data/x/", hashsum: "00", hashtype: "sha1" };
    assert.throws(() => bundleSource({ files: [file("a.txt", "")], hash: SHA1, metadata: [stray] }), {
      code: "usage",
      details: { path: "x/b.txt" },
    });
  });
});
