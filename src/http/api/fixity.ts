import type { FastifyPluginAsyncZod } from "fastify-type-provider-zod";
import { z } from "zod";
import { OUTCOMES } from "../../core/access/access-stores.ts";
import type { FixityStatus } from "../../core/fixity/fixity.ts";
import { REQUEST_LIMITS } from "../../core/fixity/fixity-request.ts";
import type { FixityCheck } from "../../core/fixity/fixity-store.ts";
import { transactionId } from "../../core/ids.ts";
import type { ServerContext } from "../server-deps.ts";
import { cutPage, PAGE_PARAMS, pageOf } from "./paging.ts";
import {
  FileProblemSchema,
  JobSchema,
  jobOnWire,
  NoQuery,
  problems,
  TransactionParams,
  timeOrNull,
} from "./schemas.ts";
import { visibleTransaction } from "./transactions.ts";

const limit = (name: keyof typeof REQUEST_LIMITS) => z.int().min(1).max(REQUEST_LIMITS[name]).exactOptional();
export const FixityRunBody = z.strictObject({
  bytes: limit("bytes").describe("Reads about so much and ends: a file that has begun is read to its end."),
  minutes: limit("minutes").describe("Works so long and ends."),
  days: limit("days").describe("Leaves alone what was checked in fewer days; the settings' when left out."),
  bytesPerSecond: limit("bytesPerSecond").describe("Reads no faster than this."),
  parallel: limit("parallel").describe("Files read at a time."),
});

const count = z.int().nonnegative();
const StatusSchema = z
  .object({
    days: count.describe("Within which everything is to be checked."),
    share: z
      .number()
      .min(0)
      .max(1)
      .describe("Of all transactions, those that were checked within these days and are sound."),
    transactions: count,
    bytes: count,
    soundTransactions: count,
    soundBytes: count,
    failedTransactions: count.describe("Whose last check failed, whenever it was."),
    neverChecked: count,
    oldestCheckedAt: z.iso.datetime().nullable(),
    today: z
      .object({ bytes: count, minutes: z.number(), checks: count, failures: count })
      .describe("What all runs of this day (UTC) have done."),
    limits: z.object({ dailyBytes: count.nullable(), dailyMinutes: count.nullable() }),
  })
  .meta({ id: "FixityStatus", description: "How well the archive is looked after." });

function statusOnWire({ today, limits, oldestCheckedAt, ...same }: FixityStatus): z.output<typeof StatusSchema> {
  const { bytes, busyMs, checks, failures } = today;
  return {
    ...same,
    oldestCheckedAt: timeOrNull(oldestCheckedAt),
    today: { bytes, minutes: Math.round(busyMs / 600) / 100, checks, failures },
    limits: { dailyBytes: limits.dailyBytes ?? null, dailyMinutes: limits.dailyMinutes ?? null },
  };
}

const CheckSchema = z
  .object({
    id: z.int().describe("The transaction's."),
    checkedAt: z.iso.datetime().nullable().describe("When all of it was last read; null: never."),
    outcome: z.enum(OUTCOMES).nullable(),
    problemCount: count,
    problems: z.array(FileProblemSchema).describe("The first of them."),
  })
  .meta({ id: "FixityCheck", description: "The last check that a transaction's bytes are what was archived." });

function checkOnWire({
  transactionId: id,
  checkedAt,
  problems: found,
  ...same
}: FixityCheck): z.output<typeof CheckSchema> {
  return { id, ...same, checkedAt: timeOrNull(checkedAt), problems: [...found] };
}

export const fixityRoutes =
  ({ fixity, catalogue, audit, link }: ServerContext): FastifyPluginAsyncZod =>
  async (app) => {
    app.get(
      "/fixity",
      {
        config: { scope: "operate" },
        schema: {
          tags: ["fixity"],
          summary: "How much of the archive was checked lately, and what was wrong",
          querystring: NoQuery,
          response: { 200: StatusSchema, ...problems },
        },
      },
      async () => statusOnWire(await fixity.status()),
    );

    app.get(
      "/fixity/checks",
      {
        config: { scope: "operate" },
        schema: {
          tags: ["fixity"],
          summary: "The last check of each transaction, in the order of their ids",
          querystring: z.strictObject({
            ...PAGE_PARAMS,
            outcome: z
              .enum([...OUTCOMES, "never"])
              .optional()
              .describe("Only those; `never`: not checked yet."),
          }),
          response: { 200: pageOf(CheckSchema), ...problems },
        },
      },
      async ({ query: { cursor, limit: most, outcome } }) => {
        const found = await fixity.list({
          limit: most + 1,
          outcome: outcome === "never" ? null : outcome,
          afterId: cursor === undefined ? undefined : transactionId(cursor),
        });
        return cutPage(found, most, (one) => one.transactionId, checkOnWire);
      },
    );

    app.post(
      "/fixity/runs",
      {
        config: { scope: "operate" },
        schema: {
          tags: ["fixity"],
          summary: "Read the archive back and compare, the longest unchecked first",
          description:
            "Ends at the first limit it meets; fails with `fixity_failed` when something was not what it was.",
          querystring: NoQuery,
          body: FixityRunBody,
          response: { 202: JobSchema.describe("The job; `Location` has its address."), ...problems },
        },
      },
      async ({ principal, body }, reply) => {
        const job = await fixity.start(principal.name, body);
        await audit.record(principal.name, "fixity.start", `job/${job.id}`, { ...body });
        return reply
          .code(202)
          .header("location", link(`/api/v1/jobs/${job.id}`))
          .send(jobOnWire(job));
      },
    );

    app.get(
      "/transactions/:id/fixity",
      {
        config: { scope: "read" },
        schema: {
          tags: ["fixity"],
          summary: "The last check of one transaction",
          params: TransactionParams,
          querystring: NoQuery,
          response: { 200: CheckSchema, ...problems },
        },
      },
      async ({ principal, params }) => {
        const { id } = await visibleTransaction({ catalogue }, principal, params.id);
        const never = { transactionId: id, checkedAt: null, outcome: null, problemCount: 0, problems: [] };
        return checkOnWire((await fixity.check(id)) ?? never);
      },
    );
  };
