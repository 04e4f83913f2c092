import type { FastifyInstance } from "fastify";
import { type Tracer, traceParent, withinTrace } from "../core/tracing.ts";

/**
 * Makes each request a span of the caller's trace, or of one of its own, and what it begins a part of that. Monitors that ask
 * how things are every few seconds are left out.
 */
export function traceRequests(app: FastifyInstance, tracer: Tracer): void {
  app.addHook("onRequest", (request, reply, done) => {
    const { method, headers, routeOptions } = request;
    if (routeOptions.config.uncounted === "all") return done();
    const route = routeOptions.url ?? "none";
    const span = tracer.begin(`${method} ${route}`, {
      kind: "server",
      parent: traceParent(headers.traceparent) ?? null,
      facts: { "http.request.method": method, "http.route": route, "longshore.request.id": request.id },
    });
    reply.raw.once("close", () => {
      const { statusCode: status } = reply;
      const facts = { "http.response.status_code": status };
      const broken = reply.raw.writableFinished ? undefined : new Error("The connection ended before the answer.");
      span.end({ facts, error: status >= 500 ? new Error(`status ${status}`) : broken });
    });
    withinTrace(span.trace, done);
  });
}
