/**
 * Searches over a large index while indexing goes on: how long each takes, how fast documents are indexed, and how large the
 * index is.
 *
 *     node bench/search.ts [--documents 1000000] [--searches 600] [--folder /tmp] [--engine sqlite|postgres|opensearch --url URL]
 *
 * Another engine than SQLite's is one that runs already and whose index may be overwritten.
 * Prints one JSON line. The index is made by `rebuild`; then each search is sent when the one before has been answered, while
 * batches of documents (new ones and replaced ones) are put without a pause. Half of the searches are for an owner. What is
 * searched is on the page cache, as on a server that has been asked before.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { httpExchange } from "../src/adapters/outbound/http-exchange.ts";
import { openSearchIndex } from "../src/adapters/search/opensearch.ts";
import { postgresIndex } from "../src/adapters/search/postgres.ts";
import { sqliteFtsIndex } from "../src/adapters/search/sqlite-fts.ts";
import { systemClock } from "../src/adapters/system-clock.ts";
import type { ArchivedFile, KeyValue, Transaction } from "../src/core/catalogue/catalogue-store.ts";
import { parseQuery } from "../src/core/catalogue/query.ts";
import { fileDocument } from "../src/core/catalogue/search-documents.ts";
import type { SearchDocument, SearchIndex, SearchRequest } from "../src/core/catalogue/search-index.ts";
import { fileId, transactionId } from "../src/core/ids.ts";
import { forgetPeak, MACHINE, memoryMiBOf, percentile, rounded } from "./measure.ts";

const { values: options } = parseArgs({
  options: {
    documents: { type: "string", default: "1000000" },
    searches: { type: "string", default: "600" },
    folder: { type: "string", default: tmpdir() },
    engine: { type: "string", default: "sqlite" },
    url: { type: "string", default: "" },
  },
});
const documentCount = Number(options.documents);
const BATCH = 500;
const FILES_PER_TRANSACTION = 1000;
const AIM_P95_MS = 50;

/** Rare and common things, alone and together; `#` is a number that changes from search to search. */
const QUERIES: readonly (string | undefined)[] = [
  undefined,
  "sample#",
  "spectrum",
  "spectrum calibrated",
  '"raw spectrum"',
  "spec*",
  "cal* mass*",
  "project:p#",
  "project:p1* type:image",
  "type:image width:>1000",
  "type:image width:1000..2000 project:p#",
  "size:>1GiB",
  "size:1MiB..1GiB spectrum",
  "created:2024-01..2024-06",
  "created:2024-03-05 raw",
  "modified:>2025-01 extension:png",
  "spectrum -calibrated",
  "(raw OR calibrated) instrument:lc* -type:image",
  "path:run-1*",
  "sample# OR sample1#",
];
const WORDS = [
  "spectrum",
  "raw",
  "calibrated",
  "mass",
  "protein",
  "noise",
  "background",
  "blank",
  "control",
  "replicate",
];
const KINDS = [
  ["image/png", "png"],
  ["text/csv", "csv"],
  ["application/x-hdf5", "h5"],
  ["image/tiff", "tif"],
] as const;
const BEGAN_AT = Date.UTC(2022, 0);
const DAY_MS = 86_400_000;

interface BenchedIndex extends SearchIndex {
  close(): Promise<void>;
}

const ENGINES: Readonly<Record<string, (folder: string) => BenchedIndex>> = {
  sqlite: (folder) => sqliteFtsIndex({ folder }),
  postgres: () => postgresIndex({ url: options.url, onTrouble: (error) => console.error(error) }),
  opensearch: () =>
    openSearchIndex({
      url: options.url,
      prefix: "longshore-bench",
      exchange: httpExchange(),
      clock: systemClock,
    }),
};

const work = mkdtempSync(join(options.folder, "longshore-search-bench-"));
try {
  console.log(JSON.stringify(await measure(join(work, "search"))));
} finally {
  rmSync(work, { recursive: true, force: true });
}

async function measure(folder: string) {
  const open = ENGINES[options.engine];
  if (!open) throw new Error(`There are the engines ${Object.keys(ENGINES).join(", ")}.`);
  const index = open(folder);
  try {
    forgetPeak(process.pid);
    const builder = await index.rebuild();
    const buildBegan = performance.now();
    for (let id = 1; id <= documentCount; id += BATCH) await builder.put(documents(id, BATCH));
    const built = performance.now();
    await builder.finish();
    const finished = performance.now();
    const { sizeBytes } = await index.counts();

    const idle = await searches(index, Number(options.searches) / 4);
    // Says more than milliseconds on a machine that has other work.
    const cpuMs = idle.map((one) => one.cpuMs);
    const cpu = { cpuMedianMs: rounded(percentile(cpuMs, 50)), cpuP95Ms: rounded(percentile(cpuMs, 95)) };
    let isOver = false;
    let put = 0;
    const indexing = (async () => {
      for (let next = documentCount + 1; !isOver; next += BATCH / 2) {
        const replaced = 1 + ((next * 7919) % documentCount);
        await index.put([...documents(next, BATCH / 2), ...documents(replaced, BATCH / 2)]);
        put += BATCH;
      }
    })();
    const busyBegan = performance.now();
    const busy = await searches(index, Number(options.searches));
    isOver = true;
    await indexing;
    const busySeconds = (performance.now() - busyBegan) / 1000;

    return {
      bench: "search",
      engine: options.engine,
      ...MACHINE,
      documents: documentCount,
      indexMiB: rounded(sizeBytes / 2 ** 20, 0),
      bytesPerDocument: rounded(sizeBytes / documentCount, 0),
      builtPerSecond: rounded(documentCount / ((built - buildBegan) / 1000), 0),
      finishSeconds: rounded((finished - built) / 1000),
      peakMiB: rounded(memoryMiBOf(process.pid, "peak"), 0),
      idle: { ...summary(idle), ...cpu },
      indexing: { ...summary(busy), documentsPerSecond: rounded(put / busySeconds, 0), aimP95Ms: AIM_P95_MS },
    };
  } finally {
    await index.close();
  }
}

