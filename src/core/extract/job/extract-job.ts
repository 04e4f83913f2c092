import type { Clock } from "../../clock.ts";
import { type Crawl, type CrawlBatch, FINISHED_CRAWLS } from "../../crawl/crawl.ts";
import type { CrawlStore } from "../../crawl/crawl-store.ts";
import type { Endpoints } from "../../crawl/endpoints.ts";
import type { Target } from "../../crawl/target.ts";
import { AppError, type Details, errorRecord } from "../../errors.ts";
import { type CrawlId, type ExtractionId, extractionId } from "../../ids.ts";
import type { Job } from "../../jobs/job.ts";
import { type JobContext, type JobHandler, PutOff } from "../../jobs/worker.ts";
import { mapInOrder } from "../../streams.ts";
import { type AwaitedExtractor, goneExtractors } from "../awaited.ts";
import { chosenExtractors } from "../choose.ts";
import type { Extraction } from "../extraction.ts";
import type { ExtractionStore } from "../extraction-store.ts";
import type { ExtractorSet } from "../registry.ts";
import type { WithoutRoom } from "../without-room.ts";
import { familiesIn } from "./crawled-families.ts";
import { type DescribedFamily, describeFamilies } from "./describe.ts";
import { type Placing, placing } from "./place-files.ts";
import { type RecordFiles, recordFiles, recordsFolder } from "./record-files.ts";
import type { Scratch, ScratchFolder } from "./scratch.ts";

/**
 * What is kept together, repeated when a worker dies and lost when somebody cancels: batches of a crawl with about so many
 * files. The first window has few, so that a few slow files do not hold up the counts of many; others have as many as would
 * have been described in about `WINDOW_MS`, and never so few that processes would have nothing to do.
 */
const SMALLEST_WINDOW_FILES = 100;
const LARGEST_WINDOW_FILES = 2_000;
const WINDOW_MS = 4_000;
/** While one window is kept or waits for its slowest file, the next one is described. */
const WINDOWS_AT_ONCE = 2;
/** Of all records of a window, as JSON: that much memory it may take, times two. */
const WINDOW_CHARS = 64 * 1024 * 1024;
/** Batches that are read at once: a batch may have some hundred files, or one. */
const BATCHES_AT_ONCE = 16;

/** How often a crawl that goes on is asked for more, before others get the place in the lane. */
const LOOKS = 40;
const LOOK_MS = 250;
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 30_000;

/** After so many attempts, files of a store that does not answer have failed. */
const PATIENT_ATTEMPTS = 5;
/** How often it is tried whether there is room again. */
const FULL_PAUSE_MS = 5_000;

export interface ExtractJobParts {
  readonly crawls: CrawlStore;
  readonly extractions: ExtractionStore;
  readonly extractors: ExtractorSet;
  readonly endpoints: Pick<Endpoints, "open">;
  readonly scratch: Scratch;
  readonly clock: Clock;
  /** Folders that records may be written to. */
  readonly recordRoots: readonly string[];
  recordTarget(root: string): Target;
  /** Of a family that is fetched from elsewhere. */
  readonly familyBytes: number;
  readonly withoutRoom: WithoutRoom;
}

interface Window {
  readonly batches: readonly CrawlBatch[];
  readonly files: number;
}

interface DescribedWindow extends Window {
  readonly families: readonly DescribedFamily[];
  readonly tasks: number;
}

/**
 * The `extract` job: describes what a crawl has found, while it goes on finding more, and ends when the crawl has ended and
 * all of it is described. Its input: `{ extraction }`.
 *
 * It works in windows of whole batches; two of them are under way. A window's record files are written first; then its
 * records, counts and the place in the crawl are kept, in one transaction. So whoever takes the job over repeats what was
 * under way, and nothing is there twice. The checkpoint is for show: how many files are done, and how long it has waited.
 *
 * When there is no room for what it fetches, writes or keeps, it says so in the extraction's error and waits, for as long as
 * it takes: what is described is there, and the rest goes on by itself.
 */
