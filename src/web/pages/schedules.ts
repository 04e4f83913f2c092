import type { FastifyPluginAsyncZod } from "fastify-type-provider-zod";
import { z } from "zod";
import { hasScope, type Principal } from "../../core/access/access.ts";
import { type Action, isCommand, type Run } from "../../core/schedules/schedule.ts";
import type { ListedSchedule } from "../../core/schedules/schedules.ts";
import { timetable } from "../../core/schedules/timetable.ts";
import { ScheduleParams, scheduleFacts } from "../../http/api/schedule-schemas.ts";
import { cardTable } from "../card-table.ts";
import { timeOf } from "../formats.ts";
import { type Html, html } from "../html.ts";
import { badge, facts, formField, live, type Reader } from "../layout.ts";
import type { PageContext } from "../page-context.ts";
import { removal } from "../removal.ts";
import { runBadge, runPath, runTable } from "./run-table.ts";
import { calendar, dueInWords } from "./when.ts";

const PAGE = 25;
const RUNS = 25;
const NEXT_RUNS = 10;
const EVERY_SECONDS = 5;

const ListQuery = z.object({ after: z.string().max(200).optional() });
const RunsQuery = z.object({ before: z.coerce.number().int().positive().optional() });

/** The schedules, and each with its times, its history and what can be done about it. */
export const scheduleRoutes =
  (context: PageContext): FastifyPluginAsyncZod =>
  async (app) => {
    const { schedules, audit, clock, link, show, readerOf } = context;

    app.get("/schedules", { config: { scope: "read" }, schema: { querystring: ListQuery } }, async (request, reply) => {
      const reader = readerOf(request);
      const { say } = reader;
      const { principal, query } = request;
      const { after } = query;
      const found = await schedules.list({ limit: PAGE + 1, ...(after !== undefined && { after }) });
      const shown = found.slice(0, PAGE);
      const more = new URLSearchParams({ after: shown.at(-1)?.name ?? "" });
      const list =
        shown.length === 0
          ? html`<p class="soft">${say("schedules.none")}</p>`
          : cardTable(
              say("schedules.title"),
              [say("schedules.name"), say("schedules.when"), say("schedules.next"), say("schedules.last")],
              shown.map((schedule) => scheduleRow(reader, schedule)),
            );
      const body = html`<p class="actions">${hasScope(principal, "operate") && html`<a class="button" href="${link("/schedules/new")}">${say("schedules.new")}</a>`}
${hasScope(principal, "admin") && html`<a class="button quiet" href="${link("/schedules/import")}">${say("schedules.import")}</a>`}
${
  hasScope(principal, "operate") &&
  html`<a href="${link("/api/v1/crontabs/export?form=user")}" download="longshore.crontab">${say("schedules.export")}</a>
<a href="${link("/api/v1/crontabs/export?form=windows")}" download="longshore-schtasks.cmd">${say("schedules.exportWindows")}</a>`
}</p>
${live("list", EVERY_SECONDS, list)}
<p class="actions">${after !== undefined && html`<a href="${link("/schedules")}">${say("schedules.first")}</a>`}
${found.length > PAGE && html`<a href="${link(`/schedules?${more}`)}">${say("schedules.more")}</a>`}</p>`;
      return show(request, reply, { title: say("schedules.title"), path: "/schedules", body });
    });

    app.get(
      "/schedules/:id",
      { config: { scope: "read" }, schema: { params: ScheduleParams, querystring: RunsQuery } },
      async (request, reply) => {
        const reader = readerOf(request);
        const { principal, params, query } = request;
        const schedule = await schedules.get(params.id);
        const found = await schedules.runs(params.id, {
          limit: RUNS + 1,
          ...(query.before !== undefined && { before: query.before }),
        });
        const now = clock.now();
        const body = html`<div class="cards"><section class="card"><h2>${reader.say("schedule.facts")}</h2>${scheduleFactList(reader, schedule)}</section>
<section class="card"><h2>${reader.say("schedule.nextRuns")}</h2>${nextRuns(reader, schedule, now)}</section></div>
${steps(reader, principal, schedule)}
<h2>${reader.say("schedule.history")}</h2>
${history(reader, schedule, found, now, query.before !== undefined)}`;
        return show(request, reply, {
          title: schedule.name,
          path: "/schedules",
          body: live("schedule", EVERY_SECONDS, body),
        });
      },
    );

    for (const verb of ["pause", "resume"] as const)
      app.post(
        `/schedules/:id/${verb}`,
        { config: { scope: "operate", isForm: true }, schema: { params: ScheduleParams } },
        async ({ principal, params }, reply) => {
          const schedule = await schedules[verb](principal, params.id);
          await audit.record(principal.name, `schedule.${verb}`, `schedule/${params.id}`, scheduleFacts(schedule));
          return reply.redirect(link(`/schedules/${params.id}`), 303);
        },
      );

    app.post(
      "/schedules/:id/remove",
      { config: { scope: "operate", isForm: true }, schema: { params: ScheduleParams } },
      async ({ principal, params }, reply) => {
        const schedule = await schedules.remove(principal, params.id);
        await audit.record(principal.name, "schedule.delete", `schedule/${params.id}`, scheduleFacts(schedule));
        return reply.redirect(link("/schedules"), 303);
      },
    );

    for (const cause of ["manual", "test"] as const)
      app.post(
        `/schedules/:id/${cause === "test" ? "test" : "run"}`,
        { config: { scope: "operate", isForm: true }, schema: { params: ScheduleParams } },
        async ({ principal, params }, reply) => {
          const run = await schedules.runNow(principal, params.id, cause);
          const noted = { run: run.number, test: cause === "test" };
          await audit.record(principal.name, "schedule.run", `schedule/${params.id}`, noted);
          return reply.redirect(link(runPath(run)), 303);
        },
      );
  };

