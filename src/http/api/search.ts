import type { FastifyPluginAsyncZod } from "fastify-type-provider-zod";
import type { ServerContext } from "../server-deps.ts";
import { NoQuery, problems } from "./schemas.ts";
import {
  HitsSchema,
  hitsOnWire,
  IndexSchema,
  rebuildOnWire,
  SearchParams,
  SuggestionsSchema,
  SuggestParams,
} from "./search-schemas.ts";

export const searchRoutes =
  ({ search, indexing, observed, audit, link }: ServerContext): FastifyPluginAsyncZod =>
  async (app) => {
    app.get(
      "/search",
      {
        config: { scope: "read" },
        schema: {
          tags: ["search"],
          summary:
            "Files, transactions and records that fit a query: one's own, or everybody's with the scope `operate`",
          description:
            "Words, phrases and prefixes; fields, ranges and dates: `type:image width:>1000 project:1234a`. What is deposited " +
            "is found within about a second.",
          querystring: SearchParams,
          response: { 200: HitsSchema, ...problems },
        },
      },
      async ({ principal, query: { q, type, facet, order, limit, cursor } }) => {
        const page = await search.search(principal, {
          query: q,
          ...(type === undefined ? {} : { types: type }),
          order,
          limit,
          ...(cursor === undefined ? {} : { cursor }),
          facets: facet ?? [],
        });
        return hitsOnWire(page, link);
      },
    );

    app.get(
      "/search/suggest",
      {
        config: { scope: "read" },
        schema: {
          tags: ["search"],
          summary: "Values of a field that begin so",
          querystring: SuggestParams,
          response: { 200: SuggestionsSchema, ...problems },
        },
      },
      async ({ principal, query: { field, prefix, limit } }) => ({
        items: [...(await search.suggest(principal, field, prefix, limit))],
      }),
    );

    async function state() {
      const [counts, pending] = await Promise.all([observed.index.counts(), observed.searchChanges.depth()]);
      return { ...counts, pending, rebuild: rebuildOnWire(await indexing.lastRebuild()) };
    }

    app.get(
      "/search/index",
      {
        config: { scope: "operate" },
        schema: {
          tags: ["search"],
          summary: "How the search index stands",
          querystring: NoQuery,
          response: { 200: IndexSchema, ...problems },
        },
      },
      state,
    );

    app.post(
      "/search/index/rebuild",
      {
        config: { scope: "operate" },
        schema: {
          tags: ["search"],
          summary: "Make the search index anew from the database",
          description:
            "The one before answers until the new one is complete. While one is being made, this begins no other.",
          querystring: NoQuery,
          response: {
            202: IndexSchema.describe("It is being made; look at the index for how far it is."),
            ...problems,
          },
        },
      },
      async ({ principal }, reply) => {
        await indexing.begin();
        await audit.record(principal.name, "search.rebuild", "search/index");
        return reply.code(202).send(await state());
      },
    );
  };
