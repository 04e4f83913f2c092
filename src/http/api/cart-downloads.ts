import { Readable } from "node:stream";
import type { FastifyReply } from "fastify";
import type { FastifyPluginAsyncZod } from "fastify-type-provider-zod";
import { z } from "zod";
import type { Cart } from "../../core/carts/cart.ts";
import type { Download } from "../../core/carts/carts.ts";
import { AppError } from "../../core/errors.ts";
import { attachment } from "../download/attachment.ts";
import { REPRESENTATION_ANSWERS, type Representation, sendRepresentation } from "../download/representation.ts";
import type { ServerContext } from "../server-deps.ts";
import { CartParams, NoQuery, problems } from "./schemas.ts";

/** When to ask again for a cart that is not ready, in seconds: at least, and at most whatever cold storage says. */
const RETRY_AFTER_S = { least: 5, most: 3600 };

export const cartDownloadRoutes =
  (context: ServerContext): FastifyPluginAsyncZod =>
  async (app) => {
    for (const format of ["tar", "zip"] as const)
      app.route({
        method: ["GET", "HEAD"],
        url: `/carts/:id/download.${format}`,
        config: { scope: "read", uncounted: "continued downloads" },
        schema: {
          tags: ["carts"],
          summary: `A ready cart as a ${format === "tar" ? "tar" : "ZIP"}`,
          description:
            "Like a file of known length: `Range` (one or several), `If-Range` and the conditions of RFC 9110 are answered. " +
            "The archive has the cart's name as its top folder, the files below `data/`, and their digests in " +
            "`manifest-<algorithm>.txt`. There is no digest of the archive as such: nobody has read it before you. " +
            "When a file cannot be read to its end, the connection breaks.",
          params: CartParams,
          querystring: z.strictObject({
            bag: z.enum(["true", "false"]).default("false").describe("With everything that makes it a bag (RFC 8493)."),
          }),
          response: { ...REPRESENTATION_ANSWERS, ...problems },
        },
        async handler(request, reply) {
          const cart = await context.carts.get(request.principal, request.params.id);
          tellWhen(reply, cart, context.clock.now());
          const content = request.query.bag === "true" ? "bag" : "manifest";
          const download = await context.carts.download(cart, { format, content });
          const meter = context.metrics.download("cart");
          return sendRepresentation(request, reply, cartRepresentation(download), {
            meter,
            async begins() {
              meter.begun();
              await context.carts.counted(cart);
            },
          });
        },
      });

    app.get(
      "/carts/:id/manifest",
      {
        config: { scope: "read" },
        exposeHeadRoute: false, // the length is not known before the last line
        schema: {
          tags: ["carts"],
          summary: "The manifest of a ready cart, as it lies in its downloads",
          description: "For `sha512sum -c` and its like, in the folder that a download unpacks to.",
          params: CartParams,
          querystring: NoQuery,
          response: {
            200: {
              description: "A line for each file: its digest and its path.",
              content: { "text/plain": { schema: z.custom<Readable>().meta({ type: "string" }) } },
            },
            ...problems,
          },
        },
      },
      async ({ principal, params }, reply) => {
        const cart = await context.carts.get(principal, params.id);
        tellWhen(reply, cart, context.clock.now());
        return reply
          .header("content-type", "text/plain; charset=utf-8")
          .header("content-disposition", attachment(`manifest-${cart.algorithm}.txt`))
          .header("cache-control", "private, no-cache")
          .send(Readable.from(context.carts.manifest(cart), { objectMode: false }));
      },
    );
  };

/** With what is wrong with a file as what it is here: not the address is unknown, but the cart cannot be downloaded. */
export function cartRepresentation(download: Download): Representation {
  return {
    ...download,
    async *read(range, signal) {
      try {
        yield* download.read(range, signal);
      } catch (error) {
        if (!(error instanceof AppError && (error.kind === "not_found" || error.kind === "corrupt"))) throw error;
        const { code, message, details } = error;
        throw new AppError(
          "cart_failed",
          { problemCount: 1, problems: [{ code, message, ...details }] },
          { cause: error },
        );
      }
    },
  };
}

/** Says when to ask again for what will be refused with cart_not_ready. */
function tellWhen(reply: FastifyReply, { status, readyAt }: Cart, now: number): void {
  if (status !== "waiting" && status !== "staging") return;
  const expectedS = Math.ceil(((readyAt ?? now) - now) / 1000);
  reply.header("retry-after", Math.min(Math.max(expectedS, RETRY_AFTER_S.least), RETRY_AFTER_S.most));
}
