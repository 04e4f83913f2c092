import type { FastifyPluginAsyncZod } from "fastify-type-provider-zod";
import { fileRepresentation, visibleFile } from "../download/archived-file.ts";
import { REPRESENTATION_ANSWERS, sendRepresentation } from "../download/representation.ts";
import type { ServerContext } from "../server-deps.ts";
import { DownloadsSchema, downloadsOnWire, FileParams, FileSchema, fileOnWire, NoQuery, problems } from "./schemas.ts";

export const fileRoutes =
  (context: ServerContext): FastifyPluginAsyncZod =>
  async (app) => {
    app.get(
      "/files/:id",
      {
        config: { scope: "read" },
        schema: {
          tags: ["files"],
          summary: "What is known of a file",
          params: FileParams,
          querystring: NoQuery,
          response: { 200: FileSchema, ...problems },
        },
      },
      async ({ principal, params }) => fileOnWire((await visibleFile(context, principal, params.id)).file),
    );

    app.get(
      "/files/:id/statistics",
      {
        config: { scope: "read" },
        schema: {
          tags: ["files"],
          summary: "How often a file was downloaded",
          params: FileParams,
          querystring: NoQuery,
          response: { 200: DownloadsSchema, ...problems },
        },
      },
      async ({ principal, params }) => {
        const { file } = await visibleFile(context, principal, params.id);
        return downloadsOnWire(await context.carts.fileDownloads(file.id));
      },
    );

    app.route({
      method: ["GET", "HEAD"],
      url: "/files/:id/content",
      config: { scope: "read", uncounted: "continued downloads" },
      schema: {
        tags: ["files"],
        summary: "The bytes of a file",
        description:
          "Answers `Range` (one or several), `If-Range` and the conditions of RFC 9110. `ETag` is the archive's digest; " +
          "`Repr-Digest` and `Content-Digest` are those of RFC 9530.",
        params: FileParams,
        querystring: NoQuery,
        response: { ...REPRESENTATION_ANSWERS, ...problems },
      },
      async handler(request, reply) {
        const found = await visibleFile(context, request.principal, request.params.id);
        const meter = context.metrics.download("file");
        return sendRepresentation(request, reply, fileRepresentation(context.storage, found), {
          meter,
          async begins() {
            meter.begun();
            await context.carts.countedFile(found.file.id, found.transaction.id);
          },
        });
      },
    });
  };
