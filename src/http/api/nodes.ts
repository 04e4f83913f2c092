import type { FastifyPluginAsyncZod } from "fastify-type-provider-zod";
import { z } from "zod";
import { isoTime } from "../../core/clock.ts";
import { LANES } from "../../core/jobs/job.ts";
import { DUTIES } from "../../core/nodes/leases.ts";
import type { ServerContext } from "../server-deps.ts";
import { pageOf } from "./paging.ts";
import { NoQuery, problems } from "./schemas.ts";

const NodeSchema = z
  .object({
    id: z.string().describe("Host, process id, and something that differs after each start."),
    role: z.enum(["server", "worker"]),
    version: z.string(),
    address: z.string().nullable().describe("Where it serves HTTP."),
    lanes: z.record(z.enum(LANES), z.int()).describe("Jobs at a time in each lane."),
    tasks: z.array(z.string()).nullable().describe("The only kinds of jobs it takes; null: all it knows."),
    duties: z.array(z.enum(DUTIES)).describe("What it does for all nodes at the moment."),
    since: z.iso.datetime(),
    seenAt: z.iso.datetime(),
    alive: z.boolean().describe("Whether it has been seen lately. One that stopped in good order is not listed."),
  })
  .meta({ id: "Node", description: "A process of Longshore that shares the database with others." });

export const nodeRoutes =
  ({ nodes }: ServerContext): FastifyPluginAsyncZod =>
  async (app) => {
    app.get(
      "/nodes",
      {
        config: { scope: "operate" },
        schema: {
          tags: ["nodes"],
          summary: "The processes that serve and work, and who does what for all of them",
          querystring: NoQuery,
          response: { 200: pageOf(NodeSchema), ...problems },
        },
      },
      async () => {
        const [found, duties] = await Promise.all([nodes.list(), nodes.duties()]);
        const items = found.map(({ name, role, version, address, lanes, tasks, since, seenAt, isAlive }) => ({
          id: name,
          role,
          version,
          address,
          lanes,
          tasks: tasks && [...tasks],
          duties: duties.filter(({ holder }) => holder === name).map(({ duty }) => duty),
          since: isoTime(since),
          seenAt: isoTime(seenAt),
          alive: isAlive,
        }));
        return { items, next: null };
      },
    );
  };
