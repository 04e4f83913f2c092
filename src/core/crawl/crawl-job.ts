import type { Clock } from "../clock.ts";
import { AppError, type Details, errorRecord } from "../errors.ts";
import { type CrawlId, crawlId } from "../ids.ts";
import type { Job } from "../jobs/job.ts";
import type { JobContext, JobHandler } from "../jobs/worker.ts";
import { eachAtOnce } from "../streams.ts";
import { type Crawl, type Endpoint, FINISHED_CRAWLS, NO_COUNTS } from "./crawl.ts";
import type { CrawlStore, FolderOf } from "./crawl-store.ts";
import type { Endpoints } from "./endpoints.ts";
import { GROUPS_PART_BY_PART, grouperNamed } from "./grouping/groupers.ts";
import type { Listing, Source } from "./source.ts";
import { type EarlierFiles, earlierFiles } from "./walk/earlier-files.ts";
import { type FolderHistory, folderWalk } from "./walk/folder.ts";
import { tellGoneFolders } from "./walk/gone-folders.ts";
import { KEEP_MS, type Keeping, keeping } from "./walk/keeping.ts";

/** What jobs of this kind read as their input is `{ crawl }`. */
export const CRAWL_JOB = "crawl";

export interface CrawlJobParts {
  readonly store: CrawlStore;
  readonly endpoints: Pick<Endpoints, "open">;
  readonly clock: Clock;
}

/** Stores that one crawl walks at once. */
const ENDPOINTS_AT_ONCE = 4;
const FOLDERS_AT_ONCE = 1_000;

/**
 * The `crawl` job: walks all endpoints, and keeps what it finds in transactions of some thousand files. A worker that takes
 * over begins with the folders that are known and not listed to their end; of those that were kept in part, which the
 * checkpoint names, it leaves out the files that are kept already. So every file is kept once, and counters are exact at
 * any time.
 *
 * A store that fails is a problem of the crawl, which is then `partial`; when all fail, so does the crawl. Memory: folders
 * still to be listed, some thousand files, and of one folder for each endpoint its files, when they are grouped or compared
 * with an earlier crawl.
 */
