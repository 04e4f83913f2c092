import type { FastifyPluginAsyncZod } from "fastify-type-provider-zod";
import type { SavedQuery } from "../../core/catalogue/saved-queries.ts";
import { AppError } from "../../core/errors.ts";
import { SavedQueryBody, SavedQueryParams } from "../../http/api/search-schemas.ts";
import { type FormField, formRow, type Typed } from "../form-field.ts";
import { type Html, html } from "../html.ts";
import { formField, type Page, type Reader, table } from "../layout.ts";
import type { PageContext } from "../page-context.ts";
import { FormBody, formOf, problemsIn } from "./form-body.ts";

const SavedQueryForm = formOf(SavedQueryBody, ({ name = "", query = "" }) => ({ name, query }));

/** Searches that a reader keeps under a name; they are listed on the page of searches. */
export const savedQueryRoutes =
  (context: PageContext): FastifyPluginAsyncZod =>
  async (app) => {
    const { audit, link, readerOf, search, show } = context;

    app.post(
      "/search/saved",
      { config: { scope: "read", isForm: true }, schema: { body: FormBody } },
      async (request, reply) => {
        const { principal, body: typed } = request;
        const reader = readerOf(request);
        const { say } = reader;
        const { data: wanted, error: malformed } = SavedQueryForm.safeParse(typed);
        if (malformed) {
          const sentences = { name: say("saved.wrongName"), query: say("saved.wrongQuery") };
          return show(request, reply.code(400), refusedPage(reader, typed, problemsIn(malformed, sentences)));
        }
        try {
          const { id, name } = await search.save(principal, wanted);
          await audit.record(principal.name, "saved-query.create", `saved-query/${id}`, { name });
          return reply.redirect(link(`/search?saved=${id}`), 303);
        } catch (error) {
          const problems = refusal(reader, error);
          return show(
            request,
            reply.code(problems.name === undefined ? 400 : 409),
            refusedPage(reader, typed, problems),
          );
        }
      },
    );

    app.post(
      "/search/saved/:id/remove",
      { config: { scope: "read", isForm: true }, schema: { params: SavedQueryParams } },
      async ({ principal, params: { id } }, reply) => {
        await search.removeSaved(principal, id);
        await audit.record(principal.name, "saved-query.delete", `saved-query/${id}`);
        return reply.redirect(link("/search"), 303);
      },
    );
  };

interface SavingProblems {
  readonly name?: string;
  readonly query?: string;
}

/** @throws what is no question of what was typed. */
function refusal({ say }: Reader, error: unknown): SavingProblems {
  if (error instanceof AppError && error.code === "saved_query_exists") return { name: say("saved.exists") };
  if (error instanceof AppError && error.code === "query_invalid") return { query: error.message };
  throw error;
}

/** The form once more, with what was typed and what is wrong with it. */
function refusedPage(reader: Reader, typed: Typed, problems: SavingProblems): Page {
  const { say, link, formToken } = reader;
  const name: FormField = {
    name: "name",
    label: say("saved.name"),
    isRequired: true,
    control: { kind: "input", maxLength: 200 },
  };
  const query: FormField = { name: "query", label: say("saved.query"), control: { kind: "input", isCode: true } };
  const back = link(`/search?${new URLSearchParams({ q: typed.query ?? "" })}`);
  return {
    title: say("saved.save"),
    path: "/search",
    body: html`<p class="notice" role="alert">${say("saved.refused")}</p>
<form class="fields" method="post" action="${link("/search/saved")}">${formField(formToken)}
${formRow(reader, name, typed, problems.name)}
${formRow(reader, query, typed, problems.query)}
<p class="actions"><button>${say("saved.save")}</button> <a class="button quiet" href="${back}">${say("saved.back")}</a></p>
</form>`,
  };
}

/** @param query to be saved; none: nothing is offered. */
export function savedQueryList({ say, link, formToken }: Reader, saved: readonly SavedQuery[], query: string): Html {
  const rows = saved.map(({ id, name, query: text, types }) => [
    html`<a href="${link(`/search?saved=${id}`)}">${name}</a>`,
    html`<code>${text}</code>${types.length > 0 && html` <span class="soft">${types.join(", ")}</span>`}`,
    html`<form method="post" action="${link(`/search/saved/${id}/remove`)}">${formField(formToken)}
<button class="quiet" aria-label="${say("saved.removeOf", { name })}">${say("saved.remove")}</button></form>`,
  ]);
  const heads = [say("saved.name"), say("saved.query"), say("saved.remove")];
  const saving = html`<form class="row" method="post" action="${link("/search/saved")}">${formField(formToken)}
<input type="hidden" name="query" value="${query}">
<label>${say("saved.name")}<input name="name" required maxlength="200"></label>
<button class="quiet">${say("saved.save")}</button></form>`;
  if (saved.length === 0 && query.trim() === "") return html``;
  return html`<h2>${say("saved.title")}</h2>
${query.trim() !== "" && saving}
${rows.length > 0 && table(say("saved.title"), heads, rows)}`;
}
