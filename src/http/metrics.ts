import type { FastifyReply, FastifyRequest } from "fastify";
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import { FINISHED_STATES } from "../core/jobs/job.ts";
import type { Jobs } from "../core/jobs/jobs.ts";
import type { ServerDeps } from "./server-deps.ts";

export interface Metrics {
  /** Counts bytes of bundles as they come in. */
  received(bytes: number): void;
  /** Counts bytes of files as they go out. */
  sent(bytes: number): void;
  /** Counts a download that begins with the first byte. */
  downloaded(what: "file" | "cart" | "package"): void;
  /** Counts a request that is over. */
  observe(request: FastifyRequest, reply: FastifyReply): void;
  readonly contentType: string;
  /** Prometheus text exposition. */
  render(): Promise<string>;
}

/** Durations of requests: most take milliseconds, uploads may take days. Seconds. */
const REQUEST_BUCKETS = [0.005, 0.02, 0.1, 0.5, 2, 10, 60, 600, 3600, 86_400];
const INGEST_BUCKETS = [0.1, 0.5, 1, 5, 15, 60, 300, 1800, 7200, 43_200];

/** Counts what the servers of this process serve and what its jobs come to, in a registry of its own. */
export function metrics(jobs: Jobs, observed: ServerDeps["observed"]): Metrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });

  const requests = new Histogram({
    name: "longshore_http_request_duration_seconds",
    help: "Requests served, from the first byte of the head to the last of the answer.",
    labelNames: ["method", "route", "status"],
    buckets: REQUEST_BUCKETS,
    registers,
  });
  const received = new Counter({
    name: "longshore_received_bytes_total",
    help: "Bytes of bundles received.",
    registers,
  });
  const sent = new Counter({ name: "longshore_sent_bytes_total", help: "Bytes of files sent.", registers });

  const downloads = new Counter({
    name: "longshore_downloads_total",
    help: "Downloads begun with their first byte.",
    labelNames: ["what"],
    registers,
  });

  const finished = new Counter({
    name: "longshore_jobs_finished_total",
    help: "Jobs that this process brought to an end.",
    labelNames: ["kind", "state"],
    registers,
  });
  const ingest = new Histogram({
    name: "longshore_ingest_duration_seconds",
    help: "Successful ingests, from the first byte to the catalogue.",
    buckets: INGEST_BUCKETS,
    registers,
  });
  jobs.onChange((job) => {
    if (job.finishedAt === null || !FINISHED_STATES.includes(job.state)) return;
    finished.inc({ kind: job.kind, state: job.state });
    if (job.kind === "ingest" && job.state === "succeeded") ingest.observe((job.finishedAt - job.createdAt) / 1000);
  });

  /** A number that is looked up when somebody asks. */
  const looked = (name: string, help: string, label: string, look: () => Promise<Readonly<Record<string, number>>>) =>
    new Gauge({
      name,
      help,
      labelNames: [label],
      registers,
      async collect() {
        for (const [value, count] of Object.entries(await look())) this.set({ [label]: value }, count);
      },
    });
  looked("longshore_jobs_open", "Jobs that are not finished.", "state", () => observed.jobs.countOpen());
  looked("longshore_queue_depth", "Jobs that wait for a worker.", "lane", () => observed.queue.depth());
  new Gauge({
    name: "longshore_outbox_depth",
    help: "Messages that wait to be delivered.",
    registers,
    async collect() {
      this.set(await observed.outbox.depth());
    },
  });
  new Gauge({
    name: "longshore_search_changes",
    help: "Changes that the search index does not have yet.",
    registers,
    async collect() {
      this.set(await observed.searchChanges.depth());
    },
  });

  new Gauge({
    name: "longshore_fixity_coverage_ratio",
    help: "Share of the transactions that were checked within LONGSHORE_FIXITY_DAYS and are sound.",
    registers,
    async collect() {
      this.set((await observed.fixityStatus()).share);
    },
  });
  looked(
    "longshore_fixity_transactions",
    "Transactions by their last check: sound (lately), failed (whenever it was), never checked, and all.",
    "state",
    async () => {
      const { transactions, soundTransactions, failedTransactions, neverChecked } = await observed.fixityStatus();
      return { all: transactions, sound: soundTransactions, failed: failedTransactions, never: neverChecked };
    },
  );

  return {
    observe({ method, routeOptions }, reply) {
      const status = reply.raw.writableFinished ? reply.statusCode : "aborted";
      requests.observe({ method, route: routeOptions.url ?? "none", status }, reply.elapsedTime / 1000);
    },
    received: (bytes) => received.inc(bytes),
    sent: (bytes) => sent.inc(bytes),
    downloaded: (what) => downloads.inc({ what }),
    contentType: registry.contentType,
    render: () => registry.metrics(),
  };
}
