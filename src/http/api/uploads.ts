import { Readable } from "node:stream";
import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from "fastify";
import { z } from "zod";
import { AppError } from "../../core/errors.ts";
import { sendProblem } from "../problem.ts";
import type { ServerContext } from "../server-deps.ts";
import { finishedUploads } from "../upload/finished-uploads.ts";
import { passBodiesThrough, requestBody } from "../upload/request-body.ts";
import { CHECKSUM_ALGORITHMS, CHECKSUM_MISMATCH, TusRefusal, tusServer } from "../upload/tus.ts";
import { NoQuery, problems } from "./schemas.ts";

const PIECE_TYPE = "application/offset+octet-stream";
/** How often uploads are looked through for those that have expired, or were completed without becoming a job. */
const SWEEP_EVERY_MS = 10 * 60_000;

const UploadParams = z.strictObject({ id: z.string() });
const config = { scope: "deposit" } as const;
const noBody = (description: string) => z.undefined().describe(description);

export const uploadRoutes =
  (context: ServerContext): FastifyPluginAsync =>
  async (app) => {
    const finished = finishedUploads(context);

    /** Which job ingests an upload, in a field of our own and in one that any client can follow (RFC 8288, RFC 8631). */
    async function jobFields(uploadId: string): Promise<Record<string, string>> {
      const jobId = await finished.ingest(uploadId);
      if (jobId === undefined) return {};
      return { "longshore-job": String(jobId), link: `<${context.link(`/api/v1/jobs/${jobId}`)}>; rel="status"` };
    }

    const tus = tusServer(context.uploads, {
      expiryMs: context.options.uploadExpiryMs,
      link: (id) => context.link(`/api/v1/uploads/${id}`),
      onComplete: jobFields,
    });

    async function answer(
      request: FastifyRequest,
      reply: FastifyReply,
      uploadId?: string,
      method = request.method,
    ): Promise<void> {
      const { principal } = request;
      if (uploadId !== undefined) await requireOwner(context, principal.name, uploadId);
      if (method === "PATCH" && request.headers["content-type"] !== PIECE_TYPE)
        throw new AppError("media_type_unsupported", { expected: PIECE_TYPE });
      if (method === "PATCH" || method === "POST") await context.switches.requireRunning("ingest");
      const hasPiece = request.headers["content-type"] === PIECE_TYPE;
      const piece = hasPiece ? requestBody(request, context.metrics.received) : undefined;
      try {
        const work = tus.handle(webRequest(request, method, piece), { principal, uploadId });
        const { status, headers } = await context.finish(work);
        reply.code(status).headers(ownFields(headers));
        if (method === "HEAD" && uploadId !== undefined) reply.headers(await jobFields(uploadId));
        if (method === "DELETE") await context.audit.record(principal.name, "upload.discard", `upload/${uploadId}`);
      } finally {
        piece?.destroy(); // what was not read of a refused piece, the server ends
      }
    }

    passBodiesThrough(app);
    app.addHook("onSend", async (_request, reply) => {
      reply.header("tus-resumable", "1.0.0");
    });
    app.setErrorHandler((error, request, reply) => {
      if (error instanceof TusRefusal) return sendProblem(request, reply, error, error.status);
      const isMismatch = error instanceof AppError && error.code === "digest_mismatch";
      return sendProblem(request, reply, error, isMismatch ? CHECKSUM_MISMATCH : undefined);
    });

    app.post(
      "/uploads",
      {
        config,
        schema: {
          tags: ["uploads"],
          summary: "Begin an upload in pieces (tus 1.0)",
          description:
            "A complete upload becomes a bundle; the answer to its last piece names the job in `Longshore-Job`. " +
            "Extensions: creation, creation-with-upload, creation-defer-length, termination, checksum, expiration.",
          querystring: NoQuery,
          streams: { [PIECE_TYPE]: "Optionally the first piece." },
          response: { 201: noBody("`Location` has the upload's address."), ...problems },
        },
      },
      async (request, reply) => {
        await answer(request, reply);
        return reply.send();
      },
    );

    for (const { method, summary, ...more } of [
      {
        method: "HEAD",
        summary: "Where an upload stands",
        response: {
          200: noBody("`Upload-Offset`, `Upload-Length`, and `Longshore-Job` once it is complete."),
          ...problems,
        },
      },
      {
        method: "PATCH",
        summary: "Continue an upload",
        streams: { [PIECE_TYPE]: "The next piece." },
        response: { 204: noBody("`Upload-Offset`; after the last piece also `Longshore-Job`."), ...problems },
      },
      { method: "DELETE", summary: "Give an upload up", response: { 204: noBody("It is gone."), ...problems } },
    ] as const)
      app.route<{ Params: { id: string } }>({
        method,
        url: "/uploads/:id",
        config: { ...config, swagger: { exposeHeadRoute: true } },
        schema: { tags: ["uploads"], summary, params: UploadParams, querystring: NoQuery, ...more },
        async handler(request, reply) {
          await answer(request, reply, request.params.id);
          return reply.send();
        },
      });

    // For clients that can send neither PATCH nor DELETE: tus 1.0, "X-HTTP-Method-Override".
    app.post<{ Params: { id: string } }>(
      "/uploads/:id",
      { config, schema: { hide: true, params: UploadParams } },
      async (request, reply) => {
        const method = request.headers["x-http-method-override"];
        if (method !== "PATCH" && method !== "DELETE")
          throw new AppError("method_not_allowed", { expected: "X-HTTP-Method-Override: PATCH or DELETE" });
        await answer(request, reply, request.params.id, method);
        return reply.send();
      },
    );

    for (const url of ["/uploads", "/uploads/:id"])
      app.options(url, { config, schema: { hide: true } }, async (request, reply) => {
        await answer(request, reply.header("tus-checksum-algorithm", CHECKSUM_ALGORITHMS.join(",")));
        return reply.send();
      });

    let sweeping = Promise.resolve();
    const sweep = () => {
      sweeping = sweeping.then(() => finished.sweep(app.log));
    };
    const timer = setInterval(sweep, SWEEP_EVERY_MS);
    timer.unref();
    app.addHook("onReady", async () => sweep()); // not waited for: it may have much to do
    app.addHook("onClose", async () => {
      clearInterval(timer);
      await sweeping;
    });
  };

/** @throws AppError upload_unknown, also for another principal's upload. */
async function requireOwner({ uploads }: ServerContext, owner: string, id: string): Promise<void> {
  const upload = await uploads.get(id);
  if (upload?.owner !== owner) throw new AppError("upload_unknown", { id: id.slice(0, 64) });
}

/** The tus library speaks the Fetch standard. */
function webRequest(request: FastifyRequest, method: string, piece: Readable | undefined): Request {
  const headers = new Headers();
  for (const [name, value] of Object.entries(request.headers))
    if (value !== undefined) headers.set(name, [value].flat().join(", "));
  const url = `http://localhost${request.url}`;
  if (!piece) return new Request(url, { method, headers });
  return new Request(url, { method, headers, body: Readable.toWeb(piece), duplex: "half" });
}

/** The fields of the protocol, without those with which the library would open it to pages of any origin. */
function ownFields(headers: Headers): Record<string, string> {
  return Object.fromEntries([...headers].filter(([name]) => !/^(access-control-|content-)/.test(name)));
}
