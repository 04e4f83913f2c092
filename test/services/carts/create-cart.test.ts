import assert from "node:assert/strict";
import { rm, truncate } from "node:fs/promises";
import { test } from "node:test";
import type { CartRequest } from "../../../src/core/carts/carts.ts";
import { AppError, type Problem } from "../../../src/core/errors.ts";
import { transactionId } from "../../../src/core/ids.ts";
import { ada, beth, bytesOf, type CartsFixture, openCarts, operator } from "../../support/carts.ts";

const FILES = { "a.txt": "hello", "b/c.bin": "\0\x01\x02", empty: "" };
const TAR = { format: "tar", content: "manifest" } as const;

/** Code and path of what speaks against a cart. */
const facts = (problems: readonly Problem[]) => problems.map(({ code, path }) => [code, path]);

/** That making this cart is refused, with these problems, and that no cart remains. */
async function refused(carts: CartsFixture, request: CartRequest, ...expected: unknown[]): Promise<void> {
  const before = await carts.carts.list(operator, { limit: 100 });
  await assert.rejects(carts.create(request), (error) => {
    assert.ok(error instanceof AppError);
    assert.equal(error.code, "cart_refused");
    assert.deepEqual(facts(error.details.problems as unknown as Problem[]), expected);
    assert.equal(error.details.problemCount, expected.length);
    return true;
  });
  assert.deepEqual(await carts.carts.list(operator, { limit: 100 }), before);
}

test("files come as chosen, then by transaction and id, each path once", async (t) => {
  const carts = await openCarts(t);
  const first = await carts.deposit(FILES);
  const second = await carts.deposit({ "a.txt": "another", "z.txt": "z" });
  const [one, two] = [await carts.idsOf(first), await carts.idsOf(second)];
  const a = one["a.txt"] ?? 0;

  const single = await carts.create({
    files: [
      { id: two["z.txt"] ?? 0 },
      { id: String(a) },
      { id: a },
      { id: a, path: "copies/a.txt" },
      { id: two["a.txt"] ?? 0 },
    ],
    transactions: [{ id: first }, { id: first, prefix: "data/b/" }],
  });
  assert.deepEqual(await carts.paths(single), ["z.txt", "a.txt", "copies/a.txt", "a (2).txt", "b/c.bin", "empty"]);
  assert.equal(single.fileCount, 6);

  const both = await carts.create({ transactions: [{ id: second }, { id: first, prefix: "data/b" }] });
  assert.deepEqual(await carts.paths(both), [`${second}/a.txt`, `${second}/z.txt`, `${first}/b/c.bin`]);
  const entries = await carts.entries(both);
  assert.deepEqual(
    entries.map(({ fileId: id }) => id),
    [two["a.txt"], two["z.txt"], one["b/c.bin"]],
  );
});

test("a query chooses the files that fit all of it", async (t) => {
  const carts = await openCarts(t);
  const transaction = await carts.deposit(FILES);
  const found = async (query: NonNullable<CartRequest["query"]>) => carts.paths(await carts.create({ query }));
  const all = ["a.txt", "b/c.bin", "empty"].map((path) => `${transaction}/${path}`);
  // The bundle's metadata: submitter 10, project 1234a, instrument 54, "Temp C" 27, every file text/plain.
  assert.deepEqual(
    await found({
      submitter: "10",
      project: "1234a",
      instrument: "54",
      keyValues: { "Temp C": "27" },
      mediaType: "text/*",
    }),
    all,
  );
  assert.deepEqual(await found({ prefix: "data/b/" }), [all[1]]);
  for (const query of [
    { project: "1234" },
    { keyValues: { "Temp C": "28" } },
    { mediaType: "image/*" },
    { prefix: "data/B" },
    { until: 1_000 },
    { submitter: "\0" },
    { prefix: "\0" },
  ])
    await refused(carts, { query }, ["cart_empty", undefined]);
});

