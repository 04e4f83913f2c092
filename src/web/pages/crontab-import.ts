import type { FastifyPluginAsyncZod } from "fastify-type-provider-zod";
import type { z } from "zod";
import { AppError } from "../../core/errors.ts";
import type { Finding } from "../../core/schedules/crontab/finding.ts";
import { EXCHANGE_FORMS } from "../../core/schedules/crontab-exchange.ts";
import { ImportBody } from "../../http/api/schedule-schemas.ts";
import { statusOf } from "../../http/problem.ts";
import { type FormField, formRow, linesOf, type Typed } from "../form-field.ts";
import { countText } from "../formats.ts";
import { type Html, html } from "../html.ts";
import { badge, formField, type Page, type Reader } from "../layout.ts";
import type { PageContext } from "../page-context.ts";
import { FormBody } from "./form-body.ts";

const NEW: Typed = { form: "user", timeZone: "UTC", prefix: "line " };
/** As many as somebody reads. */
const FINDINGS = 100;

/** What is said of a text that was sent. */
interface Checked {
  readonly findings: readonly Finding[];
  /** What is wrong with the import as a whole. */
  readonly problem?: string;
  /** Of schedules that would be made, if nothing is wrong. */
  readonly count?: number;
}

/** Schedules made of a crontab, or of lines for Windows, with what is wrong with it. */
export const crontabImportRoutes =
  (context: PageContext): FastifyPluginAsyncZod =>
  async (app) => {
    const { crontabs, audit, link, show, readerOf } = context;
    const PATH = "/schedules/import";

    app.get(PATH, { config: { scope: "admin" } }, async (request, reply) =>
      show(request, reply, importPage(readerOf(request), NEW)),
    );

    app.post(PATH, { config: { scope: "admin", isForm: true }, schema: { body: FormBody } }, async (request, reply) => {
      const { principal, body: typed } = request;
      const reader = readerOf(request);
      const isWanted = typed.do === "import";
      const asked = askedFor(typed, !isWanted);
      if (!asked.success)
        return show(
          request,
          reply.code(400),
          importPage(reader, typed, { findings: [], problem: asked.error.issues[0]?.message ?? "" }),
        );
      try {
        const { schedules, warnings } = await crontabs.import(principal, asked.data);
        if (!isWanted)
          return show(request, reply, importPage(reader, typed, { findings: warnings, count: schedules.length }));
        for (const { id, name } of schedules)
          if (id !== null) await audit.record(principal.name, "schedule.import", `schedule/${id}`, { name });
        return reply.redirect(link("/schedules"), 303);
      } catch (error) {
        if (!(error instanceof AppError) || statusOf(error) >= 500) throw error;
        const { findings } = error.details;
        const checked = Array.isArray(findings)
          ? { findings: findings as never }
          : { findings: [], problem: error.message };
        // What is wrong with a text is the answer to whoever has it checked.
        return show(request, reply.code(isWanted ? statusOf(error) : 200), importPage(reader, typed, checked));
      }
    });
  };

function askedFor(typed: Typed, dryRun: boolean): z.ZodSafeParseResult<z.output<typeof ImportBody>> {
  const { form, timeZone, prefix, replace } = typed;
  return ImportBody.safeParse({ text: linesOf(typed.text), form, timeZone, prefix, replace: replace === "on", dryRun });
}

function importPage(reader: Reader, typed: Typed, checked?: Checked): Page {
  const { say, link, formToken } = reader;
  const fields: readonly FormField[] = [
    {
      name: "form",
      label: say("import.form"),
      control: { kind: "choice", choices: EXCHANGE_FORMS.map((one) => [one, say(`exchangeForm.${one}`)]) },
    },
    { name: "text", label: say("import.text"), isRequired: true, control: { kind: "text", rows: 14, isCode: true } },
  ];
  const further: readonly FormField[] = [
    {
      name: "timeZone",
      label: say("schedule.timeZone"),
      hint: say("import.timeZoneHint"),
      control: { kind: "input", isCode: true },
    },
    { name: "prefix", label: say("import.prefix"), hint: say("import.prefixHint"), control: { kind: "input" } },
    { name: "replace", label: say("import.replace"), control: { kind: "switch" } },
  ];
  const row = (field: FormField) => formRow(reader, field, typed);
  const path = link("/schedules/import");
  return {
    title: say("import.title"),
    path: "/schedules",
    scripts: ["crontab.js"],
    body: html`<form class="fields wide" method="post" action="${path}">${formField(formToken)}
${fields.map(row)}
<div class="checked" id="checked" role="status" data-check="${path}" data-method="post" data-fields="formToken form text timeZone prefix replace">${checked && findingsOf(reader, checked)}</div>
${further.map(row)}
<p class="actions"><button name="do" value="import">${say("import.submit")}</button> <button class="quiet" name="do" value="check">${say("import.check")}</button> <a class="button quiet" href="${link("/schedules")}">${say("entry.back")}</a></p>
</form>`,
  };
}

function findingsOf({ say }: Reader, { findings, problem, count }: Checked): Html {
  const would = count !== undefined && html`<p>${say("import.would", { count: countText(count) })}</p>`;
  if (problem !== undefined) return html`<p class="notice">${problem}</p>`;
  if (findings.length === 0) return html`<p>${say("import.clean")}</p>${would}`;
  return html`<h2>${say("import.findings")}</h2><ul class="hits">${findings
    .slice(0, FINDINGS)
    .map(
      ({ severity, line, column, message, hint }) =>
        html`<li>${badge(severity === "error" ? "bad" : "busy", say(`import.${severity}`))} <span class="soft">${say("import.place", { line, column })}</span><div>${message.replace(/^Line \d+: /, "")}</div>${hint && html`<div class="soft">${hint}</div>`}</li>`,
    )}</ul>${would}`;
}
