import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { after, before, describe, test } from "node:test";
import { jobId, transactionId } from "../../../src/core/ids.ts";
import { type Fact, type TestArchive, testArchive } from "../../support/archive.ts";

/** `printf 'other\n' | python3 -c 'import sys, zlib; print(zlib.crc32(sys.stdin.buffer.read()))'` */
const OTHER_CRC32 = 157318766;
/** `printf 'fourth\n' | sha512sum` and `sha1sum`. */
const FOURTH = {
  sha512:
    "7769aefa697c3ce718e09c465bfe2a794e582ec9cf9a8b72392dce71860e5126b344ad2cac8fa7443259792ea9465212ca0a5cc39bdbd31a391dd3275ea241b0",
  sha1: "acc204c7fcb136a94b24cccd1961714a3921c351",
};

describe("verify compares the database with the archive", () => {
  let original: TestArchive;
  let lab: TestArchive;

  before(async () => {
    original = await testArchive();
    for (const files of [{ "a.txt": "hello\n", "b.txt": "other\n", "c.txt": "third\n" }, { "d.txt": "fourth\n" }])
      assert.equal((await original.deposit(files)).state, "succeeded");
  });
  after(() => original.close());

  function change(name: string, statements: readonly string[], expected: readonly Fact[]): void {
    test(name, async () => {
      lab = await original.copy();
      const database = new DatabaseSync(lab.database);
      for (const statement of statements)
        assert.notEqual(database.prepare(statement).run().changes, 0, `${statement} changed nothing`);
      database.close();
      assert.deepEqual((await lab.verify()).problems, expected);
    });
  }

  change(
    "columns of a transaction",
    ["update transactions set size_bytes = 19, submitter = null where id = 1"],
    [
      { code: "catalogue_mismatch", path: "transactions/1", expected: "submitter 10", found: "submitter null" },
      { code: "catalogue_mismatch", path: "transactions/1", expected: "sizeBytes 18", found: "sizeBytes 19" },
    ],
  );

  change(
    "columns of files",
    [
      "update files set path = 'data/z.txt', content_path = 'v1/content/data/z.txt', crc32 = 1 where id = 2",
      `update files set digests = '{"sha1":"00"}' where id = 4`,
    ],
    [
      { code: "catalogue_mismatch", path: "files/2", expected: "path data/b.txt", found: "path data/z.txt" },
      {
        code: "catalogue_mismatch",
        path: "files/2",
        expected: "contentPath v1/content/data/b.txt",
        found: "contentPath v1/content/data/z.txt",
      },
      { code: "catalogue_mismatch", path: "files/2", expected: `crc32 ${OTHER_CRC32}`, found: "crc32 1" },
      { code: "catalogue_mismatch", path: "files/4", expected: `sha512 ${FOURTH.sha512}`, found: "sha512 null" },
      { code: "catalogue_mismatch", path: "files/4", expected: `sha1 ${FOURTH.sha1}`, found: "sha1 00" },
    ],
  );

  change(
    "files that one side lacks",
    [
      "delete from files where id = 2",
      "insert into files select 9, 1, 'data/nine', content_path, 1, null, null, media_type, digests, 1, declared_algorithm, declared_value from files where id = 1",
    ],
    [
      { code: "catalogue_mismatch", path: "files/2", expected: "data/b.txt", found: "no such file" },
      { code: "catalogue_mismatch", path: "files/9", expected: "no such file", found: "data/nine" },
    ],
  );

  change(
    "key-values",
    [
      "update key_values set value = '28' where transaction_id = 1",
      "insert into key_values (transaction_id, file_id, key, value) values (2, 4, 'more', 'x')",
    ],
    [
      { code: "catalogue_mismatch", path: "transactions/1, key-value 1", expected: "Temp C=27", found: "Temp C=28" },
      { code: "catalogue_mismatch", path: "transactions/2, key-value 2", expected: "none", found: "more=x of files/4" },
    ],
  );

  change(
    "a transaction that it does not know",
    ["delete from key_values where transaction_id = 2", "delete from transactions where id = 2"],
    [{ code: "catalogue_mismatch", path: "transactions/2", expected: "a transaction", found: "none" }],
  );

  test("an object that is gone", async () => {
    lab = await original.copy();
    rmSync(lab.fileOf(1), { recursive: true });
    const { problems } = await lab.verify();
    assert.deepEqual(problems.at(-1), {
      code: "object_missing",
      path: lab.nameOf(1),
      expected: "the object of transactions/1",
      found: "nothing",
    });
  });

  test("every transaction and file, however many there are", async () => {
    lab = await original.copy();
    const files = Array.from({ length: 1100 }, (_, n) => [`${n}.txt`, ""]);
    await lab.deposit(Object.fromEntries(files));
    assert.deepEqual((await lab.verify({ transactions: [transactionId(3)] })).problems, []);
    const database = new DatabaseSync(lab.database);
    database.exec(`
      with recursive n (id) as (select 101 union all select id + 1 from n where id < 1200)
      insert into transactions select n.id, null, null, null, 'ada', 0, 0, 'x', 'x', 0 from n`);
    database.close();
    const { problems } = await lab.verify({ quick: true });
    assert.equal(problems.filter(({ code }) => code === "object_missing").length, 1100);
    assert.equal(problems.length, 1100);
  });

  test("but not while a job is still at work on it", async () => {
    lab = await original.copy();
    await lab.stores.catalogue.forget(transactionId(2));
    await lab.stores.jobs.update(jobId(2), ["succeeded"], { state: "running" }, 1);
    assert.deepEqual((await lab.verify()).problems, []);
    await lab.stores.jobs.update(jobId(2), ["running"], { state: "failed" }, 1);
    assert.equal((await lab.verify()).problems.length, 1);
  });

  test("trees in staging are noted when no unfinished job owns them", async () => {
    lab = await original.copy();
    for (const id of [8, 9]) await lab.archive.stage(transactionId(id));
    await lab.stores.jobs.create({
      id: jobId(8),
      kind: "ingest",
      lane: "fast",
      owner: "ada",
      input: {},
      idempotencyKey: null,
      fedUntil: null,
      now: 1,
    });
    const { problems, notes } = await lab.verify();
    assert.deepEqual([problems, notes], [[], [{ code: "stage_abandoned", path: lab.nameOf(9) }]]);
  });
});
