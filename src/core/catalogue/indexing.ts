import type { Clock } from "../clock.ts";
import { AppError, type ErrorRecord, errorRecord } from "../errors.ts";
import type { FileId, TransactionId } from "../ids.ts";
import { mapInOrder } from "../streams.ts";
import type { SearchChange, SearchChanges } from "./search-changes.ts";
import { type Content, PAGE, type SearchContent } from "./search-content.ts";
import type { SearchDocument, SearchIndex } from "./search-index.ts";

/** How often changes are looked for: what is deposited is found within a second. */
const IDLE_MS = 300;
/** After trouble with the database or the index; then twice as long each time. */
const TROUBLE_FIRST_MS = 1_000;
const TROUBLE_LONGEST_MS = 30_000;
/** Pages of documents that are under way to an index that is being made. */
const PAGES_AHEAD = 2;
/** After which a change is tried again that could not be indexed; then twice as long each time. */
const KEPT_FIRST_MS = 60_000;
const KEPT_LONGEST_MS = 24 * 3_600_000;

export interface IndexingParts {
  readonly index: SearchIndex;
  readonly changes: SearchChanges;
  readonly content: SearchContent;
  readonly clock: Clock;
  /** Told of everything that cannot be indexed, and of whatever goes wrong around it; for the log. */
  onTrouble?(error: unknown, during: string): void;
}

/** An index that is or was made anew. */
export interface Rebuild {
  readonly startedAt: number;
  /** `null` while it is under way. */
  readonly finishedAt: number | null;
  /** Documents so far. */
  readonly done: number;
  /** About how many there are. */
  readonly total: number;
  /** Why there is no new index; the one before is in use still. */
  readonly error: ErrorRecord | null;
}

export interface Indexing {
  /** The last one that this process began. */
  lastRebuild(): Rebuild | null;
  /**
   * Makes the index anew from the database, beside the one in use. While that is under way, this is that one.
   * Resolves when the new one is in use.
   */
  rebuild(): Promise<void>;
  /** Resolves when nothing is under way any more. What is not in the index yet stays a change. */
  stop(): Promise<void>;
}

/**
 * Brings changes of the database into the index until `stop`, and makes an index that was never filled from everything there
 * is. Starts at once. For the one process that has the index.
 *
 * A change is forgotten when the index has what it is about, as it was at that time or later: so a process may die on any line,
 * and the next one repeats what was under way. What cannot be indexed is told, keeps nothing else from being indexed, and
 * stays a change that is tried again later.
 *
 * Records of archived files have the files' fields, so they change with transactions: the index itself says which they are. One
 * that is being made cannot be asked, so transactions that change meanwhile are looked at again when it is in use.
 * Memory: some pages of documents.
 */
