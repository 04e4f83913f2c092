import type { FastifyPluginAsyncZod } from "fastify-type-provider-zod";
import { z } from "zod";
import { hasScope, maySee, type Principal, requireScope } from "../../core/access/access.ts";
import { AppError } from "../../core/errors.ts";
import { type JobId, jobId } from "../../core/ids.ts";
import { JOB_STATES, type Job, PRIORITIES } from "../../core/jobs/job.ts";
import type { ServerDeps } from "../server-deps.ts";
import { cutPage, PAGE_PARAMS, pageOf } from "./paging.ts";
import { JobParams, JobSchema, jobOnWire, NoQuery, problems } from "./schemas.ts";

const State = z.enum(JOB_STATES);

const ListQuery = z.strictObject({
  ...PAGE_PARAMS,
  state: z
    .union([State, z.array(State)])
    .optional()
    .describe("Only jobs in this state; may be repeated."),
  kind: z.string().optional(),
  owner: z.string().optional().describe("Without the scope `operate`, one sees one's own jobs only."),
});

export const jobRoutes =
  (deps: ServerDeps): FastifyPluginAsyncZod =>
  async (app) => {
    app.get(
      "/jobs",
      {
        config: { scope: "read" },
        schema: {
          tags: ["jobs"],
          summary: "Jobs, newest first",
          querystring: ListQuery,
          response: { 200: pageOf(JobSchema), ...problems },
        },
      },
      async ({ principal, query }) => {
        const owner = maySee(principal, "") ? query.owner : (query.owner ?? principal.name);
        if (owner !== undefined && !maySee(principal, owner)) return { items: [], next: null };
        const found = await deps.jobs.list({
          limit: query.limit + 1,
          ...(query.state === undefined ? {} : { states: [query.state].flat() }),
          ...(query.kind === undefined ? {} : { kind: query.kind }),
          ...(owner === undefined ? {} : { owner }),
          ...(query.cursor === undefined ? {} : { beforeId: jobId(query.cursor) }),
        });
        return cutPage(found, query.limit, ({ id }) => id, jobOnWire);
      },
    );

    app.get(
      "/jobs/:id",
      {
        config: { scope: "read" },
        schema: {
          tags: ["jobs"],
          summary: "One job",
          params: JobParams,
          querystring: NoQuery,
          response: { 200: JobSchema, ...problems },
        },
      },
      async ({ principal, params }) => jobOnWire(await visibleJob(deps, principal, params.id)),
    );

    for (const [verb, summary] of [
      ["cancel", "Stop a job: at once when it is queued, at the worker's next step when it runs"],
      ["retry", "Queue a failed or cancelled job again"],
    ] as const)
      app.post(
        `/jobs/:id/${verb}`,
        {
          config: { scope: "read" },
          schema: {
            tags: ["jobs"],
            summary,
            params: JobParams,
            querystring: NoQuery,
            response: { 200: JobSchema, ...problems },
          },
        },
        async ({ principal, params }) => {
          // One's own with `deposit`, anybody's with `operate`.
          if (!hasScope(principal, "operate")) requireScope(principal, "deposit");
          const { id } = await visibleJob(deps, principal, params.id);
          const job = await deps.jobs[verb](id, principal.name);
          await deps.audit.record(principal.name, `job.${verb}`, `job/${id}`);
          return jobOnWire(job);
        },
      );

    app.patch(
      "/jobs/:id",
      {
        config: { scope: "operate" },
        schema: {
          tags: ["jobs"],
          summary: "Set the state of a job that no worker holds, or the priority of one that is not finished",
          params: JobParams,
          querystring: NoQuery,
          body: z.union([
            z.strictObject({
              state: z.enum(JOB_STATES).exclude(["running"]),
              reason: z.string().trim().min(1).max(1000).describe("Kept in the job's history and in the audit log."),
            }),
            z.strictObject({
              priority: z
                .int()
                .min(PRIORITIES.lowest)
                .max(PRIORITIES.highest)
                .describe(
                  "Higher is begun sooner. What waits is passed by a hundred jobs for each step, then no more.",
                ),
            }),
          ]),
          response: { 200: JobSchema, ...problems },
        },
      },
      async ({ principal, params, body }) => {
        const job =
          "priority" in body
            ? await deps.jobs.setPriority(params.id, body.priority, principal.name)
            : await deps.jobs.setState(params.id, body.state, principal.name, body.reason);
        await deps.audit.record(principal.name, "job.set", `job/${params.id}`, { ...body });
        return jobOnWire(job);
      },
    );
  };

/** @throws AppError job_unknown, also for a job that this caller may not see. */
export async function visibleJob({ jobs }: Pick<ServerDeps, "jobs">, principal: Principal, id: JobId): Promise<Job> {
  const job = await jobs.get(id);
  if (!maySee(principal, job.owner)) throw new AppError("job_unknown", { id });
  return job;
}
