import { Counter, Histogram, type Registry } from "prom-client";
import type { Search } from "../core/catalogue/search.ts";
import type { Clock } from "../core/clock.ts";
import type { ExtractionStore } from "../core/extract/extraction-store.ts";
import type { OutboxChannel } from "../core/outbound/outbox-delivery.ts";
import type { ScheduleStore } from "../core/schedules/schedule-store.ts";

/** Seconds. */
const SEARCH_BUCKETS = [0.002, 0.01, 0.05, 0.2, 1, 5, 30];
const LATE_BUCKETS = [0.5, 1, 2, 5, 15, 60, 300, 3600];

/** Services and ports with a meter around them: what they do is what they did. */
export function workMeters(registers: Registry[], clock: Clock) {
  const searches = new Histogram({
    name: "longshore_search_duration_seconds",
    help: "Searches of the catalogue, by result: found or failed.",
    labelNames: ["result"],
    buckets: SEARCH_BUCKETS,
    registers,
  });
  const messages = new Counter({
    name: "longshore_messages_total",
    help: "Deliveries of messages, by channel (mail, webhook, ...) and result: delivered, or failed to be tried again.",
    labelNames: ["channel", "result"],
    registers,
  });
  const records = new Counter({
    name: "longshore_extractions_total",
    help: "Descriptions by extractors, by result: described, or why not.",
    labelNames: ["extractor", "result"],
    registers,
  });
  const late = new Histogram({
    name: "longshore_schedule_late_seconds",
    help: "Time between the moment a run of a schedule was due and the one it began.",
    buckets: LATE_BUCKETS,
    registers,
  });

  return {
    search: (search: Search): Search => ({
      ...search,
      async search(principal, question) {
        const begunAt = clock.now();
        let result = "failed";
        try {
          const page = await search.search(principal, question);
          result = "found";
          return page;
        } finally {
          searches.observe({ result }, (clock.now() - begunAt) / 1000);
        }
      },
    }),

    channels: (channels: Readonly<Record<string, OutboxChannel>>) =>
      Object.fromEntries(
        Object.entries(channels).map(([channel, inner]): [string, OutboxChannel] => [
          channel,
          {
            ...inner,
            async deliver(message, signal) {
              let result = "failed";
              try {
                await inner.deliver(message, signal);
                result = "delivered";
              } finally {
                messages.inc({ channel, result });
              }
            },
          },
        ]),
      ),

    extractions: (store: ExtractionStore): ExtractionStore => ({
      ...store,
      async keep(id, afterSeq, described, now) {
        const kept = await store.keep(id, afterSeq, described, now);
        if (kept)
          for (const { extractor, failure } of described.records)
            records.inc({ extractor, result: failure === null ? "described" : failure.reason });
        return kept;
      },
    }),

    schedules: (store: ScheduleStore): ScheduleStore => ({
      ...store,
      async begin(number, now) {
        const begun = await store.begin(number, now);
        if (begun.kind === "running" && !begun.again) late.observe(Math.max(0, now - begun.run.dueAt) / 1000);
        return begun;
      },
    }),
  };
}
