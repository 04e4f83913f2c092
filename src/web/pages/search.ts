import type { FastifyPluginAsyncZod } from "fastify-type-provider-zod";
import { z } from "zod";
import { HIGHLIGHT } from "../../core/catalogue/highlight.ts";
import { parseQuery, printQuery } from "../../core/catalogue/query.ts";
import type { SavedQuery } from "../../core/catalogue/saved-queries.ts";
import type { Query, SearchHit, SearchPage } from "../../core/catalogue/search-index.ts";
import { AppError } from "../../core/errors.ts";
import { SavedQueryParams } from "../../http/api/search-schemas.ts";
import { countText, timeOf } from "../formats.ts";
import { type Html, html, type Part } from "../html.ts";
import { badge, type Reader } from "../layout.ts";
import { landPicture } from "../map.ts";
import type { PageContext } from "../page-context.ts";
import { cartButton } from "./cart-table.ts";
import { savedQueryList } from "./saved-queries.ts";
import { allOf, placesOf, searchMap } from "./search-map.ts";

const HITS = 30;
const A_DAY = "private, max-age=86400";
const FACETS = ["type", "mediatype", "project", "instrument", "submitter", "extractor"];

const Asked = z.object({
  q: z.string().max(2_000).prefault(""),
  /** Instead of `q`: a query that was saved, with what it looks for. */
  saved: SavedQueryParams.shape.id.optional(),
  cursor: z.string().max(2_000).optional(),
});

/** What the catalogue knows, by words and fields. */
export const searchRoutes =
  (context: PageContext): FastifyPluginAsyncZod =>
  async (app) => {
    const { search, show, readerOf } = context;

    app.get("/search/land.svg", { config: { scope: "read" } }, async (_request, reply) =>
      reply
        .type("image/svg+xml")
        .header("cache-control", A_DAY)
        .send(await landPicture()),
    );

    app.get("/search", { config: { scope: "read" }, schema: { querystring: Asked } }, async (request, reply) => {
      const reader = readerOf(request);
      const { principal } = request;
      const { q, saved: savedId, cursor } = request.query;
      const [own, saved] = await Promise.all([
        search.listSaved(principal),
        savedId === undefined ? undefined : search.getSaved(principal, savedId),
      ]);
      const query = saved?.query ?? q;
      const question = {
        query,
        ...(saved && saved.types.length > 0 && { types: saved.types }),
        order: "relevance",
        limit: HITS,
        facets: FACETS,
      } as const;
      let found: Found | undefined;
      let refusal: string | undefined;
      try {
        const asked = wholeQuery(query, saved);
        const [page, onMap] = await Promise.all([
          search.search(principal, { ...question, ...(cursor !== undefined && { cursor }) }),
          search.search(principal, placesOf(asked)).catch(nothingTooLong),
        ]);
        found = { query, asked, page, onMap };
      } catch (error) {
        if (!(error instanceof AppError && error.code === "query_invalid")) throw error;
        refusal = error.message;
      }
      return show(request, reply.code(refusal === undefined ? 200 : 400), {
        title: reader.say("search.title"),
        path: "/search",
        body: html`${form(reader, query, refusal)}${found && results(reader, found, saved)}
${savedQueryList(reader, own, refusal === undefined && !saved ? query : "")}`,
      });
    });
  };

function form({ say, link }: Reader, query: string, refusal: string | undefined): Html {
  return html`<search><form class="row" method="get" action="${link("/search")}">
<label class="wide">${say("search.query")}
<input type="search" name="q" value="${query}" aria-describedby="hint${refusal !== undefined && " refusal"}"${refusal !== undefined && html` aria-invalid="true"`}></label>
<button>${say("search.submit")}</button>
</form></search>
${refusal !== undefined && html`<p class="notice" role="alert" id="refusal">${refusal}</p>`}
<p class="hint" id="hint">${say("search.hint")}</p>`;
}

