import type { FastifyPluginAsyncZod } from "fastify-type-provider-zod";
import { z } from "zod";
import type { ExtractionRecord } from "../../core/extract/extraction.ts";
import { ExtractionParams } from "../../http/api/extraction-schemas.ts";
import { html } from "../html.ts";
import { badge, facts, type Reader, table } from "../layout.ts";
import type { PageContext } from "../page-context.ts";
import { crawlStatusBadge } from "./crawls.ts";

const RECORDS_SHOWN = 100;

/** What extractors said of the files of a crawl. */
export const extractionRoutes =
  (context: PageContext): FastifyPluginAsyncZod =>
  async (app) => {
    const { extractions, link, show, readerOf } = context;
    const querystring = z.object({ after: z.coerce.number().int().nonnegative().default(0) });

    app.get(
      "/extractions/:id",
      { config: { scope: "read" }, schema: { params: ExtractionParams, querystring } },
      async (request, reply) => {
        const reader = readerOf(request);
        const { say } = reader;
        const { principal, params, query } = request;
        const extraction = await extractions.get(principal, params.id);
        const found = await extractions.records(principal, extraction.id, query.after, RECORDS_SHOWN + 1);
        const shown = found.slice(0, RECORDS_SHOWN);
        const at = link(`/extractions/${extraction.id}`);
        const body = html`${facts([
          [say("crawls.status"), crawlStatusBadge(reader, extraction.status)],
          [
            say("records.ofCrawl"),
            html`<a href="${link(`/crawls/${extraction.crawl}`)}">${say("records.ofCrawl")}</a>`,
          ],
        ])}
${shown.length === 0 ? html`<p class="soft">${say("records.none")}</p>` : recordTable(reader, at, shown)}
${found.length > RECORDS_SHOWN && html`<p class="actions"><a href="${at}?after=${shown.at(-1)?.number}">${say("records.more")}</a></p>`}`;
        return show(request, reply, { title: say("records.title"), path: "/crawls", body });
      },
    );
  };

function recordTable({ say }: Reader, at: string, records: readonly ExtractionRecord[]) {
  return table(
    say("records.title"),
    [say("records.number"), say("records.extractor"), say("records.files"), say("records.outcome")],
    records.map(({ number, extractor, files, failure }) => [
      html`<a href="${at}/records/${number}">${String(number)}</a>`,
      extractor,
      html`<span class="path">${files[0]?.path}</span>${files.length > 1 && ` + ${files.length - 1}`}`,
      failure === null
        ? badge("good", say("records.described"))
        : html`${badge("bad", failure.reason)} ${failure.message}`,
    ]),
  );
}