export function extractJob(parts: ExtractJobParts): JobHandler {
  const { crawls, extractions, clock, scratch, withoutRoom } = parts;

  /** @throws AppError extraction_unknown; what `from` leaves out is over: it is returned as it is. */
  async function begun(id: ExtractionId): Promise<Extraction> {
    const fields = { status: "extracting", error: null, finishedAt: null } as const;
    const extraction =
      (await extractions.update(id, ["waiting", "extracting", "failed", "cancelled"], fields)) ??
      (await extractions.get(id));
    if (!extraction) throw new AppError("extraction_unknown", { id });
    return extraction;
  }

  async function crawlOf(id: CrawlId): Promise<Crawl> {
    const crawl = await crawls.get(id);
    if (!crawl) throw new AppError("crawl_unknown", { id });
    return crawl;
  }

  async function extract(extraction: Extraction, context: JobContext): Promise<Extraction> {
    const { signal, job } = context;
    const crawl = await crawlOf(extraction.crawl);
    const known = await parts.extractors.facts();
    const extractors = [...chosenExtractors(known, extraction.extractors), ...goneExtractors(job.input, known)];
    let folder: Promise<ScratchFolder> | undefined;
    const files = placing({
      endpoints: crawl.endpoints,
      stores: parts.endpoints,
      scratch: () => {
        folder ??= scratch.open(extraction.id);
        return folder;
      },
      familyBytes: parts.familyBytes,
      isPatient: job.attempts < PATIENT_ATTEMPTS,
      signal,
    });
    const place =
      extraction.recordsFolder === null ? undefined : recordsFolder(extraction.recordsFolder, parts.recordRoots);
    const target = place && parts.recordTarget(place.root);
    const records = target && recordFiles(target, place.path, extraction, crawl.endpoints);
    try {
      const run = extractionRun(parts, extraction, context, files, records);
      await run.describeAll(extractors);
      await records?.finish(batchesOf(crawl.id), signal, context.tasks.warn);
    } finally {
      await files.close();
      await target?.close();
      if (folder) await scratch.discard(extraction.id);
    }
    const done = { status: "complete", finishedAt: clock.now() } as const;
    const complete = await extractions.update(extraction.id, ["extracting"], done);
    if (!complete) throw new AppError("crawl_state_conflict", { id: extraction.id, expected: "extracting" });
    return complete;
  }

  async function* batchesOf(id: CrawlId): AsyncGenerator<CrawlBatch> {
    for (let seq = 0; ; ) {
      const batches = await crawls.batches(id, seq, BATCHES_AT_ONCE);
      yield* batches;
      const last = batches.at(-1);
      if (!last) return;
      seq = last.seq;
    }
  }

  /** @throws whatever is not about room. */
  async function putOff(id: ExtractionId, error: unknown): Promise<PutOff> {
    if (!isFull(error)) throw error;
    const said = errorRecord(error);
    withoutRoom.set(id, said);
    await extractions.update(id, ["extracting"], { error: said }).catch((refused: unknown) => {
      if (!isFull(refused)) throw refused;
    });
    return new PutOff(FULL_PAUSE_MS);
  }

  return {
    async run(context) {
      const id = extractionOf(context.job);
      try {
        const extraction = await begun(id);
        withoutRoom.delete(id);
        return resultOf(extraction.status === "complete" ? extraction : await extract(extraction, context));
      } catch (error) {
        throw await putOff(id, error);
      }
    },

    async cleanUp(job) {
      const id = extractionOf(job);
      withoutRoom.delete(id);
      const { code, message, details } = job.error ?? new AppError("job_cancelled");
      const status = job.state === "cancelled" ? "cancelled" : "failed";
      const over = { status, error: { code, message, details }, finishedAt: clock.now() } as const;
      await extractions.update(id, ["waiting", "extracting"], over);
      await scratch.discard(id);
    },

    /** From where it stands. */
    async retryable(job) {
      const extraction = await extractions.get(extractionOf(job));
      return extraction?.status === "failed" || extraction?.status === "cancelled";
    },

    committed: async (job) => (await extractions.get(extractionOf(job)))?.status === "complete",
  };
}

