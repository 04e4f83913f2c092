import assert from "node:assert/strict";
import {
  appendFileSync,
  cpSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { AppError } from "../../../src/core/errors.ts";
import { transactionId } from "../../../src/core/ids.ts";
import { sum } from "../../http/bundle.ts";
import { edit, type Fact, reseal, type TestArchive, testArchive } from "../../support/archive.ts";

/**
 * Damage of every kind, done to copies of one real archive. Digests that are expected come from sha512sum, not from us.
 */
describe("verify names what is wrong", () => {
  let original: TestArchive;
  let lab: TestArchive;
  const A = "v1/content/data/a.txt";

  before(async () => {
    original = await testArchive();
    const deposits = [
      {
        "a.txt": "hello\n",
        "sub/b.txt": "other\n",
        "sub/.hidden": "renamed\n",
        empty: "",
        "big.bin": Buffer.alloc(3_000_000, 7),
      },
      { "same.txt": "hello\n", "again.txt": "hello\n" },
    ];
    for (const files of deposits) assert.equal((await original.deposit(files)).state, "succeeded");
  });
  after(() => original.close());

  /** A test on a fresh copy: what it does to it, and what must be found. */
  function damage(name: string, harm: () => void | Promise<void>, expected: () => readonly Fact[]): void {
    test(name, async () => {
      lab = await original.copy();
      await harm();
      assert.deepEqual((await lab.verify()).problems, expected());
    });
  }

  test("nothing in an archive as it was written", async () => {
    const { checked, problems, notes } = await original.verify();
    assert.deepEqual([problems, notes], [[], []]);
    const objects = checked.filter(({ kind }) => kind === "object");
    assert.deepEqual(
      objects.map(({ path, files, bytes }) => ({ path, files, bytes })).sort((a, b) => b.files - a.files),
      [
        { path: original.nameOf(1), files: 5, bytes: 3_000_020 },
        { path: original.nameOf(2), files: 2, bytes: 12 },
      ],
    );
  });

  damage(
    "a flipped byte: the digest promised and the digest found",
    () => writeFileSync(lab.fileOf(1, A), "hellp\n"),
    () => [
      {
        code: "digest_mismatch",
        path: lab.nameOf(1, A),
        expected: `sha512:${sum("sha512sum", original.fileOf(1, A))}`,
        found: `sha512:${sum("sha512sum", lab.fileOf(1, A))}`,
      },
    ],
  );

  damage(
    "a truncated file: its size as well",
    () => truncateSync(lab.fileOf(1, "v1/content/data/big.bin"), 2_999_999),
    () => {
      const path = "v1/content/data/big.bin";
      return [
        { code: "object_corrupt", path: lab.nameOf(1, path), expected: "3000000 bytes", found: "2999999 bytes" },
        {
          code: "digest_mismatch",
          path: lab.nameOf(1, path),
          expected: `sha512:${sum("sha512sum", original.fileOf(1, path))}`,
          found: `sha512:${sum("sha512sum", lab.fileOf(1, path))}`,
        },
      ];
    },
  );

  damage(
    "files nobody listed, but for those OCFL leaves to others",
    () => {
      writeFileSync(lab.fileOf(1, "v1/content/data/extra.txt"), "?");
      writeFileSync(lab.fileOf(1, "notes.txt"), "?");
      for (const free of ["logs", "extensions/some"]) {
        mkdirSync(lab.fileOf(1, free), { recursive: true });
        writeFileSync(lab.fileOf(1, `${free}/any.txt`), "free");
      }
    },
    () =>
      ["notes.txt", "v1/content/data/extra.txt"].map((path) => ({ code: "archive_stray", path: lab.nameOf(1, path) })),
  );

  damage(
    "a missing file, under its name in the archive",
    () => rmSync(lab.fileOf(1, "v1/content/renamed/00000001")),
    () => [
      { code: "object_missing", path: lab.nameOf(1, "v1/content/renamed/00000001") },
      { code: "archive_stray", path: lab.nameOf(1, "v1/content/renamed"), found: "an empty folder" },
    ],
  );

  damage(
    "a file that became a link to the same bytes",
    () => {
      renameSync(lab.fileOf(1, A), join(lab.dataDir, "elsewhere"));
      symlinkSync(join(lab.dataDir, "elsewhere"), lab.fileOf(1, A));
    },
    () => [
      { code: "object_missing", path: lab.nameOf(1, A) },
      { code: "archive_stray", path: lab.nameOf(1, A), found: "a symbolic link" },
    ],
  );

  damage(
    "another object's sidecar",
    () => cpSync(lab.fileOf(2, "inventory.json.sha512"), lab.fileOf(1, "inventory.json.sha512")),
    () => [
      {
        code: "object_corrupt",
        path: lab.nameOf(1, "inventory.json.sha512"),
        expected: sum("sha512sum", original.fileOf(1, "inventory.json")),
        found: sum("sha512sum", original.fileOf(2, "inventory.json")),
      },
      {
        code: "catalogue_mismatch",
        path: "transactions/1",
        expected: `inventoryDigest ${sum("sha512sum", original.fileOf(2, "inventory.json"))}`,
        found: `inventoryDigest ${sum("sha512sum", original.fileOf(1, "inventory.json"))}`,
      },
    ],
  );

  damage(
    "an edited inventory, and not its copy",
    () => edit(lab.fileOf(1, "inventory.json"), (text) => text.replace("through Longshore", "through others")),
    () => [
      {
        code: "object_corrupt",
        path: lab.nameOf(1, "inventory.json"),
        expected: sum("sha512sum", original.fileOf(1, "inventory.json")),
        found: sum("sha512sum", lab.fileOf(1, "inventory.json")),
      },
    ],
  );

  damage(
    "an inventory edited with all its sidecars: the database knows better",
    () => {
      edit(lab.fileOf(1, "inventory.json"), (text) => text.replace("through Longshore", "through others"));
      reseal(lab.fileOf(1));
    },
    () => [
      {
        code: "catalogue_mismatch",
        path: "transactions/1",
        expected: `inventoryDigest ${sum("sha512sum", lab.fileOf(1, "inventory.json"))}`,
        found: `inventoryDigest ${sum("sha512sum", original.fileOf(1, "inventory.json"))}`,
      },
    ],
  );

  damage(
    "an inventory that points outside its object, without following it",
    () => {
      writeFileSync(join(lab.dataDir, "secret"), "hello\n");
      edit(lab.fileOf(2, "inventory.json"), (text) =>
        text.replaceAll('v1/content/data/same.txt"', '../../../../../secret"'),
      );
      reseal(lab.fileOf(2));
    },
    () => {
      const digest = sum("sha512sum", lab.fileOf(2, "inventory.json"));
      const expected = "a relative path without empty or dot parts";
      const path = lab.nameOf(2, "inventory.json");
      return [
        { code: "object_corrupt", path, expected, found: "manifest: ../../../../../secret" },
        { code: "object_corrupt", path, expected, found: "fixity of sha1: ../../../../../secret" },
        { code: "archive_stray", path: lab.nameOf(2, "v1/content/data/same.txt") },
        {
          code: "object_corrupt",
          path: lab.nameOf(2, "v1/content/transaction.jsonl"),
          expected: "a content path of the inventory for data/same.txt",
          found: "v1/content/data/same.txt",
        },
        {
          code: "catalogue_mismatch",
          path: "transactions/2",
          expected: `inventoryDigest ${digest}`,
          found: `inventoryDigest ${sum("sha512sum", original.fileOf(2, "inventory.json"))}`,
        },
      ];
    },
  );

  damage(
    "a further digest that was changed alone",
    () => {
      const sha1 = sum("sha1sum", lab.fileOf(1, A));
      edit(lab.fileOf(1, "inventory.json"), (text) => text.replace(`"${sha1}"`, `"${"0".repeat(40)}"`));
      reseal(lab.fileOf(1));
    },
    () => [
      {
        code: "digest_mismatch",
        path: lab.nameOf(1, A),
        expected: `sha1:${"0".repeat(40)}`,
        found: `sha1:${sum("sha1sum", lab.fileOf(1, A))}`,
      },
      {
        code: "catalogue_mismatch",
        path: "transactions/1",
        expected: `inventoryDigest ${sum("sha512sum", lab.fileOf(1, "inventory.json"))}`,
        found: `inventoryDigest ${sum("sha512sum", original.fileOf(1, "inventory.json"))}`,
      },
    ],
  );

  damage(
    "an object in another object's place",
    () => {
      rmSync(lab.fileOf(1), { recursive: true });
      renameSync(lab.fileOf(2), lab.fileOf(1));
    },
    () => [
      {
        code: "object_corrupt",
        path: lab.nameOf(1, "inventory.json"),
        expected: `object longshore:transaction:2 in ${lab.nameOf(2)}`,
        found: `in ${lab.nameOf(1)}`,
      },
      { code: "archive_stray", path: join(lab.nameOf(2), ".."), found: "an empty folder" },
      { code: "object_missing", path: lab.nameOf(2), expected: "the object of transactions/2", found: "nothing" },
    ],
  );

  damage(
    "an object outside the layout",
    () => {
      mkdirSync(join(lab.archiveDir, "zzz"));
      renameSync(lab.fileOf(2), join(lab.archiveDir, "zzz/lost"));
    },
    () => [
      {
        code: "object_corrupt",
        path: "zzz/lost/inventory.json",
        expected: `object longshore:transaction:2 in ${lab.nameOf(2)}`,
        found: "in zzz/lost",
      },
      { code: "archive_stray", path: join(lab.nameOf(2), ".."), found: "an empty folder" },
      { code: "object_missing", path: lab.nameOf(2), expected: "the object of transactions/2", found: "nothing" },
    ],
  );

  damage(
    "an empty object folder",
    () => {
      rmSync(lab.fileOf(1), { recursive: true });
      mkdirSync(lab.fileOf(1));
    },
    () => [
      { code: "archive_stray", path: lab.nameOf(1), found: "an empty folder" },
      { code: "object_missing", path: lab.nameOf(1), expected: "the object of transactions/1", found: "nothing" },
    ],
  );

  damage(
    "an object without its declaration, inventory and sidecars",
    () => {
      for (const path of ["0=ocfl_object_1.1", "inventory.json", "v1/inventory.json", "v1/inventory.json.sha512"])
        rmSync(lab.fileOf(2, path));
    },
    () =>
      ["0=ocfl_object_1.1", "inventory.json", "v1/inventory.json", "v1/inventory.json.sha512"].map((path) => ({
        code: "object_missing" as const,
        path: lab.nameOf(2, path),
      })),
  );

  damage(
    "an inventory and a sidecar of impossible size, without reading them",
    () => {
      truncateSync(lab.fileOf(2, "inventory.json"), 2 ** 40);
      truncateSync(lab.fileOf(2, "inventory.json.sha512"), 5000);
    },
    () => [
      {
        code: "object_corrupt",
        path: lab.nameOf(2, "inventory.json"),
        expected: "at most 536870888 bytes",
        found: "1099511627776 bytes",
      },
      {
        code: "object_corrupt",
        path: lab.nameOf(2, "inventory.json.sha512"),
        expected: "at most 4096 bytes",
        found: "5000 bytes",
      },
    ],
  );

  damage(
    "a transaction document that breaks off, and what it no longer lists",
    () =>
      truncateSync(
        lab.fileOf(2, "v1/content/transaction.jsonl"),
        readFileSync(lab.fileOf(2, "v1/content/transaction.jsonl")).length - 20,
      ),
    () => {
      const path = lab.nameOf(2, "v1/content/transaction.jsonl");
      const disk = (one: TestArchive) => sum("sha512sum", one.fileOf(2, "v1/content/transaction.jsonl"));
      return [
        { code: "object_corrupt", path, expected: "JSON", found: "something else" },
        { code: "digest_mismatch", path, expected: `sha512:${disk(original)}`, found: `sha512:${disk(lab)}` },
      ];
    },
  );

  damage(
    "changes to the storage root, and what lies between the objects",
    () => {
      writeFileSync(join(lab.archiveDir, "0=ocfl_1.1"), "ocfl_1.0\n");
      edit(join(lab.archiveDir, "ocfl_layout.json"), (text) => text.replace("0004-", "0003-"));
      rmSync(join(lab.archiveDir, "extensions/0004-hashed-n-tuple-storage-layout"), { recursive: true });
      writeFileSync(join(lab.fileOf(1), "../stray.txt"), "?");
      mkdirSync(join(lab.archiveDir, "hollow/way"), { recursive: true });
    },
    () => [
      {
        code: "object_missing",
        path: "extensions/0004-hashed-n-tuple-storage-layout/config.json",
      },
      ...["ocfl_layout.json", "0=ocfl_1.1"].map((path) => ({
        code: "object_corrupt" as const,
        path,
        expected: "what Longshore writes",
        found: "something else",
      })),
      { code: "archive_stray", path: join(lab.nameOf(1), "../stray.txt") },
      { code: "archive_stray", path: "hollow/way", found: "an empty folder" },
    ],
  );

  test("files beside the storage root's own, which OCFL allows, as a note", async () => {
    lab = await original.copy();
    writeFileSync(join(lab.archiveDir, "README.txt"), "for people");
    const { problems, notes } = await lab.verify();
    assert.deepEqual([problems, notes], [[], [{ code: "archive_stray", path: "README.txt" }]]);
  });

  test("a file that cannot be read, and goes on with the others", async () => {
    lab = await original.copy();
    appendFileSync(lab.fileOf(2, "v1/content/data/same.txt"), "?");
    const broken = lab.nameOf(1, A);
    const { facts: _, ...rest } = lab.storage;
    const storage: typeof lab.storage = {
      ...rest,
      async open(path, range) {
        if (path === broken) throw new AppError("storage_unavailable", { reason: "EIO" });
        return lab.storage.open(path, range);
      },
    };
    const { problems } = await lab.verify({ archive: { ...lab.archive, storage } });
    assert.deepEqual(
      problems.filter(({ path }) => path === broken),
      [{ code: "storage_unavailable", path: broken, found: "EIO" }],
    );
    assert.equal(problems.filter(({ path }) => path === lab.nameOf(2, "v1/content/data/same.txt")).length, 2);
  });

  test("a folder that cannot be listed, once, and goes on with the database", async () => {
    lab = await original.copy();
    const folder = "ff0";
    const storage: typeof lab.storage = {
      ...lab.storage,
      async *list(prefix) {
        for await (const file of lab.storage.list(prefix)) {
          if (prefix === "" && file.path > folder) break;
          yield file;
        }
        if (prefix === "") throw new AppError("storage_unavailable", { path: folder, reason: "EACCES" });
      },
    };
    const { problems, checked } = await lab.verify({ archive: { ...lab.archive, storage } });
    assert.deepEqual(problems, [{ code: "storage_unavailable", path: folder, found: "EACCES" }]);
    assert.equal(checked.at(-1)?.kind, "staging");
  });

  test("single transactions, and one that is not there", async () => {
    lab = await original.copy();
    writeFileSync(lab.fileOf(1, A), "hellp\n");
    const [second, seventh] = [transactionId(2), transactionId(7)];
    assert.deepEqual((await lab.verify({ transactions: [second] })).problems, []);
    assert.equal((await lab.verify({ transactions: [transactionId(1)] })).problems.length, 1);
    assert.deepEqual((await lab.verify({ transactions: [seventh] })).problems, [
      { code: "object_missing", path: lab.nameOf(7), expected: "the object of transactions/7", found: "nothing" },
    ]);
  });
});