export function startIndexing({ index, changes, content, clock, onTrouble }: IndexingParts): Indexing {
  const stopping = new AbortController();
  const { signal } = stopping;
  const kept = keptChanges(clock);
  /** Changes of transactions that are in the index, and were brought in while another one was being made. */
  const held = new Set<number>();
  let last: Rebuild | null = null;
  let underWay: Promise<void> | undefined;

  /** @returns whether there may be more to do at once. */
  async function round(): Promise<boolean> {
    // Kept and held ones are among the oldest, and there to be passed over.
    const pending = await changes.pending(PAGE + kept.count() + held.size);
    const due = pending.filter(({ number }) => kept.isDue(number) && !held.has(number)).slice(0, PAGE);
    let batch = changeBatch();
    for (const { numbers, contents } of tasksOf(due)) {
      try {
        for await (const page of contents) {
          signal.throwIfAborted();
          batch.add(page, numbers);
          if (batch.size() < PAGE) continue;
          await bringIn(batch);
          batch = changeBatch();
        }
        batch.complete(numbers);
      } catch (error) {
        if (signal.aborted || isOfTheMachine(error)) throw error;
        onTrouble?.(error, `changes ${numbers.join(", ")} for the search index`);
        for (const number of numbers) kept.keep(number);
      }
    }
    await bringIn(batch);
    return due.length === PAGE;
  }

  /** What there is to be done: changes of single files are looked up together. */
  function tasksOf(due: readonly SearchChange[]) {
    const files: { readonly number: number; readonly file: FileId }[] = [];
    const tasks: { readonly numbers: readonly number[]; readonly contents: AsyncIterable<Content> }[] = [];
    for (const { number, subject } of due) {
      if ("file" in subject) files.push({ number, file: subject.file });
      else if ("transaction" in subject) tasks.push({ numbers: [number], contents: ofTransaction(subject, number) });
      else tasks.push({ numbers: [number], contents: content.of(subject) });
    }
    if (files.length === 0) return tasks;
    const contents = content.ofFiles([...new Set(files.map(({ file }) => file))]);
    return [...tasks, { numbers: files.map(({ number }) => number), contents }];
  }

  async function* ofTransaction(subject: { readonly transaction: TransactionId }, number: number) {
    if (underWay) held.add(number);
    yield* content.of(subject);
    const query = { field: "transaction", is: String(subject.transaction), isPrefix: false };
    for (let cursor: string | null | undefined; cursor !== null; ) {
      const after = cursor === undefined ? {} : { cursor };
      const page = await index.search({ query, types: ["record"], order: "newest", limit: PAGE, ...after });
      yield* content.ofRecords(page.hits.map(({ key }) => key));
      cursor = page.next;
    }
  }

  /** The documents first; then what the index has is there to be forgotten. */
  async function bringIn(batch: ChangeBatch): Promise<void> {
    const { documents, absent } = batch.content();
    if (absent.length > 0) await index.remove(absent);
    for (const key of await putAll((some) => index.put(some), documents))
      for (const number of batch.numbersOf(key)) kept.keep(number);
    const done = batch.completed().filter((number) => kept.isDue(number) && !held.has(number));
    if (done.length > 0) await changes.done(done);
    kept.forget(done);
  }

  /** @returns the keys of those that are not taken. */
  async function putAll(
    put: (documents: readonly SearchDocument[]) => Promise<void>,
    documents: readonly SearchDocument[],
  ): Promise<readonly string[]> {
    if (documents.length === 0) return [];
    try {
      await put(documents);
      return [];
    } catch (error) {
      if (isOfTheMachine(error)) throw error;
      if (documents.length > 1) {
        const failed = [];
        for (const document of documents) failed.push(...(await putAll(put, [document])));
        return failed;
      }
      onTrouble?.(error, `indexing ${documents[0]?.key}`);
      return documents.map(({ key }) => key);
    }
  }

  async function rebuildNow(): Promise<void> {
    const startedAt = clock.now();
    last = { startedAt, finishedAt: null, done: 0, total: 0, error: null };
    try {
      const total = await content.size();
      const builder = await index.rebuild();
      try {
        let done = 0;
        const fill = async (documents: readonly SearchDocument[]) => {
          signal.throwIfAborted();
          await putAll(builder.put, documents);
          done += documents.length;
          last = { startedAt, finishedAt: null, done, total: Math.max(done, total), error: null };
        };
        // The database is read while the index writes.
        for await (const _ of mapInOrder(pagesOf(content.everything()), PAGES_AHEAD, fill));
        await builder.finish();
        last = { startedAt, finishedAt: clock.now(), done, total: done, error: null };
      } catch (error) {
        await builder.abandon();
        throw error;
      }
    } catch (error) {
      last = { ...last, finishedAt: clock.now(), error: errorRecord(error) };
      throw error;
    }
  }

  function rebuild(): Promise<void> {
    underWay ??= rebuildNow().finally(() => {
      underWay = undefined;
      held.clear();
    });
    return underWay;
  }

  /** Tries again until it succeeds, or all stops. */
  async function insist(during: string, work: () => Promise<void>): Promise<void> {
    for (let pauseMs = TROUBLE_FIRST_MS; !signal.aborted; pauseMs = Math.min(TROUBLE_LONGEST_MS, pauseMs * 2)) {
      try {
        return await work();
      } catch (error) {
        if (signal.aborted) return;
        onTrouble?.(error, during);
        await clock.sleep(pauseMs, signal);
        if (isDamage(error)) await insist("mending the search index", rebuild);
      }
    }
  }

  async function indexChanges(): Promise<void> {
    while (!signal.aborted) {
      await insist("indexing", async () => {
        while (!signal.aborted && (await round()));
      });
      await clock.sleep(IDLE_MS, signal);
    }
  }

  async function fillOnce(): Promise<void> {
    if (await index.isFilled()) return;
    // Whatever is added from now on leaves a change.
    const isNew = (await content.size()) === 0 && (await index.counts()).documents === 0;
    await (isNew ? index.declareFilled() : rebuild());
  }

  const running = [indexChanges(), insist("filling the search index", fillOnce)];

  return {
    lastRebuild: () => last,
    async rebuild() {
      signal.throwIfAborted();
      await rebuild();
    },
    async stop() {
      stopping.abort();
      await Promise.all(running);
      await underWay?.catch(() => undefined); // whoever began it is told
    },
  };
}

