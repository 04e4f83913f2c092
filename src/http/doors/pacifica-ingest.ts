import { STATUS_CODES } from "node:http";
import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from "fastify";
import { maySee, requireScope } from "../../core/access/access.ts";
import { AppError, type Code } from "../../core/errors.ts";
import { jobId } from "../../core/ids.ts";
import type { AllowedMethods } from "../allowed-methods.ts";
import type { Authentication } from "../authentication.ts";
import { DOCUMENT_LIMIT_BYTES, depositBundle, depositMove } from "../deposit.ts";
import { hideRoutes } from "../openapi.ts";
import { asAppError, statusOf } from "../problem.ts";
import type { ServerContext } from "../server-deps.ts";
import { PACIFICA_KINDS, pacificaJob, unreadableJob } from "./pacifica-job.ts";

/** What the original says in words of its own, or CherryPy's, on which it runs. Everything else: our sentences. */
const SENTENCES: Readonly<Partial<Record<Code, string>>> = {
  route_unknown: "Nothing matches the given URI",
  method_not_allowed: "Specified method is invalid for this resource",
  media_type_unsupported: "Expected an entity of content type application/json, text/javascript",
  metadata_not_json: "Invalid JSON document",
  internal: "The server encountered an unexpected condition which prevented it from fulfilling the request.",
};

/**
 * Pacifica Ingest 0.4 as its clients know it: `POST /upload` (and `/ingest`, as its documentation has it), `POST /move`,
 * `GET /get_state`, `GET /`. Answers are 200, or errors in CherryPy's form with the traceback left empty.
 */
export const pacificaIngest =
  (context: ServerContext, authentication: Authentication, allowed: AllowedMethods): FastifyPluginAsync =>
  async (app) => {
    const refuse = (reply: FastifyReply, status: number, message: string) =>
      reply.code(status).send({
        status: `${status} ${STATUS_CODES[status]}`,
        message,
        traceback: "",
        version: context.version,
      });

    function sendError(request: FastifyRequest, reply: FastifyReply, thrown: unknown) {
      const error = asAppError(thrown);
      if (error.kind === "internal") request.log.error({ err: thrown, code: error.code }, error.message);
      return refuse(reply, statusOf(error), SENTENCES[error.code] ?? error.message);
    }

    /** On an open server callers are the configured user, and see every job. */
    async function identify(request: FastifyRequest): Promise<void> {
      const principal = await authentication.identify(request);
      request.principal = principal.via === "local" ? { ...principal, name: context.options.defaultUser } : principal;
      requireScope(request.principal, request.method === "POST" ? "deposit" : "read");
    }

    hideRoutes(app);
    app.removeAllContentTypeParsers();
    app.setErrorHandler((error, request, reply) => sendError(request, reply, error));
    // CherryPy's dispatcher says `Allow` on every answer of a resource, and JSON whatever it answers.
    app.addHook("onSend", async (_request, reply) => {
      reply.header("content-type", "application/json");
    });
    app.addHook("onRequest", async (request, reply) => {
      const methods = allowed.of(pathOf(request));
      if (methods.length > 0) reply.header("allow", methods.join(", "));
    });
    app.setNotFoundHandler((request, reply) =>
      sendError(request, reply, new AppError(reply.hasHeader("allow") ? "method_not_allowed" : "route_unknown")),
    );

    app.get("/", async () => ({ message: "Pacifica Ingest Up and Running" }));

    app.get<{ Querystring: { job_id?: unknown } }>("/get_state", { onRequest: identify }, async (request, reply) => {
      const text = request.query.job_id;
      if (typeof text !== "string" || !/^\s*[+-]?\d+\s*$/.test(text))
        return refuse(reply, 500, SENTENCES.internal ?? "");
      const id = Number(text);
      if (id <= 0) return unreadableJob(context.clock.now());
      const job = Number.isSafeInteger(id) ? await findJob(context, id) : undefined;
      if (!job || !PACIFICA_KINDS.includes(job.kind) || !maySee(request.principal, job.owner))
        return refuse(reply, 404, `job ID ${text.trim()} does not exist.`);
      return pacificaJob(job);
    });

    /** Before anything of the body is read. CherryPy asks for a length, or for chunks. */
    const beforeBody = async (request: FastifyRequest, reply: FastifyReply) => {
      const { "content-length": length, "transfer-encoding": coding } = request.headers;
      if (length === undefined && coding === undefined) return refuse(reply, 411, "A body is required.");
      await identify(request);
    };

    await app.register(async (tars) => {
      tars.addContentTypeParser("*", (_request, _payload, done) => done(null));
      /** Clients call the tar many things, `application/x-www-form-urlencoded` among them; it is one all the same. */
      const anyType = async (request: FastifyRequest) => {
        delete request.raw.headers["content-type"];
      };
      for (const path of ["/upload", "/ingest"])
        tars.post(path, { onRequest: [beforeBody, anyType] }, async (request) =>
          pacificaJob(await depositBundle(context, request, request.principal.name)),
        );
    });

    await app.register(async (documents) => {
      documents.addContentTypeParser<Buffer>(
        ["application/json", "text/javascript"],
        { parseAs: "buffer", bodyLimit: DOCUMENT_LIMIT_BYTES },
        (_request, body, done) => done(null, body),
      );
      documents.post("/move", { onRequest: beforeBody }, async (request) => {
        if (!(request.body instanceof Uint8Array)) throw new AppError("media_type_unsupported");
        return pacificaJob(await depositMove(context, request, request.body, request.principal.name));
      });
    });
  };

const pathOf = (request: FastifyRequest) => request.url.split("?")[0] ?? "";

async function findJob({ jobs }: ServerContext, id: number) {
  try {
    return await jobs.get(jobId(id));
  } catch (error) {
    if (error instanceof AppError && error.code === "job_unknown") return undefined;
    throw error;
  }
}
