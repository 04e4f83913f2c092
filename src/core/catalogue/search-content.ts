import type { CrawlStore } from "../crawl/crawl-store.ts";
import type { Extraction, ExtractionRecord } from "../extract/extraction.ts";
import type { ExtractionStore } from "../extract/extraction-store.ts";
import { type ExtractionId, extractionId, type FileId, type TransactionId, transactionId } from "../ids.ts";
import type { ArchivedFile, CatalogueStore, KeyValue, Transaction } from "./catalogue-store.ts";
import { type FileFinder, fileFinder } from "./file-finder.ts";
import { type RecordedArchiveFile, recordDocument, transactionOfRecorded } from "./record-document.ts";
import type { SearchSubject } from "./search-changes.ts";
import { fileDocument, transactionDocument } from "./search-documents.ts";
import type { SearchDocument } from "./search-index.ts";

/** Documents that are made, and put, at a time. */
export const PAGE = 500;

/** Of things that are there, their documents; of things that are not, the keys that such documents would have. */
export interface Content {
  readonly documents: readonly SearchDocument[];
  readonly absent: readonly string[];
}

export interface SearchContentParts {
  readonly catalogue: CatalogueStore;
  readonly crawls: Pick<CrawlStore, "get" | "list">;
  readonly extractions: Pick<ExtractionStore, "get" | "ofCrawl" | "records">;
}

/** What the database holds at this moment, as documents. Pages have at most {@link PAGE}; memory: a page, and a transaction's key-values. */
export interface SearchContent {
  of(subject: Exclude<SearchSubject, { readonly file: FileId }>): AsyncIterable<Content>;
  /** @param ids at most {@link PAGE}. */
  ofFiles(ids: readonly FileId[]): AsyncIterable<Content>;
  /** @param keys of documents of records. */
  ofRecords(keys: readonly string[]): AsyncIterable<Content>;
  /** Everything there is. What comes or goes meanwhile may be in it or not. */
  everything(): AsyncIterable<Content>;
  /** Of how many documents everything is, about. */
  size(): Promise<number>;
}

export function searchContent({ catalogue, crawls, extractions }: SearchContentParts): SearchContent {
  async function* ofTransaction(id: TransactionId): AsyncGenerator<Content> {
    const found = await known(catalogue, id);
    if (!found) {
      yield { documents: [], absent: [`transaction:${id}`] };
      return;
    }
    const { transaction, about } = found;
    yield { documents: [transactionDocument(transaction, about(null))], absent: [] };
    for (let afterId: FileId | undefined; ; ) {
      const files = await catalogue.listFiles(id, { limit: PAGE, ...(afterId === undefined ? {} : { afterId }) });
      if (files.length > 0)
        yield { documents: files.map((file) => fileDocument(file, transaction, about(file.id))), absent: [] };
      afterId = files.at(-1)?.id;
      if (files.length < PAGE) return;
    }
  }

  async function* ofFiles(ids: readonly FileId[]): AsyncGenerator<Content> {
    const files = await catalogue.files(ids);
    const there = new Set(files.map(({ id }) => id));
    yield { documents: [], absent: ids.filter((id) => !there.has(id)).map((id) => `file:${id}`) };
    for (const [id, ofOne] of Map.groupBy(files, (file) => file.transactionId)) {
      const found = await known(catalogue, id);
      // Gone since: that is a change of its own.
      if (!found) continue;
      const { transaction, about } = found;
      yield { documents: ofOne.map((file) => fileDocument(file, transaction, about(file.id))), absent: [] };
    }
  }

  async function* ofRecords(extraction: Extraction, from: number, until: number): AsyncGenerator<Content> {
    const crawl = await crawls.get(extraction.crawl);
    if (!crawl) {
      yield* absentRecords(extraction.id, from, until);
      return;
    }
    const endpoints = crawl.endpoints.map(({ url }) => url);
    const finder = archivedFinder(catalogue);
    for (let after = from - 1; after < until; ) {
      const page = await extractions.records(extraction.id, after, Math.min(PAGE, until - after));
      const archived = await finder.find(page.flatMap((record) => archivedPaths(record, endpoints)));
      const context = { owner: extraction.owner, endpoints, archived };
      const records = page.filter(({ number }) => number <= until);
      if (records.length > 0) yield { documents: records.map((record) => recordDocument(record, context)), absent: [] };
      after = page.at(-1)?.number ?? until;
    }
  }

  async function* ofRange(id: ExtractionId, from: number, until: number): AsyncGenerator<Content> {
    const extraction = await extractions.get(id);
    if (extraction) yield* ofRecords(extraction, from, until);
    else yield* absentRecords(id, from, until);
  }

  async function* everyTransaction(): AsyncGenerator<Transaction> {
    for (let afterId: TransactionId | undefined; ; ) {
      const page = await catalogue.findTransactions({ limit: PAGE, ...(afterId === undefined ? {} : { afterId }) });
      yield* page;
      afterId = page.at(-1)?.id;
      if (page.length < PAGE) return;
    }
  }

  async function* everyExtraction(): AsyncGenerator<Extraction> {
    // As a whole, because a crawl that is removed meanwhile could not be gone on from.
    const all = [];
    for (let page = await crawls.list({ limit: PAGE }); ; ) {
      all.push(...page.map(({ id }) => id));
      const last = page.at(-1);
      if (!last || page.length < PAGE) break;
      page = await crawls.list({ limit: PAGE, before: last.id });
    }
    for (const crawl of all) yield* await extractions.ofCrawl(crawl);
  }

  return {
    async *of(subject) {
      if ("transaction" in subject) yield* ofTransaction(subject.transaction);
      else yield* ofRange(subject.extraction, subject.from, subject.until);
    },

    ofFiles,

    async *ofRecords(keys) {
      for (const { extraction, from, until } of rangesOf(keys)) yield* ofRange(extraction, from, until);
    },

    async *everything() {
      for await (const { id } of everyTransaction()) yield* ofTransaction(id);
      for await (const extraction of everyExtraction()) yield* ofRecords(extraction, 1, Number.MAX_SAFE_INTEGER);
    },

    async size() {
      const { transactions, files } = await catalogue.totals();
      let records = 0;
      for await (const { counts } of everyExtraction()) records += counts.success + counts.failed;
      return transactions + files + records;
    },
  };
}

