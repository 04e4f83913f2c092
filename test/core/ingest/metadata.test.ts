import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { DigestName } from "../../../src/core/digest.ts";
import { clipped, declaredPath, readMetadata } from "../../../src/core/ingest/metadata.ts";
import { chunked } from "../../support/tars.ts";

/** SHA-1 of nothing: `printf '' | sha1sum`. */
const SHA1 = "da39a3ee5e6b4b0d3255bfef95601890afd80709";

const file = (given: object = {}) => ({
  destinationTable: "Files",
  name: "foo.txt",
  subdir: "data/a/b/",
  size: 4,
  mimetype: "text/plain",
  hashtype: "sha1",
  hashsum: SHA1,
  ctime: "2016-11-29T14:09:05",
  mtime: "Tue Nov 29 14:09:05 PST 2016",
  ...given,
});

const read = (objects: readonly unknown[], wanted: "bundle" | "move" = "bundle") =>
  readMetadata(chunked(Buffer.from(JSON.stringify(objects)), 100), wanted);

/** What is wrong with a document of one object: code, path, and what was expected or found. */
async function wrong(object: unknown, wanted?: "bundle" | "move") {
  const { problems } = await read([object], wanted);
  return problems.map(({ code, path, expected, found }) => [code, path, expected ?? found]);
}

describe("what is read", () => {
  test("a document as Pacifica's uploader writes it", async () => {
    const { metadata, problems } = await read([
      { destinationTable: "Transactions._id", value: 1234 },
      { destinationTable: "Transactions.submitter", value: 10 },
      { destinationTable: "Transactions.project", value: "1234a" },
      { destinationTable: "Transactions.instrument", value: 54 },
      { destinationTable: "TransactionKeyValue", key: "Temp C", value: "27" },
      { destinationTable: "TransactionKeyValue", key: "Runs", value: 3 },
      { destinationTable: "FileKeyValue", key: "Shape", value: "round", file_id: 7 },
      file(),
    ]);
    assert.deepEqual(problems, []);
    assert.deepEqual(metadata, {
      submitter: "10",
      project: "1234a",
      instrument: "54",
      keyValues: [
        { key: "Temp C", value: "27" },
        { key: "Runs", value: "3" },
      ],
      files: [
        {
          path: "data/a/b/foo.txt",
          sizeBytes: 4,
          mediaType: "text/plain",
          digest: { algorithm: "sha1", value: SHA1 },
          modifiedAt: "2016-11-29T22:09:05.000Z",
          changedAt: "2016-11-29T14:09:05.000Z",
          source: null,
        },
      ],
    });
  });

  test("keys that wizards add and tables nobody knows are let be, whatever they are called", async () => {
    const wizard = {
      metaID: "project",
      displayType: "select",
      displayTitle: "Project",
      queryFields: ["_id", "title"],
      queryDependency: { user: "submitter" },
      query_results: [{ _id: 1 }],
      directoryOrder: null,
    };
    const { metadata, problems } = await read([
      { ...wizard, destinationTable: "Transactions.project", value: "1234a" },
      { destinationTable: "NothingReally", value: { deep: [1] } },
      { destinationTable: "constructor", value: "x" },
      { destinationTable: "toString" },
      { destinationTable: "__proto__", value: 1 },
      file({ ...wizard }),
    ]);
    assert.deepEqual(problems, []);
    assert.deepEqual([metadata.project, metadata.files.length], ["1234a", 1]);
  });

  test("a proposal is a project, and a value may be said twice but not differently", async () => {
    const said = (...objects: object[]) => read(objects);
    const proposal = { destinationTable: "Transactions.proposal", value: "9" };
    const project = { destinationTable: "Transactions.project", value: 9 };
    assert.equal((await said(proposal)).metadata.project, "9");
    assert.deepEqual((await said(proposal, project)).problems, []);
    const { problems } = await said(proposal, { ...project, value: 10 });
    assert.deepEqual(
      problems.map(({ path, expected, found }) => [path, expected, found]),
      [["Transactions.project", "one value, 9", "10"]],
    );
  });

  test("a subdir is clipped: empty parts and one leading data count for nothing", () => {
    const paths = {
      "data/a/b/": "data/a/b/f",
      "data//a/b": "data/a/b/f",
      "a/b": "data/a/b/f",
      "/a/b": "data/a/b/f",
      "//data/a/b//": "data/a/b/f",
      "data/data": "data/data/f",
      data: "data/f",
      "": "data/f",
      "/": "data/f",
      "Data/a": "data/Data/a/f",
    };
    for (const [subdir, path] of Object.entries(paths)) assert.equal(declaredPath(subdir, "f"), path, subdir);
    assert.equal(clipped("/data//a/b/"), "a/b");
  });

  test("a name may hold folders, and subdir may be absent", async () => {
    const { metadata } = await read([file({ subdir: undefined, name: "x/y.txt" }), file({ subdir: "", name: "z" })]);
    assert.deepEqual(
      metadata.files.map(({ path }) => path),
      ["data/x/y.txt", "data/z"],
    );
  });

  test("a digest may carry a prefix, which clients write as sha1: for any algorithm, and be upper case", async () => {
    const sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"; // printf '' | sha256sum
    const digests = [
      ["sha1", SHA1, "sha1"],
      ["sha1", `sha1:${SHA1}`, "sha1"],
      ["SHA-1", SHA1.toUpperCase(), "sha1"],
      ["sha256", `sha1:${sha256}`, "sha256"],
      ["blake2b", "0".repeat(128), "blake2b-512"],
      ["sha3_384", "0".repeat(96), "sha3_384"],
      ["md5", `md5:${"0".repeat(32)}`, "md5"],
    ] as const;
    for (const [i, [hashtype, hashsum, algorithm]] of digests.entries()) {
      const { metadata, problems } = await read([file({ name: `${i}`, hashtype, hashsum })]);
      assert.deepEqual(problems, []);
      const value = hashsum.slice(hashsum.indexOf(":") + 1).toLowerCase();
      assert.deepEqual(metadata.files[0]?.digest, { algorithm: algorithm as DigestName, value });
    }
  });

  test("a size may be a number, digits, or absent", async () => {
    const size = async (given: unknown) => (await read([file({ size: given })])).metadata.files[0]?.sizeBytes;
    assert.equal(await size(0), 0);
    assert.equal(await size(4.0), 4);
    assert.equal(await size("12345678901"), 12_345_678_901);
    assert.equal(await size(undefined), null);
    assert.equal(await size(null), null);
  });

  test("what a move names as its source is read for a move only", async () => {
    const moving = file({ source: "/srv/incoming/foo.txt" });
    assert.equal((await read([moving], "move")).metadata.files[0]?.source, "/srv/incoming/foo.txt");
    assert.equal((await read([moving])).metadata.files[0]?.source, null);
  });
});

