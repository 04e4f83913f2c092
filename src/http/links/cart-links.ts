import type { FastifyPluginAsync } from "fastify";
import type { Principal } from "../../core/access/access.ts";
import { AppError } from "../../core/errors.ts";
import { cartId } from "../../core/ids.ts";
import { cartRepresentation } from "../api/cart-downloads.ts";
import { sendRepresentation } from "../download/representation.ts";
import type { ServerContext } from "../server-deps.ts";

/** Whoever holds a link has been given the cart by somebody who may see it. */
const HOLDER: Principal = { name: "link", scopes: ["read", "operate"], via: "token" };

/** Links to carts that people were sent: `/links/cart/<token>/<name>.zip`. */
export const cartLinkRoutes =
  (context: ServerContext): FastifyPluginAsync =>
  async (app) => {
    app.route<{ Params: { token: string; file: string } }>({
      method: ["GET", "HEAD"],
      url: "/links/cart/:token/:file",
      /** The log has the route in place of the address. */
      config: { secretPath: true, uncounted: "continued downloads" },
      async handler(request, reply) {
        const claim = context.links.read("cart", request.params.token);
        if (!claim) throw new AppError("link_invalid");
        if (claim.expiresAt <= context.clock.now()) throw new AppError("cart_expired");
        const cart = await context.carts.get(HOLDER, cartId(claim.id));
        const download = await context.carts.download(cart, { format: "zip", content: "manifest" });
        reply.headers({ "referrer-policy": "no-referrer", "x-robots-tag": "noindex" });
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
  };
