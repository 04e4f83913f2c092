import { randomUUID } from "node:crypto";
import type { FastifyPluginAsyncZod } from "fastify-type-provider-zod";
import { z } from "zod";
import { hasScope } from "../../core/access/access.ts";
import { AppError, type DetailValue } from "../../core/errors.ts";
import { type Declaration, statusOf, typedValue } from "../../core/registers/declaration.ts";
import type { Entry, Fields } from "../../core/registers/entry.ts";
import { may } from "../../core/registers/registers.ts";
import { RegisterParams } from "../../http/api/register-schemas.ts";
import { cardTable } from "../card-table.ts";
import { formRow, type Typed } from "../form-field.ts";
import { timeOf } from "../formats.ts";
import { type Html, html } from "../html.ts";
import { badge, formField, type Reader } from "../layout.ts";
import type { PageContext } from "../page-context.ts";
import {
  controlName,
  entryFields,
  filterField,
  labelOf,
  problemsOf,
  sentFields,
  typedFields,
  valueText,
} from "./entry-form.ts";
import { FormBody } from "./form-body.ts";

const PAGE = 50;
/** Columns of fields: the rest is on the entry's own page. */
const COLUMNS = 5;
const CELL_CHARACTERS = 100;

/** Names are those of controls, and of the list itself. */
const Query = z.record(z.string().max(200), z.string().max(2_000));

/** The registers, what is in each, and the form to add something. */
export const registerRoutes =
  (context: PageContext): FastifyPluginAsyncZod =>
  async (app) => {
    const { registers, audit, link, show, readerOf } = context;

    app.get("/registers", { config: { scope: "read" } }, async (request, reply) => {
      const { say } = readerOf(request);
      const mayDeclare = hasScope(request.principal, "admin");
      const rows = (await registers.list()).map(({ declaration: { name, title, statuses } }) => [
        html`<a href="${link(`/registers/${name}`)}">${title}</a>`,
        html`<code>${name}</code>`,
        Object.keys(statuses).join(", "),
      ]);
      const heads = [say("registers.title"), say("registers.name"), say("registers.statuses")];
      const body =
        rows.length === 0
          ? html`<p class="soft">${say("registers.none")}</p>`
          : cardTable(say("registers.title"), heads, rows);
      return show(request, reply, {
        title: say("registers.title"),
        path: "/registers",
        body: html`${mayDeclare && html`<p class="actions"><a class="button" href="${link("/declare-register")}">${say("registers.declare")}</a></p>`}${body}`,
      });
    });

    app.get(
      "/registers/:register",
      { config: { scope: "read" }, schema: { params: RegisterParams, querystring: Query } },
      async (request, reply) => {
        const reader = readerOf(request);
        const { say } = reader;
        const { principal, params, query } = request;
        const { declaration } = await registers.get(params.register);
        const { name, title, permissions } = declaration;
        const found = await registers.entries(principal, name, {
          limit: PAGE + 1,
          fields: wantedFields(declaration, query),
          ...(query.status && { status: query.status }),
          ...(Number(query.after) > 0 && { afterId: Number(query.after) }),
        });
        const shown = found.slice(0, PAGE);
        const page = link(`/registers/${name}`);
        const later = new URLSearchParams({ ...wanted(query), after: String(shown.at(-1)?.id ?? "") });
        const mayAdd = may(principal, permissions.create, principal.name);
        const body = html`<p class="actions">${mayAdd && html`<a class="button" href="${page}/new">${say("register.add")}</a> <a class="button quiet" href="${page}/import">${say("register.import")}</a>`}
${hasScope(principal, "admin") && html`<a class="button quiet" href="${page}/declaration">${say("register.declaration")}</a>`}
<a href="${link(`/api/v1/registers/${name}/export?format=csv`)}">${say("register.exportCsv")}</a>
<a href="${link(`/api/v1/registers/${name}/export?format=json`)}">${say("register.exportJson")}</a></p>
${filterForm(reader, declaration, query, page)}
${shown.length === 0 ? html`<p class="soft">${say("register.none")}</p>` : entryTable(reader, declaration, shown)}
<p class="actions">${query.after && html`<a href="${page}?${String(new URLSearchParams(wanted(query)))}">${say("register.first")}</a>`}
${found.length > PAGE && html`<a href="${page}?${String(later)}">${say("register.more")}</a>`}</p>`;
        return show(request, reply, { title, path: "/registers", body });
      },
    );

    app.get(
      "/registers/:register/new",
      { config: { scope: "read" }, schema: { params: RegisterParams } },
      async (request, reply) => {
        const { declaration } = await registers.get(request.params.register);
        return show(request, reply, newPage(readerOf(request), declaration, typedFields(declaration)));
      },
    );

    app.post(
      "/registers/:register/new",
      { config: { scope: "read", isForm: true }, schema: { params: RegisterParams, body: FormBody } },
      async (request, reply) => {
        const { principal, params, body: typed } = request;
        const { declaration } = await registers.get(params.register);
        const { name } = declaration;
        try {
          const { id } = await registers.create(principal, name, sentFields(declaration, typed), typed.key);
          await audit.record(principal.name, "entry.create", `register/${name}/${id}`);
          return reply.redirect(link(`/registers/${name}/entries/${id}`), 303);
        } catch (error) {
          const refusal = fieldsRefused(error);
          return show(
            request,
            reply.code(refusal.code === "entry_exists" ? 409 : 422),
            newPage(readerOf(request), declaration, typed, refusal),
          );
        }
      },
    );
  };