test("files of others do not exist, however they are chosen; operators see all", async (t) => {
  const carts = await openCarts(t);
  const [mine, theirs] = [await carts.deposit({ mine: "1" }), await carts.deposit({ theirs: "2" }, "beth")];
  const { theirs: file = 0 } = await carts.idsOf(theirs);
  await refused(carts, { files: [{ id: file }] }, ["file_unknown", String(file)]);
  await refused(carts, { transactions: [{ id: theirs }] }, ["transaction_unknown", String(theirs)]);
  const cart = await carts.create({ query: { project: "1234a" } });
  assert.deepEqual(await carts.paths(cart), [`${mine}/mine`]);
  const everything = await carts.carts.create(operator, { query: { project: "1234a" } });
  assert.deepEqual(await carts.paths(everything), [`${mine}/mine`, `${theirs}/theirs`]);

  await assert.rejects(carts.carts.get(beth, cart.id), { code: "cart_unknown" });
  await assert.rejects(carts.carts.entries(beth, cart.id, 0, 1), { code: "cart_unknown" });
  await assert.rejects(carts.carts.remove(beth, cart.id), { code: "cart_unknown" });
  assert.deepEqual(await carts.carts.list(beth, { limit: 10 }), []);
  assert.deepEqual(
    (await carts.carts.list(ada, { limit: 10 })).map(({ id }) => id),
    [cart.id],
  );
  assert.equal((await carts.carts.list(operator, { limit: 10 })).length, 2);
});

test("everything that is wrong with the choice is listed, and there is no cart", async (t) => {
  const carts = await openCarts(t);
  const transaction = await carts.deposit(FILES);
  const { "a.txt": a = 0 } = await carts.idsOf(transaction);
  await refused(
    carts,
    {
      files: [
        { id: a },
        { id: 999 },
        { id: "not-a-number" },
        { id: 2 ** 60 },
        { id: "007" },
        { id: a, path: "../up" },
        { id: a, path: "//etc/passwd" },
        { id: a, path: "" },
        { id: a, path: "nul\0" },
      ],
      transactions: [{ id: transactionId(7_777) }, { id: transaction, prefix: "data/nothing/" }],
    },
    ["file_unknown", "999"],
    ["file_unknown", "not-a-number"],
    ["file_unknown", String(2 ** 60)],
    ["file_unknown", "007"],
    ["cart_path_unsafe", "../up"],
    ["cart_path_unsafe", "//etc/passwd"],
    ["cart_path_unsafe", ""],
    ["cart_path_unsafe", "nul\0"],
    ["transaction_unknown", "7777"],
    ["file_unknown", "data/nothing/"],
  );
  await refused(carts, {}, ["cart_empty", undefined]);
  await refused(carts, { files: [] }, ["cart_empty", undefined]);
});

test("of many problems the first hundred are listed, and all are counted", async (t) => {
  const carts = await openCarts(t);
  const files = Array.from({ length: 5_000 }, (_, i) => ({ id: 1_000_000 + i }));
  await assert.rejects(carts.create({ files }), (error) => {
    assert.ok(error instanceof AppError && Array.isArray(error.details.problems));
    assert.deepEqual([error.details.problemCount, error.details.problems.length], [5_000, 100]);
    return true;
  });
});