function scheduleRow(reader: Reader, { id, name, expression, timeZone, paused, nextDueAt, ...one }: ListedSchedule) {
  const { say, link } = reader;
  const { lastRun, silentSince } = one;
  return [
    html`<a href="${link(`/schedules/${id}`)}">${name}</a>`,
    html`${dueInWords({ expression, timeZone })}<br><code class="soft">${expression}</code>`,
    paused ? badge("plain", say("schedules.paused")) : nextDueAt !== null && timeOf(nextDueAt),
    html`${lastRun && html`<a href="${link(runPath(lastRun))}">${runBadge(reader, lastRun)}</a>`} ${silentSince !== null && badge("bad", say("schedules.silent"))}`,
  ];
}

function scheduleFactList({ say }: Reader, schedule: ListedSchedule): Html {
  const { expression, timeZone, action, paused, owner, silentSince, changedAt } = schedule;
  return facts([
    [say("schedules.when"), dueInWords(schedule)],
    [say("schedule.expression"), html`<code>${expression}</code>`],
    [say("schedule.timeZone"), timeZone],
    [say("schedule.action"), html`${say(`scheduleForm.${action.kind}`)}<br><code>${inShort(action)}</code>`],
    [say("schedule.state"), badge(paused ? "plain" : "good", say(paused ? "schedules.paused" : "schedule.active"))],
    [say("schedule.silentSince"), silentSince !== null && timeOf(silentSince)],
    [say("schedule.owner"), owner],
    [say("schedule.changed"), timeOf(changedAt)],
  ]);
}

/** What is done, in a line; nothing of headers and bodies, which may hold secrets. */
function inShort(action: Action): string {
  switch (action.kind) {
    case "shell":
      return action.command;
    case "program":
      return [action.file, ...action.args].join(" ");
    case "built-in":
      return action.name;
    case "http":
      return `${action.method} ${action.url}`;
    case "mail":
      return `${action.to}: ${action.subject}`;
  }
}

function nextRuns({ say, link }: Reader, schedule: ListedSchedule, now: number): Html {
  const { id, expression, timeZone, paused } = schedule;
  const times = timetable(expression, timeZone).nextRuns(now, NEXT_RUNS);
  if (times.length === 0) return html`<p class="soft">${say("schedule.noNextRuns")}</p>`;
  return html`${paused && html`<p class="soft">${say("schedule.pausedHint")}</p>`}${calendar(times, timeZone)}
<p><a href="${link(`/schedules/${id}/calendar`)}">${say("schedule.calendar")}</a></p>`;
}

/** Buttons for what this reader may do: the service judges it once more. */
function steps(reader: Reader, principal: Principal, { id, action, paused }: ListedSchedule) {
  const { say, link, formToken } = reader;
  if (!hasScope(principal, "operate")) return false;
  const mayChange = !isCommand(action) || hasScope(principal, "admin");
  const button = (verb: "run" | "test" | "pause" | "resume", label: string, look: string) =>
    html`<form method="post" action="${link(`/schedules/${id}/${verb}`)}">${formField(formToken)}<button class="${look}">${label}</button></form>`;
  return html`<div class="actions">${button("run", say("schedule.runNow"), "")}${button("test", say("schedule.testRun"), "quiet")}
${paused ? button("resume", say("schedule.resume"), "quiet") : button("pause", say("schedule.pause"), "quiet")}
${
  mayChange &&
  html`<a class="button quiet" href="${link(`/schedules/${id}/edit`)}">${say("schedule.edit")}</a>
${removal(reader, link(`/schedules/${id}/remove`), say("schedule.remove"), say("schedule.removeWarning"))}`
}</div>
<p class="hint">${say("schedule.testHint")}</p>`;
}

function history(reader: Reader, { id }: ListedSchedule, found: readonly Run[], now: number, isLater: boolean): Html {
  const { say, link } = reader;
  const shown = found.slice(0, RUNS);
  return html`${shown.length === 0 ? html`<p class="soft">${say("schedule.noRuns")}</p>` : runTable(reader, shown, now)}
<p class="actions">${isLater && html`<a href="${link(`/schedules/${id}`)}">${say("schedule.newer")}</a>`}
${found.length > RUNS && html`<a href="${link(`/schedules/${id}?before=${shown.at(-1)?.number}`)}">${say("schedule.older")}</a>`}</p>`;
}