interface Timed {
  readonly query: string;
  readonly ms: number;
  /** Of the whole process: of the search alone while nothing is indexed. */
  readonly cpuMs: number;
}

async function searches(index: SearchIndex, count: number): Promise<readonly Timed[]> {
  const timed: Timed[] = [];
  for (let i = 0; i < count; i++) {
    const pattern = QUERIES[i % QUERIES.length];
    const text = pattern?.replaceAll("#", String((i * 31) % 97));
    const query = parseQuery(text ?? "");
    const request: SearchRequest = {
      ...(query && { query }),
      ...(i % 2 === 0 && { owner: `owner${i % 10}` }),
      order: i % 3 === 0 ? "newest" : "relevance",
      limit: 20,
      facets: ["type", "project"],
    };
    const ask = async (query: string, asked: SearchRequest) => {
      const began = performance.now();
      const cpuBegan = process.cpuUsage();
      const page = await index.search(asked);
      const { user, system } = process.cpuUsage(cpuBegan);
      timed.push({ query, ms: performance.now() - began, cpuMs: (user + system) / 1000 });
      return page.next;
    };
    const next = await ask(pattern ?? "", request);
    if (next !== null && i % 4 === 0) await ask(`${pattern ?? ""} (next page)`, { ...request, cursor: next });
  }
  return timed;
}

function summary(timed: readonly Timed[]) {
  const ms = timed.map((one) => one.ms);
  const slowest = Map.groupBy(timed, ({ query }) => query)
    .entries()
    .map(([query, of]) => ({
      query,
      medianMs: rounded(
        percentile(
          of.map((one) => one.ms),
          50,
        ),
      ),
    }))
    .toArray()
    .sort((a, b) => b.medianMs - a.medianMs)
    .slice(0, 8);
  return {
    searches: ms.length,
    medianMs: rounded(percentile(ms, 50)),
    p95Ms: rounded(percentile(ms, 95)),
    p99Ms: rounded(percentile(ms, 99)),
    maxMs: rounded(Math.max(...ms)),
    slowest,
  };
}

function documents(firstId: number, count: number): readonly SearchDocument[] {
  return Array.from({ length: count }, (_, i) => document(firstId + i));
}

/** The same for the same id. */
function document(id: number): SearchDocument {
  const transaction = transactionOf(Math.ceil(id / FILES_PER_TRANSACTION));
  const [mediaType, extension] = KINDS[id % KINDS.length] ?? KINDS[0];
  const words = [id % 10, (id * 7) % 10, (id * 13 + 3) % 10].map((at) => WORDS[at] ?? "");
  const modifiedAt = new Date(transaction.createdAt - (id % 400) * DAY_MS).toISOString();
  const file: ArchivedFile = {
    id: fileId(id),
    transactionId: transaction.id,
    path: `data/run-${transaction.id}/${words[0]}/sample${id % 5000}-${id}.${extension}`,
    contentPath: "",
    sizeBytes: (id * 2_654_435_761) % 2 ** (10 + (id % 24)),
    modifiedAt,
    changedAt: null,
    mediaType,
    digests: { sha512: (id * 2_654_435_761).toString(16).padStart(128, "0") },
    crc32: 0,
    declared: { algorithm: "sha1", value: "" },
  };
  const said = (key: string, value: string): KeyValue => ({ fileId: file.id, key, value });
  return fileDocument(file, transaction, [
    said("description", `${words.join(" ")} of sample${id % 5000}, measured by hand; see notebook ${id % 777}`),
    ...(mediaType.startsWith("image/") ? [said("width", String(256 + (id % 4000))), said("height", "1080")] : []),
  ]);
}

function transactionOf(id: number): Transaction {
  return {
    id: transactionId(id),
    submitter: `user${id % 50}`,
    project: `p${id % 97}`,
    instrument: id % 3 === 0 ? "LC-MS 1" : "NMR 600",
    owner: `owner${id % 10}`,
    fileCount: FILES_PER_TRANSACTION,
    sizeBytes: 0,
    objectPath: "",
    inventoryDigest: "",
    createdAt: BEGAN_AT + id * DAY_MS,
  };
}
