import { type Connection, jsonBody } from "./connection.ts";
import type { Extraction, ExtractionRecord, Extractor } from "./crawl-types.ts";
import { type Listing, listing, type PageOptions } from "./pages.ts";
import { type WatchOptions, watch } from "./watch.ts";

export interface NewExtraction {
  /** Names; all that are known when left out. */
  readonly extractors?: readonly string[];
  /** Folder of the server that records are also written to, as one JSON file for each family. */
  readonly recordsFolder?: string;
}

export type ExtractionWaitOptions = WatchOptions<Extraction>;

/** Descriptions of what crawls found. */
export interface ExtractionsApi {
  /** While the crawl still runs, or after. @throws LongshoreError crawl_unknown, extractor_unknown, endpoint_refused. */
  start(crawl: string, extraction?: NewExtraction, signal?: AbortSignal): Promise<Extraction>;
  get(id: string, signal?: AbortSignal): Promise<Extraction>;
  /** Waits until it has ended, however: look at `status`. */
  wait(id: string, options?: ExtractionWaitOptions): Promise<Extraction>;
  /** Its records stay. @throws LongshoreError crawl_state_conflict when it has ended. */
  cancel(id: string): Promise<Extraction>;
  /** In the order of their numbers. */
  records(id: string, options?: PageOptions): Listing<ExtractionRecord>;
  /** @throws LongshoreError record_unknown. */
  record(id: string, number: number): Promise<ExtractionRecord>;
  extractors(signal?: AbortSignal): Promise<readonly Extractor[]>;
  /**
   * For operators: takes up extractors that lie on the server.
   * @param folder of one; all when left out. @throws LongshoreError extractor_invalid.
   */
  register(folder?: string): Promise<readonly Extractor[]>;
}

export function extractionsApi(connection: Connection): ExtractionsApi {
  const pathOf = (id: string) => `/extractions/${encodeURIComponent(id)}`;
  const get = (id: string, signal?: AbortSignal) => connection.json<Extraction>(pathOf(id), { signal });

  return {
    start: (crawl, extraction = {}, signal) =>
      connection.json<Extraction>(
        `/crawls/${encodeURIComponent(crawl)}/extractions`,
        jsonBody("POST", extraction, signal),
      ),
    get,
    wait: (id, options = {}) =>
      watch(
        () => get(id, options.signal),
        ({ finishedAt }) => finishedAt !== null,
        options,
      ),
    cancel: (id) => connection.json<Extraction>(`${pathOf(id)}/cancel`, { method: "POST" }),
    records: (id, { signal, ...page } = {}) =>
      listing<ExtractionRecord>(connection, `${pathOf(id)}/records`, page, signal),
    record: (id, number) => connection.json<ExtractionRecord>(`${pathOf(id)}/records/${number}`),
    async extractors(signal) {
      return (await connection.json<{ readonly items: readonly Extractor[] }>("/extractors", { signal })).items;
    },
    async register(folder) {
      const body = jsonBody("POST", folder === undefined ? {} : { folder });
      return (await connection.json<{ readonly items: readonly Extractor[] }>("/extractors", body)).items;
    },
  };
}
