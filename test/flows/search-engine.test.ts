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

    const ask = async (method: string, path: string, body?: object) => {
      const headers = { "content-type": "application/json" };
      const answer = await fetch(`${engine.url}${path}`, { method, headers, body: JSON.stringify(body) });
      assert.ok(answer.ok, `${path}: ${await answer.clone().text()}`);
      return answer;
    };

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

    test("rides out an engine that takes nothing more, and doctor says what is wrong with it", async (t) => {
      const { client, doctor } = await served(engine, t, "flow-doctor");
      await deposit(client, { "a.txt": "1" });
      await indexed(client);

      const { version } = (await (await ask("GET", "/")).json()) as { version: { number: string } };
      const well = await doctor();
      assert.match(well, new RegExp(`^ok +search engine +opensearch ${version.number} at `, "m"));
      assert.match(well, /^ok +search disk .* free$/m);
      assert.match(well, /^ok +search index +flow-doctor: is there$/m);

      // What the engine itself does to each index when a disk is past its last watermark.
      const block = (isOn: true | null) =>
        ask("PUT", "/flow-doctor/_settings", { "index.blocks.read_only_allow_delete": isOn });
      await block(true);
      await deposit(client, { "meanwhile.txt": "2" });
      const full = await doctor();
      assert.match(full, /^fail +search index .*takes no changes.*\n +Make room/m);
      assert.match(full, /^warn +search changes +\d+ changes are not in the search index yet, and none/m);
      await block(null);
      await indexed(client);
      assert.equal((await client.search.find("meanwhile").page()).total, 1, "nothing is lost");

      const disk = "cluster.routing.allocation.disk";
      const marks = { low: "0.01%", high: "99.8%", flood_stage: "99.9%" };
      const low = Object.entries(marks).map(([mark, value]) => [`${disk}.watermark.${mark}`, value]);
      const settings = { [`${disk}.threshold_enabled`]: true, ...Object.fromEntries(low) };
      await ask("PUT", "/_cluster/settings", { persistent: settings });
      await ask("PUT", "/flow-doctor/_settings", {
        "index.auto_expand_replicas": false,
        "index.number_of_replicas": 1,
      });
      const scarce = await doctor();
      assert.match(scarce, /^warn +search disk .*past the watermark low\n +Make room there/m);
      assert.match(scarce, /^warn +search index .*no second copy.*\(yellow\)\n +Everything is found until/m);
      const unset = Object.fromEntries(Object.keys(settings).map((name) => [name, null]));
      await ask("PUT", "/_cluster/settings", { persistent: unset });
    });

    test("takes deposits while its index is on no node, and finds them when it is", async (t) => {
      const nowhere = (_id: string | null) => ({ "index.routing.allocation.require": { _id } });
      const settings = { ...nowhere("nobody"), "index.write.wait_for_active_shards": "0" };
      await ask("PUT", "/_index_template/red", { index_patterns: ["flow-red*"], template: { settings } });
      const { client, doctor } = await served(engine, t, "flow-red");
      await deposit(client, { "meanwhile.txt": "2" });
      await assert.rejects(client.search.find("meanwhile").page(), { code: "search_unavailable" });
      assert.match(await doctor(), /^fail +search index .*\(red\)\n +Searches fail until/m);
      await ask("PUT", "/flow-red/_settings", nowhere(null));
      await found(client, "meanwhile", 1);
    });

    test("takes deposits while the engine is dead, and finds them when it is back", async (t) => {
      const { client, dataDir, doctor } = await served(engine, t, "flow-two");
      await deposit(client, { "before.txt": "1" });
      await indexed(client);
      await engine.kill();
      await deposit(client, { "meanwhile.txt": "2" });
      await assert.rejects(client.search.find("meanwhile").page(), { code: "search_unavailable" });
      assert.match(await doctor(), /^fail +search engine .*ECONNREFUSED\n +See that it runs/m);
      await engine.start();
      await found(client, "meanwhile OR before", 2);
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
  const env = { LONGSHORE_URL: server.url };
  async function doctor(): Promise<string> {
    const settings = {
      LONGSHORE_SEARCH_URL: `${engine.url}/${name}`,
      LONGSHORE_DATA_DIR: dataDir,
      LONGSHORE_PORT: "0",
    };
    return (await runCli(["doctor"], { env: settings })).stdout;
  }
  return { client: longshore({ url: server.url }), env, dataDir, doctor };
}

async function deposit(client: Longshore, files: Readonly<Record<string, string>>): Promise<number> {
  const { id } = await client.bundles.deposit(await bundleBlob(files, PROJECT));
  assert.equal((await client.jobs.wait(id)).state, "succeeded");
  return id;
}

const found = (client: Longshore, query: string, count: number) =>
  until(
    "it is found",
    async () => {
      const page = await client.search
        .find(query)
        .page()
        .catch(() => undefined);
      return page?.total === count;
    },
    LONGEST_MS,
  );

const indexed = (client: Longshore) =>
  until(
    "everything is indexed",
    async () => {
      const { pending, rebuild } = await client.search.index();
      return pending === 0 && rebuild?.finishedAt !== null;
    },
    LONGEST_MS,
  );
