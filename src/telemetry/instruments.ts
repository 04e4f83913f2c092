import type { Archive } from "../core/archive/archive.ts";
import type { CatalogueStore } from "../core/catalogue/catalogue-store.ts";
import type { Search } from "../core/catalogue/search.ts";
import type { ExtractionStore } from "../core/extract/extraction-store.ts";
import type { JobHandler } from "../core/jobs/worker.ts";
import type { OutboxChannel } from "../core/outbound/outbox-delivery.ts";
import type { ScheduleStore } from "../core/schedules/schedule-store.ts";
import type { ProcessMetrics } from "./metrics.ts";
import type { S3RequestTold } from "./store-meters.ts";
import type { tracing } from "./tracing.ts";

/** What is put around services, handlers and ports to measure and to trace them: each does what it did. */
export interface Instruments {
  handlers(handlers: Readonly<Record<string, JobHandler>>): Readonly<Record<string, JobHandler>>;
  channels(channels: Readonly<Record<string, OutboxChannel>>): Readonly<Record<string, OutboxChannel>>;
  search(search: Search): Search;
  extractions(store: ExtractionStore): ExtractionStore;
  schedules(store: ScheduleStore): ScheduleStore;
  archive(archive: Archive): Archive;
  catalogue(store: CatalogueStore): CatalogueStore;
  /** Told of every request to S3. */
  s3Request(request: S3RequestTold): void;
}

/** Where nobody wants to know: commands that compose services to do one thing. */
export const NO_INSTRUMENTS: Instruments = {
  handlers: (handlers) => handlers,
  channels: (channels) => channels,
  search: (search) => search,
  extractions: (store) => store,
  schedules: (store) => store,
  archive: (archive) => archive,
  catalogue: (store) => store,
  s3Request() {},
};

/** Measured, and traced where traces are wanted. */
export function instrumentsOf(measured: ProcessMetrics, traced: ReturnType<typeof tracing> | undefined): Instruments {
  const { search, extractions, schedules, s3Request } = measured;
  const plain = { ...NO_INSTRUMENTS, ...measured };
  if (!traced) return plain;
  return {
    search,
    extractions,
    schedules,
    s3Request,
    archive: traced.archive,
    catalogue: traced.catalogue,
    handlers: (handlers) => measured.handlers(traced.handlers(handlers)),
    channels: (channels) => measured.channels(traced.channels(channels)),
  };
}
