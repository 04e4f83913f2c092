import { Readable } from "node:stream";
import type { FastifyPluginAsyncZod } from "fastify-type-provider-zod";
import { z } from "zod";
import { isoTime } from "../../core/clock.ts";
import { RUN_STATES } from "../../core/schedules/schedule.ts";
import { timetable } from "../../core/schedules/timetable.ts";
import type { ServerContext } from "../server-deps.ts";
import { cutPage, PAGE_PARAMS, pageOf } from "./paging.ts";
import {
  ListedScheduleSchema,
  listedOnWire,
  NextParams,
  NextSchema,
  RunParams,
  RunSchema,
  runOnWire,
  ScheduleBody,
  ScheduleChange,
  ScheduleParams,
  ScheduleSchema,
  scheduleFacts,
  scheduleOnWire,
} from "./schedule-schemas.ts";
import { NoQuery, problems } from "./schemas.ts";

/** Names are texts of any kind: a cursor carries one. */
const NameCursor = z
  .string()
  .regex(/^[A-Za-z0-9_-]{1,1100}$/, "is not a cursor of this server")
  .transform((cursor) => Buffer.from(cursor, "base64url").toString())
  .optional()
  .describe("`next` of the page before; left out for the first page.");

export const scheduleRoutes =
  ({ schedules, audit, clock, link }: ServerContext): FastifyPluginAsyncZod =>
  async (app) => {
    app.get(
      "/schedules",
      {
        config: { scope: "read" },
        schema: {
          tags: ["schedules"],
          summary: "Schedules by name, each with its newest run",
          querystring: z.strictObject({
            limit: PAGE_PARAMS.limit,
            cursor: NameCursor,
            name: z.string().max(200).optional().describe("Only the one of this name."),
          }),
          response: { 200: pageOf(ListedScheduleSchema), ...problems },
        },
      },
      async ({ query: { limit, cursor: after, name } }) => {
        const filter = { limit: limit + 1, ...(after !== undefined && { after }), ...(name !== undefined && { name }) };
        return cutPage(await schedules.list(filter), limit, (one) => one.name, listedOnWire);
      },
    );

    app.post(
      "/schedules",
      {
        config: { scope: "operate" },
        schema: {
          tags: ["schedules"],
          summary: "Declare a schedule; one that runs a command takes the scope `admin`",
          querystring: NoQuery,
          body: ScheduleBody,
          response: { 201: ScheduleSchema.describe("`Location` has its address."), ...problems },
        },
      },
      async ({ principal, body }, reply) => {
        const schedule = await schedules.create(principal, body);
        await audit.record(principal.name, "schedule.create", `schedule/${schedule.id}`, scheduleFacts(schedule));
        return reply
          .code(201)
          .header("location", link(`/api/v1/schedules/${schedule.id}`))
          .send(scheduleOnWire(schedule));
      },
    );

    app.get(
      "/schedules/next",
      {
        config: { scope: "read" },
        schema: {
          tags: ["schedules"],
          summary: "When an expression is due, in words and times",
          querystring: NextParams,
          response: { 200: NextSchema, ...problems },
        },
      },
      async ({ query: { expression, timeZone, count } }) => {
        const table = timetable(expression, timeZone);
        return {
          description: table.describe(),
          times: table.nextRuns(clock.now(), count).map(isoTime),
          warnings: [...table.warnings],
        };
      },
    );

    app.get(
      "/schedules/actions",
      {
        config: { scope: "read" },
        schema: {
          tags: ["schedules"],
          summary: "Longshore's own work that `built-in` actions can name",
          querystring: NoQuery,
          response: { 200: z.record(z.string(), z.string()).describe("Name → what it does."), ...problems },
        },
      },
      async () => schedules.builtIns(),
    );

    app.get(
      "/schedules/:id",
      {
        config: { scope: "read" },
        schema: {
          tags: ["schedules"],
          summary: "One schedule, with its newest run",
          params: ScheduleParams,
          querystring: NoQuery,
          response: { 200: ListedScheduleSchema, ...problems },
        },
      },
      async ({ params }) => listedOnWire(await schedules.get(params.id)),
    );

    app.patch(
      "/schedules/:id",
      {
        config: { scope: "operate" },
        schema: {
          tags: ["schedules"],
          summary: "Change what is named; runs that are under way are not affected",
          params: ScheduleParams,
          querystring: NoQuery,
          body: ScheduleChange,
          response: { 200: ScheduleSchema, ...problems },
        },
      },
      async ({ principal, params, body }) => {
        const schedule = await schedules.change(principal, params.id, body);
        const facts = { ...scheduleFacts(schedule), changed: Object.keys(body) };
        await audit.record(principal.name, "schedule.change", `schedule/${params.id}`, facts);
        return scheduleOnWire(schedule);
      },
    );

    app.delete(
      "/schedules/:id",
      {
        config: { scope: "operate" },
        schema: {
          tags: ["schedules"],
          summary: "Forget a schedule that does not run, with its history and outputs",
          params: ScheduleParams,
          querystring: NoQuery,
          response: { 204: z.undefined().describe("It is gone."), ...problems },
        },
      },
      async ({ principal, params }, reply) => {
        const schedule = await schedules.remove(principal, params.id);
        await audit.record(principal.name, "schedule.delete", `schedule/${params.id}`, scheduleFacts(schedule));
        return reply.code(204).send();
      },
    );

    for (const [verb, summary] of [
      ["pause", "What is due meanwhile is neither run nor made up for"],
      ["resume", "Due again from its next time on"],
    ] as const)
      app.post(
        `/schedules/:id/${verb}`,
        {
          config: { scope: "operate" },
          schema: {
            tags: ["schedules"],
            summary,
            params: ScheduleParams,
            querystring: NoQuery,
            response: { 200: ScheduleSchema, ...problems },
          },
        },
        async ({ principal, params }) => {
          const schedule = await schedules[verb](principal, params.id);
          await audit.record(principal.name, `schedule.${verb}`, `schedule/${params.id}`, scheduleFacts(schedule));
          return scheduleOnWire(schedule);
        },
      );

    app.post(
      "/schedules/:id/runs",
      {
        config: { scope: "operate" },
        schema: {
          tags: ["schedules"],
          summary: "Run it now, in the environment it always has",
          description:
            "Also a paused one, and whatever its conditions are. A test run begins its output with what the command is given, and tells nobody.",
          params: ScheduleParams,
          querystring: NoQuery,
          body: z.strictObject({ test: z.boolean().default(false) }),
          response: { 202: RunSchema.describe("It waits for a worker; `Location` has its address."), ...problems },
        },
      },
      async ({ principal, params, body: { test } }, reply) => {
        const run = await schedules.runNow(principal, params.id, test ? "test" : "manual");
        await audit.record(principal.name, "schedule.run", `schedule/${params.id}`, { run: run.number, test });
        return reply
          .code(202)
          .header("location", link(`/api/v1/schedules/${params.id}/runs/${run.number}`))
          .send(runOnWire(run));
      },
    );

    app.get(
      "/schedules/:id/runs",
      {
        config: { scope: "read" },
        schema: {
          tags: ["schedules"],
          summary: "Its history, newest first",
          params: ScheduleParams,
          querystring: z.strictObject({ ...PAGE_PARAMS, state: z.enum(RUN_STATES).optional() }),
          response: { 200: pageOf(RunSchema), ...problems },
        },
      },
      async ({ params, query: { limit, cursor, state } }) => {
        const found = await schedules.runs(params.id, {
          limit: limit + 1,
          ...(cursor !== undefined && { before: cursor }),
          ...(state !== undefined && { states: [state] }),
        });
        return cutPage(found, limit, ({ number }) => number, runOnWire);
      },
    );

    app.get(
      "/schedules/:id/runs/:run",
      {
        config: { scope: "read" },
        schema: {
          tags: ["schedules"],
          summary: "One run",
          params: RunParams,
          querystring: NoQuery,
          response: { 200: RunSchema, ...problems },
        },
      },
      async ({ params }) => runOnWire(await schedules.run(params.id, params.run)),
    );

    app.post(
      "/schedules/:id/runs/:run/cancel",
      {
        config: { scope: "operate" },
        schema: {
          tags: ["schedules"],
          summary: "End a run, with all that it has started",
          params: RunParams,
          querystring: NoQuery,
          response: { 200: RunSchema.describe("As it is now: it may take some seconds to end."), ...problems },
        },
      },
      async ({ principal, params }) => {
        const run = await schedules.cancelRun(principal, params.id, params.run);
        await audit.record(principal.name, "schedule.cancel", `schedule/${params.id}`, { run: params.run });
        return runOnWire(run);
      },
    );

    app.get(
      "/schedules/:id/runs/:run/output",
      {
        config: { scope: "operate" },
        schema: {
          tags: ["schedules"],
          summary: "What it printed, also while it runs",
          description: "Of very much, beginning and end are kept, and a line between them says how much is left out.",
          params: RunParams,
          querystring: NoQuery,
          response: {
            200: { description: "Text, as it was printed.", content: { "text/plain": { schema: z.string() } } },
            ...problems,
          },
        },
      },
      async ({ params }, reply) => {
        const text = await schedules.output(params.id, params.run);
        reply.header("content-type", "text/plain; charset=utf-8").header("x-content-type-options", "nosniff");
        return reply.send(Readable.from(text, { objectMode: false }) as never);
      },
    );
  };
