import assert from "node:assert/strict";
import { mkdir, mkdtemp, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { type CrawledFile, type ExtractionRecord, type Longshore, longshore } from "../../src/sdk/index.ts";
import { type ServerProcess, startServer } from "../support/server.ts";

const FILES = 250;

describe("crawls of the SDK", () => {
  let folder: string;
  let server: ServerProcess;
  let client: Longshore;
  before(async () => {
    folder = await realpath(await mkdtemp(join(tmpdir(), "longshore-sdk-crawls-")));
    await mkdir(join(folder, "store/deep"), { recursive: true });
    for (let at = 0; at < FILES; at++) {
      const name = at % 2 === 0 ? `store/${at}.csv` : `store/deep/${at}.csv`;
      await writeFile(join(folder, name), `n\n${at}\n`);
    }
    server = await startServer({ env: { LONGSHORE_CRAWL_ROOTS: join(folder, "store") } });
    client = longshore({ url: server.url });
  });
  after(async () => {
    await server.stop();
    await rm(folder, { recursive: true });
  });

  const endpoints = () => [{ url: join(folder, "store") }];

  test("a crawl is started, followed file by file while it runs, waited for and listed", async () => {
    const { id } = await client.crawls.start({ endpoints: endpoints() });
    const files: CrawledFile[] = [];
    // Begun at once, and through when the crawl is.
    for await (const file of client.crawls.files(id, { limit: 100 })) files.push(file);
    assert.equal(new Set(files.map(({ path }) => path)).size, FILES);
    assert.equal(files.length, FILES);
    const seen: string[] = [];
    const crawl = await client.crawls.wait(id, { onProgress: ({ status }) => seen.push(status) });
    assert.deepEqual([crawl.status, crawl.counts.files, seen.at(-1)], ["complete", FILES, "complete"]);
    assert.equal((await client.crawls.list({ limit: 1 }).page()).items[0]?.id, id);
    assert.deepEqual(await Array.fromAsync(client.crawls.problems(id)), []);
    await assert.rejects(client.crawls.cancel(id), { code: "crawl_state_conflict", status: 409 });
  });

  test("a consumer takes the files in turns, each once", async () => {
    const { id } = await client.crawls.wait((await client.crawls.start({ endpoints: endpoints() })).id);
    const paths: string[] = [];
    for (let isAll = false; !isAll; ) {
      const { items, queueEmpty } = await client.crawls.flush(id, { consumer: "sdk", limit: 100 });
      paths.push(...items.map(({ path }) => path));
      isAll = queueEmpty;
    }
    assert.deepEqual([paths.length, new Set(paths).size], [FILES, FILES]);
  });

  test("what was found is described, by chosen extractors, and the records are read", async () => {
    const names = (await client.extractions.extractors()).map(({ name }) => name);
    assert.ok(names.includes("tabular-text"), names.join(", "));
    const started = await client.crawls.start({ endpoints: endpoints(), extract: { extractors: ["tabular-text"] } });
    const crawl = await client.crawls.wait(started.id);
    const { status, counts } = await client.extractions.wait(crawl.extractions[0]?.id ?? "");
    assert.deepEqual([status, counts.success, counts.failed], ["complete", FILES, 0]);
    const records: ExtractionRecord[] = [];
    for await (const record of client.extractions.records(crawl.extractions[0]?.id ?? "", { limit: 100 }))
      records.push(record);
    assert.deepEqual(
      records.map(({ number }) => number),
      Array.from({ length: FILES }, (_, at) => at + 1),
    );
    const [first] = records;
    assert.deepEqual(await client.extractions.record(first?.extraction ?? "", 1), first);
    await assert.rejects(client.extractions.start(crawl.id, { extractors: ["nonesuch"] }), {
      code: "extractor_unknown",
    });
  });

  test("a crawl that is forgotten is no more", async () => {
    const { id } = await client.crawls.wait((await client.crawls.start({ endpoints: endpoints() })).id);
    await client.crawls.remove(id);
    await assert.rejects(client.crawls.get(id), { code: "crawl_unknown", status: 404 });
    await assert.rejects(client.crawls.start({ endpoints: [{ url: folder }] }), { code: "endpoint_refused" });
  });
});
