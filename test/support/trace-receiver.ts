import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { json } from "node:stream/consumers";

/** A span as its trace shows it. */
export interface ReceivedSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string;
  readonly name: string;
  /** `serve` or `worker`. */
  readonly role: string;
  readonly facts: Readonly<Record<string, unknown>>;
  readonly isError: boolean;
}

/** As in opentelemetry-proto, `trace/v1/trace.proto`, in JSON: ids are hex, and status 2 is an error. */
interface ExportTraceServiceRequest {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: readonly KeyValue[] };
    readonly scopeSpans: readonly {
      readonly spans: readonly (Pick<ReceivedSpan, "traceId" | "spanId" | "name"> & {
        readonly parentSpanId?: string;
        readonly attributes: readonly KeyValue[];
        readonly status: { readonly code?: number };
      })[];
    }[];
  }[];
}
interface KeyValue {
  readonly key: string;
  readonly value: Readonly<Record<string, unknown>>;
}

/** A receiver of OpenTelemetry traces: OTLP over HTTP, in JSON. */
export async function traceReceiver() {
  const spans: ReceivedSpan[] = [];
  const authorizations = new Set<string | undefined>();
  const server = createServer(async (request, response) => {
    authorizations.add(request.headers.authorization);
    const { resourceSpans } = (await json(request)) as ExportTraceServiceRequest;
    for (const { resource, scopeSpans } of resourceSpans)
      for (const { spans: some } of scopeSpans)
        for (const { traceId, spanId, parentSpanId = "", name, attributes, status } of some)
          spans.push({
            ...{ traceId, spanId, parentSpanId, name },
            role: String(factsOf(resource.attributes)["longshore.role"]),
            facts: factsOf(attributes),
            isError: status.code === 2,
          });
    response.writeHead(200, { "content-type": "application/json" }).end("{}");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    spans,
    authorizations,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function factsOf(attributes: readonly KeyValue[]): Record<string, unknown> {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0]]));
}
