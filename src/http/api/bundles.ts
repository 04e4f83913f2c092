import type { FastifyRequest } from "fastify";
import type { FastifyPluginAsyncZod } from "fastify-type-provider-zod";
import { z } from "zod";
import { AppError } from "../../core/errors.ts";
import type { ServerContext } from "../server-deps.ts";
import { DOCUMENT_LIMIT_BYTES, depositBundle, depositMove } from "../upload/deposit.ts";
import { passBodiesThrough } from "../upload/request-body.ts";
import { JobSchema, jobOnWire, NoQuery, problems } from "./schemas.ts";

const TAR_TYPES = ["application/x-tar", "application/octet-stream", "application/tar", "application/x-gtar"];

const IdempotencyKey = z.string().optional().describe("A repeated request with the same key gets the first one's job.");
const DigestField = z.string().optional().describe("Of the whole body (RFC 9530): sha-256 and sha-512 are checked.");

export const bundleRoutes =
  (context: ServerContext): FastifyPluginAsyncZod =>
  async (app) => {
    passBodiesThrough(app);
    app.post(
      "/bundles",
      {
        config: { scope: "deposit" },
        schema: {
          tags: ["bundles"],
          summary: "Deposit a bundle",
          description:
            "The body is an uncompressed tar of any size with `metadata.txt` and `data/…`. It is verified and archived by " +
            "the job in the answer; a body that is no tar at all has a job that has failed already.",
          querystring: NoQuery,
          headers: z.looseObject({
            "idempotency-key": IdempotencyKey,
            "content-digest": DigestField,
            "repr-digest": DigestField,
          }),
          streams: { "application/x-tar": "An uncompressed tar archive." },
          response: { 202: JobSchema.describe("The job; `Location` has its address."), ...problems },
        },
      },
      async (request, reply) => {
        requireTar(request);
        const job = await depositBundle(context, request, request.principal.name);
        return reply
          .code(202)
          .header("location", context.link(`/api/v1/jobs/${job.id}`))
          .send(jobOnWire(job));
      },
    );
  };

/** `POST /moves`, apart from bundles because its bodies are read as a whole. */
export const moveRoutes =
  (context: ServerContext): FastifyPluginAsyncZod =>
  async (app) => {
    app.removeAllContentTypeParsers();
    app.addContentTypeParser(
      "application/json",
      { parseAs: "buffer", bodyLimit: DOCUMENT_LIMIT_BYTES },
      (_request, body, done) => done(null, body),
    );
    app.post(
      "/moves",
      {
        config: { scope: "deposit" },
        schema: {
          tags: ["bundles"],
          summary: "Move files that lie on the server into the archive",
          description:
            "The body is the array of a bundle's `metadata.txt`; every `Files` object also has `source`, the absolute path of " +
            "the file, below one of the folders that the server's settings allow.",
          querystring: NoQuery,
          headers: z.looseObject({ "idempotency-key": IdempotencyKey }),
          streams: { "application/json": "An array of metadata objects." },
          response: { 202: JobSchema.describe("The job; `Location` has its address."), ...problems },
        },
      },
      async (request, reply) => {
        if (!(request.body instanceof Uint8Array)) throw new AppError("request_invalid", { expected: "a JSON array" });
        const job = await depositMove(context, request, request.body, request.principal.name);
        return reply
          .code(202)
          .header("location", context.link(`/api/v1/jobs/${job.id}`))
          .send(jobOnWire(job));
      },
    );
  };

/** @throws AppError media_type_unsupported, before a byte of the body is read. */
function requireTar(request: FastifyRequest): void {
  const coding = request.headers["content-encoding"];
  if (coding !== undefined && coding !== "identity")
    throw new AppError("media_type_unsupported", { found: coding, hint: "send the tar uncompressed" });
  const type = request.headers["content-type"]?.split(";")[0]?.trim().toLowerCase();
  if (type === undefined || TAR_TYPES.includes(type)) return;
  const compressed = /gzip|bzip|compress|xz|zstd|lz|zip|7z/.test(type);
  throw new AppError("media_type_unsupported", {
    found: type,
    expected: TAR_TYPES.slice(0, 2).join(" or "),
    ...(compressed ? { hint: "send the tar uncompressed" } : {}),
  });
}
