import assert from "node:assert/strict";
import type { SearchChanges } from "../../src/core/catalogue/search-changes.ts";
import { type CrawlBatch, type CrawledFile, type Endpoint, NO_COUNTS } from "../../src/core/crawl/crawl.ts";
import type { CrawlStore, FolderOf, Found, NewCrawl } from "../../src/core/crawl/crawl-store.ts";
import type { Described, ExtractionStore, NewExtraction } from "../../src/core/extract/extraction-store.ts";
import { type CrawlId, crawlId, extractionId, jobId } from "../../src/core/ids.ts";
import type { JobStore } from "../../src/core/jobs/job-store.ts";

export interface OpenedCrawls {
  readonly crawls: CrawlStore;
  readonly extractions: ExtractionStore;
  readonly searchChanges: SearchChanges;
  readonly jobs: JobStore;
  close(): Promise<void>;
}

/** How often the jobs of these crawls have been begun. */
export const ATTEMPTS = 3;

/** Makes what the suites of the CrawlStore and the ExtractionStore work on. */
export function crawlRows(opened: () => OpenedCrawls) {
  let last = 0;
  const wantedCrawl = (given: Partial<NewCrawl> = {}): NewCrawl => ({
    id: crawlId(`crawl-${++last}`),
    owner: "ada",
    endpoints: [endpoint()],
    previous: null,
    jobs: [{ id: jobId(++last), kind: "crawl", lane: "slow" }],
    now: 1_000,
    ...given,
  });

  /** A crawl under way. */
  async function crawling(given: Partial<NewCrawl> = {}): Promise<CrawlId> {
    const wanted = wantedCrawl(given);
    await opened().crawls.create(wanted);
    await opened().jobs.update(wanted.jobs[0].id, ["queued"], { state: "running", attempts: ATTEMPTS }, 1_000);
    assert.ok(await opened().crawls.update(wanted.id, ["initializing"], { status: "crawling", startedAt: 2_000 }));
    return wanted.id;
  }

  const keep = (id: CrawlId, given: Partial<Found>) => opened().crawls.keep(id, ATTEMPTS, found(given));
  const finish = (id: CrawlId) => opened().crawls.update(id, ["crawling"], { status: "complete", finishedAt: 9_000 });

  const wantedExtraction = (crawl: CrawlId, given: Partial<NewExtraction> = {}): NewExtraction => ({
    id: extractionId(`extraction-${++last}`),
    crawl,
    owner: "ada",
    extractors: null,
    recordsFolder: null,
    job: { id: jobId(++last), kind: "extract", lane: "slow" },
    now: 3_000,
    ...given,
  });

  /** An extraction under way. */
  async function extracting(crawl: CrawlId) {
    const { id } = await opened().extractions.create(wantedExtraction(crawl));
    assert.ok(await opened().extractions.update(id, ["waiting"], { status: "extracting" }));
    return id;
  }

  return { wantedCrawl, crawling, keep, finish, wantedExtraction, extracting };
}

export const endpoint = (given: Partial<Endpoint> = {}): Endpoint => ({
  url: "file:///data",
  folders: [""],
  grouper: "file_is_group",
  pattern: null,
  hidden: true,
  ...given,
});

export const found = (given: Partial<Found>): Found => ({
  batches: [],
  folders: [],
  listed: [],
  problems: [],
  counts: NO_COUNTS,
  changes: null,
  ...given,
});

export const at = (folder: string, inEndpoint = 0): FolderOf => ({ endpoint: inEndpoint, folder });

export const file = (name: string, given: Partial<CrawledFile> = {}): CrawledFile => ({
  name,
  sizeBytes: 7,
  modifiedAt: 1_600_000_000_000,
  mode: 0o644,
  ...given,
});

export const batch = (folder: string, given: Partial<CrawlBatch> = {}): Omit<CrawlBatch, "seq"> => ({
  endpoint: 0,
  folder,
  files: [file("a")],
  families: null,
  changes: null,
  gone: [],
  ...given,
});

export const record = (
  family: string,
  given: Partial<Described["records"][number]> = {},
): Described["records"][number] => ({
  family,
  group: 0,
  groupKind: "file",
  extractor: "tabular",
  version: "1",
  files: [{ endpoint: 0, path: `f/${family}`, sizeBytes: 7 }],
  data: { rows: 1 },
  problems: [],
  failure: null,
  durationMs: 1,
  ...given,
});
