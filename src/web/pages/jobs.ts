import type { FastifyPluginAsyncZod } from "fastify-type-provider-zod";
import { z } from "zod";
import { hasScope, maySee, requireScope } from "../../core/access/access.ts";
import { jobId } from "../../core/ids.ts";
import { JOB_STATES, type Job, type JobEvent } from "../../core/jobs/job.ts";
import { visibleJob } from "../../http/api/jobs.ts";
import { JobParams } from "../../http/api/schemas.ts";
import { durationText, timeOf } from "../formats.ts";
import { html } from "../html.ts";
import { facts, formField, live, type Reader, table } from "../layout.ts";
import type { PageContext } from "../page-context.ts";
import { amountsOf, isOver, jobRow, jobTable, progressOf, stateBadge } from "./job-table.ts";

const PAGE = 50;
const EVENTS_SHOWN = 200;
const WARNINGS_SHOWN = 200;
const EVERY_SECONDS = 2;

/** A field of a form that was left empty is as good as none. */
const optional = <T extends z.ZodType>(schema: T) => z.preprocess((given) => given || undefined, schema.optional());
const Filter = z.object({
  state: optional(z.enum(JOB_STATES)),
  kind: optional(z.string().trim().max(60)),
  owner: optional(z.string().trim().max(200)),
  before: optional(z.coerce.number().int().positive()),
});

/** The list of jobs, and each with its tasks, history and what can be done about it. */
export const jobRoutes =
  (context: PageContext): FastifyPluginAsyncZod =>
  async (app) => {
    const { audit, jobs, link, show, readerOf } = context;

    app.get("/jobs", { config: { scope: "read" }, schema: { querystring: Filter } }, async (request, reply) => {
      const reader = readerOf(request);
      const { say } = reader;
      const { principal, query } = request;
      const owner = maySee(principal, "") ? query.owner : principal.name;
      const found = await jobs.list({
        limit: PAGE + 1,
        ...(query.state && { states: [query.state] }),
        ...(query.kind !== undefined && { kind: query.kind }),
        ...(owner !== undefined && { owner }),
        ...(query.before !== undefined && { beforeId: jobId(query.before) }),
      });
      const shown = found.slice(0, PAGE);
      const option = (value: string, label: string) =>
        html`<option value="${value}"${query.state === value && html` selected`}>${label}</option>`;
      const older = new URLSearchParams({ before: String(shown.at(-1)?.id ?? "") });
      for (const name of ["state", "kind", "owner"] as const) if (query[name]) older.set(name, query[name]);
      const body = html`<form class="row" method="get" action="${link("/jobs")}">
<label>${say("jobs.state")}<select name="state">${option("", say("jobs.any"))}${JOB_STATES.map((state) => option(state, say(`state.${state}`)))}</select></label>
<label>${say("jobs.kind")}<input name="kind" value="${query.kind}"></label>
${maySee(principal, "") && html`<label>${say("jobs.owner")}<input name="owner" value="${query.owner}"></label>`}
<button>${say("jobs.filter")}</button>
</form>
${live(
  "list",
  EVERY_SECONDS,
  shown.length === 0
    ? html`<p class="soft">${say("jobs.none")}</p>`
    : jobTable(
        reader,
        shown.map((job) => jobRow(reader, job)),
      ),
)}
<p class="actions">${query.before !== undefined && html`<a href="${link("/jobs")}">${say("jobs.newer")}</a>`}
${found.length > PAGE && html`<a href="${link(`/jobs?${older}`)}">${say("jobs.older")}</a>`}</p>`;
      return show(request, reply, { title: say("jobs.title"), path: "/jobs", body });
    });

    app.get("/jobs/:id", { config: { scope: "read" }, schema: { params: JobParams } }, async (request, reply) => {
      const reader = readerOf(request);
      const job = await visibleJob(context, request.principal, request.params.id);
      const events = await jobs.events(job.id, 0, EVENTS_SHOWN);
      const mayChange = hasScope(request.principal, "operate") || hasScope(request.principal, "deposit");
      const title = reader.say("job.title", { id: job.id });
      const body = jobBody(reader, job, events, mayChange);
      return show(request, reply, {
        title,
        path: "/jobs",
        body: isOver(job) ? body : live("job", EVERY_SECONDS, body),
      });
    });

    for (const verb of ["cancel", "retry"] as const)
      app.post(
        `/jobs/:id/${verb}`,
        { config: { scope: "read", isForm: true }, schema: { params: JobParams } },
        async ({ principal, params }, reply) => {
          if (!hasScope(principal, "operate")) requireScope(principal, "deposit");
          const { id } = await visibleJob(context, principal, params.id);
          await jobs[verb](id, principal.name);
          await audit.record(principal.name, `job.${verb}`, `job/${id}`);
          return reply.redirect(link(`/jobs/${id}`), 303);
        },
      );
  };

function jobBody(reader: Reader, job: Job, events: readonly JobEvent[], mayChange: boolean) {
  const { say, link, formToken } = reader;
  const { id, kind, lane, state, owner, tasks, error, warnings, attempts, result } = job;
  const action = (verb: "cancel" | "retry", look: string) =>
    html`<form method="post" action="${link(`/jobs/${id}/${verb}`)}">${formField(formToken)}<button class="${look}">${say(`job.${verb}`)}</button></form>`;
  const took = job.startedAt !== null && job.finishedAt !== null ? durationText(job.finishedAt - job.startedAt) : null;
  return html`${facts([
    [say("jobs.state"), html`${stateBadge(reader, state)}${job.cancelRequested && html` ${say("job.cancelling")}`}`],
    [say("jobs.kind"), `${kind} (${lane})`],
    [say("jobs.owner"), owner],
    [say("jobs.created"), timeOf(job.createdAt)],
    [say("jobs.duration"), took],
    [say("job.attempts"), attempts > 1 ? attempts : null],
    [
      say("job.transaction"),
      typeof result.transactionId === "number" &&
        html`<a href="${link(`/archive/${result.transactionId}`)}">${result.transactionId}</a>`,
    ],
  ])}
${error && html`<h2>${say("job.error")}</h2><p class="notice">${error.message} <a href="${link(`/docs/errors#${error.code}`)}"><code>${error.code}</code></a></p>`}
${
  mayChange &&
  html`<div class="actions">${!isOver(job) && !job.cancelRequested && action("cancel", "danger")}${(state === "failed" || state === "cancelled") && action("retry", "")}</div>`
}
${
  tasks.length > 0 &&
  html`<h2>${say("job.tasks")}</h2>${table(
    say("job.tasks"),
    [say("job.task"), say("jobs.progress"), say("job.done"), say("jobs.duration")],
    tasks.map((task) => [
      task.name,
      task.finishedAt === undefined ? progressOf(task) : `${task.percent} %`,
      amountsOf(task),
      task.finishedAt !== undefined && durationText(task.finishedAt - task.startedAt),
    ]),
    [3],
  )}`
}
${Object.keys(result).length > 0 && html`<h2>${say("job.result")}</h2><pre>${JSON.stringify(result, null, 2)}</pre>`}
${
  warnings.length > 0 &&
  html`<h2>${say("job.warnings")}</h2><ul>${warnings.slice(0, WARNINGS_SHOWN).map(({ path, message }) => html`<li><span class="path">${path}</span> ${message}</li>`)}</ul>`
}
<h2>${say("job.history")}</h2>
${table(
  say("job.history"),
  ["", ""],
  events.map(({ at, type, data }) => [timeOf(at), `${type}: ${Object.values(data).join(" ")}`]),
)}`;
}
