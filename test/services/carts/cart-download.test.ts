import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { layoutKey } from "../../../src/core/carts/layout/layout.ts";
import { AppError, type Problem } from "../../../src/core/errors.ts";
import { fileId } from "../../../src/core/ids.ts";
import { bytesOf, type CartsFixture, openCarts } from "../../support/carts.ts";

const FILES = { "a.txt": "hello", "b/c.bin": "\0\x01\x02", empty: "" };
const TAR = { format: "tar", content: "manifest" } as const;
const forever = () => new AbortController().signal;

/** Code and path of what speaks against a cart. */
const facts = (problems: readonly Problem[]) => problems.map(({ code, path }) => [code, path]);

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

test("a full disk keeps nobody from downloading, though the use cannot be noted", async (t) => {
  const carts = await openCarts(t);
  const transaction = await carts.deposit(FILES);
  const cart = await carts.create({ transactions: [{ id: transaction }] });
  const [file] = Object.values(await carts.idsOf(transaction));
  const full = async () => {
    throw new AppError("storage_full");
  };
  Object.assign(carts.archive.stores.carts, { countDownload: full, countFileDownload: full, update: full });
  await carts.carts.counted(cart);
  await carts.carts.countedFile(fileId(file ?? assert.fail()), transaction);
  const download = await carts.carts.download(cart, TAR);
  assert.equal((await bytesOf(download)).length, download.sizeBytes);
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
