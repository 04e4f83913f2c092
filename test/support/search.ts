import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { openSqlite, type Stores } from "../../src/adapters/db/stores.ts";
import { sqliteFtsIndex } from "../../src/adapters/search/sqlite-fts.ts";
import type { ArchivedFile, KeyValue } from "../../src/core/catalogue/catalogue-store.ts";
import type { IndexingParts } from "../../src/core/catalogue/indexing.ts";
import { parseQuery } from "../../src/core/catalogue/query.ts";
import { searchContent } from "../../src/core/catalogue/search-content.ts";
import type { SearchHit, SearchIndex } from "../../src/core/catalogue/search-index.ts";
import { type ExtractionId, fileId, transactionId } from "../../src/core/ids.ts";
import { crawlRows, type record } from "../conformance/crawl-rows.ts";
import { type MovingClock, movingClock } from "./moving-clock.ts";
import { until } from "./until.ts";

type Recorded = ReturnType<typeof record>;

export interface SearchFixture {
  readonly stores: Stores;
  readonly index: SearchIndex;
  readonly clock: MovingClock;
  /** What indexing needs, and what it has told of so far. */
  readonly parts: IndexingParts;
  readonly troubles: readonly string[];
  /** Adds a transaction with files of these names; their ids are `10000 * id` and on. */
  add(id: number, names: readonly string[], keyValues?: readonly KeyValue[]): Promise<void>;
  /** Describes something: adds a crawl of these stores, and an extraction with these records. */
  describe(urls: readonly string[], records: readonly Recorded[]): Promise<ExtractionId>;
  /** Moves the clock on until the condition holds. */
  eventually(what: string, condition: () => boolean | Promise<boolean>): Promise<void>;
  /** Until nothing is left to be indexed. */
  indexed(): Promise<void>;
  /** Titles of what is found, sorted. */
  titles(query: string): Promise<readonly string[]>;
}

/** A database and an index in a temporary folder; nothing indexes yet. */
export async function openSearch(t: TestContext): Promise<SearchFixture> {
  const folder = await mkdtemp(join(tmpdir(), "longshore-search-"));
  const clock = movingClock();
  const stores = await openSqlite({ path: join(folder, "longshore.sqlite"), clock });
  const index = sqliteFtsIndex({ folder: join(folder, "search") });
  t.after(async () => {
    await index.close();
    await stores.close();
    await rm(folder, { recursive: true });
  });
  const rows = crawlRows(() => stores);
  const troubles: string[] = [];

  const fixture: SearchFixture = {
    stores,
    index,
    clock,
    troubles,
    parts: {
      index,
      changes: stores.searchChanges,
      content: searchContent(stores),
      clock,
      onTrouble: (error, during) => troubles.push(`${during}: ${error instanceof Error ? error.message : error}`),
    },
    async add(id, names, keyValues = []) {
      const transaction = {
        id: transactionId(id),
        submitter: null,
        project: `p${id % 3}`,
        instrument: null,
        owner: "ada",
        fileCount: names.length,
        sizeBytes: names.length,
        objectPath: `aa/${id}`,
        inventoryDigest: "",
        createdAt: 1_000 + id,
      };
      const files = names.map((name, i) => archivedFile(10_000 * id + i, id, name));
      await stores.catalogue.add(transaction, each(files), keyValues, [], clock.now());
    },
    async describe(urls, records) {
      const endpoints = urls.map(
        (url) => ({ url, folders: [""], grouper: "directory", pattern: null, hidden: true }) as const,
      );
      const crawl = await rows.crawling({ endpoints });
      const extraction = await rows.extracting(crawl);
      const counts = { pulled: records.length, success: records.length, failed: 0, unknown: 0 };
      await stores.extractions.keep(extraction, 0, { seq: 1, records, counts, pending: 0 }, clock.now());
      await stores.extractions.update(extraction, ["extracting"], { status: "complete", finishedAt: clock.now() });
      await rows.finish(crawl);
      return extraction;
    },
    eventually: (what, condition) =>
      until(what, async () => {
        clock.pass(200);
        return condition();
      }),
    indexed: () => fixture.eventually("everything is indexed", async () => (await stores.searchChanges.depth()) === 0),
    async titles(query) {
      return (await everything(index, query)).map(({ title }) => title).sort();
    },
  };
  return fixture;
}

/** All that an index finds, by key. */
export async function everything(index: SearchIndex, text = ""): Promise<readonly SearchHit[]> {
  const query = parseQuery(text);
  const hits: SearchHit[] = [];
  for (let cursor: string | null | undefined; cursor !== null; ) {
    const page = await index.search({
      order: "newest",
      limit: 1000,
      ...(query && { query }),
      ...(cursor !== undefined && { cursor }),
    });
    hits.push(...page.hits);
    cursor = page.next;
  }
  return hits.sort((a, b) => (a.key < b.key ? -1 : 1));
}

function archivedFile(id: number, of: number, name: string): ArchivedFile {
  return {
    id: fileId(id),
    transactionId: transactionId(of),
    path: `data/${name}`,
    contentPath: `v1/content/data/${name}`,
    sizeBytes: 1,
    modifiedAt: null,
    changedAt: null,
    mediaType: "text/plain",
    digests: { sha512: "aa" },
    crc32: 0,
    declared: { algorithm: "sha1", value: "aa" },
  };
}

async function* each<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items;
}
