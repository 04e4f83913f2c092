import { type FastifyBaseLogger, type FastifyReply, type FastifyRequest, LogController } from "fastify";

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

/** One line per request, written when it is over. */
export class RequestLog extends LogController {
  constructor() {
    super({ requestIdLogLabel: "requestId" });
  }

  override incomingRequest(): void {}

  override requestCompleted(error: Error | null | undefined, request: FastifyRequest, reply: FastifyReply): void {
    const { method, routeOptions, url, ip } = request;
    const line = {
      method,
      path: url.split("?")[0],
      route: routeOptions.url,
      status: reply.statusCode,
      durationMs: Math.round(reply.elapsedTime),
      remote: ip,
      ...(request.principal ? { principal: request.principal.name } : {}),
      // The sender went away, or its connection was broken off.
      ...(reply.raw.writableFinished ? {} : { aborted: true }),
    };
    if (error) request.log.error({ ...line, err: error }, "request");
    else request.log.info(line, "request");
  }
}
