import type { FastifyPluginAsyncZod } from "fastify-type-provider-zod";
import type { ExtractionRecord } from "../../core/extract/extraction.ts";
import { RecordParams } from "../../http/api/extraction-schemas.ts";
import { countText, durationText, sizeText, timeOf } from "../formats.ts";
import { type Html, html } from "../html.ts";
import { facts, type Reader, table } from "../layout.ts";
import type { PageContext } from "../page-context.ts";

const FILES_SHOWN = 100;
const PROBLEMS_SHOWN = 100;
const CHARACTERS_SHOWN = 100_000;

/** What an extractor said of a group of files, or why it said nothing. */
export const recordRoutes =
  (context: PageContext): FastifyPluginAsyncZod =>
  async (app) => {
    const { extractions, show, readerOf } = context;

    app.get(
      "/extractions/:id/records/:number",
      { config: { scope: "read" }, schema: { params: RecordParams } },
      async (request, reply) => {
        const { id, number } = request.params;
        const record = await extractions.record(request.principal, id, number);
        const reader = readerOf(request);
        const title = reader.say("record.title", { number, extractor: record.extractor });
        return show(request, reply, { title, path: "/search", body: recordBody(reader, record) });
      },
    );
  };

function recordBody(reader: Reader, record: ExtractionRecord): Html {
  const { say, link } = reader;
  const { number, extraction, crawl, family, group, groupKind, extractor, version, failure, problems } = record;
  return html`${facts([
    [say("record.extractor"), `${extractor} ${version}`],
    [say("record.group"), say("record.groupOf", { kind: groupKind, number: group + 1 })],
    [say("record.made"), timeOf(record.createdAt)],
    [say("record.took"), durationText(record.durationMs)],
    [say("record.crawl"), html`<a href="${link(`/crawls/${crawl}`)}"><code>${crawl}</code></a>`],
    [say("record.extraction"), html`<a href="${link(`/extractions/${extraction}`)}"><code>${extraction}</code></a>`],
    [say("record.family"), html`<code>${family}</code>`],
  ])}
${failure && html`<h2>${say("record.failure")}</h2><p class="notice">${failure.message} <code>${failure.reason}</code></p>`}
${
  problems.length > 0 &&
  html`<h2>${say("record.problems")}</h2><ul>${problems
    .slice(0, PROBLEMS_SHOWN)
    .map(({ path, message }) => html`<li><span class="path">${path}</span> ${message}</li>`)}</ul>`
}
${fileList(reader, record)}
${record.data !== null && dataText(reader, record.data)}
<p><a href="${link(`/api/v1/extractions/${extraction}/records/${number}`)}">${say("record.json")}</a></p>`;
}

function fileList({ say }: Reader, { files }: ExtractionRecord): Html {
  const shown = files
    .slice(0, FILES_SHOWN)
    .map(({ endpoint, path, sizeBytes }) => [html`<span class="path">${path}</span>`, sizeText(sizeBytes), endpoint]);
  const rest = files.length - shown.length;
  return html`<h2>${say("record.files")}</h2>
${table(say("record.files"), [say("record.path"), say("record.size"), say("record.endpoint")], shown, [1, 2])}
${rest > 0 && html`<p class="soft">${say("record.moreFiles", { count: countText(rest) })}</p>`}`;
}

function dataText({ say }: Reader, data: NonNullable<ExtractionRecord["data"]>): Html {
  const text = JSON.stringify(data, null, 2);
  return html`<h2>${say("record.data")}</h2><pre tabindex="0">${text.slice(0, CHARACTERS_SHOWN)}</pre>
${text.length > CHARACTERS_SHOWN && html`<p class="soft">${say("record.dataCut")}</p>`}`;
}
