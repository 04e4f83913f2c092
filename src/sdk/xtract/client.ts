import { filesApi } from "../archive.ts";
import { sleep } from "../backoff.ts";
import { type Connection, connect, jsonBody } from "../connection.ts";
import { LongshoreError } from "../errors.ts";
import { jobsApi } from "../jobs.ts";
import { type FoundType, type SearchHit, searchApi } from "../search.ts";
import { type DownloadedFile, downloadFile } from "./download.ts";
import type { XtractEndpoint } from "./endpoint.ts";
import { type LoginOptions, logIn } from "./login.ts";

export interface XtractClientOptions extends LoginOptions {
  /** Where Longshore is, such as `http://127.0.0.1:7700`. */
  readonly url: string;
  /** Stands in for the global `fetch`. */
  readonly fetch?: typeof fetch;
}

/** As the Python SDK has it. `data` has `files_crawled`, `bytes_crawled`, `groups_crawled`, `directories_crawled`, `errors`. */
export interface CrawlStatusResult {
  readonly crawl_id: string;
  /** `initializing`, `crawling`, `complete`, `failed`, `cancelled`; `ERROR` when it cannot be told. */
  readonly status: string;
  /** `OK`, or what is wrong. */
  readonly message: string;
  readonly data: Readonly<Record<string, number | string>>;
}

export interface FlushResult {
  readonly crawl_id: string;
  readonly num_files: number;
  readonly file_ls: readonly FlushedFile[];
  /** The crawl has ended and all its files were flushed. */
  readonly queue_empty: boolean;
}

export interface FlushedFile {
  readonly path: string;
  readonly file_id: string;
  readonly size: number;
  /** Seconds since 1970. */
  readonly crawl_timestamp: number;
  readonly metadata: {
    readonly physical: { readonly size: number; readonly extension: string | null; readonly path_type: string };
  };
}

export interface XtractStatusResult {
  /** `INIT`, `EXTRACTING`, `COMPLETED`, `FAILED`, `CANCELLED`; `ERROR` when it cannot be told. */
  readonly xtract_status: string;
  readonly xtract_counters: {
    readonly cumu_pulled: number;
    readonly cumu_to_schedule: number;
    readonly cumu_scheduled: number;
    readonly cumu_orch_enter: number;
    readonly flagged_unknown: number;
    readonly fx: { readonly success: number; readonly failed: number; readonly pending: number };
  };
}

export interface FlushCount {
  /** Files at most; 100 when left out. The others are what earlier generations called it. */
  readonly nextNFiles?: number;
  readonly firstNFiles?: number;
  readonly n?: number;
}

export interface OffloadOptions {
  /** In the destination; its top when left out. */
  readonly destPath?: string;
  /** Seconds; 600 when left out. */
  readonly timeout?: number;
  /** Removes each file whose copy has been read back and is the same. */
  readonly deleteSource?: boolean;
}

export interface XtractSearchOptions {
  /** Everything, when left out. */
  readonly types?: readonly FoundType[];
  /** Hits at most, 1 to 1000; 100 when left out. */
  readonly limit?: number;
}

export interface XtractSearchResult {
  /** Of all hits, shown or not. */
  readonly total: number;
  readonly hits: readonly {
    /** `file:42`, `transaction:7`, `record:<extraction>:<number>`. */
    readonly id: string;
    readonly type: FoundType;
    readonly title: string;
    readonly fields: SearchHit["fields"];
    /** Archived files that it is, or is about: what `download` takes. */
    readonly file_ids: readonly number[];
  }[];
}

export interface CrawlWait {
  readonly signal?: AbortSignal;
  /** Told of every look. */
  onStatus?(statuses: readonly CrawlStatusResult[]): void;
}

const LOOK_MS = 2_000;
/** What no longer changes, or cannot be told. */
const OVER: readonly string[] = ["complete", "failed", "cancelled", "ERROR"];

type Answer = Readonly<Record<string, unknown>>;

/**
 * Xtract's client, with the methods of its Python SDK in TypeScript's spelling, their options under the names of both
 * generations, and results as they are there. It speaks to Longshore's door `xtract`. It logs in with the first request.
 */
