import type { FastifyPluginAsyncZod } from "fastify-type-provider-zod";
import { z } from "zod";
import type { ServerContext } from "../server-deps.ts";
import { NoQuery, problems } from "./schemas.ts";

const Address = z.string().min(1).max(4096);

const OffloadBody = z.strictObject({
  sources: z.array(Address).min(1).max(100).describe("Addresses of folders, as for crawls."),
  target: Address.describe("Address of the folder that they are copied into."),
  mode: z
    .enum(["copy", "move"])
    .default("copy")
    .describe("`move` removes each file at its source when its copy has been read back and is the same."),
  inNewFolder: z
    .boolean()
    .default(true)
    .describe("Into a new folder named for the time, `YYYY-MM-DD-HH.MM.SS` in UTC."),
  timeoutMs: z.number().positive().exactOptional().describe("Given up after this; milliseconds."),
});

const StartedOffloadSchema = z
  .object({
    job: z.int().positive().describe("Progress and outcome are this job's."),
    folder: z.string().describe("Where the files will be; of several sources, each has a folder of its own."),
  })
  .meta({ id: "StartedOffload" });

export const offloadRoutes =
  ({ offloads, audit, link }: ServerContext): FastifyPluginAsyncZod =>
  async (app) => {
    app.post(
      "/offloads",
      {
        config: { scope: "crawl" },
        schema: {
          tags: ["offloads"],
          summary: "Copy or move folders of stores into another store",
          description:
            "Each copy is read back and compared. What cannot be copied is the job's warnings, and fails it with " +
            "`offload_incomplete` when it is through.",
          querystring: NoQuery,
          body: OffloadBody,
          response: { 202: StartedOffloadSchema.describe("It has begun; `Location` has its job."), ...problems },
        },
      },
      async ({ principal, body }, reply) => {
        const { job, folder } = await offloads.start(principal, body);
        const { sources, mode } = body;
        await audit.record(principal.name, "offload.start", `job/${job}`, { sources, folder, mode });
        return reply
          .code(202)
          .header("location", link(`/api/v1/jobs/${job}`))
          .send({ job, folder });
      },
    );
  };
