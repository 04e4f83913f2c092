import type { FastifyPluginAsyncZod } from "fastify-type-provider-zod";
import { z } from "zod";
import { CART_STATUSES } from "../../core/carts/cart.ts";
import { type CartId, cartId } from "../../core/ids.ts";
import type { ServerContext } from "../server-deps.ts";
import { CART_BODY_LIMIT_BYTES, CartRequestBody, cartRequest } from "./cart-request.ts";
import { cutPage, PAGE_PARAMS, pageOf, textCursor } from "./paging.ts";
import { CartFileSchema, CartParams, CartSchema, cartFileOnWire, cartOnWire, NoQuery, problems } from "./schemas.ts";

const Status = z.enum(CART_STATUSES);

export const cartRoutes =
  (context: ServerContext): FastifyPluginAsyncZod =>
  async (app) => {
    const pathOf = (id: CartId) => `/api/v1/carts/${id}`;
    const wire = (cart: Parameters<typeof cartOnWire>[0]) => cartOnWire(cart, context.link(pathOf(cart.id)));

    app.post(
      "/carts",
      {
        config: { scope: "read" },
        bodyLimit: CART_BODY_LIMIT_BYTES,
        schema: {
          tags: ["carts"],
          summary: "Choose files for a download",
          description:
            "By their ids, by transaction, by a query, by a search, or by all of these together. The cart is ready at once when all files " +
            "are online; otherwise they are being staged, and its status is to be watched.",
          querystring: NoQuery,
          body: CartRequestBody,
          response: { 201: CartSchema.describe("The cart; `Location` has its address."), ...problems },
        },
      },
      async ({ principal, body, raw }, reply) => {
        // Whoever asks for a million files waits for minutes: that silence is not a dead connection.
        raw.socket.setTimeout(0);
        const cart = await context.carts.create(principal, cartRequest(body, context.clock.now()));
        await context.audit.record(principal.name, "cart.create", `cart/${cart.id}`, {
          files: cart.fileCount,
          bytes: cart.sizeBytes,
        });
        return reply
          .code(201)
          .header("location", context.link(pathOf(cart.id)))
          .send(wire(cart));
      },
    );

    app.get(
      "/carts",
      {
        config: { scope: "read" },
        schema: {
          tags: ["carts"],
          summary: "Carts, newest first: one's own, or everybody's with the scope `operate`",
          querystring: z.strictObject({
            ...PAGE_PARAMS,
            cursor: textCursor(cartId),
            status: z
              .union([Status, z.array(Status)])
              .optional()
              .describe("Only carts in this status; may be repeated."),
          }),
          response: { 200: pageOf(CartSchema), ...problems },
        },
      },
      async ({ principal, query }) => {
        const found = await context.carts.list(principal, {
          limit: query.limit + 1,
          ...(query.status === undefined ? {} : { statuses: [query.status].flat() }),
          ...(query.cursor === undefined ? {} : { before: query.cursor }),
        });
        return cutPage(found, query.limit, ({ id }) => id, wire);
      },
    );

    app.get(
      "/carts/:id",
      {
        config: { scope: "read" },
        schema: {
          tags: ["carts"],
          summary: "One cart",
          params: CartParams,
          querystring: NoQuery,
          response: { 200: CartSchema, ...problems },
        },
      },
      async ({ principal, params }) => wire(await context.carts.get(principal, params.id)),
    );

    app.delete(
      "/carts/:id",
      {
        config: { scope: "read" },
        schema: {
          tags: ["carts"],
          summary: "Forget a cart; the files stay",
          params: CartParams,
          querystring: NoQuery,
          response: { 204: z.undefined().describe("It is gone."), ...problems },
        },
      },
      async ({ principal, params }, reply) => {
        await context.carts.remove(principal, params.id);
        await context.audit.record(principal.name, "cart.delete", `cart/${params.id}`);
        return reply.code(204).send();
      },
    );

    app.get(
      "/carts/:id/files",
      {
        config: { scope: "read" },
        schema: {
          tags: ["carts"],
          summary: "The files of a cart, in the order of its downloads",
          params: CartParams,
          querystring: z.strictObject(PAGE_PARAMS),
          response: { 200: pageOf(CartFileSchema), ...problems },
        },
      },
      async ({ principal, params, query }) => {
        const { algorithm } = await context.carts.get(principal, params.id);
        const found = await context.carts.entries(principal, params.id, query.cursor ?? 0, query.limit + 1);
        return cutPage(
          found,
          query.limit,
          ({ seq }) => seq + 1,
          (entry) => cartFileOnWire(entry, algorithm),
        );
      },
    );
  };
