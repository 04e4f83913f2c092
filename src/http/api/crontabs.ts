import type { FastifyPluginAsyncZod } from "fastify-type-provider-zod";
import { z } from "zod";
import type { ServerContext } from "../server-deps.ts";
import {
  CheckBody,
  CheckedSchema,
  definitionOnWire,
  FormSchema,
  ImportBody,
  ImportedSchema,
} from "./schedule-schemas.ts";
import { NoQuery, problems } from "./schemas.ts";

/** A crontab of a megabyte, with everything in it escaped. */
const BODY_LIMIT_BYTES = 8 * 1024 ** 2;

/** Schedules as texts that cron and the Task Scheduler of Windows know. */
export const crontabRoutes =
  ({ crontabs, audit }: ServerContext): FastifyPluginAsyncZod =>
  async (app) => {
    app.post(
      "/crontabs/check",
      {
        bodyLimit: BODY_LIMIT_BYTES,
        config: { scope: "read" },
        schema: {
          tags: ["schedules"],
          summary: "What is wrong, or odd, about a crontab; nothing is kept",
          querystring: NoQuery,
          body: CheckBody,
          response: { 200: CheckedSchema, ...problems },
        },
      },
      async ({ body: { text, form } }) => {
        const { problems: wrong, warnings } = await crontabs.check(text, form);
        return { problems: [...wrong], warnings: [...warnings] };
      },
    );

    app.post(
      "/crontabs/import",
      {
        bodyLimit: BODY_LIMIT_BYTES,
        config: { scope: "admin" },
        schema: {
          tags: ["schedules"],
          summary: "Make a schedule of each entry: of all or of none",
          description: "A comment `# schedule: NAME` above an entry names it. MAILTO is who is sent its output.",
          querystring: NoQuery,
          body: ImportBody,
          response: { 200: ImportedSchema, ...problems },
        },
      },
      async ({ principal, body }) => {
        const { schedules, warnings } = await crontabs.import(principal, body);
        for (const { id, name } of schedules)
          if (id !== null) await audit.record(principal.name, "schedule.import", `schedule/${id}`, { name });
        return {
          schedules: schedules.map((one) => ({ id: one.id, ...definitionOnWire(one) })),
          warnings: [...warnings],
        };
      },
    );

    app.get(
      "/crontabs/export",
      {
        config: { scope: "operate" },
        schema: {
          tags: ["schedules"],
          summary: "All schedules that run commands, as a crontab or as lines for Windows",
          querystring: z.strictObject({ form: FormSchema.default("user") }),
          response: {
            200: { description: "The text.", content: { "text/plain": { schema: z.string() } } },
            ...problems,
          },
        },
      },
      async ({ query: { form } }, reply) => {
        reply.header("content-type", "text/plain; charset=utf-8");
        return crontabs.export(form);
      },
    );
  };
