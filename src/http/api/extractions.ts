import type { FastifyPluginAsyncZod } from "fastify-type-provider-zod";
import { z } from "zod";
import type { ServerContext } from "../server-deps.ts";
import { CrawlParams } from "./crawl-schemas.ts";
import {
  ExtractionBody,
  ExtractionParams,
  ExtractionSchema,
  ExtractorSchema,
  extractionOnWire,
  extractorOnWire,
  RecordParams,
  RecordSchema,
  recordOnWire,
} from "./extraction-schemas.ts";
import { cutPage, PAGE_PARAMS, pageOf } from "./paging.ts";
import { NoQuery, problems } from "./schemas.ts";

/** Not paged: there are tens of them. */
const AllExtractors = z.object({ items: z.array(ExtractorSchema), next: z.null() });

export const extractionRoutes =
  (context: ServerContext): FastifyPluginAsyncZod =>
  async (app) => {
    const { extractions, audit } = context;

    app.post(
      "/crawls/:id/extractions",
      {
        config: { scope: "crawl" },
        schema: {
          tags: ["crawls"],
          summary: "Have what a crawl found described, while it still runs or after",
          params: CrawlParams,
          querystring: NoQuery,
          body: ExtractionBody,
          response: { 201: ExtractionSchema.describe("The extraction; `Location` has its address."), ...problems },
        },
      },
      async ({ principal, params, body }, reply) => {
        const extraction = await extractions.start(principal, params.id, body);
        await audit.record(principal.name, "extraction.start", `extraction/${extraction.id}`, { crawl: params.id });
        return reply
          .code(201)
          .header("location", context.link(`/api/v1/extractions/${extraction.id}`))
          .send(extractionOnWire(extraction));
      },
    );

    app.get(
      "/extractions/:id",
      {
        config: { scope: "read" },
        schema: {
          tags: ["crawls"],
          summary: "One extraction",
          params: ExtractionParams,
          querystring: NoQuery,
          response: { 200: ExtractionSchema, ...problems },
        },
      },
      async ({ principal, params }) => extractionOnWire(await extractions.get(principal, params.id)),
    );

    app.post(
      "/extractions/:id/cancel",
      {
        config: { scope: "crawl" },
        schema: {
          tags: ["crawls"],
          summary: "End an extraction; its records stay",
          params: ExtractionParams,
          querystring: NoQuery,
          response: { 200: ExtractionSchema, ...problems },
        },
      },
      async ({ principal, params }) => {
        const extraction = await extractions.cancel(principal, params.id);
        await audit.record(principal.name, "extraction.cancel", `extraction/${params.id}`);
        return extractionOnWire(extraction);
      },
    );

    app.get(
      "/extractions/:id/records",
      {
        config: { scope: "read" },
        schema: {
          tags: ["crawls"],
          summary: "The records of an extraction, in order",
          params: ExtractionParams,
          querystring: z.strictObject(PAGE_PARAMS),
          response: { 200: pageOf(RecordSchema), ...problems },
        },
      },
      async ({ principal, params, query: { limit, cursor = 0 } }) => {
        const found = await extractions.records(principal, params.id, cursor, limit + 1);
        return cutPage(found, limit, ({ number }) => number, recordOnWire);
      },
    );

    app.get(
      "/extractions/:id/records/:number",
      {
        config: { scope: "read" },
        schema: {
          tags: ["crawls"],
          summary: "One record",
          params: RecordParams,
          querystring: NoQuery,
          response: { 200: RecordSchema, ...problems },
        },
      },
      async ({ principal, params }) => recordOnWire(await extractions.record(principal, params.id, params.number)),
    );

    app.get(
      "/extractors",
      {
        config: { scope: "read" },
        schema: {
          tags: ["crawls"],
          summary: "All extractors: the built-in ones, and those that were registered",
          querystring: NoQuery,
          response: { 200: AllExtractors, ...problems },
        },
      },
      async () => ({ items: (await extractions.extractors()).map(extractorOnWire), next: null }),
    );

    app.post(
      "/extractors",
      {
        config: { scope: "operate" },
        schema: {
          tags: ["crawls"],
          summary: "Register extractors that lie on the server, if they pass their checks",
          querystring: NoQuery,
          body: z.strictObject({
            folder: z
              .string()
              .max(4096)
              .default("")
              .describe("Of one extractor, below LONGSHORE_EXTRACTORS; all that lie there when left out."),
          }),
          response: { 200: AllExtractors.describe("Those that were registered."), ...problems },
        },
      },
      async ({ principal, body: { folder } }) => {
        const registered = await extractions.register(principal, folder);
        await audit.record(principal.name, "extractor.register", `extractors/${folder}`, {
          names: registered.map(({ name }) => name),
        });
        return { items: registered.map(extractorOnWire), next: null };
      },
    );
  };