describe("what is wrong", () => {
  test("every object must be one, and name its table", async () => {
    for (const [object, found] of [
      [1, "a number"],
      ["text", "a string"],
      [null, "null"],
      [[], "an array"],
      [true, "a boolean"],
    ]) {
      const { problems } = await read([object]);
      assert.deepEqual(
        problems.map(({ code, path, found }) => [code, path, found]),
        [["metadata_invalid", "object 0", found]],
      );
    }
    assert.deepEqual(await wrong({}), [["metadata_invalid", "object 0", "a destinationTable"]]);
    assert.deepEqual(await wrong({ destinationTable: 7 }), [["metadata_invalid", "object 0", "a destinationTable"]]);
  });

  test("what a transaction says of itself must be a value, and key-values must have both", async () => {
    for (const value of [null, undefined, [], {}])
      assert.deepEqual(await wrong({ destinationTable: "Transactions.submitter", value }), [
        ["metadata_invalid", "Transactions.submitter", "a value"],
      ]);
    for (const pair of [{ key: "k" }, { value: "v" }, { key: {}, value: "v" }])
      assert.deepEqual(await wrong({ destinationTable: "TransactionKeyValue", ...pair }), [
        ["metadata_invalid", "object 0, TransactionKeyValue", "a key and a value"],
      ]);
  });

  test("a file without what it needs is named, with what is missing", async () => {
    const path = "data/a/b/foo.txt";
    const cases: [object, [string, string, string]][] = [
      [{ name: undefined }, ["metadata_invalid", "object 0", "a Files object with a name"]],
      [{ name: "" }, ["metadata_invalid", "object 0", "a Files object with a name"]],
      [{ name: 7 }, ["metadata_invalid", "object 0", "a Files object with a name"]],
      [{ subdir: 7 }, ["metadata_invalid", "object 0, foo.txt", "subdir as text"]],
      [{ hashtype: undefined }, ["metadata_invalid", path, "hashtype, such as sha1"]],
      [{ hashtype: "crc32" }, ["digest_unknown", path, "crc32"]],
      [{ hashtype: "constructor" }, ["digest_unknown", path, "constructor"]],
      [{ hashsum: undefined }, ["metadata_invalid", path, "hashsum as hex digits"]],
      [{ hashsum: SHA1.slice(1) }, ["metadata_invalid", path, "hashsum of 40 hex digits for sha1"]],
      [{ hashsum: `${SHA1.slice(1)}g` }, ["metadata_invalid", path, "hashsum of 40 hex digits for sha1"]],
      [{ size: -1 }, ["metadata_invalid", path, "size as a number of bytes"]],
      [{ size: 1.5 }, ["metadata_invalid", path, "size as a number of bytes"]],
      [{ size: "4 kB" }, ["metadata_invalid", path, "size as a number of bytes"]],
      [{ size: "99999999999999999999" }, ["metadata_invalid", path, "size as a number of bytes"]],
      [{ size: {} }, ["metadata_invalid", path, "size as a number of bytes"]],
    ];
    for (const [given, expected] of cases)
      assert.deepEqual(await wrong(file(given)), [expected], JSON.stringify(given));
  });

  test("a name that climbs, is empty behind its folder, or is no text, is unsafe", async () => {
    for (const [subdir, name] of [
      ["data", ".."],
      ["data/..", "passwd"],
      ["a/./b", "c"],
      ["", "data"],
      ["a", "b/"],
      ["a", "b\ud800"],
    ] as const)
      assert.deepEqual(await wrong(file({ subdir, name })), [["bundle_name_unsafe", `${subdir}/${name}`, undefined]]);
  });

  test("the character U+0000 is refused wherever it would be kept", async () => {
    for (const object of [
      file({ name: "a\0b" }),
      file({ mimetype: "a\0b" }),
      file({ mtime: "\0" }),
      { destinationTable: "TransactionKeyValue", key: "k\0", value: "v" },
      { destinationTable: "Transactions.submitter", value: "1\0" },
    ])
      assert.equal((await wrong(object))[0]?.[0], "metadata_invalid");
  });

  test("the same file twice is refused, however its folder is written", async () => {
    const { problems, metadata } = await read([file(), file({ subdir: "/a//b" }), file({ subdir: "a" })]);
    assert.deepEqual(
      problems.map(({ code, path }) => [code, path]),
      [["file_duplicate", "data/a/b/foo.txt"]],
    );
    assert.equal(metadata.files.length, 2);
  });

  test("a move needs a source for every file, as an absolute path", async () => {
    for (const source of [undefined, null, "", "relative/path", 7])
      assert.deepEqual(await wrong(file({ source }), "move"), [
        ["metadata_invalid", "data/a/b/foo.txt", "source as an absolute path"],
      ]);
  });

  test("everything wrong is reported together, up to a thousand problems", async () => {
    const { problems } = await read([1, file({ size: -1 }), file({ hashtype: "x" }), {}]);
    assert.deepEqual(
      problems.map(({ code }) => code),
      ["metadata_invalid", "metadata_invalid", "digest_unknown", "metadata_invalid"],
    );
    assert.equal((await read(Array(5000).fill(0))).problems.length, 1000);
  });

  test("a document that would not fit into memory is refused while it comes", async () => {
    let given = 0;
    async function* endless() {
      yield Buffer.from("[");
      const piece = Buffer.from(`${" ".repeat(1024 ** 2 - 3)}{},`);
      for (;;) {
        given += piece.length;
        yield piece;
      }
    }
    await assert.rejects(readMetadata(endless(), "bundle"), { code: "metadata_invalid" });
    assert.ok(given <= 513 * 1024 ** 2);
  });
});
