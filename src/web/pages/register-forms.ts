import type { FastifyPluginAsyncZod } from "fastify-type-provider-zod";
import { AppError, type Details } from "../../core/errors.ts";
import { EXCHANGE_FORMATS } from "../../core/registers/exchange.ts";
import { RegisterParams } from "../../http/api/register-schemas.ts";
import { statusOf } from "../../http/problem.ts";
import { type FormField, formRow, linesOf, type Typed } from "../form-field.ts";
import { countText } from "../formats.ts";
import { type Html, html } from "../html.ts";
import { formField, type Page, type Reader } from "../layout.ts";
import type { PageContext } from "../page-context.ts";
import { FormBody } from "./form-body.ts";

/** Not below `/registers/`, where any name may be a register's. */
const DECLARE = "/declare-register";
/** As many as somebody reads. */
const PROBLEMS_SHOWN = 100;

interface Answer {
  /** Why it was refused. */
  readonly refusal?: AppError;
  readonly good?: string;
}

/** Registers as texts: one is declared or declared anew, and entries are made from a file. */
export const registerFormRoutes =
  (context: PageContext): FastifyPluginAsyncZod =>
  async (app) => {
    const { registers, audit, link, show, readerOf } = context;

    app.get(DECLARE, { config: { scope: "admin" } }, async (request, reply) =>
      show(request, reply, declarePage(readerOf(request), {})),
    );

    app.get(
      "/registers/:register/declaration",
      { config: { scope: "admin" }, schema: { params: RegisterParams } },
      async (request, reply) => {
        const { text } = await registers.get(request.params.register);
        return show(request, reply, declarePage(readerOf(request), { text: indented(text) }));
      },
    );

    app.post(
      DECLARE,
      { config: { scope: "admin", isForm: true }, schema: { body: FormBody } },
      async (request, reply) => {
        const { principal, body: typed } = request;
        const reader = readerOf(request);
        const text = linesOf(typed.text);
        try {
          if (typed.do !== "declare") {
            const { name, entries } = await registers.check(text);
            const good = reader.say("declare.good", { name, entries: countText(entries) });
            return show(request, reply, declarePage(reader, typed, { good }));
          }
          const { declaration, revision } = await registers.declare(text);
          const { name } = declaration;
          await audit.record(principal.name, "register.declare", `register/${name}`, { revision });
          return reply.redirect(link(`/registers/${name}`), 303);
        } catch (error) {
          const refusal = refused(error);
          return show(request, reply.code(statusOf(refusal)), declarePage(reader, typed, { refusal }));
        }
      },
    );

    app.get(
      "/registers/:register/import",
      { config: { scope: "read" }, schema: { params: RegisterParams } },
      async (request, reply) => {
        const { name, title } = (await registers.get(request.params.register)).declaration;
        return show(request, reply, importPage(readerOf(request), name, title, {}));
      },
    );

    app.post(
      "/registers/:register/import",
      { config: { scope: "read", isForm: true }, schema: { params: RegisterParams, body: FormBody } },
      async (request, reply) => {
        const { principal, params, body: typed } = request;
        const { name, title } = (await registers.get(params.register)).declaration;
        try {
          const format = typed.format === "json" ? "json" : "csv";
          const made = await registers.import(principal, name, linesOf(typed.text), format);
          await audit.record(principal.name, "register.import", `register/${name}`, { created: made.length });
          return reply.redirect(link(`/registers/${name}`), 303);
        } catch (error) {
          const refusal = refused(error);
          const page = importPage(readerOf(request), name, title, typed, { refusal });
          return show(request, reply.code(statusOf(refusal)), page);
        }
      },
    );
  };

/** Declarations that came through the API stand in one line. */
const indented = (json: string): string => JSON.stringify(JSON.parse(json), null, 2);

/** For a form that is shown again. @throws what is no question of what was sent. */
function refused(error: unknown): AppError {
  if (error instanceof AppError && statusOf(error) < 500 && error.code !== "register_unknown") return error;
  throw error;
}

function declarePage(reader: Reader, typed: Typed, answer: Answer = {}): Page {
  const { say, link, formToken } = reader;
  const text: FormField = {
    name: "text",
    label: say("declare.text"),
    hint: say("declare.hint"),
    isRequired: true,
    control: { kind: "text", rows: 24, isCode: true },
  };
  return {
    title: say("declare.title"),
    path: "/registers",
    body: html`${answered(reader, answer)}
<form class="fields wide" method="post" action="${link(DECLARE)}">${formField(formToken)}
${formRow(reader, text, typed)}
<p class="actions"><button name="do" value="declare">${say("declare.submit")}</button> <button class="quiet" name="do" value="check">${say("declare.check")}</button> <a class="button quiet" href="${link("/registers")}">${say("entry.back")}</a></p>
</form>`,
  };
}

function importPage(reader: Reader, name: string, title: string, typed: Typed, answer: Answer = {}): Page {
  const { say, link, formToken } = reader;
  const fields: readonly FormField[] = [
    {
      name: "format",
      label: say("registerImport.format"),
      control: { kind: "choice", choices: EXCHANGE_FORMATS.map((one) => [one, one.toUpperCase()]) },
    },
    {
      name: "text",
      label: say("registerImport.text"),
      hint: say("registerImport.hint"),
      isRequired: true,
      control: { kind: "text", rows: 16, isCode: true },
    },
  ];
  const page = link(`/registers/${name}`);
  return {
    title: say("registerImport.title", { register: title }),
    path: "/registers",
    body: html`${answered(reader, answer)}
<form class="fields wide" method="post" action="${page}/import">${formField(formToken)}
${fields.map((field) => formRow(reader, field, typed))}
<p class="actions"><button>${say("registerImport.submit")}</button> <a class="button quiet" href="${page}">${say("entry.back")}</a></p>
</form>`,
  };
}

/** What is said of a text that was sent, with each place that is wrong. */
function answered({ say }: Reader, { refusal, good }: Answer): Html {
  if (good !== undefined) return html`<p class="notice good" role="status">${good}</p>`;
  if (!refusal) return html``;
  const { problems } = refusal.details;
  const list = (Array.isArray(problems) ? problems : []) as readonly Details[];
  return html`<div class="notice" role="alert"><p>${refusal.message}</p>
${list.length > 0 && html`<ul>${list.slice(0, PROBLEMS_SHOWN).map((one) => html`<li>${placeOf(one, say)}${String(one.message ?? "")}</li>`)}</ul>`}</div>`;
}

/** Where it is wrong: a line of a file, an entry, a field, a place in the declaration. */
function placeOf({ line, entry, field, at }: Details, say: Reader["say"]): Html {
  const places = [
    line !== undefined && say("registerImport.line", { line: String(line) }),
    entry !== undefined && say("declare.entry", { entry: String(entry) }),
    ...[field, at].map((place) => place !== undefined && place !== "" && String(place)),
  ].filter((place) => place !== false);
  return html`${places.length > 0 && html`<strong>${places.join(", ")}</strong>: `}`;
}
