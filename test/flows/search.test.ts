import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { type Longshore, longshore, type SearchHit } from "../../src/sdk/index.ts";
import { runCli } from "../cli/run-cli.ts";
import { bundleBlob } from "../sdk/deposit.ts";
import { seededRandom } from "../support/random.ts";
import { type ServerProcess, startServer } from "../support/server.ts";
import { until } from "../support/until.ts";

/** One grey pixel, put together by Python's `zlib` and `struct`. */
const PIXEL = Buffer.from(
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg==",
  "base64",
);

const PROJECT = [{ destinationTable: "Transactions.project", value: "1234a" }];

async function folderFor(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "longshore-search-flow-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

async function deposit(client: Longshore, files: Readonly<Record<string, string | Uint8Array>>): Promise<number> {
  const { id } = await client.bundles.deposit(await bundleBlob(files, PROJECT));
  assert.equal((await client.jobs.wait(id)).state, "succeeded");
  return id;
}

async function everything({ search }: Longshore): Promise<readonly SearchHit[]> {
  const hits = await Array.fromAsync(search.find("", { order: "newest", limit: 1000 }));
  return hits.sort((a, b) => (a.id < b.id ? -1 : 1));
}

const indexed = (client: Longshore) =>
  until("everything is indexed", async () => {
    const { pending, rebuild } = await client.search.index();
    return pending === 0 && rebuild?.finishedAt !== null;
  });

test("what is deposited is found, also after a restart, and by a server that lost its index or its database", async (t) => {
  const dataDir = await folderFor(t);
  let server = await startServer({ dataDir });
  t.after(() => server.stop());
  const restarted = async (between: () => Promise<unknown> = async () => {}) => {
    await server.stop();
    await between();
    server = await startServer({ dataDir });
    return longshore({ url: server.url });
  };

  let client = longshore({ url: server.url });
  await deposit(client, { "spectra/raw.csv": "1,2\n", "readme.txt": "hello" });
  await until("it is found", async () => (await client.search.find("raw").page()).total === 1);
  await indexed(client);
  const before = await everything(client);
  assert.equal(before.length, 3);

  client = await restarted();
  assert.deepEqual(await everything(client), before);

  client = await restarted(() => rm(join(dataDir, "search"), { recursive: true }));
  await indexed(client);
  assert.deepEqual(await everything(client), before);

  client = await restarted(async () => {
    for (const end of ["", "-wal", "-shm"]) await rm(join(dataDir, `longshore.sqlite${end}`), { force: true });
    const rebuilt = await runCli(["rebuild"], { env: { LONGSHORE_DATA_DIR: dataDir } });
    assert.equal(rebuilt.code, 0, rebuilt.stderr);
  });
  await indexed(client);
  assert.deepEqual(await everything(client), before);
});

test("what extractors say of archived files is found beside what depositors said, and leads to the files", async (t) => {
  const server = await startServer();
  t.after(() => server.stop());
  const env = { LONGSHORE_URL: server.url };
  const client = longshore({ url: server.url });
  const transaction = await deposit(client, { "pixel.png": PIXEL, "other.png": "no image", "readme.txt": "hello" });
  const crawled = await runCli(["crawl", "start", "archive:", "--extract", "--wait"], { env });
  assert.equal(crawled.code, 0, crawled.stderr);
  await indexed(client);
  const { items } = await client.search.find("type:image width:1..1 project:1234a").page();
  const [hit = assert.fail(), ...others] = items;
  assert.deepEqual([hit.type, hit.title, others], ["record", "pixel.png · image-headers", []]);
  assert.deepEqual([hit.fields.colour, hit.fields.transaction], [["grey"], [transaction]]);
  const cart = await client.carts.create({ search: "width:1..1" });
  const files = await Array.fromAsync(client.carts.files(cart.id));
  assert.deepEqual(
    files.map(({ path, fileId }) => [path, fileId]),
    [[`${transaction}/pixel.png`, hit.fields.file?.[0]]],
  );
});

test("killed again and again while it indexes, a server has everything in its index in the end, once", async (t) => {
  const below = seededRandom(t);
  const dataDir = await folderFor(t);
  let server: ServerProcess = await startServer({ dataDir });
  t.after(() => server.stop());
  const names: string[] = [];
  const KILLS = 3;
  for (let round = 0; round < KILLS; round++) {
    const client = longshore({ url: server.url });
    const files = Array.from({ length: 1000 }, (_, i) => `r${round}-${i}.txt`);
    names.push(...files);
    await deposit(client, Object.fromEntries(files.map((name) => [name, name])));
    await setTimeout(below(600)); // anywhere in the indexing of what was just deposited, or behind it
    await server.end("SIGKILL");
    server = await startServer({ dataDir });
  }
  const client = longshore({ url: server.url });
  await indexed(client);
  const found = await everything(client);
  assert.deepEqual(
    found
      .filter(({ type }) => type === "file")
      .map(({ title }) => title)
      .sort(),
    names.sort(),
  );
  assert.equal(found.filter(({ type }) => type === "transaction").length, KILLS);
  await client.search.reindex();
  assert.deepEqual(await everything(client), found);
});

test("of two servers on one folder, the second one searches when the first one is gone", async (t) => {
  const dataDir = await folderFor(t);
  const first = await startServer({ dataDir });
  const second = await startServer({ dataDir });
  t.after(() => second.stop());
  try {
    await deposit(longshore({ url: first.url }), { "a.txt": "a" });
    await indexed(longshore({ url: first.url }));
    await assert.rejects(longshore({ url: second.url }).search.find("").page(), { code: "search_unavailable" });
  } finally {
    await first.end("SIGKILL");
  }
  const client = longshore({ url: second.url });
  assert.equal((await client.search.find("").page()).total, 2);
  await deposit(client, { "b.txt": "b" });
  await until("it indexes, too", async () => (await client.search.find("").page()).total === 4);
});