export class XtractClient {
  readonly #options: XtractClientOptions;
  #connected: Promise<Connection> | undefined;
  #crawlIds: readonly string[] = [];
  readonly #endpoints = new Map<string, XtractEndpoint>();

  constructor(options: XtractClientOptions) {
    this.#options = { ...options, url: options.url.replace(/\/+$/, "") };
  }

  /** Of the last `crawl`. */
  get crawlIds(): readonly string[] {
    return this.#crawlIds;
  }
  /** Of all crawls of this client. */
  get cidToEndpointMap(): ReadonlyMap<string, XtractEndpoint> {
    return this.#endpoints;
  }
  /** What `cidToEndpointMap` was called before. */
  get cidToXepMap(): ReadonlyMap<string, XtractEndpoint> {
    return this.#endpoints;
  }

  /**
   * Asks whether the server has extractors.
   * @param containerPath sent on and not read: extractors are registered by the server's operator.
   * @returns a sentence, as the Python SDK does.
   */
  async registerContainers({ funcxEpId }: XtractEndpoint, containerPath: string): Promise<string> {
    const { status } = await this.#ask("config_containers", { fx_eid: funcxEpId, container_path: containerPath });
    return `Register containers status (should be 200): ${status}`;
  }

  /** Starts a crawl for each endpoint. @returns their ids, which are the client's `crawlIds` from now on. */
  async crawl(endpoints: readonly XtractEndpoint[]): Promise<readonly string[]> {
    const ids: string[] = [];
    for (const endpoint of endpoints) {
      const asked = {
        repo_type: endpoint.repoType,
        eid: endpoint.globusEpId,
        dir_paths: endpoint.dirs,
        grouper: endpoint.grouper,
      };
      const { crawl_id } = await this.#ask("crawl", { endpoints: [asked] });
      const id = String(crawl_id);
      ids.push(id);
      this.#endpoints.set(id, endpoint);
    }
    this.#crawlIds = ids;
    return ids;
  }

  async getCrawlStatus(crawlIds = this.#crawlIds): Promise<readonly CrawlStatusResult[]> {
    return Promise.all(
      crawlIds.map(async (crawl_id) => {
        const { crawl_id: _, crawl_status, error, code, ...data } = await this.#told("get_crawl_status", { crawl_id });
        if (code !== undefined) return { crawl_id, status: "ERROR", message: String(error), data: {} };
        return { crawl_id, status: String(crawl_status), message: "OK", data: data as CrawlStatusResult["data"] };
      }),
    );
  }

  /** Crawls and looks every two seconds, until all have ended, however: look at their statuses. */
  async crawlAndWait(
    endpoints: readonly XtractEndpoint[],
    { signal, onStatus }: CrawlWait = {},
  ): Promise<readonly CrawlStatusResult[]> {
    await this.crawl(endpoints);
    for (;;) {
      const statuses = await this.getCrawlStatus();
      onStatus?.(statuses);
      if (statuses.every(({ status }) => OVER.includes(status))) return statuses;
      await sleep(LOOK_MS, signal);
    }
  }

  /** The next files of each crawl: what has been flushed is not flushed again. */
  async flushCrawlMetadata(
    crawlIds = this.#crawlIds,
    { nextNFiles, firstNFiles, n }: FlushCount = {},
  ): Promise<readonly FlushResult[]> {
    const count = nextNFiles ?? firstNFiles ?? n;
    const flushed: FlushResult[] = [];
    for (const crawl_id of crawlIds)
      flushed.push((await this.#ask("fetch_crawl_mdata", { crawl_id, n: count })) as unknown as FlushResult);
    return flushed;
  }

  /** Starts an extraction of each crawl. @returns status codes: 200 each. */
  async xtract(): Promise<readonly number[]> {
    this.#requireCrawls();
    const statuses: number[] = [];
    for (const crawl_id of this.#crawlIds) {
      const endpoint = this.#endpoints.get(crawl_id);
      const { status } = await this.#ask("extract", {
        crawl_id,
        fx_ep_ids: [endpoint?.funcxEpId],
        local_mdata_path: endpoint?.metadataDirectory,
      });
      statuses.push(Number(status));
    }
    return statuses;
  }