test("where the maker only looks at the status, what would be refused is a cart in error", async (t) => {
  const carts = await openCarts(t);
  const transaction = await carts.deposit(FILES);
  const empty = await carts.create({ uid: "u-1", files: [] });
  assert.deepEqual([empty.status, facts(empty.problems)], ["error", [["cart_empty", undefined]]]);
  const unknown = await carts.create({ uid: "u-1", files: [{ id: 999 }], transactions: [{ id: transaction }] });
  assert.deepEqual(
    [unknown.status, facts(unknown.problems), unknown.problemCount],
    ["error", [["file_unknown", "999"]], 1],
  );
  await assert.rejects(carts.carts.download(unknown, TAR), { code: "cart_failed" });

  const good = await carts.create({ uid: "u-1", transactions: [{ id: transaction }] });
  assert.equal((await carts.carts.named(ada, "u-1"))?.id, good.id);
  assert.equal(await carts.carts.named(beth, "u-1"), undefined);
  const theirs = await carts.carts.create(beth, { uid: "u-1", files: [] });
  assert.equal((await carts.carts.named(ada, "u-1"))?.id, good.id);
  assert.equal((await carts.carts.named(operator, "u-1"))?.id, theirs.id);
  assert.equal(await carts.carts.removeNamed(ada, "u-1"), 3);
  assert.equal(await carts.carts.removeNamed(ada, "u-1"), 0);
  assert.equal((await carts.carts.named(beth, "u-1"))?.id, theirs.id);
});

test("a file that is missing or has the wrong size when the cart is made puts it in error, and is named", async (t) => {
  const carts = await openCarts(t);
  const transaction = await carts.deposit(FILES);
  await rm(carts.archive.fileOf(transaction, "v1/content/data/b/c.bin"));
  await truncate(carts.archive.fileOf(transaction, "v1/content/data/a.txt"), 3);
  const cart = await carts.create({ transactions: [{ id: transaction }] });
  assert.deepEqual([cart.status, cart.fileCount, cart.problemCount], ["error", 3, 2]);
  assert.deepEqual(
    cart.problems.map(({ code, path, expected, found }) => [code, path, expected, found]),
    [
      ["object_corrupt", "a.txt", 5, 3],
      ["object_missing", "b/c.bin", undefined, undefined],
    ],
  );
  await assert.rejects(carts.carts.download(cart, TAR), (error) => {
    assert.ok(error instanceof AppError);
    assert.deepEqual([error.code, error.details.problemCount], ["cart_failed", 2]);
    return true;
  });
  assert.throws(() => carts.carts.manifest(cart), { code: "cart_failed" });
});

test("digests given with files are compared where the catalogue holds them, and found out where it does not", async (t) => {
  const carts = await openCarts(t);
  const { "a.txt": a = 0 } = await carts.idsOf(await carts.deposit(FILES));
  // printf hello | sha1sum, md5sum
  const sha1 = "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d";
  const md5 = "5d41402abc4b2a76b9719d911017c592";
  const chosen = (algorithm: string, value: string) => ({ files: [{ id: a, digest: { algorithm, value } }] });
  assert.equal((await carts.create(chosen("sha1", sha1.toUpperCase()))).status, "ready");
  const wrong = await carts.create(chosen("sha1", sha1.replace("a", "b")));
  assert.deepEqual([wrong.status, facts(wrong.problems)], ["error", [["digest_mismatch", "a.txt"]]]);

  const checked = await carts.create(chosen("md5", md5));
  assert.deepEqual([checked.status, checked.stagedFiles], ["staging", 0]);
  await assert.rejects(carts.carts.download(checked, TAR), { code: "cart_not_ready" });
  const ready = await carts.reaches(checked, "ready");
  assert.deepEqual([ready.stagedFiles, ready.stagedBytes], [1, 5]);
  assert.equal((await bytesOf(await carts.carts.download(ready, TAR))).includes("hello"), true);
  const mistaken = await carts.reaches(await carts.create(chosen("md5", md5.replace("5", "6"))), "error");
  assert.deepEqual(facts(mistaken.problems), [["digest_mismatch", "a.txt"]]);
});

test("a choice that breaks off leaves no cart behind", async (t) => {
  const carts = await openCarts(t);
  const ids = Object.values(await carts.idsOf(await carts.deposit(FILES)));
  await assert.rejects(
    carts.create({
      files: (async function* () {
        for (let i = 0; i < 2_500; i++) yield { id: ids[0] ?? 0, path: `${i}` };
        throw new Error("the sender is gone");
      })(),
    }),
    /the sender is gone/,
  );
  assert.deepEqual(await carts.carts.list(operator, { limit: 10 }), []);
});
