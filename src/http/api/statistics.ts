import type { FastifyPluginAsyncZod } from "fastify-type-provider-zod";
import { z } from "zod";
import { DAY_MS, EVERYTHING } from "../../core/packages/statistics.ts";
import type { ServerContext } from "../server-deps.ts";
import {
  NotServedSchema,
  notServedOnWire,
  PackageStatisticsSchema,
  ResourceTotalsSchema,
  ServedSchema,
  servedOnWire,
  statisticsOnWire,
} from "./package-schemas.ts";
import { cutPage, PAGE_PARAMS, pageOf } from "./paging.ts";
import { NoQuery, problems } from "./schemas.ts";

/** Days shown when it is not said from when on. */
const SHOWN_DAYS = 90;

/** A day of UTC, or a time on it; epoch milliseconds of its beginning. */
const Day = z
  .union([z.iso.date(), z.iso.datetime({ offset: true })], "expected a date or a time in ISO 8601")
  .transform((text) => Math.floor(Date.parse(text) / DAY_MS) * DAY_MS);
const Resource = z.string().min(1).max(255).exactOptional().describe("Only of this one.");

/** What was packed. It tells who asked for what, which is for operators to know. */
export const statisticsRoutes =
  (context: ServerContext): FastifyPluginAsyncZod =>
  async (app) => {
    const { packageStatistics: statistics, clock } = context;

    app.get(
      "/statistics/packages",
      {
        config: { scope: "operate" },
        schema: {
          tags: ["packages"],
          summary: "What was packed in all, and day by day",
          querystring: z.strictObject({
            resource: Resource,
            from: Day.exactOptional().describe(`First day shown; ${SHOWN_DAYS} days ago when left out.`),
            to: Day.exactOptional().describe("Day after the last one; tomorrow when left out."),
          }),
          response: { 200: PackageStatisticsSchema, ...problems },
        },
      },
      async ({ query: { resource = EVERYTHING, from, to } }) => {
        const now = clock.now();
        const days = await statistics.days({
          resourceId: resource,
          from: from ?? now - SHOWN_DAYS * DAY_MS,
          until: to ?? now + DAY_MS,
        });
        const { [resource]: totals } = await statistics.totals(resource);
        return statisticsOnWire(totals, days);
      },
    );

    app.get(
      "/statistics/packages/resources",
      {
        config: { scope: "operate" },
        schema: {
          tags: ["packages"],
          summary: "What was packed, by resource",
          querystring: NoQuery,
          response: { 200: z.object({ items: z.array(ResourceTotalsSchema) }), ...problems },
        },
      },
      async () => {
        const totals = Object.entries(await statistics.totals()).filter(([resourceId]) => resourceId !== EVERYTHING);
        return { items: totals.map(([resourceId, counts]) => ({ resourceId, ...counts })) };
      },
    );

    const filter = z.strictObject({
      ...PAGE_PARAMS,
      resource: Resource,
      email: z.string().min(1).exactOptional().describe("Only of this address, as it was given."),
    });
    /** What `statistics` takes for a page, and one entry more. */
    const entryFilter = ({ resource, email, cursor = 0, limit }: z.output<typeof filter>) => ({
      offset: cursor,
      limit: limit + 1,
      ...(resource === undefined ? {} : { resourceId: resource }),
      ...(email === undefined ? {} : { email }),
    });

    app.get(
      "/statistics/packages/requests",
      {
        config: { scope: "operate" },
        schema: {
          tags: ["packages"],
          summary: "Orders that were served, newest first",
          querystring: filter,
          response: { 200: pageOf(ServedSchema), ...problems },
        },
      },
      async ({ query }) => {
        const found = await statistics.requests(entryFilter(query));
        return cutPage(found, query.limit, () => (query.cursor ?? 0) + query.limit, servedOnWire);
      },
    );

    app.get(
      "/statistics/packages/errors",
      {
        config: { scope: "operate" },
        schema: {
          tags: ["packages"],
          summary: "Orders that could not be served, newest first",
          querystring: filter,
          response: { 200: pageOf(NotServedSchema), ...problems },
        },
      },
      async ({ query }) => {
        const found = await statistics.errors(entryFilter(query));
        return cutPage(found, query.limit, () => (query.cursor ?? 0) + query.limit, notServedOnWire);
      },
    );
  };
