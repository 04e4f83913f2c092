import type { FastifyPluginAsyncZod } from "fastify-type-provider-zod";
import { z } from "zod";
import { hasScope, type Principal } from "../../core/access/access.ts";
import { type Crawl, FINISHED_CRAWLS } from "../../core/crawl/crawl.ts";
import type { FeedPage } from "../../core/crawl/crawls.ts";
import type { Extraction } from "../../core/extract/extraction.ts";
import { crawlId } from "../../core/ids.ts";
import { CrawlParams } from "../../http/api/crawl-schemas.ts";
import { describeOrCancel } from "../../http/api/crawls.ts";
import { wholeAddress } from "../addresses.ts";
import { countText, durationText, sizeText, timeOf } from "../formats.ts";
import { type Html, html } from "../html.ts";
import { badge, facts, formField, live, type Reader, table } from "../layout.ts";
import type { PageContext } from "../page-context.ts";
import { copyable, curlLine, shellWord } from "../terminal.ts";
import { crawlForm, crawlProblems, crawlRequest, NEW_CRAWL } from "./crawl-form.ts";
import { crawlSizes, SIZES_SHOWN } from "./crawl-sizes.ts";
import { FormBody } from "./form-body.ts";

const CRAWLS_SHOWN = 50;
const FILES_SHOWN = 100;
const PROBLEMS_SHOWN = 50;
const EVERY_SECONDS = 2;

const ListQuery = z.object({ before: z.uuid().transform(crawlId).optional() });
const DetailQuery = z.object({
  files: z.string().min(1).max(128).optional(),
  problems: z.coerce.number().int().nonnegative().default(0),
  /** What sizes are shown of. */
  endpoint: z.coerce.number().int().nonnegative().default(0),
  folder: z.string().max(32_768).default(""),
});
/** Crawls: what each has found, how large it is, what was made of it, and what could not be read. */
export const crawlPageRoutes =
  (context: PageContext): FastifyPluginAsyncZod =>
  async (app) => {
    const { audit, crawls, extractions, link, show, readerOf } = context;

    app.get("/crawls", { config: { scope: "read" }, schema: { querystring: ListQuery } }, async (request, reply) => {
      const reader = readerOf(request);
      const { say } = reader;
      const { principal, query } = request;
      const found = await crawls.list(principal, {
        limit: CRAWLS_SHOWN + 1,
        ...(query.before !== undefined && { before: query.before }),
      });
      const shown = found.slice(0, CRAWLS_SHOWN);
      const list = shown.length === 0 ? html`<p class="soft">${say("crawls.none")}</p>` : crawlTable(reader, shown);
      const body = html`${hasScope(principal, "crawl") && crawlForm(reader, NEW_CRAWL)}
<h2>${say("crawls.list")}</h2>
${live("list", EVERY_SECONDS, list)}
<p class="actions">${query.before !== undefined && html`<a href="${link("/crawls")}">${say("crawls.newest")}</a>`}
${found.length > CRAWLS_SHOWN && html`<a href="${link(`/crawls?before=${shown.at(-1)?.id}`)}">${say("crawls.older")}</a>`}</p>`;
      return show(request, reply, { title: say("crawls.title"), path: "/crawls", body });
    });

    app.post(
      "/crawls",
      { config: { scope: "crawl", isForm: true }, schema: { body: FormBody } },
      async (request, reply) => {
        const { principal, body: typed } = request;
        const reader = readerOf(request);
        let crawl: Crawl;
        try {
          crawl = await crawls.start(principal, crawlRequest(typed));
        } catch (error) {
          const problems = crawlProblems(reader, error);
          const body = crawlForm(reader, typed, problems);
          return show(request, reply.code(400), { title: reader.say("crawls.title"), path: "/crawls", body });
        }
        const endpoints = crawl.endpoints.map((endpoint) => endpoint.url);
        await audit.record(principal.name, "crawl.start", `crawl/${crawl.id}`, { endpoints });
        if (typed.describe === "on") await describeOrCancel(context, principal, crawl, {});
        return reply.redirect(link(`/crawls/${crawl.id}`), 303);
      },
    );

    app.get(
      "/crawls/:id",
      { config: { scope: "read" }, schema: { params: CrawlParams, querystring: DetailQuery } },
      async (request, reply) => {
        const reader = readerOf(request);
        const { principal, params, query } = request;
        const crawl = await crawls.get(principal, params.id);
        const { endpoint, folder } = query;
        const [described, sizes, files, problems] = await Promise.all([
          extractions.ofCrawl(principal, crawl.id),
          crawls.sizes(principal, crawl.id, { endpoint, folder }, SIZES_SHOWN),
          crawls.files(principal, crawl.id, query.files, FILES_SHOWN),
          crawls.problems(principal, crawl.id, query.problems, PROBLEMS_SHOWN + 1),
        ]);
        const isOver =
          isCrawled(crawl) && described.every(({ status }) => status !== "waiting" && status !== "extracting");
        const now = html`${crawlState(reader, crawl, principal)}
${extractionList(reader, crawl, described, principal)}
${crawlSizes(reader, crawl, { endpoint, folder }, sizes)}`;
        const address = wholeAddress(context, request, `/api/v1/crawls/${crawl.id}`);
        const body = html`${isOver ? now : live("crawl", EVERY_SECONDS, now)}
${fileList(reader, crawl, files)}
${problemList(reader, crawl, problems)}
${forPrograms(reader, crawl, address)}`;
        const title = reader.say("crawl.title", { what: nameOf(reader, crawl) });
        return show(request, reply, { title, path: "/crawls", body, scripts: ["copy.js"] });
      },
    );

    app.post(
      "/crawls/:id/cancel",
      { config: { scope: "crawl", isForm: true }, schema: { params: CrawlParams } },
      async ({ principal, params }, reply) => {
        await crawls.cancel(principal, params.id);
        await audit.record(principal.name, "crawl.cancel", `crawl/${params.id}`);
        return reply.redirect(link(`/crawls/${params.id}`), 303);
      },
    );

    app.post(
      "/crawls/:id/describe",
      { config: { scope: "crawl", isForm: true }, schema: { params: CrawlParams } },
      async ({ principal, params }, reply) => {
        const { id } = await extractions.start(principal, params.id, {});
        await audit.record(principal.name, "extraction.start", `extraction/${id}`, { crawl: params.id });
        return reply.redirect(link(`/crawls/${params.id}`), 303);
      },
    );
  };

