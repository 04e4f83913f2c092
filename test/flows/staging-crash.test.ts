import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { openSqlite } from "../../src/adapters/db/stores.ts";
import { fsObjectStorage } from "../../src/adapters/storage/fs.ts";
import { systemClock } from "../../src/adapters/system-clock.ts";
import { type PacificaArchive, pacificaArchiveServer, stallAfter } from "../support/pacifica-archive.ts";
import { seededRandom } from "../support/random.ts";
import { type ServerProcess, startServer } from "../support/server.ts";
import { assertInBooks } from "../support/staging.ts";
import { until } from "../support/until.ts";

interface WireCart {
  readonly id: string;
  readonly status: string;
  readonly name: string;
  readonly staged: { readonly files: number };
  readonly problems: readonly unknown[];
}

const IDS = Array.from({ length: 24 }, (_, n) => String(n + 1));
/** A lease runs out after 10 s, and the place of a copy is abandoned after 20 s. */
const TAKEOVER_MS = 120_000;
/** Further kills after the one in the middle of a copy, at any moment. */
const KILLS = 2;

const contentOf = (id: string) => Buffer.alloc(50_000 + Number(id) * 10_000, `content of ${id}\n`);

function start(dataDir: string, remote: PacificaArchive): Promise<ServerProcess> {
  return startServer({ dataDir, env: { LONGSHORE_ARCHIVEINTERFACE_URL: remote.url } });
}

async function makeCart(server: ServerProcess): Promise<WireCart> {
  const files = IDS.map((id) => {
    const value = createHash("sha1").update(contentOf(id)).digest("hex");
    // Half of them are known by what is in them, half by where they come from.
    return Number(id) % 2
      ? { id, path: `files/${id}` }
      : { id, path: `files/${id}`, digest: { algorithm: "sha1", value } };
  });
  const answer = await fetch(`${server.url}/api/v1/carts`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ name: "rescued", files }),
  });
  assert.equal(answer.status, 201, await answer.clone().text());
  return (await answer.json()) as WireCart;
}

async function cartOf(server: ServerProcess, { id }: WireCart): Promise<WireCart> {
  return (await (await fetch(`${server.url}/api/v1/carts/${id}`)).json()) as WireCart;
}

test("staging whose server is killed goes on where it was, and leaves nothing behind", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "longshore-staging-crash-"));
  const dataDir = join(folder, "data");
  const remote = await pacificaArchiveServer();
  t.after(async () => {
    await remote.close();
    await rm(folder, { recursive: true });
  });
  for (const id of IDS) remote.put(id, contentOf(id));
  remote.disturb("GET 9", stallAfter(30_000));

  let server = await start(dataDir, remote);
  const cart = await makeCart(server);
  assert.equal(cart.status, "staging");
  const copied = (id: string) => remote.requests.filter((request) => request === `GET ${id}`).length;
  await until("all but one file are copied", async () => {
    const { staged } = await cartOf(server, cart);
    return copied("9") === 1 && staged.files >= IDS.length - 5;
  });
  await server.end("SIGKILL");
  const trees = join(dataDir, "staging/extensions/longshore-staging/trees");
  assert.ok((await readdir(trees)).length >= 1, "the copy that was under way is left");

  const random = seededRandom(t);
  for (let kill = 0; kill < KILLS; kill++) {
    server = await start(dataDir, remote);
    const from = remote.requests.length;
    const another = await makeCart(server);
    // At any moment of another cart's staging, which has most of the copies already.
    const wait = random(60);
    await until("some requests have come", () => remote.requests.length >= from + wait);
    await server.end("SIGKILL");
    t.diagnostic(`cart ${another.id} was left after ${wait} requests`);
  }

  server = await start(dataDir, remote);
  t.after(() => server.end("SIGTERM"));
  const { items } = (await (await fetch(`${server.url}/api/v1/carts`)).json()) as { readonly items: WireCart[] };
  assert.equal(items.length, 1 + KILLS);
  for (const one of items)
    await until(
      `${one.id} is ready`,
      async () => {
        const { status, problems } = await cartOf(server, one);
        assert.notEqual(status, "error", JSON.stringify(problems));
        return status === "ready";
      },
      TAKEOVER_MS,
    );
  assert.equal(copied("9"), 2);

  // Read back by tar(1), and checked by sha512sum(1) against the manifest that came with it.
  const answer = await fetch(`${server.url}/api/v1/carts/${cart.id}/download.tar`);
  assert.equal(answer.status, 200);
  const input = Buffer.from(await answer.arrayBuffer());
  const unpacked = spawnSync("tar", ["-x", "-C", folder], { input });
  assert.equal(unpacked.status, 0, String(unpacked.stderr));
  const root = join(folder, "rescued");
  const checked = spawnSync("sha512sum", ["-c", "--strict", "manifest-sha512.txt"], { cwd: root });
  assert.equal(checked.status, 0, String(checked.stdout));
  for (const id of IDS) assert.ok(contentOf(id).equals(await readFile(join(root, "data/files", id))), id);

  await server.end("SIGTERM");
  const stores = await openSqlite({ path: join(dataDir, "longshore.sqlite"), clock: systemClock });
  const cache = fsObjectStorage({ root: join(dataDir, "staging") });
  try {
    await assertInBooks(stores, cache);
    assert.equal((await stores.staging.usage()).files, IDS.length);
  } finally {
    await cache.close();
    await stores.close();
  }
});
