import assert from "node:assert/strict";
import { mkdir, mkdtemp, readdir, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { longshore } from "../../src/sdk/index.ts";
import { startPostgres } from "../support/postgres.ts";
import { startServer } from "../support/server.ts";
import { until } from "../support/until.ts";

const FILES = 60;

test("on PostgreSQL a folder is crawled, described, written as records, searched, and crawled again", async (t) => {
  const postgres = await startPostgres();
  t.after(() => postgres.stop());
  const base = await realpath(await mkdtemp(join(tmpdir(), "longshore-postgres-flow-")));
  t.after(() => rm(base, { recursive: true }));
  const store = join(base, "store");
  await mkdir(join(store, "runs"), { recursive: true });
  for (let at = 0; at < FILES; at++) await writeFile(join(store, `runs/run${at}.csv`), `voltage,run\n${at},1\n7,2\n`);
  await writeFile(join(store, "zephyr.json"), '{"a":1}');
  await writeFile(join(store, "notes.bin"), Uint8Array.of(1, 2, 3, 0));

  const env = {
    LONGSHORE_DATABASE_URL: await postgres.freshDatabase(),
    LONGSHORE_CRAWL_ROOTS: store,
    LONGSHORE_RECORD_ROOTS: join(base, "records"),
  };
  const server = await startServer({ env });
  t.after(() => server.stop());
  const { crawls, extractions, search } = longshore({ url: server.url });

  const extract = { extractors: ["generic", "json", "tabular-text"], recordsFolder: "all" };
  const crawl = await crawls.wait((await crawls.start({ endpoints: [{ url: store }], extract })).id);
  assert.deepEqual([crawl.status, crawl.counts.files, crawl.counts.directories], ["complete", FILES + 2, 2]);
  const { status, counts, id } = await extractions.wait(crawl.extractions[0]?.id ?? "");
  // Each file for `generic`, and all but one for an extractor that knows its kind.
  const tasks = 2 * (FILES + 2) - 1;
  assert.deepEqual(
    [status, counts],
    ["complete", { pulled: FILES + 2, toSchedule: tasks, success: tasks, failed: 0, pending: 0, unknown: 0 }],
  );
  const records = await Array.fromAsync(extractions.records(id, { limit: 50 }));
  assert.deepEqual(
    records.map(({ number }) => number),
    Array.from({ length: tasks }, (_, at) => at + 1),
  );
  // One for each family, and the manifest.
  assert.equal((await readdir(join(base, "records/all"))).length, FILES + 3);

  await until("all is indexed", async () => (await search.index()).pending === 0);
  const found = await search.find("zephyr", { facets: ["type"] }).page();
  assert.deepEqual(found.items.map(({ title }) => title).toSorted(), ["zephyr.json · generic", "zephyr.json · json"]);
  assert.deepEqual(found.facets.type?.[0], { value: "record", count: 2 });
  assert.equal((await search.find('"run59.csv"').page()).total > 0, true);

  await writeFile(join(store, "runs/run0.csv"), "voltage\nchanged\n");
  await writeFile(join(store, "runs/new.csv"), "a\n1\n");
  await rm(join(store, "notes.bin"));
  const again = await crawls.wait((await crawls.start({ endpoints: [{ url: store }], previous: crawl.id })).id);
  assert.deepEqual(again.changes, { new: 1, changed: 1, same: FILES, gone: 1 });

  await crawls.remove(crawl.id);
  await until("it is found no more", async () => (await search.find("zephyr").page()).total === 0);
  assert.equal((await crawls.get(again.id)).status, "complete");
});
