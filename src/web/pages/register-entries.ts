import type { FastifyPluginAsyncZod } from "fastify-type-provider-zod";
import { z } from "zod";
import type { Principal } from "../../core/access/access.ts";
import { AppError } from "../../core/errors.ts";
import { type Declaration, statusOf } from "../../core/registers/declaration.ts";
import type { Entry, EntryEvent } from "../../core/registers/entry.ts";
import { may } from "../../core/registers/registers.ts";
import { EntryParams, StatusBody } from "../../http/api/register-schemas.ts";
import { cardTable } from "../card-table.ts";
import type { Typed } from "../form-field.ts";
import { timeOf } from "../formats.ts";
import { type Html, html } from "../html.ts";
import { facts, formField, live, type Page, type Reader } from "../layout.ts";
import type { PageContext } from "../page-context.ts";
import { removal } from "../removal.ts";
import { entryFields, labelOf, problemsOf, sentFields, typedFields, valueText } from "./entry-form.ts";
import { FormBody } from "./form-body.ts";
import { fieldsRefused, refusalNotice, statusBadge } from "./registers.ts";

const EVENTS = 100;
const EVERY_SECONDS = 5;

const HistoryQuery = z.object({ after: z.coerce.number().int().nonnegative().prefault(0) });
/** As the API takes it; numbers and what is left empty are what forms make of them. */
const StatusForm = z.object({
  formToken: z.string().optional(),
  to: StatusBody.shape.to,
  version: z.coerce.number().int().positive(),
  reason: z.preprocess((text) => text || undefined, StatusBody.shape.reason.optional()),
});

/** What an entry's page is made of. */
interface Shown {
  readonly declaration: Declaration;
  readonly entry: Entry;
  readonly events: readonly EntryEvent[];
  readonly after: number;
}

/** One entry: its fields, its history, and what its reader may do about it. */
export const entryRoutes =
  (context: PageContext): FastifyPluginAsyncZod =>
  async (app) => {
    const { registers, audit, link, show, readerOf } = context;
    const PATH = "/registers/:register/entries/:id";
    const pathOf = ({ register, id }: { readonly register: string; readonly id: number }) =>
      link(`/registers/${register}/entries/${id}`);

    async function shown(
      principal: Principal,
      { register, id }: z.output<typeof EntryParams>,
      after = 0,
    ): Promise<Shown> {
      const { declaration } = await registers.get(register);
      const [entry, events] = await Promise.all([
        registers.entry(principal, register, id),
        registers.history(principal, register, id, after, EVENTS + 1),
      ]);
      return { declaration, entry, events, after };
    }

    app.get(
      PATH,
      { config: { scope: "read" }, schema: { params: EntryParams, querystring: HistoryQuery } },
      async (request, reply) => {
        const { principal, params, query } = request;
        const found = await shown(principal, params, query.after);
        return show(request, reply, entryPage(readerOf(request), principal, found));
      },
    );

    app.post(
      `${PATH}/status`,
      { config: { scope: "read", isForm: true }, schema: { params: EntryParams, body: StatusForm } },
      async (request, reply) => {
        const { principal, params } = request;
        const { to, version, reason } = request.body;
        const wanted = { to, version, ...(reason !== undefined && { reason }) };
        try {
          await registers.change(principal, params.register, params.id, wanted);
        } catch (error) {
          if (!isConflict(error)) throw error;
          const reader = readerOf(request);
          const found = await shown(principal, params);
          return show(request, reply.code(409), entryPage(reader, principal, found, reader.say("entry.stale")));
        }
        await audit.record(principal.name, "entry.status", `register/${params.register}/${params.id}`, wanted);
        return reply.redirect(pathOf(params), 303);
      },
    );

    app.get(`${PATH}/edit`, { config: { scope: "read" }, schema: { params: EntryParams } }, async (request, reply) => {
      const { principal, params } = request;
      const { declaration } = await registers.get(params.register);
      const entry = await registers.entry(principal, params.register, params.id);
      const typed = typedFields(declaration, entry.fields);
      return show(request, reply, editPage(readerOf(request), declaration, entry, typed));
    });

    app.post(
      `${PATH}/edit`,
      { config: { scope: "read", isForm: true }, schema: { params: EntryParams, body: FormBody } },
      async (request, reply) => {
        const { principal, params, body: typed } = request;
        const { declaration } = await registers.get(params.register);
        const entry = await registers.entry(principal, params.register, params.id);
        const fields = sentFields(declaration, typed, entry.fields);
        const version = Number(typed.version);
        try {
          await registers.change(principal, params.register, params.id, { fields, isWhole: true, version });
        } catch (error) {
          const reader = readerOf(request);
          // Shown with the version that is there now: whoever sends it again has been told.
          if (isConflict(error) && version !== entry.version)
            return show(
              request,
              reply.code(409),
              editPage(reader, declaration, entry, typed, undefined, reader.say("entry.staleForm")),
            );
          const refusal = fieldsRefused(error);
          return show(request, reply.code(422), editPage(reader, declaration, entry, typed, refusal));
        }
        const changed = declaration.fieldNames.filter(
          (name) => valueText(fields[name]) !== valueText(entry.fields[name]),
        );
        await audit.record(principal.name, "entry.change", `register/${params.register}/${params.id}`, {
          fields: changed,
        });
        return reply.redirect(pathOf(params), 303);
      },
    );

    app.post(
      `${PATH}/remove`,
      { config: { scope: "read", isForm: true }, schema: { params: EntryParams } },
      async ({ principal, params }, reply) => {
        await registers.remove(principal, params.register, params.id);
        await audit.record(principal.name, "entry.remove", `register/${params.register}/${params.id}`);
        return reply.redirect(link(`/registers/${params.register}`), 303);
      },
    );
  };

