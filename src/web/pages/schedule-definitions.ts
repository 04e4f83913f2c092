import type { FastifyPluginAsyncZod } from "fastify-type-provider-zod";
import { z } from "zod";
import { hasScope, type Principal } from "../../core/access/access.ts";
import { AppError } from "../../core/errors.ts";
import { ACTION_KINDS } from "../../core/schedules/schedule.ts";
import { ScheduleParams, scheduleFacts } from "../../http/api/schedule-schemas.ts";
import { statusOf } from "../../http/problem.ts";
import { type FormField, formRow, type Typed } from "../form-field.ts";
import { html } from "../html.ts";
import { formField, type Page, type Reader } from "../layout.ts";
import type { PageContext } from "../page-context.ts";
import { FormBody } from "./form-body.ts";
import {
  type ActionKind,
  actionFields,
  furtherFields,
  problemOf,
  problemsElsewhere,
  readSchedule,
  scheduleProblems,
  timeFields,
  typedSchedule,
} from "./schedule-form.ts";
import { whenPart } from "./when.ts";

const Kind = z.enum(ACTION_KINDS);
const KindQuery = z.object({ kind: Kind.optional() });
const WhenQuery = z.object({
  expression: z.string().max(1_000).prefault(""),
  timeZone: z.string().max(64).prefault("UTC"),
});
/** Those that take the scope `admin`. */
const COMMANDS: readonly ActionKind[] = ["shell", "program"];

/** What a new schedule begins with: what the API would fill in. */
const NEW: Typed = {
  timeZone: "UTC",
  overlap: "skip",
  misfire: "none",
  "notify.when": "failure",
  "action.method": "GET",
  "action.input": "{}",
};

/** A form as it is shown: once more, when it was refused. */
interface Form {
  readonly title: string;
  /** Where it is sent, and where the same form for another kind of action is. */
  readonly path: string;
  readonly back: string;
  readonly submit: string;
  readonly kind: ActionKind;
  readonly typed: Typed;
  readonly problems?: Typed;
  /** Of the schedule that it is about. */
  readonly changedAt?: number;
  readonly notice?: string;
}

