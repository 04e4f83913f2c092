import { Readable } from "node:stream";
import type { FastifyPluginAsyncZod } from "fastify-type-provider-zod";
import { z } from "zod";
import { isoTime } from "../../core/clock.ts";
import { AppError, type DetailValue } from "../../core/errors.ts";
import { EXCHANGE_FORMATS, exported } from "../../core/registers/exchange.ts";
import { attachment } from "../download/attachment.ts";
import type { ServerContext } from "../server-deps.ts";
import { cutPage, PAGE_PARAMS, pageOf } from "./paging.ts";
import {
  EntryBody,
  EntryChangeBody,
  EntryParams,
  EntrySchema,
  EventSchema,
  entryOnWire,
  eventOnWire,
  fieldFilter,
  RegisterParams,
  RegisterSchema,
  registerOnWire,
  StatusBody,
} from "./register-schemas.ts";
import { NoQuery, problems } from "./schemas.ts";

const IMPORT_BYTES = 32 * 1024 ** 2;

export const registerRoutes =
  ({ registers, audit, clock, link }: ServerContext): FastifyPluginAsyncZod =>
  async (app) => {
    // Files to import are read as text, whatever is in them.
    app.addContentTypeParser("text/csv", { parseAs: "string" }, (_request, body, done) => done(null, body));

    app.get(
      "/registers",
      {
        config: { scope: "read" },
        schema: {
          tags: ["registers"],
          summary: "All registers, by name, on one page",
          querystring: NoQuery,
          response: { 200: pageOf(RegisterSchema), ...problems },
        },
      },
      async () => ({ items: (await registers.list()).map(registerOnWire), next: null }),
    );

    app.post(
      "/registers/check",
      {
        config: { scope: "operate" },
        schema: {
          tags: ["registers"],
          summary: "Say what is wrong with a declaration, also against the entries that are there",
          querystring: NoQuery,
          body: z.record(z.string(), z.unknown()),
          response: { 200: z.object({ name: z.string(), entries: z.int() }), ...problems },
        },
      },
      async ({ body }) => registers.check(JSON.stringify(body)),
    );

    app.get(
      "/registers/:register",
      {
        config: { scope: "read" },
        schema: {
          tags: ["registers"],
          summary: "One register, with its declaration",
          params: RegisterParams,
          querystring: NoQuery,
          response: { 200: RegisterSchema, ...problems },
        },
      },
      async ({ params }) => registerOnWire(await registers.get(params.register)),
    );

    app.put(
      "/registers/:register",
      {
        config: { scope: "admin" },
        schema: {
          tags: ["registers"],
          summary: "Declare a register, or change its declaration",
          description:
            "See docs/formats/register.md. A change that contradicts entries that are there is refused with " +
            "`register_contradicted`, and `details.problems` names them.",
          params: RegisterParams,
          querystring: NoQuery,
          body: z.record(z.string(), z.unknown()),
          response: { 200: RegisterSchema, ...problems },
        },
      },
      async ({ principal, params, body }) => {
        const { register: name } = params;
        if (body.name !== name)
          throw new AppError("register_invalid", { at: "name", expected: name, found: String(body.name) });
        const declared = await registers.declare(JSON.stringify(body));
        await audit.record(principal.name, "register.declare", `register/${name}`, { revision: declared.revision });
        return registerOnWire(declared);
      },
    );

    app.delete(
      "/registers/:register",
      {
        config: { scope: "admin" },
        schema: {
          tags: ["registers"],
          summary: "Forget a register that has no entries",
          params: RegisterParams,
          querystring: NoQuery,
          response: { 204: z.undefined().describe("It is gone."), ...problems },
        },
      },
      async ({ principal, params }, reply) => {
        await registers.forget(params.register);
        await audit.record(principal.name, "register.forget", `register/${params.register}`);
        return reply.code(204).send();
      },
    );

    app.get(
      "/registers/:register/counts",
      {
        config: { scope: "read" },
        schema: {
          tags: ["registers"],
          summary: "How many entries have each status",
          params: RegisterParams,
          querystring: NoQuery,
          response: { 200: z.record(z.string(), z.int()), ...problems },
        },
      },
      async ({ principal, params }) => registers.counts(principal, params.register),
    );

    app.get(
      "/registers/:register/entries",
      {
        config: { scope: "read" },
        schema: {
          tags: ["registers"],
          summary: "Entries, oldest first",
          params: RegisterParams,
          querystring: z.strictObject({
            ...PAGE_PARAMS,
            status: z.string().optional().describe("Only entries that have this status."),
            field: z
              .union([z.string(), z.array(z.string())])
              .optional()
              .describe("`name=value`: only entries whose field has exactly this value; may be repeated."),
          }),
          response: { 200: pageOf(EntrySchema), ...problems },
        },
      },
      async ({ principal, params, query: { limit, cursor, status, field } }) => {
        const { declaration } = await registers.get(params.register);
        const found = await registers.entries(principal, params.register, {
          limit: limit + 1,
          ...(cursor !== undefined && { afterId: cursor }),
          ...(status !== undefined && { status }),
          fields: fieldFilter(declaration, [field ?? []].flat()),
        });
        return cutPage(found, limit, ({ id }) => id, entryOnWire);
      },
    );

    app.post(
      "/registers/:register/entries",
      {
        config: { scope: "read" },
        schema: {
          tags: ["registers"],
          summary: "Make an entry",
          description: "A request that is repeated with the same `Idempotency-Key` gives the entry that it made.",
          params: RegisterParams,
          querystring: NoQuery,
          body: EntryBody,
          response: { 201: EntrySchema.describe("`Location` has its address."), ...problems },
        },
      },
      async ({ principal, params, body, headers }, reply) => {
        const key = headers["idempotency-key"];
        const sent = body.fields as Record<string, DetailValue>;
        const entry = await registers.create(principal, params.register, sent, key?.toString());
        await audit.record(principal.name, "entry.create", `register/${entry.register}/${entry.id}`);
        return reply
          .code(201)
          .header("location", link(`/api/v1/registers/${entry.register}/entries/${entry.id}`))
          .send(entryOnWire(entry));
      },
    );

    app.get(
      "/registers/:register/entries/:id",
      {
        config: { scope: "read" },
        schema: {
          tags: ["registers"],
          summary: "One entry",
          params: EntryParams,
          querystring: NoQuery,
          response: { 200: EntrySchema, ...problems },
        },
      },
      async ({ principal, params }) => entryOnWire(await registers.entry(principal, params.register, params.id)),
    );

    app.patch(
      "/registers/:register/entries/:id",
      {
        config: { scope: "read" },
        schema: {
          tags: ["registers"],
          summary: "Change fields of an entry",
          params: EntryParams,
          querystring: NoQuery,
          body: EntryChangeBody,
          response: { 200: EntrySchema, ...problems },
        },
      },
      async ({ principal, params, body: { fields, ...guard } }) => {
        const wanted = { ...guard, fields: fields as Record<string, DetailValue> };
        const entry = await registers.change(principal, params.register, params.id, wanted);
        await audit.record(principal.name, "entry.change", `register/${params.register}/${params.id}`, {
          fields: Object.keys(fields),
        });
        return entryOnWire(entry);
      },
    );

    app.post(
      "/registers/:register/entries/:id/status",
      {
        config: { scope: "read" },
        schema: {
          tags: ["registers"],
          summary: "Give an entry its next status",
          description: "Compare-and-set: of several who ask for the same at once, one gets it and the others 409.",
          params: EntryParams,
          querystring: NoQuery,
          body: StatusBody,
          response: { 200: EntrySchema, ...problems },
        },
      },
      async ({ principal, params, body }) => {
        const entry = await registers.change(principal, params.register, params.id, body);
        await audit.record(principal.name, "entry.status", `register/${params.register}/${params.id}`, { ...body });
        return entryOnWire(entry);
      },
    );

    app.delete(
      "/registers/:register/entries/:id",
      {
        config: { scope: "read" },
        schema: {
          tags: ["registers"],
          summary: "Remove an entry; its history stays",
          params: EntryParams,
          querystring: NoQuery,
          response: { 204: z.undefined().describe("It is gone."), ...problems },
        },
      },
      async ({ principal, params }, reply) => {
        await registers.remove(principal, params.register, params.id);
        await audit.record(principal.name, "entry.remove", `register/${params.register}/${params.id}`);
        return reply.code(204).send();
      },
    );

    app.get(
      "/registers/:register/entries/:id/history",
      {
        config: { scope: "read" },
        schema: {
          tags: ["registers"],
          summary: "What has become of an entry, oldest first",
          params: EntryParams,
          querystring: z.strictObject(PAGE_PARAMS),
          response: { 200: pageOf(EventSchema), ...problems },
        },
      },
      async ({ principal, params, query: { limit, cursor = 0 } }) => {
        const found = await registers.history(principal, params.register, params.id, cursor, limit + 1);
        return cutPage(found, limit, ({ seq }) => seq, eventOnWire);
      },
    );

    app.get(
      "/registers/:register/export",
      {
        config: { scope: "read" },
        exposeHeadRoute: false, // the length is not known before the last line
        schema: {
          tags: ["registers"],
          summary: "All entries that one may see, as CSV or JSON",
          params: RegisterParams,
          querystring: z.strictObject({ format: z.enum(EXCHANGE_FORMATS).default("csv") }),
          response: { 200: z.any().describe("The file."), ...problems },
        },
      },
      async ({ principal, params, query: { format } }, reply) => {
        const { declaration } = await registers.get(params.register);
        const entries = registers.each(principal, params.register, {});
        const day = isoTime(clock.now()).slice(0, 10);
        return reply
          .type(format === "csv" ? "text/csv; charset=utf-8" : "application/json")
          .header("content-disposition", attachment(`${params.register}-${day}.${format}`))
          .send(Readable.from(exported(declaration, entries, format), { objectMode: false }));
      },
    );

    app.post(
      "/registers/:register/import",
      {
        config: { scope: "read" },
        bodyLimit: IMPORT_BYTES,
        schema: {
          tags: ["registers"],
          summary: "Make entries from a CSV file or a JSON list: all of them, or none",
          params: RegisterParams,
          querystring: NoQuery,
          body: z.any(),
          response: { 201: z.object({ created: z.int(), firstId: z.int().nullable() }), ...problems },
        },
      },
      async ({ principal, params, body }, reply) => {
        const [text, format] =
          typeof body === "string" ? ([body, "csv"] as const) : ([JSON.stringify(body ?? null), "json"] as const);
        const made = await registers.import(principal, params.register, text, format);
        await audit.record(principal.name, "register.import", `register/${params.register}`, { created: made.length });
        return reply.code(201).send({ created: made.length, firstId: made[0]?.id ?? null });
      },
    );
  };