/** Why an entry was not kept, for a form that is shown again. @throws everything else. */
export function fieldsRefused(error: unknown): AppError {
  if (error instanceof AppError && (error.code === "entry_invalid" || error.code === "entry_exists")) return error;
  throw error;
}

/** What is wrong on top, and beside the fields. */
export function refusalNotice({ say, link }: Reader, { name }: Declaration, refusal: AppError | undefined): Html {
  if (!refusal) return html``;
  const { entry } = refusal.details;
  if (refusal.code === "entry_exists")
    return html`<p class="notice" role="alert"><a href="${link(`/registers/${name}/entries/${entry}`)}">${say("entry.exists", { entry: String(entry) })}</a></p>`;
  return html`<p class="notice" role="alert">${say("entry.refused")} ${problemsOf(refusal)[""]}</p>`;
}

function newPage(reader: Reader, declaration: Declaration, typed: Typed, refusal?: AppError) {
  const { say, link, formToken } = reader;
  const { name, title } = declaration;
  const problems = refusal?.code === "entry_invalid" ? problemsOf(refusal) : {};
  return {
    title: say("entry.new", { register: title }),
    path: "/registers",
    // A form that is sent twice makes one entry.
    body: html`${refusalNotice(reader, declaration, refusal)}
<form class="fields" method="post" action="${link(`/registers/${name}/new`)}">${formField(formToken)}
<input type="hidden" name="key" value="page-${randomUUID()}" autocomplete="off">
${entryFields(reader, declaration, typed, problems)}
<p class="actions"><button>${say("entry.create")}</button> <a class="button quiet" href="${link(`/registers/${name}`)}">${say("entry.back")}</a></p>
</form>`,
  };
}

const wanted = ({ after: _, ...query }: Typed): Record<string, string> =>
  Object.fromEntries(Object.entries(query).filter(([, value]) => value !== ""));

function wantedFields(declaration: Declaration, query: Typed): Fields {
  const fields: Record<string, DetailValue> = {};
  for (const field of declaration.fieldNames) {
    const text = query[controlName(field)];
    if (text) fields[field] = typedValue(declaration, field, text);
  }
  return fields;
}

function filterForm(reader: Reader, declaration: Declaration, query: Typed, page: string): Html {
  const { say } = reader;
  const { fieldNames, statuses } = declaration;
  const isFiltered = Object.keys(wanted(query)).length > 0;
  const names = Object.keys(statuses).map((name) => [name, name] as const);
  const status = {
    name: "status",
    label: say("entry.status"),
    control: { kind: "choice", choices: [["", say("register.any")], ...names] },
  } as const;
  return html`<details class="filter"${isFiltered && html` open`}><summary>${say("register.filter")}</summary>
<form class="row" method="get" action="${page}">${formRow(reader, status, query)}
${fieldNames.map((field) => formRow(reader, filterField(reader, declaration, field), query))}
<button>${say("register.show")}</button>${isFiltered && html` <a href="${page}">${say("register.clear")}</a>`}
</form></details>`;
}

function entryTable({ say, link }: Reader, declaration: Declaration, entries: readonly Entry[]): Html {
  const { name, fieldNames } = declaration;
  const columns = fieldNames.slice(0, COLUMNS);
  return cardTable(
    say("register.entries"),
    [
      say("entry.id"),
      say("entry.status"),
      ...columns.map((field) => labelOf(declaration, field)),
      say("entry.owner"),
      say("entry.updated"),
    ],
    entries.map(({ id, status, fields, owner, updatedAt }) => [
      html`<a href="${link(`/registers/${name}/entries/${id}`)}">${id}</a>`,
      statusBadge(declaration, status),
      ...columns.map((field) => cut(valueText(fields[field]))),
      owner,
      timeOf(updatedAt),
    ]),
  );
}

const cut = (text: string) => (text.length > CELL_CHARACTERS ? `${text.slice(0, CELL_CHARACTERS)}…` : text);

/** A status that has work of its own, or waits for some, is under way; what its words say is the declaration's business. */
export function statusBadge(declaration: Declaration, status: string): Html {
  const declared = statusOf(declaration, status);
  const isBusy = declared?.action !== undefined || Object.keys(declared?.next ?? {}).length > 0;
  return badge(isBusy ? "busy" : "plain", status);
}