/** One worker's run of an extraction, from where the last one stood. */
function extractionRun(
  { crawls, extractions, extractors: { sandbox }, clock }: ExtractJobParts,
  { id, crawl: crawlId, doneSeq }: Extraction,
  { job, tasks, signal, checkpoint }: JobContext,
  files: Placing,
  records: RecordFiles | undefined,
) {
  let seq = doneSeq;
  let doneFiles = numberIn(job.checkpoint.files) ?? 0;
  let pauseMs = numberIn(job.checkpoint.pauseMs) ?? FIRST_PAUSE_MS / 2;
  let windowFiles = SMALLEST_WINDOW_FILES;
  /** Tasks of windows that are not kept yet. */
  let underWay = 0;
  /** What is said to the store, one after the other: two that overtake each other would leave the older number. */
  let said: Promise<unknown> = Promise.resolve();

  function inTurn<T>(say: () => Promise<T>): Promise<T> {
    const next = said.then(say);
    said = next.catch(() => {}); // thrown to whoever said it
    return next;
  }

  /** Of what the crawl has found until now. */
  async function* windows(): AsyncGenerator<Window> {
    let batches: CrawlBatch[] = [];
    let count = 0;
    for (let at = seq; ; ) {
      const page = await crawls.batches(crawlId, at, BATCHES_AT_ONCE);
      for (const batch of page) {
        batches.push(batch);
        count += batch.files.length;
        at = batch.seq;
        if (count < windowFiles) continue;
        yield { batches, files: count };
        batches = [];
        count = 0;
      }
      if (page.length > 0) continue;
      if (batches.length > 0) yield { batches, files: count };
      return;
    }
  }

  async function describe(window: Window, extractors: readonly AwaitedExtractor[]) {
    const begunAt = clock.now();
    const families: DescribedFamily[] = [];
    const telling: Promise<unknown>[] = [];
    let own = 0;
    const room = { chars: WINDOW_CHARS };
    const onTasks = (count: number) => {
      own += count;
      underWay += count;
      const told = inTurn(() => extractions.pending(id, underWay));
      told.catch(() => {}); // awaited below
      telling.push(told);
    };
    const found = window.batches.flatMap((batch) => [...familiesIn(batch)]);
    for await (const part of files.parts(found))
      families.push(...(await describeFamilies(part, { crawl: crawlId, extractors, sandbox, onTasks, room, signal })));
    await Promise.all(telling);
    const affordable = Math.ceil((window.files * WINDOW_MS) / Math.max(1, clock.now() - begunAt));
    windowFiles = Math.max(SMALLEST_WINDOW_FILES, Math.min(LARGEST_WINDOW_FILES, 2 * windowFiles, affordable));
    return { ...window, families, tasks: own };
  }

  async function keep({ batches, files: count, families, tasks: own }: DescribedWindow): Promise<void> {
    const last = batches.at(-1)?.seq ?? seq;
    const now = clock.now();
    await records?.write(families, now, signal);
    const all = families.flatMap((one) => one.records);
    const failed = all.filter(({ failure }) => failure !== null).length;
    const counts = {
      pulled: families.length,
      success: all.length - failed,
      failed,
      unknown: families.reduce((sum, { unknown }) => sum + unknown, 0),
    };
    const isKept = await inTurn(() => {
      underWay -= own;
      return extractions.keep(id, seq, { seq: last, records: all, counts, pending: underWay }, now);
    });
    signal.throwIfAborted();
    if (!isKept) throw new AppError("crawl_state_conflict", { id, expected: `extracting, after batch ${seq}` });
    seq = last;
    doneFiles += count;
    pauseMs = FIRST_PAUSE_MS / 2;
    tasks.advance({ files: count });
    await checkpoint({ files: doneFiles });
  }

  /** Until a crawl that goes on may have found more. @throws PutOff when that takes long; the signal's reason. */
  async function wait(status: Crawl["status"], looks: number): Promise<void> {
    signal.throwIfAborted();
    // One that has not begun may be waiting for this job's place.
    if (status === "crawling" && looks < LOOKS) return clock.sleep(LOOK_MS, signal);
    pauseMs = Math.min(LONGEST_PAUSE_MS, pauseMs * 2);
    await checkpoint({ files: doneFiles, pauseMs });
    throw new PutOff(pauseMs);
  }

  async function beginTask({ counts }: Crawl, isOver: boolean): Promise<void> {
    await tasks.begin("extract", isOver ? { files: counts.files } : {});
    tasks.advance({ files: doneFiles });
  }

  return {
    /** All that the crawl has found, and finds until its end. */
    async describeAll(extractors: readonly AwaitedExtractor[]): Promise<void> {
      await inTurn(() => extractions.pending(id, 0));
      let wasOver: boolean | undefined;
      for (let looks = 0; ; looks++) {
        // The crawl is read before its batches: when it has ended here, all of them are there.
        const crawl = await crawls.get(crawlId);
        if (!crawl) throw new AppError("crawl_unknown", { id: crawlId });
        const isOver = FINISHED_CRAWLS.includes(crawl.status);
        if (wasOver !== isOver) await beginTask(crawl, isOver);
        wasOver = isOver;
        const before = seq;
        const described = mapInOrder(windows(), WINDOWS_AT_ONCE, (window) => describe(window, extractors));
        for await (const window of described) await keep(window);
        if (isOver) return;
        if (seq > before) looks = 0;
        await wait(crawl.status, looks);
      }
    },
  };
}

const extractionOf = ({ input }: Job): ExtractionId => extractionId(String(input.extraction));

const isFull = (error: unknown) => error instanceof AppError && error.code === "storage_full";

const numberIn = (value: unknown): number | undefined => (typeof value === "number" ? value : undefined);

function resultOf({ id, crawl, counts }: Extraction): Details {
  return { extraction: id, crawl, ...counts };
}
