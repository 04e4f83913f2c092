import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from "fastify";
import { AppError } from "../../core/errors.ts";
import type { Package } from "../../core/packages/package.ts";
import type { OrderedPackage, PackageFile } from "../../core/packages/packages.ts";
import { exactly } from "../download/exact-bytes.ts";
import { type Representation, sendRepresentation } from "../download/representation.ts";
import { asAppError, sendProblem, statusOf } from "../problem.ts";
import type { ServerContext } from "../server-deps.ts";
import { deadLinkPage, packagePage } from "./package-page.ts";

interface LinkRoute {
  Params: { token: string; file: string };
}

/**
 * Links that people were sent. Whoever holds one needs nothing else: `/links/<token>/<name>.zip` is always the ZIP, to
 * browsers and to `curl` alike, and `/links/<token>/` says what it is.
 */
export const packageLinkRoutes =
  (context: ServerContext): FastifyPluginAsync =>
  async (app) => {
    const { packages } = context;
    app.setErrorHandler((error, request, reply) => sendTrouble(request, reply, error));
    app.addHook("onRequest", async (_request, reply) => {
      // The address is the key: it goes into no other server's log, and into no index.
      reply.headers({ "referrer-policy": "no-referrer", "x-robots-tag": "noindex" });
    });
    /** The log has the route in place of the address. */
    const config = { secretPath: true };

    app.get<LinkRoute>("/links/:token", { config }, async ({ params }, reply) =>
      reply.redirect(context.link(`/links/${encodeURIComponent(params.token)}/`), 308),
    );

    app.get<LinkRoute>("/links/:token/", { config }, async (request, reply) => {
      const found = await packages.follow(request.params.token);
      return sendPage(reply, packagePage(found, encodeURIComponent(found.file.fileName)));
    });

    app.route<LinkRoute>({
      method: ["GET", "HEAD"],
      url: "/links/:token/:file",
      config: { ...config, uncounted: "continued downloads" },
      async handler(request, reply) {
        const found = await packages.follow(request.params.token);
        if (request.params.file !== found.file.fileName) throw new AppError("link_invalid");
        return sendPackage(context, request, reply, found, found.file);
      },
    });
  };

/** The ZIP, or the ranges of it that are asked for; a download is counted when it begins with the first byte. */
export async function sendPackage(
  { packages, metrics }: Pick<ServerContext, "packages" | "metrics">,
  request: FastifyRequest,
  reply: FastifyReply,
  { order, package: made }: OrderedPackage,
  file: PackageFile,
): Promise<FastifyReply> {
  const meter = metrics.download("package");
  return sendRepresentation(request, reply, packageRepresentation(file, made), {
    meter,
    async begins() {
      meter.begun();
      await packages.counted(order.id);
    },
  });
}

function packageRepresentation(file: PackageFile, { digest }: Package): Representation {
  return {
    ...file,
    mediaType: "application/zip",
    ...(digest === null ? {} : { digests: { sha256: digest } }),
    async *read(range) {
      yield* exactly(await file.open(range), range ? range.end - range.start + 1 : file.sizeBytes);
    },
  };
}

/** To people in words, to programs as a problem. */
function sendTrouble(request: FastifyRequest, reply: FastifyReply, thrown: unknown): FastifyReply {
  const error = asAppError(thrown);
  const status = statusOf(error);
  if (status >= 500 || !request.headers.accept?.includes("text/html")) return sendProblem(request, reply, thrown);
  return sendPage(reply.code(status), deadLinkPage(error));
}

function sendPage(reply: FastifyReply, html: string): FastifyReply {
  return reply
    .type("text/html; charset=utf-8")
    .headers({
      "content-security-policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
      "cache-control": "no-store",
    })
    .send(html);
}