/** What was asked for, and what was found. */
interface Found {
  readonly query: string;
  readonly asked: Query | undefined;
  readonly page: SearchPage;
  /** Of the same, what has coordinates; `undefined` for a query that could not be asked with them. */
  readonly onMap: SearchPage | undefined;
}

/** What a saved query looks for is part of it: links that narrow it down say so. @throws AppError query_invalid. */
function wholeQuery(text: string, saved: SavedQuery | undefined): Query | undefined {
  const query = parseQuery(text);
  const types = saved?.types ?? [];
  if (types.length === 0) return query;
  const ofTypes = { any: types.map((type) => ({ field: "type", is: type, isPrefix: false })) };
  return allOf(query, ofTypes);
}

/** A query as long as may be has no room for the map's own part. */
function nothingTooLong(error: unknown): undefined {
  if (!(error instanceof AppError && error.code === "query_invalid")) throw error;
}

function results(reader: Reader, { query, asked, page, onMap }: Found, saved: SavedQuery | undefined): Html {
  const { hits, total, isLowerBound, facets, next } = page;
  const { say, link } = reader;
  const count = say(isLowerBound ? "search.foundAtLeast" : "search.found", { count: countText(total) });
  const addressOf = (wanted: Query | undefined) =>
    link(`/search?${new URLSearchParams({ q: wanted === undefined ? "" : printQuery(wanted) })}`);
  const narrowed = (field: string, is: string) => addressOf(allOf(asked, { field, is, isPrefix: false }));
  const groups = Object.entries(facets)
    .filter(([, values]) => values.length > 1)
    .map(
      ([field, values]) =>
        html`<h3>${field}</h3><ul>${values.map(
          ({ value, count: hitsOfIt }) =>
            html`<li><a href="${narrowed(field, value)}">${value}</a> <span class="soft">${countText(hitsOfIt)}</span></li>`,
        )}</ul>`,
    );
  return html`<div class="columns"><section aria-live="polite">
<p class="soft">${hits.length === 0 ? say("search.none") : count}</p>
${hits.length > 0 && query.trim() !== "" && html`<div class="actions">${cartButton(reader, "carts.ofSearch", { name: "search", search: query })}</div>`}
${onMap && searchMap(reader, asked, onMap, addressOf)}
<ul class="hits">${hits.map((hit) => shownHit(reader, hit))}</ul>
${next !== null && html`<p class="actions"><a href="${link(`/search?${new URLSearchParams({ ...(saved ? { saved: saved.id } : { q: query }), cursor: next })}`)}">${say("search.more")}</a></p>`}
</section>
${groups.length > 0 && html`<aside class="facets" aria-labelledby="narrow"><h2 id="narrow">${say("search.narrow")}</h2>${groups}</aside>`}
</div>`;
}

function shownHit({ link }: Reader, { key, type, title, highlight, fields, createdAt }: SearchHit): Html {
  const path = pathOf(key);
  const about = [fields.project?.[0], fields.mediatype?.[0]].filter((value) => value !== undefined).join(" · ");
  return html`<li>${badge("plain", type)} <a href="${link(path)}">${title}</a>
<div class="soft">${timeOf(createdAt)}${about !== "" && ` · ${about}`}</div>
${highlight !== null && html`<div>${marked(highlight)}</div>`}</li>`;
}

/** The page of what has this key in the index. */
function pathOf(key: string): string {
  const [type, id = "", number = ""] = key.split(":");
  if (type === "record") return `/extractions/${id}/records/${number}`;
  return type === "file" ? `/files/${id}` : `/archive/${id}`;
}

/** What was found stands between two marks that no text has. */
function marked(text: string): readonly Part[] {
  return text.split(HIGHLIGHT.begin).flatMap((piece, nth): Part[] => {
    if (nth === 0) return [piece];
    const [found = "", rest = ""] = piece.split(HIGHLIGHT.end);
    return [html`<mark>${found}</mark>`, rest];
  });
}
