import type { Search } from "../core/catalogue/search.ts";
import type { ExtractionStore } from "../core/extract/extraction-store.ts";
import type { JobHandler } from "../core/jobs/worker.ts";
import type { OutboxChannel } from "../core/outbound/outbox-delivery.ts";
import type { ScheduleStore } from "../core/schedules/schedule-store.ts";

/** What is put around services, handlers and ports to measure and to trace them: each does what it did. */
export interface Instruments {
  handlers(handlers: Readonly<Record<string, JobHandler>>): Readonly<Record<string, JobHandler>>;
  channels(channels: Readonly<Record<string, OutboxChannel>>): Readonly<Record<string, OutboxChannel>>;
  search(search: Search): Search;
  extractions(store: ExtractionStore): ExtractionStore;
  schedules(store: ScheduleStore): ScheduleStore;
}

/** Where nobody wants to know: commands that compose services to do one thing. */
export const NO_INSTRUMENTS: Instruments = {
  handlers: (handlers) => handlers,
  channels: (channels) => channels,
  search: (search) => search,
  extractions: (store) => store,
  schedules: (store) => store,
};
