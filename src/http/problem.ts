import type { Socket } from "node:net";
import type { FastifyError, FastifyReply, FastifyRequest } from "fastify";
import { hasZodFastifySchemaValidationErrors } from "fastify-type-provider-zod";
import { AppError, CODES, type Code, type Details, KINDS } from "../core/errors.ts";

/** An error on the wire: RFC 9457 "Problem Details", with the members that let a client rebuild the `AppError`. */
export interface ProblemDocument {
  /** Where the code is explained, relative to the server. */
  readonly type: string;
  /** The code's sentence. */
  readonly title: string;
  readonly status: number;
  readonly code: Code;
  /** The sentence with this occurrence's facts. */
  readonly detail: string;
  readonly details: Details;
  readonly requestId: string;
}

/** Where the status of HTTP itself says more than that of the code's kind. */
const STATUS: Readonly<Partial<Record<Code, number>>> = {
  method_not_allowed: 405,
  precondition_failed: 412,
  range_not_satisfiable: 416,
};

/** How long a client should wait before it tries again what is unavailable, in seconds. */
const RETRY_AFTER_S = 5;

export function statusOf(error: AppError): number {
  return STATUS[error.code] ?? KINDS[error.kind].status;
}

/** @param status overrides the code's own, where a protocol asks for a particular one. */
export function problemDocument(error: AppError, requestId: string, status = statusOf(error)): ProblemDocument {
  return {
    type: `/docs/errors#${error.code}`,
    title: CODES[error.code][1],
    status,
    code: error.code,
    detail: error.message,
    details: error.details,
    requestId,
  };
}

/** Fields about an answer, to be taken back when an error replaces it; 416 keeps `content-range`, to say what there is. */
export const ABOUT_ANSWER = [
  "accept-ranges",
  "content-digest",
  "content-disposition",
  "content-length",
  "etag",
  "last-modified",
  "repr-digest",
];

/** Answers with the problem and logs what a reader of the log needs: the cause of anything that is our fault. */
export function sendProblem(request: FastifyRequest, reply: FastifyReply, thrown: unknown, status?: number) {
  const error = asAppError(thrown);
  const document = problemDocument(error, request.id, status);
  if (document.status >= 500) request.log.error({ err: thrown, code: error.code }, error.message);
  for (const name of ABOUT_ANSWER) reply.removeHeader(name);
  if (document.status !== 416) reply.removeHeader("content-range");
  if (document.status === 401) reply.header("www-authenticate", 'Bearer realm="longshore"');
  if (error.retryable) reply.header("retry-after", RETRY_AFTER_S);
  return reply
    .code(document.status)
    .header("content-type", "application/problem+json")
    .header("cache-control", "no-store")
    .send(JSON.stringify(document));
}

/** What Fastify itself found wrong, in our words. What nobody foresaw is `internal`. */
export function asAppError(thrown: unknown): AppError {
  if (thrown instanceof AppError) return thrown;
  if (hasZodFastifySchemaValidationErrors(thrown))
    return new AppError("request_invalid", {
      in: thrown.validationContext ?? "request",
      problems: thrown.validation.map(({ instancePath, message }) => ({
        path: instancePath.slice(1),
        message: message ?? "is not valid",
      })),
    });
  const { statusCode = 500, code, message } = isFastifyError(thrown) ? thrown : {};
  if (statusCode === 413) return new AppError("body_too_large", {}, { cause: thrown });
  if (statusCode === 415) return new AppError("media_type_unsupported", {}, { cause: thrown });
  if (statusCode >= 400 && statusCode < 500)
    return new AppError("request_invalid", { reason: message ?? code ?? "" }, { cause: thrown });
  return new AppError("internal", {}, { cause: thrown });
}

function isFastifyError(thrown: unknown): thrown is FastifyError {
  return thrown instanceof Error && "code" in thrown && String(thrown.code).startsWith("FST_");
}

/** Answers bytes that are not an HTTP request at all: there is no reply object for them, only the socket. */
export function refuseMalformedRequest(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === "ECONNRESET" || !socket.writable) {
    socket.destroy(error);
    return;
  }
  const status = MALFORMED[error.code ?? ""] ?? "400 Bad Request";
  const document = problemDocument(
    new AppError("request_invalid", { reason: error.code ?? error.message }),
    "",
    Number.parseInt(status, 10),
  );
  const body = JSON.stringify(document);
  const head = `HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Type: application/problem+json\r\n`;
  socket.end(`${head}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
}

/** Codes of Node's HTTP parser that have a status of their own. */
const MALFORMED: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: "431 Request Header Fields Too Large",
  ERR_HTTP_REQUEST_TIMEOUT: "408 Request Timeout",
};
