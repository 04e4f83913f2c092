import type { FastifyPluginAsync } from "fastify";
import { maySee } from "../../core/access/access.ts";
import { AppError } from "../../core/errors.ts";
import { jobId } from "../../core/ids.ts";
import type { AllowedMethods } from "../allowed-methods.ts";
import type { Authentication } from "../authentication.ts";
import type { ServerContext } from "../server-deps.ts";
import { DOCUMENT_LIMIT_BYTES, depositBundle, depositMove } from "../upload/deposit.ts";
import { passBodiesThrough } from "../upload/request-body.ts";
import { anyType, speakCherryPy } from "./cherrypy.ts";
import { PACIFICA_KINDS, pacificaJob, unreadableJob } from "./pacifica-job.ts";

/**
 * Pacifica Ingest 0.4 as its clients know it: `POST /upload` (and `/ingest`, as its documentation has it), `POST /move`,
 * `GET /get_state`, `GET /`. Answers are 200, or errors in CherryPy's form with the traceback left empty.
 */
export const pacificaIngest =
  (context: ServerContext, authentication: Authentication, allowed: AllowedMethods): FastifyPluginAsync =>
  async (app) => {
    const { refuse, fail, identify, identifySender } = speakCherryPy(app, { context, authentication, allowed });

    app.get("/", async () => ({ message: "Pacifica Ingest Up and Running" }));

    app.get<{ Querystring: { job_id?: unknown } }>(
      "/get_state",
      { onRequest: identify("read") },
      async (request, reply) => {
        const text = request.query.job_id;
        if (typeof text !== "string" || !/^\s*[+-]?\d+\s*$/.test(text)) return fail(reply);
        const id = Number(text);
        if (id <= 0) return unreadableJob(context.clock.now());
        const job = Number.isSafeInteger(id) ? await findJob(context, id) : undefined;
        if (!job || !PACIFICA_KINDS.includes(job.kind) || !maySee(request.principal, job.owner))
          return refuse(reply, 404, `job ID ${text.trim()} does not exist.`);
        return pacificaJob(job);
      },
    );

    await app.register(async (tars) => {
      passBodiesThrough(tars);
      for (const path of ["/upload", "/ingest"])
        tars.post(path, { onRequest: [identifySender("deposit"), anyType] }, async (request) =>
          pacificaJob(await depositBundle(context, request, request.principal.name)),
        );
    });

    await app.register(async (documents) => {
      documents.addContentTypeParser<Buffer>(
        ["application/json", "text/javascript"],
        { parseAs: "buffer", bodyLimit: DOCUMENT_LIMIT_BYTES },
        (_request, body, done) => done(null, body),
      );
      documents.post("/move", { onRequest: identifySender("deposit") }, async (request) => {
        if (!(request.body instanceof Uint8Array)) throw new AppError("media_type_unsupported");
        return pacificaJob(await depositMove(context, request, request.body, request.principal.name));
      });
    });
  };

async function findJob({ jobs }: ServerContext, id: number) {
  try {
    return await jobs.get(jobId(id));
  } catch (error) {
    if (error instanceof AppError && error.code === "job_unknown") return undefined;
    throw error;
  }
}
