import type { FastifyPluginAsyncZod } from "fastify-type-provider-zod";
import { z } from "zod";
import type { Principal } from "../../core/access/access.ts";
import type { Crawl } from "../../core/crawl/crawl.ts";
import { AppError } from "../../core/errors.ts";
import type { ExtractionRequest } from "../../core/extract/extractions.ts";
import { type CrawlId, crawlId } from "../../core/ids.ts";
import type { ServerContext } from "../server-deps.ts";
import {
  CRAWL_BODY_LIMIT_BYTES,
  CrawledFileSchema,
  CrawlParams,
  CrawlProblemSchema,
  CrawlRequestBody,
  CrawlSchema,
  crawledFileOnWire,
  crawlOnWire,
  crawlProblemOnWire,
  crawlRequest,
} from "./crawl-schemas.ts";
import { ExtractionBody, ExtractionSchema, extractionOnWire } from "./extraction-schemas.ts";
import { cutPage, PAGE_PARAMS, pageOf, textCursor } from "./paging.ts";
import { NoQuery, problems } from "./schemas.ts";

const CrawlDetailSchema = CrawlSchema.extend({
  extractions: z.array(ExtractionSchema).describe("Of this crawl, newest first."),
}).meta({ id: "CrawlDetail" });

export const crawlRoutes =
  (context: ServerContext): FastifyPluginAsyncZod =>
  async (app) => {
    const { crawls, extractions, audit } = context;
    const pathOf = (id: CrawlId) => `/api/v1/crawls/${id}`;

    async function detailed(principal: Principal, crawl: Crawl): Promise<z.output<typeof CrawlDetailSchema>> {
      const found = await extractions.ofCrawl(principal, crawl.id);
      return { ...crawlOnWire(crawl), extractions: found.map(extractionOnWire) };
    }

    app.post(
      "/crawls",
      {
        config: { scope: "crawl" },
        bodyLimit: CRAWL_BODY_LIMIT_BYTES,
        schema: {
          tags: ["crawls"],
          summary: "Have stores walked, and what is found grouped and described",
          description:
            "Nothing is listed before the answer. With `extract`, files are described while the walk goes on; when that " +
            "cannot be begun, the crawl is cancelled.",
          querystring: NoQuery,
          body: CrawlRequestBody.extend({ extract: ExtractionBody.exactOptional() }),
          response: { 201: CrawlDetailSchema.describe("The crawl; `Location` has its address."), ...problems },
        },
      },
      async ({ principal, body: { extract: extraction, ...body } }, reply) => {
        const crawl = await crawls.start(principal, crawlRequest(body));
        await audit.record(principal.name, "crawl.start", `crawl/${crawl.id}`, {
          endpoints: crawl.endpoints.map(({ url }) => url),
        });
        if (extraction) await describeOrCancel(context, principal, crawl, extraction);
        return reply
          .code(201)
          .header("location", context.link(pathOf(crawl.id)))
          .send(await detailed(principal, crawl));
      },
    );

    app.get(
      "/crawls",
      {
        config: { scope: "read" },
        schema: {
          tags: ["crawls"],
          summary: "Crawls, newest first: one's own, or everybody's with the scope `operate`",
          querystring: z.strictObject({ ...PAGE_PARAMS, cursor: textCursor(crawlId) }),
          response: { 200: pageOf(CrawlSchema), ...problems },
        },
      },
      async ({ principal, query: { limit, cursor } }) => {
        const page = { limit: limit + 1, ...(cursor === undefined ? {} : { before: cursor }) };
        return cutPage(await crawls.list(principal, page), limit, ({ id }) => id, crawlOnWire);
      },
    );

    app.get(
      "/crawls/:id",
      {
        config: { scope: "read" },
        schema: {
          tags: ["crawls"],
          summary: "One crawl, with its extractions",
          params: CrawlParams,
          querystring: NoQuery,
          response: { 200: CrawlDetailSchema, ...problems },
        },
      },
      async ({ principal, params }) => detailed(principal, await crawls.get(principal, params.id)),
    );

    app.post(
      "/crawls/:id/cancel",
      {
        config: { scope: "crawl" },
        schema: {
          tags: ["crawls"],
          summary: "End a crawl; what it has found stays",
          params: CrawlParams,
          querystring: NoQuery,
          response: { 200: CrawlSchema, ...problems },
        },
      },
      async ({ principal, params }) => {
        const crawl = await crawls.cancel(principal, params.id);
        await audit.record(principal.name, "crawl.cancel", `crawl/${params.id}`);
        return crawlOnWire(crawl);
      },
    );

    app.delete(
      "/crawls/:id",
      {
        config: { scope: "crawl" },
        schema: {
          tags: ["crawls"],
          summary: "Forget a crawl with all it found, its extractions and records; the stores stay as they are",
          params: CrawlParams,
          querystring: NoQuery,
          response: { 204: z.undefined().describe("It is gone."), ...problems },
        },
      },
      async ({ principal, params }, reply) => {
        await crawls.remove(principal, params.id);
        await audit.record(principal.name, "crawl.delete", `crawl/${params.id}`);
        return reply.code(204).send();
      },
    );

    app.get(
      "/crawls/:id/problems",
      {
        config: { scope: "read" },
        schema: {
          tags: ["crawls"],
          summary: "What could not be listed or read, oldest first",
          params: CrawlParams,
          querystring: z.strictObject(PAGE_PARAMS),
          response: { 200: pageOf(CrawlProblemSchema), ...problems },
        },
      },
      async ({ principal, params, query: { limit, cursor = 0 } }) => {
        const found = await crawls.problems(principal, params.id, cursor, limit + 1);
        return cutPage(found, limit, ({ number }) => number, crawlProblemOnWire);
      },
    );

    app.get(
      "/crawls/:id/files",
      {
        config: { scope: "read" },
        schema: {
          tags: ["crawls"],
          summary: "Files in the order in which they were found",
          description:
            "Nothing is used up. While the crawl runs, `next` leads on to what is found later, and a page may have no items; " +
            "it is null when the crawl has ended and this was all.",
          params: CrawlParams,
          querystring: z.strictObject({
            limit: PAGE_PARAMS.limit,
            cursor: z.string().min(1).max(128).optional().describe("`next` of the page before."),
          }),
          response: { 200: pageOf(CrawledFileSchema), ...problems },
        },
      },
      async ({ principal, params, query }) => {
        const { items, cursor, isDrained } = await crawls.files(principal, params.id, query.cursor, query.limit);
        return { items: items.map(crawledFileOnWire), next: isDrained ? null : cursor };
      },
    );

    app.post(
      "/crawls/:id/flush",
      {
        config: { scope: "read" },
        schema: {
          tags: ["crawls"],
          summary: "The next files for a consumer, each file once",
          description: "Durable: what has been given out to this consumer is not given to it again.",
          params: CrawlParams,
          querystring: NoQuery,
          body: z.strictObject({
            consumer: z
              .string()
              .regex(/^[\w.:-]{1,64}$/, "expected at most 64 letters, digits, dots, colons, - and _")
              .default("default")
              .describe("Each has a place in the feed of its own."),
            limit: z.int().min(1).max(1_000).default(100),
          }),
          response: {
            200: z.object({
              items: z.array(CrawledFileSchema),
              queueEmpty: z.boolean().describe("The crawl has ended and this consumer has had everything."),
            }),
            ...problems,
          },
        },
      },
      async ({ principal, params, body: { consumer, limit } }) => {
        const { items, isDrained } = await crawls.flush(principal, params.id, consumer, limit);
        return { items: items.map(crawledFileOnWire), queueEmpty: isDrained };
      },
    );
  };

/** A crawl that was to be described, and cannot be, is not walked in vain. */
export async function describeOrCancel(
  { crawls, extractions }: Pick<ServerContext, "crawls" | "extractions">,
  principal: Principal,
  crawl: Crawl,
  request: ExtractionRequest,
): Promise<void> {
  try {
    await extractions.start(principal, crawl.id, request);
  } catch (error) {
    await crawls.cancel(principal, crawl.id).catch((late: unknown) => {
      if (!(late instanceof AppError) || late.code !== "crawl_state_conflict") throw late; // it has ended already
    });
    throw error;
  }
}
