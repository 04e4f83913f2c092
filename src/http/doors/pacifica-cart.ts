import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from "fastify";
import type { Cart } from "../../core/carts/cart.ts";
import { safePart } from "../../core/carts/cart-names.ts";
import { AppError } from "../../core/errors.ts";
import type { AllowedMethods } from "../allowed-methods.ts";
import type { Authentication } from "../authentication.ts";
import { sendRepresentation } from "../download/representation.ts";
import { statusOf } from "../problem.ts";
import type { ServerContext } from "../server-deps.ts";
import { DOCUMENT_LIMIT_BYTES } from "../upload/deposit.ts";
import { anyType, headerText, speakCherryPy } from "./cherrypy.ts";
import { pacificaCartRequest } from "./pacifica-cart-request.ts";

/** The name of a cart without `bundle`: what lies on top in its downloads is said by whoever downloads. */
const UNBUNDLED = "data";

interface CartRoute {
  Params: { uid: string };
  Querystring: { filename?: unknown };
}

/**
 * Pacifica Cartd 0.7 as its clients know it: POST, HEAD, GET and DELETE of `/{uid}`. A download is an uncompressed tar of
 * nothing but the files, of known length and answered in ranges.
 *
 * A cart is made by whoever may read its files, hence by the scope `read`; so is everything else here.
 */
export const pacificaCart =
  (context: ServerContext, authentication: Authentication, allowed: AllowedMethods): FastifyPluginAsync =>
  async (app) => {
    const { carts } = context;
    const { refuse, fail, identify, identifySender } = speakCherryPy(app, {
      context,
      authentication,
      allowed,
      status: (error) => (error.kind === "gone" ? 404 : statusOf(error)),
      // Clients read both fields of every HEAD, whatever its status.
      describe: (reply, message) => reply.request.method === "HEAD" && tellStatus(reply, "error", message),
    });

    // No cart has such a name: PostgreSQL could not even be asked for it.
    app.addHook<{ Params: Partial<CartRoute["Params"]> }>("preHandler", async ({ params }) => {
      if (params.uid?.includes("\0")) throw new AppError("route_unknown");
    });

    /** As the original forgets what it had to make room for, an expired cart is none. */
    async function found({ principal, params }: FastifyRequest<CartRoute>): Promise<Cart | undefined> {
      const cart = await carts.named(principal, params.uid);
      return cart?.status === "expired" ? undefined : cart;
    }

    app.get("/", { exposeHeadRoute: false }, async () => ({ message: "Pacifica Cartd Interface Up and Running" }));
    app.head("/", async (_request, reply) => fail(reply));

    await app.register(async (documents) => {
      // The documentation's own call sends no type, or curl's.
      documents.addContentTypeParser<Buffer>(
        "*",
        { parseAs: "buffer", bodyLimit: DOCUMENT_LIMIT_BYTES },
        (_request, body, done) => done(null, body),
      );
      documents.post<CartRoute>("/:uid", { onRequest: [identifySender("read"), anyType] }, async (request, reply) => {
        const { principal, params } = request;
        const asked = pacificaCartRequest(parsed(request.body));
        if (typeof asked === "string") return refuse(reply, 400, asked);
        const cart = await carts.create(principal, {
          uid: params.uid,
          name: asked.isBundle ? params.uid : UNBUNDLED,
          files: asked.files,
        });
        const { fileCount: files, sizeBytes: bytes } = cart;
        await context.audit.record(principal.name, "cart.create", `cart/${cart.id}`, { uid: params.uid, files, bytes });
        return reply.code(201).send({ message: "Cart Processing has begun" });
      });
    });

    app.head<CartRoute>("/:uid", { onRequest: identify("read") }, async (request, reply) => {
      const cart = await found(request);
      if (!cart) return refuse(reply, 404, `No cart with uid ${request.params.uid} found`);
      if (cart.status === "error") return refuse(reply, 500, troubleOf(cart));
      // They stop looking at anything but this.
      tellStatus(reply, cart.status === "ready" ? "ready" : "staging", "");
      return reply.code(204).send();
    });

    const download = {
      onRequest: identify("read"),
      exposeHeadRoute: false,
      config: { uncounted: "continued downloads" },
    } as const;
    app.get<CartRoute>("/:uid", download, async (request, reply) => {
      const cart = await found(request);
      if (!cart) return refuse(reply, 404, "The cart does not exist or has already been deleted");
      if (cart.status !== "ready") return reply.code(202).send("The cart is not ready for download.");
      const { filename } = request.query;
      const name = typeof filename === "string" && filename !== "" ? filename : defaultName(cart.createdAt);
      const folder = cart.name === UNBUNDLED ? safePart(name.replaceAll(".tar", "")) : cart.name;
      const download = await carts.download(cart, { format: "tar", content: "files", folder });
      const meter = context.metrics.download("cart");
      return sendRepresentation(
        request,
        reply,
        { ...download, fileName: safePart(name), mediaType: "application/octet-stream" },
        {
          meter,
          async begins() {
            meter.begun();
            await carts.counted(cart);
          },
        },
      );
    });

    app.delete<CartRoute>("/:uid", { onRequest: identify("read") }, async (request, reply) => {
      const { principal, params } = request;
      const removed = await carts.removeNamed(principal, params.uid);
      if (removed === 0) return refuse(reply, 404, "Not Found");
      await context.audit.record(principal.name, "cart.delete", `cart/${params.uid}`, { carts: removed });
      return { message: "Cart Deleted Successfully" };
    });
  };

function tellStatus(reply: FastifyReply, status: "staging" | "ready" | "error", message: string): void {
  reply.headers({ "x-pacifica-status": status, "x-pacifica-message": headerText(message) });
}

/** The first trouble, as the original has no room for more. */
function troubleOf({ problems: [first], problemCount }: Cart): string {
  if (!first) return "The cart cannot be downloaded.";
  if (first.code === "cart_empty") return first.message;
  return `Failed to pull file(${first.message})${problemCount > 1 ? ` and ${problemCount - 1} more` : ""}`;
}

/**
 * `data_YYYY_MM_DD_HH_MM_SS.tar` in the server's time, as the original has it; but of the cart and not of the download,
 * which can be taken up again only if the second part comes from the same tar as the first.
 */
function defaultName(epochMs: number): string {
  const time = new Date(epochMs);
  const numbers = [time.getMonth() + 1, time.getDate(), time.getHours(), time.getMinutes(), time.getSeconds()];
  return `data_${[time.getFullYear(), ...numbers.map((number) => String(number).padStart(2, "0"))].join("_")}.tar`;
}

/** @throws AppError metadata_not_json, which CherryPy has words for. */
function parsed(body: unknown): unknown {
  try {
    return JSON.parse(body instanceof Buffer ? body.toString("utf8") : "");
  } catch (cause) {
    throw new AppError("metadata_not_json", {}, { cause });
  }
}
