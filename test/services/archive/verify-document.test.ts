import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { sum } from "../../http/bundle.ts";
import { edit, type Fact, reseal, type TestArchive, testArchive } from "../../support/archive.ts";

/**
 * What somebody could do who changes the transaction document and makes the inventory vouch for it: the document then
 * disagrees with the inventory's other entries, with the bytes, or with the database.
 */
describe("verify holds the transaction document against everything else", () => {
  const DOCUMENT = "v1/content/transaction.jsonl";
  const A = "v1/content/data/a.txt";
  const B = "v1/content/data/b.txt";
  let original: TestArchive;
  before(async () => {
    original = await testArchive();
    await original.deposit({ "a.txt": "hello\n", "b.txt": "other\n" });
  });
  after(() => original.close());

  /** What is found in the archive; what the database says differently is left out. */
  function change(name: string, from: string | RegExp, to: string, expected: () => readonly Fact[]): void {
    test(name, async () => {
      const lab = await original.copy();
      const digest = () => sum("sha512sum", lab.fileOf(1, DOCUMENT));
      const before = digest();
      edit(lab.fileOf(1, DOCUMENT), (text) => text.replace(from, to));
      edit(lab.fileOf(1, "inventory.json"), (text) => text.replaceAll(before, digest()));
      reseal(lab.fileOf(1));
      const { problems } = await lab.verify();
      assert.deepEqual(
        problems.filter(({ code }) => code !== "catalogue_mismatch"),
        expected(),
      );
    });
  }
  const corrupt = (path: string, expected: string, found: string): Fact => ({
    code: "object_corrupt",
    path: original.nameOf(1, path),
    expected,
    found,
  });

  change("whose transaction it is", '"id":1,"submitter"', '"id":7,"submitter"', () => [
    corrupt(DOCUMENT, "the transaction of longshore:transaction:1", "longshore:transaction:7"),
  ]);

  change("who owns it", '"owner":"ada"', '"owner":"eve"', () => [corrupt(DOCUMENT, "owner ada", "owner eve")]);

  test("when it was deposited", async () => {
    const lab = await original.copy();
    edit(lab.fileOf(1, "inventory.json"), (text) =>
      text.replace(/"created": "[^"]*"/, '"created": "2001-01-01T00:00:00Z"'),
    );
    reseal(lab.fileOf(1));
    const createdAt = (
      await lab.archive.read((await lab.stores.catalogue.listTransactions({ limit: 1 }))[0]?.id ?? assert.fail())
    )?.transaction.createdAt;
    const { problems } = await lab.verify();
    assert.deepEqual(
      problems[0],
      corrupt(DOCUMENT, "createdAt 2001-01-01T00:00:00.000Z", `createdAt ${new Date(createdAt ?? 0).toISOString()}`),
    );
  });

  change("the order of its ids", '"id":2,"path"', '"id":1,"path"', () => [
    corrupt(DOCUMENT, "an id above 1", "file 1"),
  ]);

  change("a size", '"sizeBytes":6', '"sizeBytes":5', () => [corrupt(A, "5 bytes", "6 bytes")]);

  // printf 'hello\n' | python3 -c 'import sys, zlib; print(hex(zlib.crc32(sys.stdin.buffer.read())))'
  change("a CRC-32", /"crc32":\d+/, '"crc32":1', () => [corrupt(A, "CRC-32 00000001", "CRC-32 363a3020")]);

  change("a digest that the inventory does not have", /"sha1":"[0-9a-f]*"/, `"sha1":"${"0".repeat(40)}"`, () => [
    corrupt(A, `declared sha1 ${sum("sha1sum", original.fileOf(1, A))}`, "0".repeat(40)),
    {
      code: "digest_mismatch",
      path: original.nameOf(1, A),
      expected: `sha1:${"0".repeat(40)}`,
      found: `sha1:${sum("sha1sum", original.fileOf(1, A))}`,
    },
  ]);

  change(
    "the digest that was declared",
    /"declared":\{"algorithm":"sha1","value":"[0-9a-f]*"/,
    '"declared":{"algorithm":"sha1","value":"00"',
    () => [corrupt(A, "declared sha1 00", sum("sha1sum", original.fileOf(1, A)))],
  );

  change("a path that the inventory does not know", '"path":"data/a.txt"', '"path":"data/z.txt"', () => [
    corrupt(A, "the state of data/z.txt", "no such path"),
    corrupt(DOCUMENT, "a line for data/a.txt", "none"),
  ]);

  change("two lines for one path", '"path":"data/b.txt"', '"path":"data/a.txt"', () => [
    corrupt(DOCUMENT, "each path once", "data/a.txt"),
    corrupt(B, "the state of data/a.txt", sum("sha512sum", original.fileOf(1, A))),
    corrupt(DOCUMENT, "a line for data/b.txt", "none"),
  ]);

  change(
    "two lines for one content path",
    '"contentPath":"v1/content/data/b.txt"',
    '"contentPath":"v1/content/data/a.txt"',
    () => [
      corrupt(DOCUMENT, "each content path once", A),
      corrupt(A, "the state of data/b.txt", sum("sha512sum", original.fileOf(1, B))),
      {
        code: "digest_mismatch",
        path: original.nameOf(1, A),
        expected: `sha512:${sum("sha512sum", original.fileOf(1, B))}`,
        found: `sha512:${sum("sha512sum", original.fileOf(1, A))}`,
      },
    ],
  );

  change(
    "a content path outside the object",
    '"contentPath":"v1/content/data/b.txt"',
    '"contentPath":"../../etc/passwd"',
    () => [corrupt(DOCUMENT, "a content path of the inventory for data/b.txt", "../../etc/passwd")],
  );

  change("a file that it no longer lists", /\n\{"type":"file","id":2,.*/, "", () => [
    corrupt(DOCUMENT, "a line for data/b.txt", "none"),
  ]);
});
