import type { FastifyPluginAsyncZod } from "fastify-type-provider-zod";
import { z } from "zod";
import { type OrderId, orderId } from "../../core/ids.ts";
import { OrderForm, orderRequest } from "../../core/packages/order-form.ts";
import type { OrderedPackage } from "../../core/packages/packages.ts";
import { REPRESENTATION_ANSWERS } from "../download/representation.ts";
import { sendPackage } from "../links/package-links.ts";
import type { ServerContext } from "../server-deps.ts";
import {
  ORDER_BODY_LIMIT_BYTES,
  PackageParams,
  PackagePreviewSchema,
  PackageSchema,
  packageOnWire,
} from "./package-schemas.ts";
import { cutPage, PAGE_PARAMS, pageOf, textCursor } from "./paging.ts";
import { NoQuery, problems } from "./schemas.ts";

/** Resources of portals as ZIPs. Whoever may read may order: nothing of this archive is touched. */
export const packageRoutes =
  (context: ServerContext): FastifyPluginAsyncZod =>
  async (app) => {
    const { packages } = context;
    const pathOf = (id: OrderId) => `/api/v1/packages/${id}`;

    app.post(
      "/packages",
      {
        config: { scope: "read" },
        bodyLimit: ORDER_BODY_LIMIT_BYTES,
        schema: {
          tags: ["packages"],
          summary: "Order a package: rows of a portal's table, a Darwin Core Archive of them, or a file",
          description:
            "Nothing is fetched before the answer. Equal orders share one ZIP, which is given out for some time; each has a " +
            "link of its own. The requester is told by mail or webhook, of a failure as well, or asks for the status.",
          querystring: NoQuery,
          body: OrderForm,
          response: {
            201: PackageSchema.describe("An equal one is ready; `Location` has its address."),
            202: PackageSchema.describe("It is being made."),
            ...problems,
          },
        },
      },
      async ({ principal, body }, reply) => {
        const ordered = await packages.order(orderRequest(body, principal.name));
        const { order, package: made } = ordered;
        const { kind, resourceId } = body;
        await context.audit.record(principal.name, "package.order", `package/${order.id}`, { kind, resourceId });
        return reply
          .code(made.status === "building" ? 202 : 201)
          .header("location", context.link(pathOf(order.id)))
          .send(packageOnWire(ordered));
      },
    );

    app.post(
      "/packages/preview",
      {
        config: { scope: "read" },
        bodyLimit: ORDER_BODY_LIMIT_BYTES,
        schema: {
          tags: ["packages"],
          summary: "What an order would bring: its first rows, and how many there are",
          description: "Takes what an order takes, asks the portal three small questions, and orders nothing.",
          querystring: NoQuery,
          body: OrderForm,
          response: { 200: PackagePreviewSchema, ...problems },
        },
      },
      async ({ principal, body }) => packages.preview(orderRequest(body, principal.name)),
    );

    app.get(
      "/packages",
      {
        config: { scope: "read" },
        schema: {
          tags: ["packages"],
          summary: "Packages, newest first: one's own, or everybody's with the scope `operate`",
          querystring: z.strictObject({ ...PAGE_PARAMS, cursor: textCursor(orderId) }),
          response: { 200: pageOf(PackageSchema), ...problems },
        },
      },
      async ({ principal, query: { limit, cursor } }) => {
        const page = { limit: limit + 1, ...(cursor === undefined ? {} : { before: cursor }) };
        return cutPage(await packages.list(principal, page), limit, ({ order }) => order.id, packageOnWire);
      },
    );

    app.delete(
      "/packages",
      {
        config: { scope: "operate" },
        schema: {
          tags: ["packages"],
          summary: "Drop every package, whoever ordered it",
          description: "Their links lead nowhere then. What is being made is finished for those who wait.",
          querystring: NoQuery,
          response: { 200: z.object({ removed: z.int().describe("ZIPs.") }), ...problems },
        },
      },
      async ({ principal }) => {
        const removed = await packages.clear();
        await context.audit.record(principal.name, "package.clear", "packages", { removed });
        return { removed };
      },
    );

    app.get(
      "/packages/:id",
      {
        config: { scope: "read" },
        schema: {
          tags: ["packages"],
          summary: "One package",
          params: PackageParams,
          querystring: NoQuery,
          response: { 200: PackageSchema, ...problems },
        },
      },
      async ({ principal, params }) => packageOnWire(await packages.get(principal, params.id)),
    );

    app.route({
      method: ["GET", "HEAD"],
      url: "/packages/:id/download",
      config: { scope: "read", uncounted: "continued downloads" },
      schema: {
        tags: ["packages"],
        summary: "The ZIP of a ready package",
        description: "Answers `Range` (one or several), `If-Range` and the conditions of RFC 9110.",
        params: PackageParams,
        querystring: NoQuery,
        response: { ...REPRESENTATION_ANSWERS, ...problems },
      },
      async handler(request, reply) {
        const { principal, params } = request;
        const ordered = await packages.get(principal, params.id);
        return sendPackage(context, request, reply, ordered, await packages.file(principal, params.id));
      },
    });

    const changes: readonly {
      readonly verb: "renew" | "revoke";
      readonly summary: string;
      readonly description: string;
    }[] = [
      {
        verb: "renew",
        summary: "Let the link work for as long again",
        description: "From now on; also the links that were sent out, unless they were revoked.",
      },
      {
        verb: "revoke",
        summary: "Make the link stop working",
        description: "And every earlier one of this order; a renewal makes a new one.",
      },
    ];
    for (const { verb, summary, description } of changes)
      app.post(
        `/packages/:id/${verb}`,
        {
          config: { scope: "read" },
          schema: {
            tags: ["packages"],
            summary,
            description,
            params: PackageParams,
            querystring: NoQuery,
            response: { 200: PackageSchema, ...problems },
          },
        },
        async ({ principal, params }) => {
          const changed: OrderedPackage = await packages[verb](principal, params.id);
          await context.audit.record(principal.name, `package.${verb}`, `package/${params.id}`);
          return packageOnWire(changed);
        },
      );
  };