/** Trouble that has nothing to do with what is being indexed: nor has an index that somebody else makes anew meanwhile. */
function isOfTheMachine(error: unknown): boolean {
  return error instanceof AppError && (error.retryable || isDamage(error) || error.code === "job_cancelled");
}

function isDamage(error: unknown): boolean {
  return error instanceof AppError && error.code === "database_damaged";
}

type ChangeBatch = ReturnType<typeof changeBatch>;

/** Documents of several changes that are put together. */
function changeBatch() {
  const byKey = new Map<string, { readonly document: SearchDocument | null; readonly numbers: readonly number[] }>();
  const completed: number[] = [];
  return {
    size: () => byKey.size,
    /** What was looked at later counts. */
    add({ documents, absent }: Content, numbers: readonly number[]): void {
      for (const document of documents) byKey.set(document.key, { document, numbers });
      for (const key of absent) byKey.set(key, { document: null, numbers });
    },
    /** All that these changes are about is in this batch, or in ones before. */
    complete(numbers: readonly number[]): void {
      completed.push(...numbers);
    },
    completed: (): readonly number[] => completed,
    numbersOf: (key: string): readonly number[] => byKey.get(key)?.numbers ?? [],
    content(): Content {
      const documents = [...byKey.values()].flatMap(({ document }) => document ?? []);
      const absent = [...byKey].flatMap(([key, { document }]) => (document === null ? [key] : []));
      return { documents, absent };
    },
  };
}

/** Changes that could not be indexed, and when they are tried again. */
function keptChanges(clock: Clock) {
  const kept = new Map<number, { readonly dueAt: number; readonly pauseMs: number }>();
  const isDue = (number: number) => (kept.get(number)?.dueAt ?? Number.NEGATIVE_INFINITY) <= clock.now();
  return {
    count: () => kept.size,
    isDue,
    keep(number: number): void {
      if (!isDue(number)) return;
      const pauseMs = Math.min(KEPT_LONGEST_MS, 2 * (kept.get(number)?.pauseMs ?? KEPT_FIRST_MS / 2));
      kept.set(number, { dueAt: clock.now() + pauseMs, pauseMs });
    },
    forget(numbers: readonly number[]): void {
      for (const number of numbers) kept.delete(number);
    },
  };
}

/** Many transactions are small: their documents are put together. */
async function* pagesOf(contents: AsyncIterable<Content>): AsyncGenerator<readonly SearchDocument[]> {
  let page: SearchDocument[] = [];
  for await (const { documents } of contents) {
    page.push(...documents);
    if (page.length < PAGE) continue;
    yield page;
    page = [];
  }
  if (page.length > 0) yield page;
}