const isCrawled = ({ status }: Crawl): boolean => FINISHED_CRAWLS.includes(status);

export function crawlStatusBadge({ say }: Reader, status: Crawl["status"] | Extraction["status"]): Html {
  const looks = { complete: "good", failed: "bad", crawling: "busy", extracting: "busy" } as const;
  return badge(status in looks ? looks[status as keyof typeof looks] : "plain", say(`crawlStatus.${status}`));
}

function nameOf({ say }: Reader, { endpoints }: Crawl): string {
  const what = endpoints[0]?.url ?? "";
  return endpoints.length > 1 ? say("crawl.more", { what, count: endpoints.length - 1 }) : what;
}

function crawlTable(reader: Reader, crawls: readonly Crawl[]): Html {
  const { say, link } = reader;
  return table(
    say("crawls.title"),
    [
      say("crawls.what"),
      say("crawls.status"),
      say("crawls.files"),
      say("crawls.size"),
      say("crawl.errors"),
      say("crawls.owner"),
      say("crawls.begun"),
    ],
    crawls.map((crawl) => [
      html`<a href="${link(`/crawls/${crawl.id}`)}">${nameOf(reader, crawl)}</a>`,
      crawlStatusBadge(reader, crawl.status),
      countText(crawl.counts.files),
      sizeText(crawl.counts.bytes),
      countText(crawl.counts.errors),
      crawl.owner,
      timeOf(crawl.createdAt),
    ]),
    [2, 3, 4],
  );
}

function crawlState(reader: Reader, crawl: Crawl, principal: Principal): Html {
  const { say, link, formToken } = reader;
  const { id, status, endpoints, counts, changes, previous, error, startedAt, finishedAt } = crawl;
  const figures = [
    ["crawls.files", countText(counts.files)],
    ["crawls.size", sizeText(counts.bytes)],
    ["crawl.directories", countText(counts.directories)],
    ["crawl.groups", countText(counts.groups)],
    ["crawl.families", countText(counts.families)],
    ["crawl.others", countText(counts.others)],
    ["crawl.errors", countText(counts.errors)],
  ] as const;
  const told = changes && say("crawl.changeCounts", { ...changes });
  return html`${facts([
    [say("crawls.status"), crawlStatusBadge(reader, status)],
    ...endpoints.map(({ url, folders, grouper }) => {
      const part = folders.join(", ");
      return [say("crawls.what"), `${url}${part === "" ? "" : ` (${part})`}, ${grouper}`] as const;
    }),
    [say("crawl.changes"), previous !== null && html`<a href="${link(`/crawls/${previous}`)}">${told}</a>`],
    [say("crawls.owner"), crawl.owner],
    [say("crawls.begun"), timeOf(crawl.createdAt)],
    [say("crawl.took"), startedAt !== null && finishedAt !== null && durationText(finishedAt - startedAt)],
    [say("crawl.job"), html`<a href="${link(`/jobs/${crawl.job}`)}">${String(crawl.job)}</a>`],
  ])}
${error && html`<h2>${say("crawl.wrong")}</h2><p class="notice">${error.message}</p>`}
<h2>${say("crawl.counts")}</h2>
<dl class="figures">${figures.map(([name, value]) => html`<div><dt>${say(name)}</dt><dd>${value}</dd></div>`)}</dl>
${
  hasScope(principal, "crawl") &&
  !isCrawled(crawl) &&
  html`<form class="actions" method="post" action="${link(`/crawls/${id}/cancel`)}">${formField(formToken)}<button class="danger">${say("crawl.cancel")}</button></form>`
}`;
}

