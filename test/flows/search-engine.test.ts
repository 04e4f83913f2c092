import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, type TestContext, test } from "node:test";
import { type Longshore, longshore } from "../../src/sdk/index.ts";
import { runCli } from "../cli/run-cli.ts";
import { bundleBlob } from "../sdk/deposit.ts";
import { type SearchEngineServer, startSearchEngine, withoutEngine } from "../support/opensearch-server.ts";
import { startServer } from "../support/server.ts";
import { until } from "../support/until.ts";

const isMissing = withoutEngine("opensearch");
if (isMissing) test("a server that searches in OpenSearch", { skip: isMissing }, () => {});
else describe("a server that searches in OpenSearch", await flows());

const PROJECT = [{ destinationTable: "Transactions.project", value: "1234a" }];
const LONGEST_MS = 120_000;

async function flows(): Promise<() => void> {
  const engine = await startSearchEngine("opensearch");
  return () => {
    after(() => engine.stop());

    test("finds, counts and packs what is deposited and described, and makes its index anew meanwhile", async (t) => {
      const { client, env } = await served(engine, t, "flow-one");
      const first = await deposit(client, { "a.csv": "x,y\n1,2\n", "readme.txt": "hello" });
      const crawled = await runCli(["crawl", "start", "archive:", "--extract", "--wait"], { env });
      assert.equal(crawled.code, 0, crawled.stderr);
      await indexed(client);

      const page = await client.search.find("project:1234a", { facets: ["type", "extension"] }).page();
      assert.ok(page.total >= 3, `only ${page.total}`);
      const hits = await Array.fromAsync(client.search.find("project:1234a"));
      for (const extension of ["csv", "txt"]) {
        const counted = page.facets.extension?.find(({ value }) => value === extension)?.count;
        assert.equal(counted, hits.filter(({ fields }) => fields.extension?.includes(extension)).length, extension);
      }
      const cart = await client.carts.create({ search: "type:file name:a.csv" });
      const packed = await Array.fromAsync(client.carts.files(cart.id));
      assert.deepEqual(
        packed.map(({ path }) => path),
        [`${first}/a.csv`],
      );

      const reindexed = client.search.reindex();
      for (let i = 0; i < 3; i++) await deposit(client, { [`during-${i}.txt`]: String(i) });
      await reindexed;
      await indexed(client);
      const found = await Array.fromAsync(client.search.find("during*"), ({ title }) => title);
      assert.deepEqual(found.sort(), ["during-0.txt", "during-1.txt", "during-2.txt"]);
      assert.equal((await client.search.find("type:transaction").page()).total, 4);
    });

    test("takes deposits while the engine is dead, and finds them when it is back", async (t) => {
      const { client, dataDir } = await served(engine, t, "flow-two");
      await deposit(client, { "before.txt": "1" });
      await indexed(client);
      await engine.kill();
      await deposit(client, { "meanwhile.txt": "2" });
      await assert.rejects(client.search.find("meanwhile").page(), { code: "search_unavailable" });
      await engine.start();
      await until(
        "it is found",
        async () => {
          const found = await client.search
            .find("meanwhile OR before")
            .page()
            .catch(() => undefined);
          return found?.total === 2;
        },
        LONGEST_MS,
      );
      await assert.rejects(rm(join(dataDir, "search"), { recursive: true }), { code: "ENOENT" });
    });
  };
}

async function served(engine: SearchEngineServer, t: TestContext, name: string) {
  const dataDir = await mkdtemp(join(tmpdir(), "longshore-engine-flow-"));
  const server = await startServer({ dataDir, env: { LONGSHORE_SEARCH_URL: `${engine.url}/${name}` } });
  t.after(async () => {
    await server.stop();
    await rm(dataDir, { recursive: true });
  });
  return { client: longshore({ url: server.url }), env: { LONGSHORE_URL: server.url }, dataDir };
}

async function deposit(client: Longshore, files: Readonly<Record<string, string>>): Promise<number> {
  const { id } = await client.bundles.deposit(await bundleBlob(files, PROJECT));
  assert.equal((await client.jobs.wait(id)).state, "succeeded");
  return id;
}

const indexed = (client: Longshore) =>
  until(
    "everything is indexed",
    async () => {
      const { pending, rebuild } = await client.search.index();
      return pending === 0 && rebuild?.finishedAt !== null;
    },
    LONGEST_MS,
  );
