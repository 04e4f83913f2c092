import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { buffer, text } from "node:stream/consumers";
import { after, before, describe, test } from "node:test";
import { type Longshore, longshore } from "../../src/sdk/index.ts";
import { faultyProxy } from "../support/faulty-proxy.ts";
import { type ServerProcess, startServer } from "../support/server.ts";
import { until } from "../support/until.ts";
import { bundleBlob } from "./deposit.ts";

const CONTENTS = { "a.txt": "hello\n", "b/c.bin": Buffer.alloc(300_000, 5) };

describe("carts of the SDK", () => {
  let server: ServerProcess;
  let client: Longshore;
  let transaction: number;
  before(async () => {
    server = await startServer();
    client = longshore({ url: server.url });
    const job = await client.jobs.wait((await client.bundles.deposit(await bundleBlob(CONTENTS))).id);
    transaction = job.id;
  });
  after(() => server.stop());

  test("a cart is made, shown, listed, downloaded in parts, and forgotten", async () => {
    const files = await Array.fromAsync(client.transactions.files(transaction));
    const [a, c] = files.map(({ id }) => id);
    const cart = await client.carts.create({
      name: "chosen",
      files: [a ?? 0, { id: c ?? 0, path: "renamed.bin" }],
      expires: 3600,
    });
    assert.deepEqual([cart.name, cart.status, cart.files, cart.bytes], ["chosen", "ready", 2, 300_006]);
    assert.ok(Math.abs(Date.parse(cart.expiresAt ?? "") - Date.now() - 3_600_000) < 60_000);
    assert.deepEqual(await client.carts.wait(cart.id), cart);

    const listed = await Array.fromAsync(client.carts.files(cart.id, { limit: 1 }));
    assert.deepEqual(
      listed.map(({ seq, path, sizeBytes, fileId, state }) => [seq, path, sizeBytes, fileId, state]),
      [
        [0, "a.txt", 6, a, "archive"],
        [1, "renamed.bin", 300_000, c, "archive"],
      ],
    );
    assert.equal((await client.carts.list({ status: "ready" }).page()).items[0]?.id, cart.id);

    const { sizeBytes, etag } = await client.carts.stat(cart.id, { format: "tar" });
    const whole = await client.carts.download(cart.id, { format: "tar" });
    assert.deepEqual([whole.from, whole.sizeBytes, whole.etag], [0, sizeBytes, etag]);
    const bytes = await buffer(whole.bytes);
    const ranged = { format: "tar", from: 1000, to: 2999, ...(etag === null ? {} : { ifRange: etag }) } as const;
    const part = await client.carts.download(cart.id, ranged);
    assert.deepEqual([part.from, part.sizeBytes], [1000, sizeBytes]);
    assert.ok((await buffer(part.bytes)).equals(bytes.subarray(1000, 3000)));
    const stale = await client.carts.download(cart.id, { ...ranged, ifRange: '"another"' });
    assert.equal((await buffer(stale.bytes)).length, sizeBytes);

    const sha512 = (content: string | Uint8Array) => createHash("sha512").update(content).digest("hex");
    assert.equal(
      await text(client.carts.manifest(cart.id)),
      `${sha512("hello\n")}  data/a.txt\n${sha512(CONTENTS["b/c.bin"])}  data/renamed.bin\n`,
    );
    const bag = await client.carts.download(cart.id, { format: "zip", bag: true });
    assert.ok((await buffer(bag.bytes)).includes("chosen/bagit.txt"));

    await client.carts.remove(cart.id);
    await assert.rejects(client.carts.get(cart.id), { code: "cart_unknown", status: 404 });
    await assert.rejects(client.carts.remove(cart.id), { code: "cart_unknown" });
  });

  test("a choice that cannot be had is refused with each file that is the reason", async () => {
    await assert.rejects(client.carts.create({ files: [888_888], transactions: [transaction] }), (error) => {
      assert.ok(error instanceof Error && "code" in error && "details" in error);
      assert.equal(error.code, "cart_refused");
      assert.match(JSON.stringify(error.details), /888888/);
      return true;
    });
    await assert.rejects(client.carts.create({ files: [] }), { code: "cart_refused" });
  });

  test("downloads are counted, of carts, and of their files and transactions", async () => {
    const cart = await client.carts.create({ transactions: [transaction] });
    const before = await client.transactions.statistics(transaction);
    await buffer((await client.carts.download(cart.id, { format: "zip" })).bytes);
    assert.equal((await client.carts.get(cart.id)).downloads, 1);
    const [file] = (await client.transactions.files(transaction).page()).items;
    await buffer((await client.files.content(file?.id ?? 0)).bytes);
    assert.ok((await client.files.statistics(file?.id ?? 0)).downloads > 0);
    const after = await client.transactions.statistics(transaction);
    assert.ok(after.downloads > before.downloads);
    assert.ok(Date.parse(after.lastDownloadedAt ?? "") > 0);
  });

  test("waiting outlasts a server that goes away for a while", async () => {
    const cart = await client.carts.create({ transactions: [transaction] });
    const proxy = await faultyProxy(server.url);
    try {
      proxy.cutAfter(() => 100);
      let retries = 0;
      const waiting = longshore({ url: proxy.url }).carts.wait(cart.id, { onRetry: () => retries++ });
      await until("it has tried again", () => retries >= 2);
      proxy.heal();
      assert.equal((await waiting).status, "ready");
    } finally {
      await proxy.close();
    }
  });
});
