import assert from "node:assert/strict";
import { test } from "node:test";
import { pacificaArchiveServer } from "../support/pacifica-archive.ts";
import { startServer } from "../support/server.ts";
import { until } from "../support/until.ts";

interface WireCart {
  readonly id: string;
  readonly status: string;
  readonly problems: readonly { readonly code: string; readonly expected?: number; readonly found?: number }[];
}

const KIB = 1024;

test("a cache that is smaller than all carts serves the last, and never a short download of the others", async (t) => {
  const remote = await pacificaArchiveServer();
  t.after(() => remote.close());
  const server = await startServer({
    env: {
      LONGSHORE_ARCHIVEINTERFACE_URL: remote.url,
      LONGSHORE_STAGING_SIZE: "1000KiB",
      LONGSHORE_STAGING_PROTECT: "0",
    },
  });
  t.after(() => server.stop());
  for (const id of ["a", "b"]) remote.put(id, Buffer.alloc(600 * KIB, id));
  remote.put("small", Buffer.alloc(300 * KIB, "s"));

  async function ask<T>(path: string, body?: unknown): Promise<T> {
    const init = { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
    return (await (await fetch(`${server.url}/api/v1${path}`, body === undefined ? {} : init)).json()) as T;
  }
  async function settled(...files: readonly string[]): Promise<WireCart> {
    const { id } = await ask<WireCart>("/carts", { files });
    const status = async () => (await ask<WireCart>(`/carts/${id}`)).status;
    await until("the cart is settled", async () => !["waiting", "staging"].includes(await status()));
    return ask(`/carts/${id}`);
  }
  const download = ({ id }: WireCart) => fetch(`${server.url}/api/v1/carts/${id}/download.tar`);

  const first = await settled("a", "small");
  assert.equal(first.status, "ready");
  const whole = await download(first);
  assert.equal((await whole.arrayBuffer()).byteLength, Number(whole.headers.get("content-length")));

  const tooLarge = await settled("a", "b", "small");
  assert.equal(tooLarge.status, "error");
  assert.deepEqual(
    tooLarge.problems.map(({ code, expected, found }) => [code, expected, found]),
    Array(3).fill(["staging_full", 1_500 * KIB, 1_000 * KIB]),
  );
  assert.equal((await ask<WireCart>(`/carts/${first.id}`)).status, "ready", "nothing was dropped for it");

  const second = await settled("b");
  assert.equal(second.status, "ready");
  const evicted = await ask<WireCart>(`/carts/${first.id}`);
  assert.deepEqual([evicted.status, evicted.problems.map(({ code }) => code)], ["expired", ["cart_expired"]]);
  const gone = await download(first);
  assert.equal(gone.status, 410);
  assert.equal(((await gone.json()) as { readonly code: string }).code, "cart_expired");
  assert.equal((await download(second)).status, 200);
});
