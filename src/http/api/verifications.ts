import type { FastifyPluginAsyncZod } from "fastify-type-provider-zod";
import { z } from "zod";
import type { Details } from "../../core/errors.ts";
import type { ServerContext } from "../server-deps.ts";
import { JobSchema, jobOnWire, NoQuery, problems } from "./schemas.ts";

const Verification = z.strictObject({
  transactions: z.array(z.int().positive()).min(1).max(1000).optional().describe("Only these; everything otherwise."),
  quick: z.boolean().optional().describe("Structure and sizes only, no digests."),
  bytesPerSecond: z.int().positive().optional().describe("Reads no faster than this."),
  parallel: z.int().min(1).max(16).optional().describe("Files read at a time."),
});

/** Verifying as a job: what `longshore verify` does, from afar. */
export const verificationRoutes =
  (context: ServerContext): FastifyPluginAsyncZod =>
  async (app) => {
    app.post(
      "/verifications",
      {
        config: { scope: "operate" },
        schema: {
          tags: ["verifications"],
          summary: "Compare the archive with its inventories and the database",
          description: "Discrepancies are the job's warnings, and fail it with `verify_failed` when it is through.",
          querystring: NoQuery,
          body: Verification,
          response: { 202: JobSchema.describe("The job; `Location` has its address."), ...problems },
        },
      },
      async ({ principal, body }, reply) => {
        const input: Details = JSON.parse(JSON.stringify(body)); // without what was left out
        const job = await context.jobs.submit({ kind: "verify", lane: "slow", owner: principal.name, input });
        await context.audit.record(principal.name, "archive.verify", `job/${job.id}`, input);
        return reply
          .code(202)
          .header("location", context.link(`/api/v1/jobs/${job.id}`))
          .send(jobOnWire(job));
      },
    );
  };
