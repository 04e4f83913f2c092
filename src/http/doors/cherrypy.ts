import { STATUS_CODES } from "node:http";
import { Readable } from "node:stream";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { requireScope } from "../../core/access/access.ts";
import type { Scope } from "../../core/access/access-stores.ts";
import { AppError, type Code } from "../../core/errors.ts";
import type { AllowedMethods } from "../allowed-methods.ts";
import type { Authentication } from "../authentication.ts";
import { ABOUT_ANSWER, asAppError, statusOf } from "../problem.ts";
import type { ServerContext } from "../server-deps.ts";

/** What CherryPy, on which every Pacifica service runs, says in words of its own. Everything else: our sentences. */
const SENTENCES = {
  route_unknown: "Nothing matches the given URI",
  method_not_allowed: "Specified method is invalid for this resource",
  media_type_unsupported: "Expected an entity of content type application/json, text/javascript",
  metadata_not_json: "Invalid JSON document",
  internal: "The server encountered an unexpected condition which prevented it from fulfilling the request.",
} as const satisfies Partial<Record<Code, string>>;

export interface CherryPyOptions {
  readonly context: ServerContext;
  readonly authentication: Authentication;
  readonly allowed: AllowedMethods;
  /** Where the service's peers must be told by another status than an error has of itself. */
  status?(error: AppError, request: FastifyRequest): number;
  /** Adds to the head of an error what clients read there, as HEAD has no body to say it in. */
  describe?(reply: FastifyReply, message: string): void;
}

/** The manners of a Pacifica service. */
export interface CherryPy {
  /** An error of the four keys that every client knows; the traceback is left empty. */
  refuse(reply: FastifyReply, status: number, message: string): FastifyReply;
  /** The answer of a service that did not foresee something. Some of its clients go by it. */
  fail(reply: FastifyReply): FastifyReply;
  /** An `onRequest` hook. On an open server callers are the configured user, and see everything. */
  identify(scope: Scope): (request: FastifyRequest) => Promise<void>;
  /** The same for a request that must have a body: CherryPy asks for a length, or for chunks. */
  identifySender(scope: Scope): (request: FastifyRequest, reply: FastifyReply) => Promise<FastifyReply | undefined>;
}

/** Makes a plugin answer as CherryPy does: errors, `Allow` on every answer of a resource, JSON for all but streams. */
export function speakCherryPy(app: FastifyInstance, options: CherryPyOptions): CherryPy {
  const { context, authentication, allowed, status = statusOf, describe } = options;

  function refuse(reply: FastifyReply, code: number, message: string): FastifyReply {
    for (const name of ABOUT_ANSWER) reply.removeHeader(name);
    if (code !== 416) reply.removeHeader("content-range");
    describe?.(reply, message);
    return reply
      .code(code)
      .header("content-type", "application/json")
      .send({
        status: `${code} ${STATUS_CODES[code]}`,
        message,
        traceback: "",
        version: context.version,
      });
  }

  function sendError(request: FastifyRequest, reply: FastifyReply, thrown: unknown): FastifyReply {
    const error = asAppError(thrown);
    if (statusOf(error) >= 500) request.log.error({ err: thrown, code: error.code }, error.message);
    return refuse(reply, status(error, request), sentenceOf(error));
  }

  const identify = (scope: Scope) => async (request: FastifyRequest) => {
    const principal = await authentication.identify(request);
    request.principal = principal.via === "local" ? { ...principal, name: context.options.defaultUser } : principal;
    requireScope(request.principal, scope);
  };

  app.removeAllContentTypeParsers();
  app.setErrorHandler((error, request, reply) => sendError(request, reply, error));
  app.setNotFoundHandler((request, reply) =>
    sendError(request, reply, new AppError(reply.hasHeader("allow") ? "method_not_allowed" : "route_unknown")),
  );
  app.addHook("onRequest", async (request, reply) => {
    const methods = allowed.of(request.url.split("?")[0] ?? "");
    if (methods.length > 0) reply.header("allow", methods.join(", "));
  });
  app.addHook("onSend", async (_request, reply, payload) => {
    if (!(payload instanceof Readable)) reply.header("content-type", "application/json");
  });

  return {
    refuse,
    fail: (reply) => refuse(reply, 500, SENTENCES.internal),
    identify,
    identifySender: (scope) => async (request, reply) => {
      const { "content-length": length, "transfer-encoding": coding } = request.headers;
      if (length === undefined && coding === undefined) return refuse(reply, 411, "A body is required.");
      await identify(scope)(request);
    },
  };
}

/** An `onRequest` hook for routes that take a body for what they expect, whatever its sender calls it. */
export const anyType = async (request: FastifyRequest) => {
  delete request.raw.headers["content-type"];
};

/** A text for a header field, where nothing but printable ASCII is safe; long enough for a sentence. */
export function headerText(text: string): string {
  return text.replace(/[^\x20-\x7e]+/g, "?").slice(0, 1_000);
}

function sentenceOf({ code, message }: AppError): string {
  return Object.hasOwn(SENTENCES, code) ? SENTENCES[code as keyof typeof SENTENCES] : message;
}
