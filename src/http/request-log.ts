import { type FastifyBaseLogger, type FastifyReply, type FastifyRequest, LogController } from "fastify";
import type { ServedRequest } from "./metrics.ts";
import { asAppError } from "./problem.ts";

declare module "fastify" {
  interface FastifyContextConfig {
    /** Whoever reads this route's path has what it leads to: it is not logged. */
    secretPath?: boolean;
  }
}

/** Header fields that open something to whoever reads them. */
const SECRET_FIELDS = ["authorization", "proxy-authorization", "cookie", "set-cookie"];

/** Hides secrets wherever a request or an answer is logged, by this server or by a library in it. */
export function withoutSecrets(logger: FastifyBaseLogger): FastifyBaseLogger {
  const paths = SECRET_FIELDS.flatMap((name) => [
    `headers["${name}"]`,
    `*.headers["${name}"]`,
    `*.raw.headers["${name}"]`,
  ]);
  return logger.child({}, { redact: { paths, censor: "(hidden)" } });
}

/** Fastify's own lines, without the two per request: it does not write the second when the client leaves early. */
export class ServerLog extends LogController {
  constructor() {
    super({ requestIdLogLabel: "requestId" });
  }
  override incomingRequest(): void {}
  override requestCompleted(): void {}
  override streamError(error: Error, request: FastifyRequest): void {
    if ("code" in error && error.code === "ERR_STREAM_PREMATURE_CLOSE") return; // the request's line says so
    logBrokenBody(request, error);
  }
}

/** The one line per request, written when it is over, however it ended. */
export function logRequest(request: FastifyRequest, reply: FastifyReply): void {
  const { method, routeOptions, ip } = request;
  request.log.info(
    {
      method,
      path: pathOf(request),
      route: routeOptions.url,
      status: reply.statusCode,
      durationMs: Math.round(reply.elapsedTime),
      remote: ip,
      ...(request.principal ? { principal: request.principal.name } : {}),
      // The client went away, or the connection was broken off.
      ...(reply.raw.writableFinished ? {} : { aborted: true }),
    },
    "request",
  );
}

/** The same request as it is counted. */
export function servedRequest({ method, routeOptions }: FastifyRequest, reply: FastifyReply): ServedRequest {
  return {
    method,
    route: routeOptions.url ?? "none",
    status: reply.raw.writableFinished ? reply.statusCode : undefined,
    durationMs: reply.elapsedTime,
  };
}

/** A body that broke off in the middle: no problem document can tell of it any more. */
export function logBrokenBody(request: FastifyRequest, error: unknown): void {
  const { code, message } = asAppError(error);
  request.log.error({ err: error, code, path: pathOf(request) }, message);
}

/** Where the path itself opens something, the route stands in its place. */
function pathOf({ url, routeOptions }: FastifyRequest): string | undefined {
  return routeOptions.config.secretPath ? routeOptions.url : url.split("?")[0];
}
