import assert from "node:assert/strict";
import { test } from "node:test";
import { fileId } from "../../../src/core/ids.ts";
import { ada, bytesOf, openCarts, operator } from "../../support/carts.ts";
import { until } from "../../support/until.ts";

const FILES = { "a.txt": "hello", "b/c.bin": "\0\x01\x02", empty: "" };
const TAR = { format: "tar", content: "manifest" } as const;

type Gate = ReturnType<typeof Promise.withResolvers<void>>;

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
