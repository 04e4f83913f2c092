import { Counter, Gauge, type Registry } from "prom-client";
import type { ObjectStorage } from "../core/archive/object-storage.ts";
import type { Outbox } from "../core/catalogue/catalogue-store.ts";
import type { SearchChanges } from "../core/catalogue/search-changes.ts";
import type { Clock } from "../core/clock.ts";
import type { FixityStatus } from "../core/fixity/fixity.ts";
import { LANES } from "../core/jobs/job.ts";
import type { JobQueue } from "../core/jobs/job-queue.ts";
import type { JobStore } from "../core/jobs/job-store.ts";

/** What is looked at when somebody asks how things are. */
export interface Watched {
  readonly jobs: Pick<JobStore, "countOpen" | "oldestQueued">;
  readonly queue: Pick<JobQueue, "depth">;
  readonly outbox: Pick<Outbox, "backlog">;
  readonly searchChanges: Pick<SearchChanges, "depth" | "pending">;
  readonly storage: Pick<ObjectStorage, "freeBytes">;
  /** Room where what is received, fetched and noted is kept until it is in the archive. */
  dataFreeBytes(): Promise<number>;
  fixityStatus(): Promise<FixityStatus>;
  /** Of a database that is spoken to over connections. */
  readonly connections?: (() => Connections) | undefined;
  onTrouble(error: unknown, during: string): void;
}

export interface Connections {
  readonly open: number;
  readonly idle: number;
  /** Statements that wait for one. */
  readonly waiting: number;
}

/** It goes through all transactions, and changes over days. */
const FIXITY_MS = 60_000;

type Look = () => Promise<Readonly<Record<string, number>>>;

/**
 * Numbers that are looked up with each scrape. Those of the database are the same in every process: dashboards take their
 * maximum, not their sum. One that cannot be looked up is left out and counted, the others are shown.
 */
export function stateGauges(registers: Registry[], clock: Clock, watched: Watched): void {
  const failures = new Counter({
    name: "longshore_metrics_failed_total",
    help: "Numbers that could not be looked up for a scrape.",
    labelNames: ["metric"],
    registers,
  });

  /** One number for each value of a label. */
  function gauges(name: string, help: string, label: string, look: Look): void {
    failures.inc({ metric: name }, 0);
    new Gauge({
      name,
      help,
      labelNames: [label],
      registers,
      async collect() {
        this.reset();
        try {
          for (const [value, number] of Object.entries(await look())) this.set({ [label]: value }, number);
        } catch (error) {
          failures.inc({ metric: name });
          watched.onTrouble(error, `looking up ${name}`);
        }
      },
    });
  }

  /** One number; none while there is nothing to tell. */
  function gauge(name: string, help: string, look: () => Promise<number | undefined>): void {
    failures.inc({ metric: name }, 0);
    new Gauge({
      name,
      help,
      registers,
      async collect() {
        this.remove();
        try {
          const number = await look();
          if (number !== undefined) this.set(number);
        } catch (error) {
          failures.inc({ metric: name });
          watched.onTrouble(error, `looking up ${name}`);
        }
      },
    });
  }

  const secondsSince = (at: number | null | undefined) =>
    at === null || at === undefined ? 0 : Math.max(0, clock.now() - at) / 1000;
  const backlog = fresh(clock, 1_000, () => watched.outbox.backlog());
  const fixity = fresh(clock, FIXITY_MS, () => watched.fixityStatus());
  const longestWaiting = longestSeen(clock);

  gauges("longshore_jobs_open", "Jobs that are not finished.", "state", () => watched.jobs.countOpen());
  gauges("longshore_queue_depth", "Jobs that wait for a worker.", "lane", () => watched.queue.depth());
  gauges(
    "longshore_queue_oldest_seconds",
    "For how long the oldest job of a lane has been queued.",
    "lane",
    async () => {
      const oldest = await watched.jobs.oldestQueued();
      return Object.fromEntries(LANES.map((lane) => [lane, secondsSince(oldest[lane])]));
    },
  );

  gauge("longshore_outbox_depth", "Messages that wait to be delivered.", async () => (await backlog()).messages);
  gauge(
    "longshore_outbox_failing",
    "Of these, messages whose delivery has failed and is tried again.",
    async () => (await backlog()).failing,
  );
  gauge("longshore_outbox_oldest_seconds", "For how long the oldest message has been waiting.", async () =>
    secondsSince((await backlog()).oldestAt),
  );

  gauge("longshore_search_changes", "Changes that the search index does not have yet.", () =>
    watched.searchChanges.depth(),
  );
  gauge(
    "longshore_search_lag_seconds",
    "For how long this process has seen the same change as the oldest that the search index does not have.",
    async () => longestWaiting((await watched.searchChanges.pending(1))[0]?.number),
  );

  gauge(
    "longshore_fixity_coverage_ratio",
    "Share of the transactions that were checked within LONGSHORE_FIXITY_DAYS and are sound.",
    async () => (await fixity()).share,
  );
  gauges(
    "longshore_fixity_transactions",
    "Transactions by their last check: sound (lately), failed (whenever it was), never checked, and all.",
    "state",
    async () => {
      const { transactions, soundTransactions, failedTransactions, neverChecked } = await fixity();
      return { all: transactions, sound: soundTransactions, failed: failedTransactions, never: neverChecked };
    },
  );

  gauges("longshore_free_bytes", "Room in the data folder, and in the archive where it can tell.", "what", async () => {
    const archive = await watched.storage.freeBytes();
    return { data: await watched.dataFreeBytes(), ...(archive !== undefined && { archive }) };
  });

  const { connections } = watched;
  if (connections)
    gauges(
      "longshore_database_connections",
      "Connections to the database in use and idle, and statements that wait for one.",
      "state",
      async () => {
        const { open, idle, waiting } = connections();
        return { busy: open - idle, idle, waiting };
      },
    );
}

/** Asks once for all who want to know within `ms`. */
function fresh<T>(clock: Clock, ms: number, ask: () => Promise<T>): () => Promise<T> {
  let askedAt = Number.NEGATIVE_INFINITY;
  let answer: Promise<T> | undefined;
  return () => {
    if (answer && clock.now() - askedAt < ms) return answer;
    askedAt = clock.now();
    const asked = ask();
    answer = asked;
    asked.catch(() => {
      if (answer === asked) answer = undefined;
    });
    return asked;
  };
}

/** @returns a function that is told what is first in line, and says for how many seconds it has been told the same. */
function longestSeen(clock: Clock): (first: number | undefined) => number {
  let seen: number | undefined;
  let since = 0;
  return (first) => {
    if (first !== seen) since = clock.now();
    seen = first;
    return first === undefined ? 0 : (clock.now() - since) / 1000;
  };
}
