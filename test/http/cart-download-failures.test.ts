import assert from "node:assert/strict";
import { readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { CartChange } from "../../src/core/carts/cart-store.ts";
import { cartId } from "../../src/core/ids.ts";
import { until } from "../support/until.ts";
import { BIG, depositFiles, getCart, readyCart } from "./cart-client.ts";
import { problem } from "./client.ts";
import { type RealServer, realServer } from "./real-server.ts";

describe("downloads of a cart that is not there to be downloaded", () => {
  let server: RealServer;
  let file: number | undefined;
  before(async () => {
    server = await realServer();
    file = (await depositFiles(server, { "a.txt": "hello" })).ids["a.txt"];
  });
  after(() => server.stop());

  const FORMS = ["download.tar", "download.zip", "manifest"];

  async function cartIn(change: CartChange): Promise<string> {
    const { id } = await readyCart(server, { files: [file] });
    assert.ok(await server.stores.carts.update(cartId(id), ["ready"], change, Date.now()));
    return `${server.url}/api/v1/carts/${id}`;
  }

  test("are 409 while it is being staged, and say when to come back", async () => {
    const soon = await cartIn({ status: "staging" });
    const later = await cartIn({ status: "staging", readyAt: Date.now() + 600_000 });
    for (const form of FORMS) {
      const response = await fetch(`${soon}/${form}`);
      assert.equal(response.headers.get("retry-after"), "5");
      assert.equal((await problem(response, 409, "cart_not_ready")).details.readyAt, null);
      const seconds = Number((await fetch(`${later}/${form}`)).headers.get("retry-after"));
      assert.ok(seconds > 500 && seconds <= 600, `${seconds} s`);
    }
  });

  test("are 422 with the reasons when it is in error", async () => {
    const reason = {
      code: "object_missing",
      path: "a.txt",
      message: "The archive has no such object or file.",
    } as const;
    const address = await cartIn({ status: "error", problems: [reason], problemCount: 1 });
    for (const form of FORMS) {
      const { details } = await problem(await fetch(`${address}/${form}`), 422, "cart_failed");
      assert.deepEqual(details.problems, [reason]);
    }
  });

  test("are 410 when it has expired, and say when or why", async () => {
    const expiresAt = Date.parse("2026-01-31T12:00:00Z");
    const over = await cartIn({ status: "expired", expiresAt });
    const dropped = await cartIn({
      status: "expired",
      problems: [{ code: "cart_expired", message: "Its copy was dropped." }],
      problemCount: 1,
    });
    for (const form of FORMS) {
      const { details } = await problem(await fetch(`${over}/${form}`), 410, "cart_expired");
      assert.equal(details.expiresAt, "2026-01-31T12:00:00.000Z");
      const { details: early } = await problem(await fetch(`${dropped}/${form}`), 410, "cart_expired");
      assert.deepEqual([early.reason, early.expiresAt], ["Its copy was dropped.", undefined]);
    }
  });
});

describe("downloads of a cart whose files were lost or damaged after it was made", () => {
  for (const [what, harm, code] of [
    ["removed", (path: string) => rm(path), "object_missing"],
    ["cut short", (path: string) => writeFile(path, "the las"), "object_corrupt"],
    ["altered", (path: string) => writeFile(path, "THE LAST"), "object_corrupt"],
  ] as const)
    test(`break off when a file was ${what}, and the cart and the log say which`, async () => {
      const server = await realServer();
      try {
        const { transaction } = await depositFiles(server, { "a-big.bin": BIG, "last.txt": "the last" });
        const { id, links } = await readyCart(server, { transactions: [transaction] });
        await harm(await onDisk(server, "last.txt"));
        for (const format of ["tar", "zip"] as const) {
          const response = await fetch(server.url + links[format], { signal: AbortSignal.timeout(10_000) });
          assert.equal(response.status, 200);
          await assert.rejects(response.arrayBuffer(), { name: "TypeError", message: "terminated" }); // undici's words
        }
        const line = () => server.log.find((entry) => entry.level === 50 && entry.path === links.tar);
        await until("the log has the cause", () => line() !== undefined);
        assert.equal(line()?.code, "cart_failed");
        for (const fact of [code, "last.txt"]) assert.ok(JSON.stringify(line()?.err).includes(fact), fact);
        const { problems, status } = await getCart(server, id);
        assert.equal(status, "ready");
        assert.deepEqual([problems[0]?.code, problems[0]?.path], [code, "last.txt"]);
        const part = await fetch(server.url + links.tar, { headers: { range: "bytes=5000-5999" } });
        assert.equal((await part.arrayBuffer()).byteLength, 1000, "what is whole can still be had");
        const length = Number((await fetch(server.url + links.tar, { method: "HEAD" })).headers.get("content-length"));
        const gone = await fetch(server.url + links.tar, { headers: { range: `bytes=${length - 1536}-` } });
        const { details } = await problem(gone, 422, "cart_failed");
        assert.match(JSON.stringify(details), /last\.txt/);
      } finally {
        await server.stop();
      }
    });
});

/** Where the archive keeps the only file of this name. */
async function onDisk(server: RealServer, name: string): Promise<string> {
  const root = join(server.root, "archive");
  const found = (await readdir(root, { recursive: true })).filter((path) => path.endsWith(`/data/${name}`));
  assert.equal(found.length, 1);
  return join(root, found[0] ?? "");
}
