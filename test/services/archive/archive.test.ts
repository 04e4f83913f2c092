import assert from "node:assert/strict";
import { execFile, execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { describe, type TestContext, test } from "node:test";
import { promisify } from "node:util";
import { fsObjectStorage } from "../../../src/adapters/storage/fs.ts";
import { type Archive, type NewObject, ocflArchive } from "../../../src/core/archive/archive.ts";
import { documentLines, readDocument } from "../../../src/core/archive/transaction-document.ts";
import { digestsOf } from "../../../src/core/digest.ts";
import { fileId, transactionId } from "../../../src/core/ids.ts";
import { jsonLines } from "../../../src/core/streams.ts";
import { sum } from "../../http/bundle.ts";
import { testArchive } from "../../support/archive.ts";
import { without } from "../../support/tools.ts";

function openArchive(t: TestContext): { readonly archive: Archive; readonly root: string } {
  const root = mkdtempSync(join(tmpdir(), "longshore-ocfl-"));
  const storage = fsObjectStorage({ root });
  t.after(async () => {
    await storage.close();
    rmSync(root, { recursive: true });
  });
  return { archive: ocflArchive(storage, "sha512"), root };
}

const ID = transactionId(1);
/** See ocfl.test.ts for where it comes from. */
const OBJECT = "bdc/625/8fd/bdc6258fdd563c82976ec4c72b9a558e7e1f16d98d032e40d4eb8024222f6969";
const HELLO = Buffer.from("hello");

function object(): NewObject {
  const digests = digestsOf(HELLO, ["sha512", "sha1", "sha3_256"]);
  const file = (id: number, path: string, contentPath: string) => ({
    id: fileId(id),
    path,
    contentPath,
    sizeBytes: 5,
    modifiedAt: null,
    changedAt: "long ago",
    mediaType: "text/plain",
    digests,
    crc32: 0x3610a686, // python3 -c 'import zlib; print(hex(zlib.crc32(b"hello")))'
    declared: { algorithm: "sha3_256", value: digests.sha3_256 ?? "" } as const,
  });
  return {
    head: {
      id: ID,
      submitter: "10",
      project: null,
      instrument: "Ü 漢 🚢",
      owner: "ada",
      createdAt: 1_600_000_000_000,
      keyValues: [
        { fileId: null, key: "a", value: "" },
        { fileId: fileId(12), key: "line\nend", value: "\u0000" },
      ],
    },
    files: [file(11, "data/a", "v1/content/data/a"), file(12, "data/b?", "v1/content/renamed/00000001")],
    others: [
      { logicalPath: "metadata.txt", contentPath: "v1/content/metadata.txt", digests: digestsOf(HELLO, ["sha512"]) },
    ],
  };
}

/** Stages an object and publishes it. */
async function publish(archive: Archive) {
  const tree = await archive.stage(ID);
  for (const { contentPath } of [...object().files, ...object().others]) await tree.put(contentPath, HELLO);
  return archive.publish(tree, object());
}

const withoutValidator = without("ocfl-validate.py", ["ocfl-validate.py", "--version"], "pip install ocfl-py");

describe("the archive", () => {
  test("makes an empty folder a storage root, once", async (t) => {
    const { archive, root } = openArchive(t);
    await archive.prepare();
    const declaration = readFileSync(join(root, "0=ocfl_1.1"));
    await archive.prepare();
    assert.deepEqual(readFileSync(join(root, "0=ocfl_1.1")), declaration);
  });

  test("goes on where a process died while it made a storage root", async (t) => {
    const { archive, root } = openArchive(t);
    await archive.prepare();
    rmSync(join(root, "0=ocfl_1.1"));
    await archive.prepare();
    assert.equal(readFileSync(join(root, "0=ocfl_1.1"), "utf8"), "ocfl_1.1\n");
  });

  test("refuses a folder that is something else", async (t) => {
    const { archive, root } = openArchive(t);
    writeFileSync(join(root, "thesis.doc"), "");
    await assert.rejects(archive.prepare(), {
      code: "object_corrupt",
      details: { found: "thesis.doc", expected: "an OCFL 1.1 storage root or an empty folder" },
    });
    assert.ok(!existsSync(join(root, "0=ocfl_1.1")));
  });

  test("publishes an object whose inventory and copy have sidecars that sha512sum accepts", async (t) => {
    const { archive, root } = openArchive(t);
    const tree = await archive.stage(ID);
    for (const { contentPath } of [...object().files, ...object().others]) await tree.put(contentPath, HELLO);
    assert.equal(await archive.read(ID), undefined);
    assert.ok(!existsSync(join(root, OBJECT)));
    const transaction = await archive.publish(tree, object());
    for (const folder of [OBJECT, `${OBJECT}/v1`])
      execFileSync("sha512sum", ["--check", "--strict", "inventory.json.sha512"], { cwd: join(root, folder) });
    assert.equal(readFileSync(join(root, OBJECT, "0=ocfl_object_1.1"), "utf8"), "ocfl_object_1.1\n");
    assert.deepEqual(transaction, {
      id: ID,
      submitter: "10",
      project: null,
      instrument: "Ü 漢 🚢",
      owner: "ada",
      createdAt: 1_600_000_000_000,
      fileCount: 2,
      sizeBytes: 10,
      objectPath: OBJECT,
      inventoryDigest: sum("sha512sum", join(root, OBJECT, "inventory.json")),
    });
  });

  test("reads back what it published, as often as it is asked", async (t) => {
    const { archive } = openArchive(t);
    const transaction = await publish(archive);
    const read = await archive.read(ID);
    assert.deepEqual(read?.transaction, transaction);
    assert.deepEqual(read?.keyValues, object().head.keyValues);
    const files = [...object().files].map((file) => ({ ...file, transactionId: ID }));
    for (let again = 0; again < 2; again++) assert.deepEqual(await Array.fromAsync(read?.files() ?? []), files);
  });

  test("has one object for a transaction", async (t) => {
    const { archive } = openArchive(t);
    await publish(archive);
    await assert.rejects(archive.stage(ID), { code: "object_exists" });
    assert.equal(await archive.reopen(ID), undefined);
  });

  test("opens an archived file, or a part of it", async (t) => {
    const { archive } = openArchive(t);
    const transaction = await publish(archive);
    const [, file] = await Array.fromAsync((await archive.read(ID))?.files() ?? []);
    assert.ok(file);
    assert.equal(await text(await archive.openFile(transaction, file)), "hello");
    assert.equal(await text(await archive.openFile(transaction, file, { start: 1, end: 3 })), "ell");
  });

  test("is valid OCFL in the eyes of an independent validator", { skip: withoutValidator }, async (t) => {
    const lab = await testArchive();
    t.after(() => lab.close());
    await lab.deposit({ "a.txt": "hello\n", "same.txt": "hello\n", "sub/.hidden": "renamed\n", empty: "" });
    // It does not know the storage layout of extension 0004, so it is shown the object.
    const { stdout } = await promisify(execFile)("ocfl-validate.py", ["--quiet", lab.fileOf(1)]);
    assert.match(stdout, / is VALID$/m);
  });
});

describe("a transaction document", () => {
  const read = async (bytes: string | Uint8Array) => {
    const { head, files } = await readDocument(Readable.from([Buffer.from(bytes)]), "t.jsonl");
    return { head, files: await Array.fromAsync(files) };
  };
  const written = async () => text(Readable.from(jsonLines(documentLines(object().head, object().files))));

  test("holds everything there is to know", async () => {
    const { head, files } = await read(await written());
    assert.deepEqual(head, object().head);
    assert.deepEqual(
      files,
      [...object().files].map((file) => ({ ...file, transactionId: ID })),
    );
  });

  const line = (n: number, change: (line: string) => string) => async () => {
    const lines = (await written()).split("\n");
    lines[n - 1] = change(lines[n - 1] ?? "");
    return lines.join("\n");
  };
  const without = (n: number, field: string) => line(n, (one) => one.replace(`"${field}"`, `"no ${field}"`));
  const HOSTILE: readonly (readonly [what: string, line: number, make: () => Promise<string | Uint8Array>])[] = [
    ["nothing", 1, async () => ""],
    ["null", 1, async () => "null\n"],
    ["another format", 1, line(1, (one) => one.replace('"format":1', '"format":2'))],
    ["an id of 0", 1, line(1, (one) => one.replace('"id":1,', '"id":0,'))],
    ["no owner", 1, without(1, "owner")],
    ["no time", 1, without(1, "createdAt")],
    ["key-values that are none", 1, line(1, (one) => one.replace(/\{"fileId":null[^}]*\}/, "null"))],
    ["no file where one is wanted", 2, line(2, () => "[]")],
    [
      "a second head",
      3,
      async () =>
        line(3, () => "")().then(async (doc) => doc.replace(/\n\n$/, `\n${(await written()).split("\n")[0]}\n`)),
    ],
    ["half a line", 3, async () => (await written()).slice(0, -10)],
    ["an empty line", 2, line(2, () => "")],
    ["a negative size", 2, line(2, (one) => one.replace('"sizeBytes":5', '"sizeBytes":-5'))],
    ["a size beyond counting", 2, line(2, (one) => one.replace('"sizeBytes":5', '"sizeBytes":1e300'))],
    ["a digest by an unknown algorithm", 2, line(2, (one) => one.replace('"sha1"', '"constructor"'))],
    ["a digest that is no text", 2, line(2, (one) => one.replace(/"sha1":"[^"]*"/, '"sha1":7'))],
    ["no declared digest", 2, without(2, "declared")],
    ["no path", 2, without(2, "path")],
  ];
  for (const [what, number, make] of HOSTILE)
    test(`with ${what} is refused, naming the line`, async () => {
      const document = await make();
      await assert.rejects(read(document), (error: { code?: string; details?: { path?: string; line?: number } }) => {
        assert.deepEqual([error.code, error.details?.path, error.details?.line], ["object_corrupt", "t.jsonl", number]);
        return true;
      });
    });

  test("with bytes that are not UTF-8 is refused", async () => {
    const document = Buffer.concat([Buffer.from(await written()), Buffer.from([0xff, 0x0a])]);
    await assert.rejects(read(document), {
      code: "object_corrupt",
      details: { path: "t.jsonl", expected: "JSON", found: "bytes that are not UTF-8" },
    });
  });

  test("without line ends is given up before it fills the memory", async () => {
    let sent = 0;
    const endless = Readable.from(
      (function* () {
        const piece = Buffer.alloc(1024 * 1024, "x");
        for (; sent < 2000; sent++) yield piece;
      })(),
    );
    await assert.rejects(readDocument(endless, "t.jsonl"), { code: "object_corrupt" });
    assert.ok(sent < 300, `read ${sent} MiB`);
  });
});
