import type { FastifyPluginAsyncZod } from "fastify-type-provider-zod";
import { z } from "zod";
import { isoTime } from "../../core/clock.ts";
import { DropForm } from "../../core/drop/declaration.ts";
import { DELIVERY_STATES, DEMANDS, type Delivery, REMOVALS } from "../../core/drop/drop.ts";
import type { KnownDrop } from "../../core/drop/drops.ts";
import type { ServerContext } from "../server-deps.ts";
import { cutPage, PAGE_PARAMS, pageOf } from "./paging.ts";
import { JobSchema, jobOnWire, NoQuery, problems } from "./schemas.ts";

const Time = z.iso.datetime().describe("ISO 8601 in UTC.");
const DropParams = z.strictObject({ name: z.string().max(63).describe("The drop folder's name.") });
const DeliveryParams = DropParams.extend({ id: z.coerce.number().int().positive() });

const DropSchema = z
  .object({
    id: z.string().describe("Its name."),
    folder: z.string(),
    quarantine: z.string().describe("Where deliveries go that are rejected."),
    owner: z.string().describe("Whose deposits these are."),
    quietSeconds: z.number(),
    overdueHours: z
      .number()
      .describe("For how long a delivery may wait for what is missing before operators are told."),
    everySeconds: z.number(),
    manifest: z.enum(DEMANDS),
    bag: z.enum(DEMANDS),
    grammar: z.string().nullable(),
    metadata: z.object({
      submitter: z.string(),
      project: z.string().nullable(),
      instrument: z.string().nullable(),
      keyValues: z.record(z.string(), z.string()),
    }),
    removal: z.enum(REMOVALS).describe("When files of what is archived may be removed from the folder."),
    declaredBy: z.enum(["file", "api"]),
    lookedAt: Time.nullable(),
    trouble: z.string().nullable().describe("What kept it from being looked at."),
  })
  .meta({ id: "DropFolder", description: "A folder that is watched for complete deliveries." });

function dropOnWire({
  name,
  quietMs,
  overdueMs,
  everyMs,
  grammar,
  lastLook,
  ...drop
}: KnownDrop): z.output<typeof DropSchema> {
  return {
    ...drop,
    id: name,
    quietSeconds: quietMs / 1_000,
    overdueHours: overdueMs / 3_600_000,
    everySeconds: everyMs / 1_000,
    grammar: grammar === null ? null : grammar.source.slice("^(?:".length, -")$".length),
    lookedAt: lastLook ? isoTime(lastLook.at) : null,
    trouble: lastLook?.trouble ?? null,
  };
}

const DeliverySchema = z
  .object({
    id: z.int().positive(),
    drop: z.string(),
    name: z.string().describe("At the folder's top level; `*` for the number of a part."),
    state: z.enum(DELIVERY_STATES),
    note: z.string().nullable().describe("What it waits for, or why it was rejected."),
    job: z.int().nullable().describe("The job that archives it."),
    transactionId: z.int().nullable(),
    removalJob: z.int().nullable(),
    permittedBy: z.string().nullable().describe("Who permitted that its files be removed."),
    unchangedSince: Time,
    createdAt: Time,
    updatedAt: Time,
  })
  .meta({ id: "Delivery", description: "What lay in a drop folder, and what became of it." });

function deliveryOnWire(delivery: Delivery): z.output<typeof DeliverySchema> {
  const { fingerprint: _, version: __, stableAt, createdAt, updatedAt, ...shown } = delivery;
  return {
    ...shown,
    unchangedSince: isoTime(stableAt),
    createdAt: isoTime(createdAt),
    updatedAt: isoTime(updatedAt),
  };
}

export const dropRoutes =
  ({ drops, audit, link }: ServerContext): FastifyPluginAsyncZod =>
  async (app) => {
    const tags = ["drop folders"];

    app.get(
      "/drops",
      {
        config: { scope: "operate" },
        schema: {
          tags,
          summary: "The drop folders, on one page",
          querystring: NoQuery,
          response: { 200: pageOf(DropSchema), ...problems },
        },
      },
      async () => ({ items: (await drops.list()).map(dropOnWire), next: null }),
    );

    app.post(
      "/drops",
      {
        config: { scope: "operate" },
        schema: {
          tags,
          summary: "Declare a drop folder, or declare it differently",
          description:
            "The folder and its quarantine must lie below one of the folders that the server's settings allow moves from.",
          querystring: NoQuery,
          body: DropForm,
          response: { 200: DropSchema, 201: DropSchema.describe("It is new."), ...problems },
        },
      },
      async ({ principal, body }, reply) => {
        const { drop, isNew } = await drops.declare(principal, body);
        return reply
          .code(isNew ? 201 : 200)
          .header("location", link(`/api/v1/drops/${drop.name}`))
          .send(dropOnWire(drop));
      },
    );

    app.get(
      "/drops/:name",
      {
        config: { scope: "operate" },
        schema: {
          tags,
          summary: "One drop folder",
          params: DropParams,
          querystring: NoQuery,
          response: { 200: DropSchema, ...problems },
        },
      },
      async ({ params }) => dropOnWire(await drops.get(params.name)),
    );

    app.delete(
      "/drops/:name",
      {
        config: { scope: "operate" },
        schema: {
          tags,
          summary: "Watch a folder no longer; what lies in it stays",
          params: DropParams,
          querystring: NoQuery,
          response: { 204: z.undefined().describe("It is forgotten."), ...problems },
        },
      },
      async ({ principal, params }, reply) => {
        await drops.remove(params.name);
        await audit.record(principal.name, "drop.forget", `drop/${params.name}`);
        return reply.code(204).send();
      },
    );

    app.post(
      "/drops/:name/looks",
      {
        config: { scope: "operate" },
        schema: {
          tags,
          summary: "Look at a drop folder now",
          params: DropParams,
          querystring: NoQuery,
          response: { 202: JobSchema.describe("The job; `Location` has its address."), ...problems },
        },
      },
      async ({ principal, params }, reply) => {
        const job = await drops.look(principal, params.name);
        return reply
          .code(202)
          .header("location", link(`/api/v1/jobs/${job.id}`))
          .send(jobOnWire(job));
      },
    );

    app.get(
      "/drops/:name/deliveries",
      {
        config: { scope: "operate" },
        schema: {
          tags,
          summary: "Deliveries of a drop folder, newest first",
          params: DropParams,
          querystring: z.strictObject({ ...PAGE_PARAMS, state: z.enum(DELIVERY_STATES).optional() }),
          response: { 200: pageOf(DeliverySchema), ...problems },
        },
      },
      async ({ params, query: { state, cursor, limit } }) => {
        const items = await drops.deliveries({
          drop: params.name,
          limit: limit + 1,
          ...(state !== undefined && { state }),
          ...(cursor !== undefined && { beforeId: cursor }),
        });
        return cutPage(items, limit, ({ id }) => id, deliveryOnWire);
      },
    );

    app.post(
      "/drops/:name/deliveries/:id/removal",
      {
        config: { scope: "operate" },
        schema: {
          tags,
          summary: "Permit that the files of an archived delivery be removed from the drop folder",
          description: "A job of its own removes them, when it has found every one of them in the archive, bit by bit.",
          params: DeliveryParams,
          querystring: NoQuery,
          response: { 202: DeliverySchema, ...problems },
        },
      },
      async ({ principal, params }, reply) =>
        reply.code(202).send(deliveryOnWire(await drops.permitRemoval(principal, params.name, params.id))),
    );
  };
