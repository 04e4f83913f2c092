import type { FastifyPluginAsyncZod } from "fastify-type-provider-zod";
import type { SavedQuery } from "../../core/catalogue/saved-queries.ts";
import { SavedQueryBody, SavedQueryParams } from "../../http/api/search-schemas.ts";
import { type Html, html } from "../html.ts";
import { formField, type Reader, table } from "../layout.ts";
import type { PageContext } from "../page-context.ts";
import { formOf } from "./form-body.ts";

/** Searches that a reader keeps under a name; they are listed on the page of searches. */
export const savedQueryRoutes =
  (context: PageContext): FastifyPluginAsyncZod =>
  async (app) => {
    const { audit, link, search } = context;

    app.post(
      "/search/saved",
      { config: { scope: "read", isForm: true }, schema: { body: formOf(SavedQueryBody) } },
      async ({ principal, body }, reply) => {
        const { id, name } = await search.save(principal, body);
        await audit.record(principal.name, "saved-query.create", `saved-query/${id}`, { name });
        return reply.redirect(link(`/search?saved=${id}`), 303);
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