interface KnownTransaction {
  readonly transaction: Transaction;
  /** Key-values of the transaction itself, and of one of its files. */
  about(file: FileId | null): readonly KeyValue[];
}

async function known(catalogue: CatalogueStore, id: TransactionId): Promise<KnownTransaction | undefined> {
  const transaction = await catalogue.transaction(id);
  if (!transaction) return undefined;
  const byFile = Map.groupBy(await catalogue.keyValues(id), ({ fileId }) => fileId);
  const own = byFile.get(null) ?? [];
  return { transaction, about: (file) => (file === null ? own : [...own, ...(byFile.get(file) ?? [])]) };
}

function* absentRecords(extraction: string, from: number, until: number): Generator<Content> {
  for (let first = from; first <= until; first += PAGE) {
    const count = Math.min(PAGE, until - first + 1);
    yield { documents: [], absent: Array.from({ length: count }, (_, i) => `record:${extraction}:${first + i}`) };
  }
}

/** Numbers that follow each other make one range. */
function rangesOf(keys: readonly string[]): readonly Extract<SearchSubject, { readonly extraction: ExtractionId }>[] {
  const records = keys.map((key) => {
    const [, extraction = "", number] = key.split(":");
    return { extraction: extractionId(extraction), number: Number(number) };
  });
  const ranges: { readonly extraction: ExtractionId; readonly from: number; until: number }[] = [];
  for (const [extraction, ofOne] of Map.groupBy(records, (record) => record.extraction)) {
    for (const { number } of ofOne.sort((a, b) => a.number - b.number)) {
      const last = ranges.at(-1);
      if (last?.extraction === extraction && last.until === number - 1) last.until = number;
      else ranges.push({ extraction, from: number, until: number });
    }
  }
  return ranges;
}

/** Of a record's files, those of the archive. */
function archivedPaths(record: ExtractionRecord, endpoints: readonly string[]): readonly string[] {
  return record.files.filter((file) => transactionOfRecorded(file, endpoints) !== undefined).map(({ path }) => path);
}

/** Finds archived files as crawls of the archive name them. */
function archivedFinder(catalogue: CatalogueStore) {
  let last: (KnownTransaction & { readonly files: FileFinder }) | undefined;

  return {
    async find(paths: readonly string[]): Promise<ReadonlyMap<string, RecordedArchiveFile>> {
      const found = new Map<string, RecordedArchiveFile>();
      for (const [text = "", ofOne] of Map.groupBy(paths, (path) => path.split("/", 1)[0])) {
        const id = transactionId(Number(text));
        if (last?.transaction.id !== id) {
          const one = await known(catalogue, id);
          last = one && { ...one, files: fileFinder(catalogue, id) };
        }
        if (!last) continue;
        const { transaction, about, files } = last;
        const inTransaction = (path: string) => path.slice(text.length + 1);
        const files_ = await files.find(new Set(ofOne.map(inTransaction)));
        for (const path of ofOne) {
          const file: ArchivedFile | undefined = files_.get(inTransaction(path));
          if (file) found.set(path, { file, transaction, keyValues: about(file.id) });
        }
      }
      return found;
    },
  };
}
