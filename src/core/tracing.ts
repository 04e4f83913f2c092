import { AsyncLocalStorage } from "node:async_hooks";

/** Where a piece of work belongs: W3C Trace Context, level 1, §3.2 (`00-<trace id>-<span id>-<flags>`). */
export type TraceParent = string;

const PARENT = /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/;

/** What a stranger sends, when it is one; §4.3: whatever else it is, it is as if it had not been sent. */
export function traceParent(value: unknown): TraceParent | undefined {
  return typeof value === "string" && PARENT.test(value) ? value : undefined;
}

const ambient = new AsyncLocalStorage<TraceParent>();

/** What the running code is part of; `undefined` where nothing is traced. */
export const currentTrace = (): TraceParent | undefined => ambient.getStore();

/** Runs `work`, and all that it begins, as part of a span. */
export const withinTrace = <T>(trace: TraceParent, work: () => T): T => ambient.run(trace, work);

export interface SpanOptions {
  /** Whether somebody else asked for the work over the network, left it in a queue, or it is a step of our own. */
  readonly kind?: "server" | "consumer" | "internal";
  /** Left out: what the running code is part of; `null`: nothing, a trace of its own. */
  readonly parent?: TraceParent | null | undefined;
  readonly facts?: SpanFacts;
}

/** Names as in OpenTelemetry's semantic conventions where it has one, else below `longshore.`. */
export type SpanFacts = Readonly<Record<string, string | number | boolean>>;

/** A piece of work that has begun. */
export interface Span {
  readonly trace: TraceParent;
  /** Once. @param error why it came to nothing. */
  end(outcome?: { readonly error?: unknown; readonly facts?: SpanFacts }): void;
}

/** Tells somebody what is done when, and as part of what. Adapter: `adapters/trace/otlp.ts`. */
export interface Tracer {
  begin(name: string, options?: SpanOptions): Span;
}

/** Does `work` as a span, which all that it begins is part of. */
export async function traced<T>(
  tracer: Tracer,
  name: string,
  options: SpanOptions,
  work: () => Promise<T>,
): Promise<T> {
  const span = tracer.begin(name, options);
  try {
    const result = await withinTrace(span.trace, work);
    span.end();
    return result;
  } catch (error) {
    span.end({ error });
    throw error;
  }
}