function extractionList(reader: Reader, { id }: Crawl, found: readonly Extraction[], principal: Principal): Html {
  const { say, link, formToken } = reader;
  const heads = [
    say("crawl.extractors"),
    say("crawls.status"),
    say("crawl.described"),
    say("crawl.failed"),
    say("crawl.pending"),
    say("crawl.unknown"),
    say("crawl.records"),
  ];
  return html`<h2>${say("crawl.extractions")}</h2>
${
  found.length > 0 &&
  table(
    say("crawl.extractions"),
    heads,
    found.map((one) => [
      one.extractors?.join(", ") ?? say("crawl.allExtractors"),
      html`${crawlStatusBadge(reader, one.status)} ${one.error?.message}`,
      countText(one.counts.success),
      countText(one.counts.failed),
      countText(one.counts.pending),
      countText(one.counts.unknown),
      html`<a href="${link(`/extractions/${one.id}`)}">${say("crawl.records")}</a>`,
    ]),
    [2, 3, 4, 5],
  )
}
${
  hasScope(principal, "crawl") &&
  html`<form class="actions" method="post" action="${link(`/crawls/${id}/describe`)}">${formField(formToken)}<button class="quiet">${say("crawl.describe")}</button></form>`
}`;
}

function fileList({ say, link }: Reader, { id }: Crawl, { items, cursor, isDrained }: FeedPage): Html {
  if (items.length === 0) return html``;
  return html`<h2>${say("crawl.firstFiles")}</h2>
${table(
  say("crawl.firstFiles"),
  [say("crawl.path"), say("crawls.size"), say("crawl.modified"), say("crawl.family")],
  items.map(({ path, sizeBytes, modifiedAt, family }) => [
    html`<span class="path">${path}</span>`,
    sizeBytes !== null && sizeText(sizeBytes),
    modifiedAt !== null && timeOf(modifiedAt),
    family !== null && html`<code class="word" title="${family}">${family.slice(0, 8)}</code>`,
  ]),
  [1],
)}
${!isDrained && html`<p class="actions"><a href="${link(`/crawls/${id}?${new URLSearchParams({ files: cursor })}`)}">${say("crawl.moreFiles")}</a></p>`}`;
}

function problemList(
  { say, link }: Reader,
  { id }: Crawl,
  problems: readonly { readonly number: number; readonly path?: string; readonly message: string }[],
): Html {
  if (problems.length === 0) return html``;
  const shown = problems.slice(0, PROBLEMS_SHOWN);
  return html`<h2>${say("crawl.problems")}</h2>
${table(
  say("crawl.problems"),
  [say("crawl.path"), say("crawl.problem")],
  shown.map(({ path, message }) => [html`<span class="path">${path}</span>`, message]),
)}
${problems.length > PROBLEMS_SHOWN && html`<p class="actions"><a href="${link(`/crawls/${id}?problems=${shown.at(-1)?.number}`)}">${say("crawl.moreProblems")}</a></p>`}`;
}

function forPrograms(reader: Reader, { id }: Crawl, address: string): Html {
  const { say, link } = reader;
  const flush = `-X POST -H 'content-type: application/json' -d '{"consumer":"mine"}' ${shellWord(`${address}/flush`)}`;
  return html`<h2>${say("crawl.export")}</h2>
<div class="actions"><a href="${link(`/api/v1/crawls/${id}/files?limit=1000`)}">${say("crawl.allFiles")}</a>
<a href="${link(`/api/v1/crawls/${id}/problems`)}">${say("crawl.allProblems")}</a></div>
<p>${say("crawl.flushHint")}</p>
${copyable(reader, curlLine(reader, flush))}`;
}
