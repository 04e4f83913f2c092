import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import type { CartRequest } from "../../../src/core/carts/carts.ts";
import { layoutKey } from "../../../src/core/carts/layout.ts";
import { AppError, type Problem } from "../../../src/core/errors.ts";
import { fileId, transactionId } from "../../../src/core/ids.ts";
import { ada, beth, bytesOf, type CartsFixture, openCarts, operator } from "../../support/carts.ts";
import { until } from "../../support/until.ts";

const FILES = { "a.txt": "hello", "b/c.bin": "\0\x01\x02", empty: "" };
const TAR = { format: "tar", content: "manifest" } as const;
const forever = () => new AbortController().signal;

type Gate = ReturnType<typeof Promise.withResolvers<void>>;

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

test("a cart of a transaction is ready at once, and downloads as a tar that GNU tar and sha512sum take", async (t) => {
  const carts = await openCarts(t);
  const transaction = await carts.deposit(FILES);
  const cart = await carts.create({ name: "my data", transactions: [{ id: transaction }] });
  const { status, fileCount, sizeBytes, stagedFiles, stagedBytes, stageJob, name, owner, problems } = cart;
  assert.deepEqual(
    { status, fileCount, sizeBytes, stagedFiles, stagedBytes, stageJob, name, owner, problems },
    {
      status: "ready",
      fileCount: 3,
      sizeBytes: 8,
      stagedFiles: 3,
      stagedBytes: 8,
      stageJob: null,
      name: "my data",
      owner: "ada",
      problems: [],
    },
  );
  const download = await carts.carts.download(cart, TAR);
  const bytes = await bytesOf(download);
  assert.equal(bytes.length, download.sizeBytes);
  assert.deepEqual([download.fileName, download.mediaType], ["my data.tar", "application/x-tar"]);

  const folder = mkdtempSync(join(tmpdir(), "carts-"));
  t.after(() => rmSync(folder, { recursive: true }));
  execFileSync("tar", ["-xf", "-"], { cwd: folder, input: bytes });
  const checked = execFileSync("sha512sum", ["-c", "manifest-sha512.txt"], {
    cwd: join(folder, "my data"),
    encoding: "utf8",
  });
  assert.deepEqual(checked.trim().split("\n").toSorted(), ["data/a.txt: OK", "data/b/c.bin: OK", "data/empty: OK"]);
  const manifest = execFileSync("cat", ["manifest-sha512.txt"], { cwd: join(folder, "my data"), encoding: "utf8" });
  assert.equal(await text(carts.carts.manifest(cart)), manifest);
});

test("every range of a download is the same part of the whole", async (t) => {
  const carts = await openCarts(t);
  const cart = await carts.create({ transactions: [{ id: await carts.deposit(FILES) }] });
  const download = await carts.carts.download(cart, { format: "zip", content: "bag" });
  const whole = await bytesOf(download);
  const last = whole.length - 1;
  for (const [start, end] of [
    [0, 0],
    [last, last],
    [100, 700],
    [0, last],
    [whole.length >> 1, last],
  ] as const) {
    const parts = await Array.fromAsync(download.read({ start, end }, forever()));
    assert.deepEqual(Buffer.concat(parts), whole.subarray(start, end + 1));
  }
});

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

test("a file that is lost or changed after the cart was made breaks its download, and the cart says so once", async (t) => {
  const carts = await openCarts(t);
  const transaction = await carts.deposit(FILES);
  const cart = await carts.create({ transactions: [{ id: transaction }] });
  const download = await carts.carts.download(cart, TAR);
  await rm(carts.archive.fileOf(transaction, "v1/content/data/b/c.bin"));
  await assert.rejects(bytesOf(download), { code: "object_missing" });
  await assert.rejects(bytesOf(download), { code: "object_missing" });
  // Of the same length: only its CRC-32 tells.
  await writeFile(carts.archive.fileOf(transaction, "v1/content/data/a.txt"), "hallo");
  await assert.rejects(bytesOf(download), { code: /object_/ });
  await writeFile(carts.archive.fileOf(transaction, "v1/content/data/b/c.bin"), FILES["b/c.bin"]);
  await assert.rejects(bytesOf(download), { code: "object_corrupt" });
  const shown = await carts.again(cart);
  assert.equal(shown.status, "ready");
  assert.deepEqual(facts(shown.problems).toSorted(), [
    ["object_corrupt", "a.txt"],
    ["object_missing", "b/c.bin"],
  ]);
  assert.equal(shown.problemCount, 2);
});