/** Forms that declare and change schedules, and the answer to when an expression is due. */
export const scheduleFormRoutes =
  (context: PageContext): FastifyPluginAsyncZod =>
  async (app) => {
    const { schedules, audit, clock, link, show, readerOf } = context;

    app.get(
      "/schedules/when",
      { config: { scope: "read" }, schema: { querystring: WhenQuery } },
      async (request, reply) => {
        const reader = readerOf(request);
        const { say } = reader;
        const { query } = request;
        const fields = timeFields(reader).filter(({ name }) => name !== "name");
        return show(request, reply, {
          title: say("when.title"),
          path: "/schedules",
          scripts: ["crontab.js"],
          body: html`<form class="fields" method="get" action="${link("/schedules/when")}">${fields.map((field) => formRow(reader, field, query))}
<p class="actions"><button>${say("when.check")}</button></p></form>
${checked(reader, query.expression, query.timeZone)}`,
        });
      },
    );

    const checked = (reader: Reader, expression = "", timeZone = "") =>
      html`<div class="checked" id="when" role="status" data-check="${link("/schedules/when")}" data-fields="expression timeZone">${whenPart(reader, clock.now(), expression, timeZone)}</div>`;

    function formPage(reader: Reader, principal: Principal, form: Form): Page {
      const { say, formToken } = reader;
      const { kind, typed, problems = {}, path, changedAt, notice } = form;
      const [times, what, further] = [
        timeFields(reader),
        actionFields(reader, kind, schedules.builtIns()),
        furtherFields(reader),
      ];
      const row = (field: FormField) => formRow(reader, field, typed, problemOf(problems, field.name));
      const isWrong = (fields: readonly FormField[]) => fields.some(({ name }) => problemOf(problems, name));
      const elsewhere = problemsElsewhere(problems, [...times, ...what, ...further]);
      const kinds = ACTION_KINDS.filter((one) => !COMMANDS.includes(one) || hasScope(principal, "admin"));
      return {
        title: form.title,
        path: "/schedules",
        scripts: ["crontab.js"],
        body: html`${notice !== undefined && html`<p class="notice" role="alert">${notice}</p>`}
${Object.keys(problems).length > 0 && html`<p class="notice" role="alert">${say("scheduleForm.refused")} ${elsewhere}</p>`}
<nav aria-label="${say("scheduleForm.kinds")}"><ul class="parts">${kinds.map(
          (one) =>
            html`<li><a href="${path}?kind=${one}"${one === kind && html` aria-current="page"`}>${say(`scheduleForm.${one}`)}</a></li>`,
        )}</ul></nav>
<form class="fields" method="post" action="${path}?kind=${kind}">${formField(formToken)}
${changedAt !== undefined && html`<input type="hidden" name="changedAt" value="${changedAt}" autocomplete="off">`}
<h2>${say("scheduleForm.time")}</h2>
${times.map(row)}
${checked(reader, typed.expression, typed.timeZone)}
<h2>${say("scheduleForm.what")}</h2>
${what.map(row)}
<details${isWrong(further) && html` open`}><summary>${say("scheduleForm.more")}</summary>${further.map(row)}</details>
<p class="actions"><button>${form.submit}</button> <a class="button quiet" href="${form.back}">${say("entry.back")}</a></p>
</form>`,
      };
    }

    app.get(
      "/schedules/new",
      { config: { scope: "operate" }, schema: { querystring: KindQuery } },
      async (request, reply) => {
        const { principal, query } = request;
        const kind = query.kind ?? (hasScope(principal, "admin") ? "shell" : "http");
        const reader = readerOf(request);
        return show(request, reply, formPage(reader, principal, { ...newForm(reader), kind, typed: NEW }));
      },
    );

    const newForm = ({ say }: Reader) => ({
      title: say("schedules.new"),
      path: link("/schedules/new"),
      back: link("/schedules"),
      submit: say("scheduleForm.create"),
    });

    app.post(
      "/schedules/new",
      {
        config: { scope: "operate", isForm: true },
        schema: { querystring: z.object({ kind: Kind }), body: FormBody },
      },
      async (request, reply) => {
        const { principal, query, body: typed } = request;
        const reader = readerOf(request);
        const form = { ...newForm(reader), kind: query.kind, typed };
        const { definition, problems } = readSchedule(reader, query.kind, typed);
        if (!definition) return show(request, reply.code(400), formPage(reader, principal, { ...form, problems }));
        try {
          const schedule = await schedules.create(principal, definition);
          await audit.record(principal.name, "schedule.create", `schedule/${schedule.id}`, scheduleFacts(schedule));
          return reply.redirect(link(`/schedules/${schedule.id}`), 303);
        } catch (error) {
          const [refused, status] = refusal(error);
          return show(request, reply.code(status), formPage(reader, principal, { ...form, problems: refused }));
        }
      },
    );

    const editForm = ({ say }: Reader, { id, name }: { readonly id: string; readonly name: string }) => ({
      title: say("schedule.editTitle", { name }),
      path: link(`/schedules/${id}/edit`),
      back: link(`/schedules/${id}`),
      submit: say("scheduleForm.save"),
    });

    app.get(
      "/schedules/:id/edit",
      { config: { scope: "operate" }, schema: { params: ScheduleParams, querystring: KindQuery } },
      async (request, reply) => {
        const { principal, params, query } = request;
        const reader = readerOf(request);
        const schedule = await schedules.get(params.id);
        const { changedAt, action } = schedule;
        const typed = { ...NEW, ...typedSchedule(schedule) };
        const form = { ...editForm(reader, schedule), kind: query.kind ?? action.kind, typed, changedAt };
        return show(request, reply, formPage(reader, principal, form));
      },
    );

    app.post(
      "/schedules/:id/edit",
      {
        config: { scope: "operate", isForm: true },
        schema: { params: ScheduleParams, querystring: z.object({ kind: Kind }), body: FormBody },
      },
      async (request, reply) => {
        const { principal, params, query, body: typed } = request;
        const reader = readerOf(request);
        const schedule = await schedules.get(params.id);
        const { changedAt } = schedule;
        const form = { ...editForm(reader, schedule), kind: query.kind, typed, changedAt };
        if (typed.changedAt !== String(changedAt)) {
          const notice = reader.say("scheduleForm.stale");
          return show(request, reply.code(409), formPage(reader, principal, { ...form, notice }));
        }
        const { definition, problems } = readSchedule(reader, query.kind, typed);
        if (!definition) return show(request, reply.code(400), formPage(reader, principal, { ...form, problems }));
        try {
          const changed = await schedules.change(principal, params.id, definition);
          await audit.record(principal.name, "schedule.change", `schedule/${params.id}`, scheduleFacts(changed));
          return reply.redirect(link(`/schedules/${params.id}`), 303);
        } catch (error) {
          const [refused, status] = refusal(error);
          return show(request, reply.code(status), formPage(reader, principal, { ...form, problems: refused }));
        }
      },
    );
  };

/** For a form that is shown again. @throws what is no question of what was typed. */
function refusal(error: unknown): readonly [problems: Typed, status: number] {
  const problems = error instanceof AppError ? scheduleProblems(error) : undefined;
  if (!(error instanceof AppError) || !problems) throw error;
  return [problems, statusOf(error)];
}
