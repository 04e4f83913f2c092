import { hostname } from "node:os";
import { otlpTracer } from "../adapters/trace/otlp.ts";
import type { Clock } from "../core/clock.ts";
import type { Tracer } from "../core/tracing.ts";
import type { Config } from "../settings/config.ts";
import { type Instruments, instrumentsOf } from "../telemetry/instruments.ts";
import { type ProcessMetrics, processMetrics } from "../telemetry/metrics.ts";
import { tracing } from "../telemetry/tracing.ts";
import { VERSION } from "../version.ts";

/** What is told of the work of this process. */
export interface Telemetry {
  readonly metrics: ProcessMetrics;
  /** `undefined`: nothing is traced. */
  readonly tracer: Tracer | undefined;
  /** For services as they are composed. */
  readonly instruments: Instruments;
  /** Sends what is left to be sent. */
  close(): Promise<void>;
}

/** @throws AppError driver_missing when traces are wanted and a package is not there. */
export async function openTelemetry(
  { traces }: Pick<Config, "traces">,
  role: "serve" | "worker",
  clock: Clock,
  onTrouble: (error: unknown, during: string) => void,
): Promise<Telemetry> {
  const metrics = processMetrics({ version: VERSION, clock });
  if (traces === undefined)
    return { metrics, tracer: undefined, instruments: instrumentsOf(metrics, undefined), close: async () => {} };
  const about = { version: VERSION, instance: `${hostname()}:${process.pid}`, role };
  const tracer = await otlpTracer({ ...traces, about, onTrouble });
  return { metrics, tracer, instruments: instrumentsOf(metrics, tracing(tracer)), close: () => tracer.close() };
}