export function crawlJob({ store, endpoints, clock }: CrawlJobParts): JobHandler {
  async function begun(job: Job): Promise<Crawl> {
    const id = crawlOf(job);
    const found = await store.get(id);
    if (!found) throw new AppError("crawl_unknown", { id });
    if (FINISHED_CRAWLS.includes(found.status)) return found;
    const startedAt = found.startedAt ?? clock.now();
    const crawling = await store.update(id, ["initializing", "crawling"], { status: "crawling", startedAt });
    if (!crawling) throw new AppError("crawl_state_conflict", { id });
    return crawling;
  }

  /** Folders that each endpoint's walk begins with. */
  async function startsOf({ id, endpoints: { length } }: Crawl): Promise<readonly (readonly string[])[]> {
    const starts = Array.from({ length }, (): string[] => []);
    for (let after: number | undefined, more = true; more; ) {
      const page = await store.unlisted(id, FOLDERS_AT_ONCE, after);
      for (const { endpoint, folder } of page) starts[endpoint]?.push(folder);
      after = page.at(-1)?.number;
      more = page.length === FOLDERS_AT_ONCE;
    }
    return starts;
  }

  async function crawlAll(crawl: Crawl, previous: Crawl | undefined, context: JobContext): Promise<Crawl> {
    const { job, tasks, signal } = context;
    await tasks.begin("crawl");
    tasks.advance({ files: crawl.counts.files, bytes: crawl.counts.bytes });
    const begunFolders = begunIn(job);
    const kept = keeping({
      store,
      clock,
      crawl: crawl.id,
      attempts: job.attempts,
      begun: begunFolders,
      note: (begun) => context.checkpoint({ begun: begun.map(({ endpoint, folder }) => ({ endpoint, folder })) }),
      onKept: ({ files, bytes }) => tasks.advance({ files, bytes }),
    });

    async function historyOf(at: FolderOf, earlier: EarlierFiles | undefined): Promise<FolderHistory> {
      const isBegun = begunFolders.some(({ endpoint, folder }) => endpoint === at.endpoint && folder === at.folder);
      return {
        previous: earlier ? await earlier.of(at.folder) : null,
        kept: isBegun ? new Set((await earlierFiles(store, crawl.id, at.endpoint).of(at.folder)).keys()) : null,
      };
    }

    const failures = new Map<number, AppError>();

    /** What the store lists; when it fails, that is noted, and the walk is over. */
    async function* listings(
      at: number,
      endpoint: Endpoint,
      folders: readonly string[],
      stop: AbortSignal,
    ): AsyncGenerator<Listing> {
      let source: Source | undefined;
      try {
        source = await endpoints.open(endpoint);
        yield* source.walk({ folders, hidden: endpoint.hidden, isDone: () => false, signal: stop });
      } catch (error) {
        if (stop.aborted || !(error instanceof AppError)) throw error;
        failures.set(at, error);
      } finally {
        await source?.close();
      }
    }

    async function walk(at: number, endpoint: Endpoint, starts: readonly string[], failed: AbortSignal): Promise<void> {
      const stop = AbortSignal.any([signal, failed]);
      const { grouper: name, pattern } = endpoint;
      const options = { pattern: pattern ?? undefined, giveWay: () => clock.sleep(0) };
      const grouper = GROUPS_PART_BY_PART.includes(name) ? null : grouperNamed(name, options);
      const earlier = previous && earlierFiles(store, previous.id, at);
      for (const folder of starts) earlier?.expect(folder);
      let open: ReturnType<typeof folderWalk> | undefined;
      for await (const part of listings(at, endpoint, starts, stop)) {
        stop.throwIfAborted();
        const folder = { endpoint: at, folder: part.folder };
        open ??= folderWalk(folder, grouper, await historyOf(folder, earlier));
        const found = await open.take(part);
        if (part.isLast) open = undefined;
        for (const known of found.folders) earlier?.expect(known.folder);
        await kept.add(found, !part.isLast && found.batches.length > 0 ? folder : undefined);
      }
    }

    const starts = await startsOf(crawl);
    const walks = [...crawl.endpoints.entries()].filter(([at]) => (starts[at]?.length ?? 0) > 0);
    await whileTicking(kept, signal, () =>
      eachAtOnce(
        walks,
        () => ENDPOINTS_AT_ONCE,
        ([at, endpoint], failed) => walk(at, endpoint, starts[at] ?? [], failed),
      ),
    );
    await kept.flush();
    signal.throwIfAborted();
    if (previous) await tellGoneFolders(store, crawl, previous, new Set(failures.keys()), kept);
    if (failures.size > 0) await kept.add(failuresFound(failures));
    await kept.flush();
    const [first] = failures.values();
    if (first && failures.size === crawl.endpoints.length)
      throw new AppError("crawl_failed", { reason: first.message }, { cause: first });
    return finish(crawl.id);
  }

  /** Slow stores, too, are told of in time. */
  async function whileTicking(kept: Keeping, signal: AbortSignal, work: () => Promise<void>): Promise<void> {
    const over = new AbortController();
    async function tick(): Promise<void> {
      while (!over.signal.aborted) {
        await clock.sleep(KEEP_MS, AbortSignal.any([over.signal, signal]));
        if (signal.aborted) return;
        await kept.tick();
      }
    }
    const ticking = tick();
    ticking.catch(() => {}); // thrown below; the walks meet the same failure with their next part
    try {
      await work();
    } finally {
      over.abort();
    }
    await ticking;
  }

  async function finish(id: CrawlId): Promise<Crawl> {
    const { counts } = (await store.get(id)) ?? { counts: NO_COUNTS };
    const status = counts.errors === 0 ? "complete" : "partial";
    const finished = await store.update(id, ["crawling"], { status, finishedAt: clock.now() });
    if (!finished) throw new AppError("crawl_state_conflict", { id });
    return finished;
  }

  return {
    async run(context) {
      const crawl = await begun(context.job);
      if (FINISHED_CRAWLS.includes(crawl.status)) return resultOf(crawl);
      context.signal.throwIfAborted();
      const previous = crawl.previous === null ? undefined : await store.get(crawl.previous);
      return resultOf(await crawlAll(crawl, previous, context));
    },

    async cleanUp(job) {
      const status = job.state === "cancelled" ? "cancelled" : "failed";
      const error = job.error ?? errorRecord(new AppError("job_cancelled"));
      const end = { status, error, finishedAt: clock.now() } as const;
      await store.update(crawlOf(job), ["initializing", "crawling"], end);
    },

    /** What was found is kept as it is: who wants the rest begins a new crawl. */
    retryable: () => Promise.resolve(false),

    async committed(job) {
      const crawl = await store.get(crawlOf(job));
      return crawl?.status === "complete" || crawl?.status === "partial";
    },
  };
}

const crawlOf = ({ input }: Job): CrawlId => crawlId(String(input.crawl));

/** As the checkpoint names them. */
function begunIn({ checkpoint }: Job): readonly FolderOf[] {
  return "begun" in checkpoint ? (checkpoint.begun as unknown as readonly FolderOf[]) : [];
}

function failuresFound(failures: ReadonlyMap<number, AppError>) {
  const problems = [...failures].map(([endpoint, { code, message }]) => ({ endpoint, code, path: "", message }));
  const counts = { ...NO_COUNTS, errors: problems.length };
  return { batches: [], folders: [], listed: [], problems, counts, changes: null };
}

function resultOf({ id, status, counts, changes }: Crawl): Details {
  return { crawl: id, status, ...counts, ...(changes && { changes: { ...changes } }) };
}
