import { Counter, Gauge, Histogram, type Registry } from "prom-client";
import type { Clock } from "../core/clock.ts";
import type { Details } from "../core/errors.ts";
import { FINISHED_STATES, type Job } from "../core/jobs/job.ts";
import type { JobHandler } from "../core/jobs/worker.ts";

/** Seconds. */
const PICKUP_BUCKETS = [0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5, 30, 120, 600, 3600];
const WORK_BUCKETS = [0.05, 0.25, 1, 5, 15, 60, 300, 1800, 7200, 43_200];

/** What the jobs of this process come to. */
export function jobMeters(registers: Registry[], clock: Clock) {
  const counter = (name: string, help: string, labelNames: string[] = []) =>
    new Counter({ name, help, labelNames, registers });

  const finished = counter("longshore_jobs_finished_total", "Jobs that this process brought to an end.", [
    "kind",
    "state",
  ]);
  const duration = new Histogram({
    name: "longshore_job_duration_seconds",
    help: "Jobs that this process brought to an end, from their first beginning on, pauses included.",
    labelNames: ["kind"],
    buckets: WORK_BUCKETS,
    registers,
  });
  const pickup = new Histogram({
    name: "longshore_job_pickup_seconds",
    help: "Time that jobs waited for a worker before they were begun, by lane; those held back by a switch included.",
    labelNames: ["lane"],
    buckets: PICKUP_BUCKETS,
    registers,
  });
  const running = new Gauge({
    name: "longshore_jobs_running",
    help: "Jobs that this process works on, by lane.",
    labelNames: ["lane"],
    registers,
  });
  const archivedFiles = counter("longshore_archived_files_total", "Files of bundles that were archived.");
  const archivedBytes = counter("longshore_archived_bytes_total", "Bytes of bundles that were archived.");
  const ingest = new Histogram({
    name: "longshore_ingest_duration_seconds",
    help: "Successful ingests, from the first byte to the catalogue.",
    buckets: WORK_BUCKETS,
    registers,
  });
  const packageRows = counter("longshore_package_rows_total", "Rows in packages made.");
  const packageBytes = counter("longshore_package_bytes_total", "Bytes of packages made.");
  const crawledFiles = counter("longshore_crawled_files_total", "Files found by crawls.");
  const crawlErrors = counter("longshore_crawl_errors_total", "Folders and files that crawls could not read.");
  const runs = counter("longshore_schedule_runs_total", "Runs of schedules, by how they ended.", ["result"]);

  const amount = (result: Details, name: string) => (typeof result[name] === "number" ? result[name] : 0);
  /** What only jobs of one kind bring about. */
  const succeeded: Readonly<Record<string, (result: Details) => void>> = {
    package(result) {
      packageRows.inc(amount(result, "rows"));
      packageBytes.inc(amount(result, "sizeBytes"));
    },
    crawl(result) {
      crawledFiles.inc(amount(result, "files"));
      crawlErrors.inc(amount(result, "errors"));
    },
  };

  function changed(job: Job): void {
    const { kind, state, result, error, createdAt, startedAt, finishedAt } = job;
    if (finishedAt === null || !FINISHED_STATES.includes(state)) return;
    finished.inc({ kind, state });
    if (startedAt !== null) duration.observe({ kind }, (finishedAt - startedAt) / 1000);
    // A run that has failed says how in the problem that its job ends with.
    if (kind === "run") runs.inc({ result: String(result.state ?? error?.details.state ?? state) });
    if (state !== "succeeded") return;
    if (kind === "ingest") ingest.observe((finishedAt - createdAt) / 1000);
    // Bundles are archived by jobs of several kinds: uploaded, moved, dropped.
    if (result.transactionId !== undefined) {
      archivedFiles.inc(amount(result, "files"));
      archivedBytes.inc(amount(result, "bytes"));
    }
    succeeded[kind]?.(result);
  }

  /** `updatedAt` of a job that was never begun is when it was queued. */
  function picked({ lane, attempts, createdAt, startedAt, updatedAt }: Job): void {
    const isFirst = attempts === 0 && (startedAt === null || startedAt === createdAt);
    if (isFirst) pickup.observe({ lane }, Math.max(0, clock.now() - updatedAt) / 1000);
  }

  const measured = (handler: JobHandler): JobHandler => ({
    ...handler,
    async heldMs(job) {
      const heldMs = (await handler.heldMs?.(job)) ?? 0;
      if (heldMs === 0) picked(job);
      return heldMs;
    },
    async run(context) {
      const { lane } = context.job;
      running.inc({ lane });
      try {
        return await handler.run(context);
      } finally {
        running.dec({ lane });
      }
    },
  });

  return {
    changed,
    handlers: (handlers: Readonly<Record<string, JobHandler>>) =>
      Object.fromEntries(Object.entries(handlers).map(([kind, handler]) => [kind, measured(handler)])),
  };
}