test("a reader who leaves is no problem of the cart's", async (t) => {
  const carts = await openCarts(t);
  const cart = await carts.create({ transactions: [{ id: await carts.deposit({ big: "x".repeat(3_000_000) }) }] });
  const download = await carts.carts.download(cart, TAR);
  const leaving = new AbortController();
  await assert.rejects(
    async () => {
      for await (const _ of download.read(undefined, leaving.signal)) leaving.abort(new Error("gone"));
    },
    { message: "gone" },
  );
  for await (const _ of download.read(undefined, forever())) break;
  const { problems, lastUsedAt } = await carts.again(cart);
  assert.deepEqual([problems, lastUsedAt], [[], carts.clock.now()]);
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

test("the usual downloads are laid out before the cart is ready, any other one when it is asked for, and kept", async (t) => {
  const carts = await openCarts(t);
  const transaction = await carts.deposit(FILES);
  const keyed = async (
    cart: Awaited<ReturnType<CartsFixture["create"]>>,
    format: "tar" | "zip",
    content: "files" | "manifest" | "bag",
    folder: string,
  ) => {
    const { algorithm, createdAt } = cart;
    return (
      (await carts.archive.stores.carts.layout(
        cart.id,
        layoutKey({ format, content, folder, algorithm, createdAt }),
      )) !== undefined
    );
  };
  const own = await carts.create({ name: "own", transactions: [{ id: transaction }] });
  assert.deepEqual(
    [await keyed(own, "tar", "manifest", "own"), await keyed(own, "zip", "manifest", "own")],
    [true, true],
  );
  assert.equal(await keyed(own, "zip", "bag", "own"), false);
  const [one, two] = await Promise.all([1, 2].map(() => carts.carts.download(own, { format: "zip", content: "bag" })));
  assert.equal(one?.etag, two?.etag);
  assert.equal(await keyed(own, "zip", "bag", "own"), true);

  const door = await carts.create({ uid: "36a", transactions: [{ id: transaction }] });
  assert.equal(await keyed(door, "tar", "files", "data"), true);
  assert.equal(await keyed(door, "tar", "files", "data_2026_01_31_23_59_59"), true);
});

test("the folder of a download is one safe name, and names the file", async (t) => {
  const carts = await openCarts(t);
  const cart = await carts.create({ name: "../a/b:c", transactions: [{ id: await carts.deposit(FILES) }] });
  assert.equal(cart.name, ".._a_b_c");
  const download = await carts.carts.download(cart, { format: "zip", content: "files", folder: "x/../y" });
  assert.equal(download.fileName, "x_.._y.zip");
});

test("a removed cart is unknown, also when it is removed again", async (t) => {
  const carts = await openCarts(t);
  const cart = await carts.create({ transactions: [{ id: await carts.deposit(FILES) }] });
  await carts.carts.remove(ada, cart.id);
  await assert.rejects(carts.carts.remove(ada, cart.id), { code: "cart_unknown" });
  await assert.rejects(carts.carts.get(ada, cart.id), { code: "cart_unknown" });
});

test("removing a cart that is being staged ends its job", async (t) => {
  const carts = await openCarts(t);
  const { "a.txt": a = 0 } = await carts.idsOf(await carts.deposit(FILES));
  const digest = { algorithm: "md5", value: "5d41402abc4b2a76b9719d911017c592" };
  const cart = await carts.create({ files: [{ id: a, digest }] });
  assert.ok(cart.stageJob);
  await carts.carts.remove(ada, cart.id);
  assert.equal((await carts.archive.stores.jobs.get(cart.stageJob))?.state, "cancelled");
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

test("a cart whose maker died is removed after ten minutes, with its entries; one that is being entered stays", async (t) => {
  const carts = await openCarts(t);
  const ids = Object.values(await carts.idsOf(await carts.deposit(FILES)));
  const pages = async function* (...gates: readonly Promise<void>[]) {
    for (const [page, gate] of [Promise.resolve(), ...gates].entries()) {
      await gate;
      for (let i = 0; i < 3_000; i++) yield { id: ids[0] ?? 0, path: `${page}/${i}` };
    }
  };
  const [second, third, never] = [0, 1, 2].map(() => Promise.withResolvers<void>()) as [Gate, Gate, Gate];
  // As of a process that died: it has entered some, and nothing ever follows.
  void carts.create({ name: "dead", files: pages(never.promise) });
  const living = carts.create({ name: "living", files: pages(second.promise, third.promise) });
  const waiting = () => carts.carts.list(operator, { limit: 10, statuses: ["waiting"] });
  const names = async () => (await waiting()).map(({ name }) => name).toSorted();

  await until(
    "both are being entered",
    async () =>
      (await Promise.all((await waiting()).map(carts.entries))).filter(({ length }) => length === 1_000).length === 2,
  );
  carts.clock.pass(9 * 60_000);
  second.resolve();
  await until("the living one says so", async () =>
    (await waiting()).some(({ name, updatedAt }) => name === "living" && updatedAt === carts.clock.now()),
  );
  carts.clock.pass(2 * 60_000);
  await carts.upkeepUntil("the dead one is gone", async () => (await waiting()).length === 1);
  assert.deepEqual(await names(), ["living"]);
  third.resolve();
  assert.equal((await living).fileCount, 9_000);
});

test("a cart expires at its time, or some time after its last use, and says so for thirty days", async (t) => {
  const carts = await openCarts(t, { LONGSHORE_CART_EXPIRY: "2" });
  const transactions = [{ id: await carts.deposit(FILES) }];
  const now = carts.clock.now();
  const HOUR = 3_600_000;
  const timed = await carts.create({ transactions, expiresAt: now + 5 * HOUR });
  const used = await carts.create({ transactions });
  const unused = await carts.create({ transactions });
  assert.deepEqual([timed.expiresAt, used.expiresAt], [now + 5 * HOUR, now + 2 * HOUR]);
  carts.clock.pass(HOUR);
  await bytesOf(await carts.carts.download(used, TAR));
  carts.clock.pass(HOUR);
  // Nobody has to come by for that.
  const over = await carts.again(unused);
  assert.equal(over.status, "expired");
  await assert.rejects(carts.carts.download(over, TAR), { code: "cart_expired" });
  assert.deepEqual([(await carts.again(used)).status, (await carts.again(used)).expiresAt], ["ready", now + 3 * HOUR]);

  await carts.upkeepUntil("the unused one has expired", async () => (await carts.entries(unused)).length === 0);
  const kept = await carts.again(unused);
  assert.deepEqual([kept.status, kept.fileCount], ["expired", 3]);
  assert.equal((await carts.again(timed)).status, "ready");
  assert.equal((await carts.entries(timed)).length, 3);
  carts.clock.pass(3 * HOUR);
  assert.equal((await carts.again(timed)).status, "expired");
  carts.clock.pass(31 * 24 * HOUR);
  const isGone = async () => (await carts.archive.stores.carts.get(unused.id)) === undefined;
  await carts.upkeepUntil("it is forgotten", isGone);
});

test("downloads are counted for the cart at once, for its files and transactions within a minute", async (t) => {
  const carts = await openCarts(t);
  const transaction = await carts.deposit(FILES);
  const { "a.txt": a = 0 } = await carts.idsOf(transaction);
  const cart = await carts.create({ transactions: [{ id: transaction }] });
  await carts.carts.counted(cart);
  await carts.carts.counted(cart);
  await carts.carts.countedFile(fileId(a), transaction);
  assert.equal((await carts.again(cart)).downloads, 2);
  const at = carts.clock.now();
  await carts.carts.remove(ada, cart.id);
  const counted = async () => (await carts.carts.fileDownloads(fileId(a))).downloads;
  await carts.upkeepUntil("it is counted", async () => (await counted()) === 3);
  assert.deepEqual(await carts.carts.fileDownloads(fileId(a)), { downloads: 3, lastDownloadedAt: at });
  assert.deepEqual(await carts.carts.transactionDownloads(transaction), { downloads: 3, lastDownloadedAt: at });
  assert.deepEqual(await carts.carts.fileDownloads(fileId(999)), { downloads: 0, lastDownloadedAt: null });
});
