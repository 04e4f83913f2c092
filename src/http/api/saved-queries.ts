import type { FastifyPluginAsyncZod } from "fastify-type-provider-zod";
import { z } from "zod";
import type { SavedQueryId } from "../../core/ids.ts";
import type { ServerContext } from "../server-deps.ts";
import { pageOf } from "./paging.ts";
import { NoQuery, problems } from "./schemas.ts";
import {
  HitsSchema,
  hitsOnWire,
  SavedQueryBody,
  SavedQueryChange,
  SavedQueryParams,
  SavedQuerySchema,
  SavedSearchParams,
  savedQueryOnWire,
} from "./search-schemas.ts";

export const savedQueryRoutes =
  ({ search, audit, link }: ServerContext): FastifyPluginAsyncZod =>
  async (app) => {
    const pathOf = (id: SavedQueryId) => `/api/v1/saved-queries/${id}`;

    app.post(
      "/saved-queries",
      {
        config: { scope: "read" },
        schema: {
          tags: ["search"],
          summary: "Keep a query under a name",
          querystring: NoQuery,
          body: SavedQueryBody,
          response: { 201: SavedQuerySchema.describe("`Location` has its address."), ...problems },
        },
      },
      async ({ principal, body }, reply) => {
        const saved = await search.save(principal, body);
        await audit.record(principal.name, "saved-query.create", `saved-query/${saved.id}`, { name: saved.name });
        return reply
          .code(201)
          .header("location", link(pathOf(saved.id)))
          .send(savedQueryOnWire(saved));
      },
    );

    app.get(
      "/saved-queries",
      {
        config: { scope: "read" },
        schema: {
          tags: ["search"],
          summary: "One's own saved queries, by name, on one page",
          querystring: NoQuery,
          response: { 200: pageOf(SavedQuerySchema), ...problems },
        },
      },
      async ({ principal }) => ({ items: (await search.listSaved(principal)).map(savedQueryOnWire), next: null }),
    );

    app.get(
      "/saved-queries/:id",
      {
        config: { scope: "read" },
        schema: {
          tags: ["search"],
          summary: "One saved query",
          params: SavedQueryParams,
          querystring: NoQuery,
          response: { 200: SavedQuerySchema, ...problems },
        },
      },
      async ({ principal, params }) => savedQueryOnWire(await search.getSaved(principal, params.id)),
    );

    app.get(
      "/saved-queries/:id/hits",
      {
        config: { scope: "read" },
        schema: {
          tags: ["search"],
          summary: "What a saved query finds now",
          params: SavedQueryParams,
          querystring: SavedSearchParams,
          response: { 200: HitsSchema, ...problems },
        },
      },
      async ({ principal, params, query: { facet, order, limit, cursor } }) => {
        const { query, types } = await search.getSaved(principal, params.id);
        const page = await search.search(principal, {
          query,
          ...(types.length === 0 ? {} : { types }),
          order,
          limit,
          ...(cursor === undefined ? {} : { cursor }),
          facets: facet ?? [],
        });
        return hitsOnWire(page, link);
      },
    );

    app.patch(
      "/saved-queries/:id",
      {
        config: { scope: "read" },
        schema: {
          tags: ["search"],
          summary: "Give a saved query another name, text or types",
          params: SavedQueryParams,
          querystring: NoQuery,
          body: SavedQueryChange,
          response: { 200: SavedQuerySchema, ...problems },
        },
      },
      async ({ principal, params, body }) => {
        const changed = await search.changeSaved(principal, params.id, body);
        await audit.record(principal.name, "saved-query.change", `saved-query/${params.id}`, { ...body });
        return savedQueryOnWire(changed);
      },
    );

    app.delete(
      "/saved-queries/:id",
      {
        config: { scope: "read" },
        schema: {
          tags: ["search"],
          summary: "Forget a saved query",
          params: SavedQueryParams,
          querystring: NoQuery,
          response: { 204: z.undefined().describe("It is gone."), ...problems },
        },
      },
      async ({ principal, params }, reply) => {
        await search.removeSaved(principal, params.id);
        await audit.record(principal.name, "saved-query.delete", `saved-query/${params.id}`);
        return reply.code(204).send();
      },
    );
  };