const isConflict = (error: unknown) => error instanceof AppError && error.code === "entry_conflict";

function entryPage(reader: Reader, principal: Principal, found: Shown, notice?: string): Page {
  const { say, link } = reader;
  const { declaration, entry } = found;
  const { id, status, owner, version, attempts, reason, job, dueAt, createdAt, updatedAt } = entry;
  const body = html`${notice !== undefined && html`<p class="notice" role="alert">${notice}</p>`}
<div class="cards"><section class="card"><h2>${say("entry.facts")}</h2>${facts([
    [say("entry.status"), statusBadge(declaration, status)],
    [say("entry.reason"), reason],
    [say("entry.attempts"), attempts > 0 && attempts],
    [say("entry.job"), job !== null && html`<a href="${link(`/jobs/${job}`)}">${job}</a>`],
    [say("entry.due"), dueAt !== null && timeOf(dueAt)],
    [say("entry.owner"), owner],
    [say("entry.version"), version],
    [say("entry.created"), timeOf(createdAt)],
    [say("entry.updated"), timeOf(updatedAt)],
  ])}</section>
<section class="card"><h2>${say("entry.fields")}</h2>${facts(
    declaration.fieldNames.map((field) => [labelOf(declaration, field), shownValue(valueText(entry.fields[field]))]),
  )}</section></div>
${whatToDo(reader, principal, declaration, entry)}
<h2>${say("entry.history")}</h2>
${historyTable(reader, found)}
<p class="actions"><a href="${link(`/registers/${declaration.name}`)}">${declaration.title}</a></p>`;
  return {
    title: say("entry.title", { register: declaration.title, id }),
    path: "/registers",
    // While it has a job, it changes under its reader's eyes.
    body: job !== null ? live("entry", EVERY_SECONDS, body) : body,
  };
}

const shownValue = (text: string) => (text.includes("\n") ? html`<pre tabindex="0">${text}</pre>` : text);

/** Buttons for what this reader may do: the service judges it once more. */
function whatToDo(reader: Reader, principal: Principal, declaration: Declaration, entry: Entry): Html {
  const { say, link, formToken } = reader;
  const { register, id, status, version, owner, settled } = entry;
  const { permissions } = declaration;
  const action = link(`/registers/${register}/entries/${id}`);
  const next = Object.entries(statusOf(declaration, status)?.next ?? {})
    .filter(([, who]) => !settled && may(principal, who, owner))
    .map(([to]) => to);
  const steps =
    next.length === 0
      ? html`<p class="soft">${say("entry.nextNone")}</p>`
      : html`<form class="fields" method="post" action="${action}/status">${formField(formToken)}
<input type="hidden" name="version" value="${version}" autocomplete="off">
<div class="field"><label for="reason">${say("entry.nextReason")}</label><input id="reason" name="reason" maxlength="1000"></div>
<div class="actions">${next.map((to) => html`<button name="to" value="${to}">${to}</button> `)}</div></form>`;
  const mayChange = !settled && may(principal, permissions.change, owner);
  const mayRemove = !settled && may(principal, permissions.remove, owner);
  return html`<h2>${say("entry.next")}</h2>
${steps}
${
  (mayChange || mayRemove) &&
  html`<div class="actions">${mayChange && html`<a class="button quiet" href="${action}/edit">${say("entry.change")}</a>`}
${mayRemove && removal(reader, `${action}/remove`, say("entry.remove"), say("entry.removeWarning"))}</div>`
}`;
}

function historyTable({ say, link }: Reader, { declaration, entry, events, after }: Shown): Html {
  const shown = events.slice(0, EVENTS);
  const page = link(`/registers/${entry.register}/entries/${entry.id}`);
  const names = (changed: readonly string[]) => changed.map((field) => labelOf(declaration, field)).join(", ");
  return html`${cardTable(
    say("entry.history"),
    [say("entry.historyTime"), say("entry.historyActor"), say("entry.historyChange"), say("entry.reason")],
    shown.map(({ at, actor, from, to, reason, changed }) => [
      timeOf(at),
      actor,
      html`${moved(say, from, to)}${from !== null && changed.length > 0 && html` · ${say("entry.changedFields", { fields: names(changed) })}`}`,
      reason,
    ]),
  )}
<p class="actions">${after > 0 && html`<a href="${page}">${say("entry.historyFirst")}</a>`}
${events.length > EVENTS && html`<a href="${page}?after=${shown.at(-1)?.seq}">${say("entry.historyMore")}</a>`}</p>`;
}

function moved(say: Reader["say"], from: string | null, to: string | null): string {
  if (to === null) return say("entry.removedFrom", { from: from ?? "" });
  if (from === null) return say("entry.madeAs", { to });
  return from === to ? say("entry.stayedAs", { to }) : say("entry.movedTo", { from, to });
}

function editPage(
  reader: Reader,
  declaration: Declaration,
  { id, version }: Entry,
  typed: Typed,
  refusal?: AppError,
  notice?: string,
): Page {
  const { say, link, formToken } = reader;
  const page = link(`/registers/${declaration.name}/entries/${id}`);
  const problems = refusal?.code === "entry_invalid" ? problemsOf(refusal) : {};
  return {
    title: say("entry.edit", { register: declaration.title, id }),
    path: "/registers",
    body: html`${notice !== undefined && html`<p class="notice" role="alert">${notice}</p>`}${refusalNotice(reader, declaration, refusal)}
<form class="fields" method="post" action="${page}/edit">${formField(formToken)}
<input type="hidden" name="version" value="${version}" autocomplete="off">
${entryFields(reader, declaration, typed, problems)}
<p class="actions"><button>${say("entry.save")}</button> <a class="button quiet" href="${page}">${say("entry.back")}</a></p>
</form>`,
  };
}
