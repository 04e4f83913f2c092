import type { Span as OtelSpan } from "@opentelemetry/api";
import { AppError } from "../../core/errors.ts";
import { currentTrace, type Span, type SpanOptions, type TraceParent, type Tracer } from "../../core/tracing.ts";
import { optionalDriver } from "../db/optional-driver.ts";

export interface OtlpOptions {
  /** Where traces are sent to: OTLP over HTTP, in JSON. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Of the traces that begin here, how many are recorded; those begun elsewhere say it themselves. 0 to 1. */
  readonly share: number;
  /** Who does what is traced. */
  readonly about: { readonly version: string; readonly instance: string; readonly role: string };
  /** Told when spans cannot be sent; they are lost then. */
  onTrouble(error: unknown, during: string): void;
}

/** A tracer that sends what it is told, in batches and in the background. */
export interface OtlpTracer extends Tracer {
  /** Sends what is left, for some seconds at most. */
  close(): Promise<void>;
}

/** A receiver that does not answer must not keep a process from ending. */
const SEND_MS = 5_000;
const BATCH_MS = 1_000;

/** OpenTelemetry's SDK, which is loaded here and nowhere else. @throws AppError driver_missing, naming the package. */
export async function otlpTracer({ url, headers, share, about, onTrouble }: OtlpOptions): Promise<OtlpTracer> {
  const api = await optionalDriver("@opentelemetry/api", () => import("@opentelemetry/api"));
  const sdk = await optionalDriver("@opentelemetry/sdk-trace", () => import("@opentelemetry/sdk-trace"));
  const { resourceFromAttributes } = await optionalDriver(
    "@opentelemetry/resources",
    () => import("@opentelemetry/resources"),
  );
  const { OTLPTraceExporter } = await optionalDriver(
    "@opentelemetry/exporter-trace-otlp-http",
    () => import("@opentelemetry/exporter-trace-otlp-http"),
  );
  const { SpanKind, SpanStatusCode, ROOT_CONTEXT, TraceFlags, trace } = api;
  const report = (message: string) => onTrouble(new Error(message), "sending traces");
  const ignore = () => {};
  api.diag.setLogger(
    { error: report, warn: report, info: ignore, debug: ignore, verbose: ignore },
    api.DiagLogLevel.WARN,
  );
  const provider = new sdk.TracerProvider({
    resource: resourceFromAttributes({
      "service.name": "longshore",
      "service.version": about.version,
      "service.instance.id": about.instance,
      "longshore.role": about.role,
    }),
    sampler: new sdk.ParentBasedSampler({ root: new sdk.TraceIdRatioBasedSampler(share) }),
    spanProcessors: [
      new sdk.BatchSpanProcessor({
        exporter: new OTLPTraceExporter({ url, headers, timeoutMillis: SEND_MS }),
        scheduledDelayMillis: BATCH_MS,
        exportTimeoutMillis: SEND_MS,
      }),
    ],
  });
  const tracer = provider.getTracer("longshore", about.version);
  const kinds = { server: SpanKind.SERVER, consumer: SpanKind.CONSUMER, internal: SpanKind.INTERNAL } as const;

  function contextOf(parent: TraceParent | null | undefined) {
    if (parent === null || parent === undefined) return ROOT_CONTEXT;
    const [, traceId = "", spanId = "", flags = ""] = parent.split("-");
    const isSampled = (Number.parseInt(flags, 16) & TraceFlags.SAMPLED) !== 0;
    const traceFlags = isSampled ? TraceFlags.SAMPLED : TraceFlags.NONE;
    return trace.setSpanContext(ROOT_CONTEXT, { traceId, spanId, traceFlags, isRemote: true });
  }

  function begin(name: string, { kind = "internal", parent = currentTrace(), facts = {} }: SpanOptions = {}): Span {
    const span = tracer.startSpan(name, { kind: kinds[kind], attributes: facts }, contextOf(parent));
    return {
      trace: parentOf(span),
      end({ error, facts: found } = {}) {
        if (found) span.setAttributes(found);
        if (error !== undefined) {
          const code = error instanceof AppError ? error.code : "internal";
          span.setAttribute("error.type", code);
          span.setStatus({ code: SpanStatusCode.ERROR, message: code });
        }
        span.end();
      },
    };
  }

  return { begin, close: () => provider.shutdown() };
}

function parentOf(span: OtelSpan): TraceParent {
  const { traceId, spanId, traceFlags } = span.spanContext();
  return `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, "0")}`;
}