  /** In the order of `crawlIds`. */
  async getXtractStatus(): Promise<readonly XtractStatusResult[]> {
    this.#requireCrawls();
    return Promise.all(
      this.#crawlIds.map(async (crawl_id) => {
        const { status, counters } = await this.#told("get_extract_status", { crawl_id });
        return {
          xtract_status: String(status),
          xtract_counters: counters as XtractStatusResult["xtract_counters"],
        };
      }),
    );
  }

  /**
   * Copies what was extracted from all crawls into a new folder named for the time, and waits until it is there.
   * @param destEpId id of a Globus collection, as for endpoints; of no account when `destPath` is an endpoint's URL.
   * @returns the folder; it has one of its own for each crawl when there are several.
   */
  async offloadMetadata(destEpId: string, options: OffloadOptions = {}): Promise<string> {
    this.#requireCrawls();
    const { destPath = "", timeout = 600, deleteSource = false } = options;
    const { job_id, path } = await this.#ask("offload", {
      crawl_ids: this.#crawlIds,
      dest_ep_id: destEpId,
      dest_path: destPath,
      timeout,
      delete_source: deleteSource,
    });
    const job = await jobsApi(await this.#connection()).wait(Number(job_id));
    if (job.state === "succeeded") return String(path);
    const { code = "job_cancelled", message = `Job ${job.id} is ${job.state}.`, details } = job.error ?? {};
    throw new LongshoreError(code, message, { details });
  }

  /** Finds files, transactions and records. @param text see docs/formats/queries.md. @throws LongshoreError query_invalid. */
  async search(text: string, { types, limit = 100 }: XtractSearchOptions = {}): Promise<XtractSearchResult> {
    const search = searchApi(await this.#connection());
    const { items, total } = await search.find(text, { limit, ...(types && { types }) }).page();
    const hits = items.map(({ id, type, title, fields }) => ({
      id,
      type,
      title,
      fields,
      file_ids: fileIds(id, fields),
    }));
    return { total, hits };
  }

  /**
   * Fetches archived files, such as were found by `search`, and checks them against their digests.
   * @param fileIds ids of the archive. @param folder of this machine; Node only. Paths in it are those of the archive.
   * @returns one result for each: a file that cannot be had does not keep the others from coming.
   */
  async download(fileIds: readonly number[], folder: string): Promise<readonly DownloadedFile[]> {
    const files = filesApi(await this.#connection());
    const results: DownloadedFile[] = [];
    for (const id of fileIds) results.push(await downloadFile(files, id, folder));
    return results;
  }

  #requireCrawls(): void {
    if (this.#crawlIds.length === 0)
      throw new LongshoreError("request_invalid", "There is no crawl; `crawl` has to be called first.");
  }

  #connection(): Promise<Connection> {
    this.#connected ??= this.#connect().catch((error: unknown) => {
      this.#connected = undefined; // the next request logs in again
      throw error;
    });
    return this.#connected;
  }

  async #connect(): Promise<Connection> {
    const { url, fetch } = this.#options;
    const token = await logIn(url, this.#options);
    return connect({ url, ...(token === undefined ? {} : { token }), ...(fetch && { fetch }) });
  }

  /** What the door says, be it that something is wrong: it says so in its document. */
  async #told(route: string, document: Answer): Promise<Answer> {
    const connection = await this.#connection();
    return connection.json<Answer>(`${this.#options.url}/doors/xtract/${route}`, jsonBody("POST", document));
  }

  /** @throws LongshoreError what is wrong. */
  async #ask(route: string, document: Answer): Promise<Answer> {
    const answer = await this.#told(route, document);
    const { code, message, error } = answer;
    if (code === undefined) return answer;
    throw new LongshoreError(String(code), String(message ?? error), { details: { route } });
  }
}

function fileIds(id: string, { file = [] }: SearchHit["fields"]): readonly number[] {
  const [, own] = /^file:(\d+)$/.exec(id) ?? [];
  return own === undefined ? file.filter((one) => typeof one === "number") : [Number(own)];
}
