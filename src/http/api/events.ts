import { Readable } from "node:stream";
import type { FastifyPluginAsyncZod } from "fastify-type-provider-zod";
import { z } from "zod";
import { OUTCOMES } from "../../core/access/access-stores.ts";
import { premisDocument } from "../../core/archive/premis-document.ts";
import { EVENT_TYPES, type PreservationEvent, preservationEvents } from "../../core/archive/premis-events.ts";
import { filesOf } from "../../core/archive/verify-catalogue.ts";
import { isoTime } from "../../core/clock.ts";
import type { ServerContext } from "../server-deps.ts";
import { cutPage, PAGE_PARAMS, pageOf } from "./paging.ts";
import { NoQuery, problems, TransactionParams } from "./schemas.ts";
import { visibleTransaction } from "./transactions.ts";

const EventSchema = z
  .object({
    id: z.int().describe("Its `seq` in the audit log, which seals it."),
    type: z.enum(EVENT_TYPES),
    transactionId: z.int(),
    at: z.iso.datetime().describe("When it happened. ISO 8601 in UTC."),
    actor: z.string().describe("Who asked for it."),
    software: z.string().nullable().describe("What did it: name/version."),
    outcome: z.enum(OUTCOMES),
    details: z.record(z.string(), z.unknown()),
  })
  .meta({ id: "PreservationEvent", description: "One thing that happened to a transaction (PREMIS 3)." });

const NewEvent = z.strictObject({
  type: z.enum(["replication", "migration", "deletion", "fixity check"]),
  outcome: z.enum(OUTCOMES).default("success"),
  software: z
    .string()
    .max(200)
    .regex(/^[^/]+\/[^/]+$/, "expected name/version")
    .describe("What did it: name/version."),
  note: z.string().min(1).max(4_000).describe("What was done, in words."),
});

export const eventRoutes =
  ({ audit, catalogue, link }: ServerContext): FastifyPluginAsyncZod =>
  async (app) => {
    const events = preservationEvents(audit);

    app.get(
      "/transactions/:id/events",
      {
        config: { scope: "read" },
        schema: {
          tags: ["transactions"],
          summary: "What has happened to a transaction, oldest first",
          params: TransactionParams,
          querystring: z.strictObject(PAGE_PARAMS),
          response: { 200: pageOf(EventSchema), ...problems },
        },
      },
      async ({ principal, params, query }) => {
        await visibleTransaction({ catalogue }, principal, params.id);
        const found = await events.list(params.id, query.cursor ?? 0, query.limit + 1);
        return cutPage(found, query.limit, ({ seq }) => seq, eventOnWire);
      },
    );

    app.post(
      "/transactions/:id/events",
      {
        config: { scope: "operate" },
        schema: {
          tags: ["transactions"],
          summary: "Note what something else than Longshore has done to a transaction, or with it",
          description: "Such as a copy that was written to tape. It cannot be taken back.",
          params: TransactionParams,
          querystring: NoQuery,
          body: NewEvent,
          response: { 201: EventSchema, ...problems },
        },
      },
      async ({ principal, params, body: { note, ...event } }, reply) => {
        await visibleTransaction({ catalogue }, principal, params.id);
        const noted = { ...event, transactionId: params.id, actor: principal.name, details: { note } };
        return reply
          .code(201)
          .header("location", link(`/api/v1/transactions/${params.id}/events`))
          .send(eventOnWire(await events.record(noted)));
      },
    );

    app.get(
      "/transactions/:id/premis",
      {
        config: { scope: "read" },
        exposeHeadRoute: false, // the length is not known before the last line
        schema: {
          tags: ["transactions"],
          summary: "A transaction with its files, its events and their agents, as PREMIS 3 XML",
          params: TransactionParams,
          querystring: NoQuery,
          response: {
            200: {
              description: "Namespace http://www.loc.gov/premis/v3.",
              content: { "application/xml": { schema: z.custom<Readable>().meta({ type: "string" }) } },
            },
            ...problems,
          },
        },
      },
      async ({ principal, params }, reply) => {
        const transaction = await visibleTransaction({ catalogue }, principal, params.id);
        const { id } = transaction;
        const document = premisDocument({
          transaction,
          files: filesOf(catalogue, id),
          events: events.all(id),
        });
        return reply
          .header("content-type", "application/xml; charset=utf-8")
          .header("content-disposition", `attachment; filename="transaction-${id}-premis.xml"`)
          .header("cache-control", "private, no-cache")
          .send(Readable.from(document, { objectMode: false }));
      },
    );
  };

function eventOnWire({ seq, at, details, ...event }: PreservationEvent): z.output<typeof EventSchema> {
  return { id: seq, ...event, at: isoTime(at), details: { ...details } };
}
