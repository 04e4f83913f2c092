import { collectDefaultMetrics, Gauge, Registry } from "prom-client";
import type { Clock } from "../core/clock.ts";
import type { Jobs } from "../core/jobs/jobs.ts";
import { httpMeters } from "./http-meters.ts";
import { jobMeters } from "./job-meters.ts";
import { stateGauges, type Watched } from "./state-gauges.ts";
import { storeMeters } from "./store-meters.ts";
import { workMeters } from "./work-meters.ts";

export interface MetricsOptions {
  readonly version: string;
  readonly clock: Clock;
}

/**
 * What this process counts and what it looks up, in a registry of its own, as Prometheus reads it: base units, `_total` for
 * what only grows, and labels of which there are few (no ids, no paths, no names of people).
 *
 * It is made before everything else and put around services and handlers as they are composed; `watch` gives it what
 * there is to look at once that exists.
 */
export function processMetrics({ version, clock }: MetricsOptions) {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  new Gauge({
    name: "longshore_build_info",
    help: "Always 1; its labels tell which Longshore runs on which Node.js.",
    labelNames: ["version", "node"],
    registers,
  }).set({ version, node: process.versions.node }, 1);
  const jobs = jobMeters(registers, clock);

  return {
    ...httpMeters(registers),
    ...workMeters(registers, clock),
    ...storeMeters(registers),
    handlers: jobs.handlers,
    /** Once. */
    watch(watched: Watched, changes: Pick<Jobs, "onChange">): void {
      changes.onChange(jobs.changed);
      stateGauges(registers, clock, watched);
    },
    contentType: registry.contentType,
    render: () => registry.metrics(),
  };
}

export type ProcessMetrics = ReturnType<typeof processMetrics>;
