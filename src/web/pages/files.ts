import { buffer } from "node:stream/consumers";
import type { FastifyPluginAsyncZod } from "fastify-type-provider-zod";
import type { Principal } from "../../core/access/access.ts";
import type { ArchivedFile } from "../../core/catalogue/catalogue-store.ts";
import { AppError } from "../../core/errors.ts";
import { readCsv } from "../../core/registers/csv.ts";
import { FileParams } from "../../http/api/schemas.ts";
import { fileRepresentation, pathInStorage, type VisibleFile, visibleFile } from "../../http/download/archived-file.ts";
import { sendRepresentation } from "../../http/download/representation.ts";
import { sizeText } from "../formats.ts";
import { type Html, html } from "../html.ts";
import { facts, type Reader, table } from "../layout.ts";
import type { PageContext } from "../page-context.ts";
import { cartButton } from "./cart-table.ts";
import { recordOfFile } from "./file-record.ts";
import { fileStructure, STRUCTURE_EXTRACTORS } from "./file-structure.ts";

/** What of a text is shown. */
const TEXT_BYTES = 64 * 1024;
const TABLE_ROWS = 50;

/** What browsers show by themselves, and cannot be made to run anything: SVG only as a picture, never as a page. */
const PICTURES = ["image/png", "image/jpeg", "image/gif", "image/webp", "image/avif", "image/bmp", "image/svg+xml"];
const PDF = "application/pdf";
/**
 * Browsers show a PDF by a viewer of their own, which a sandbox would keep out; what stands in the PDF is no page of ours to
 * it (and `nosniff` keeps it a PDF). Only pages of ours may frame it.
 */
const PDF_HEADERS = {
  "content-disposition": "inline",
  "content-security-policy": "default-src 'none'; object-src 'self'; base-uri 'none'; frame-ancestors 'self'",
};
const SOUND_AND_FILM = /^(audio|video)\/[\w.+-]+$/;
const TEXTS = /^(text\/[\w.+-]+|application\/(json|xml|x-ndjson|yaml|toml|[\w.-]+\+(json|xml)))$/;
const CSV = /\.csv$/i;
const TSV = /\.(tsv|tab)$/i;

/** One archived file: what is known of it, a look into it, and its bytes. */
export const fileRoutes =
  (context: PageContext): FastifyPluginAsyncZod =>
  async (app) => {
    const { show, readerOf, storage } = context;

    app.get("/files/:id", { config: { scope: "read" }, schema: { params: FileParams } }, async (request, reply) => {
      const reader = readerOf(request);
      const { say, link } = reader;
      const found = await visibleFile(context, request.principal, request.params.id);
      const { file, transaction } = found;
      const folder = file.path.slice(0, file.path.lastIndexOf("/"));
      const up = link(`/archive/${transaction.id}?${new URLSearchParams({ folder })}`);
      const name = file.path.slice(folder.length + 1);
      const body = html`<div class="actions"><a class="button" href="${link(`/api/v1/files/${file.id}/content`)}" download>${say("file.download")}</a>
${cartButton(reader, "carts.ofFile", { name, file: file.id })}</div>
<h2>${say("file.preview")}</h2>
<div class="preview">${await preview(context, request.principal, reader, found)}</div>
<h2>${say("file.facts")}</h2>
${facts([
  [say("file.path"), html`<span class="path">${file.path}</span>`],
  [say("archive.transaction"), html`<a href="${up}">${String(transaction.id)}</a>`],
  [say("file.size"), `${sizeText(file.sizeBytes)} (${file.sizeBytes} B)`],
  [say("file.modified"), file.modifiedAt],
  [say("file.mediaType"), file.mediaType],
  ...Object.entries(file.digests).map(([name, value]) => [name, html`<code>${value}</code>`] as const),
])}`;
      return show(request, reply, { title: name, path: "/archive", body });
    });

    // For pictures, sound and film in our pages: shown where they are, and never as a page that could do anything.
    app.route({
      method: ["GET", "HEAD"],
      url: "/files/:id/view",
      config: { scope: "read", uncounted: "continued downloads" },
      schema: { params: FileParams },
      async handler(request, reply) {
        const found = await visibleFile(context, request.principal, request.params.id);
        if (!isShown(found.file)) throw new AppError("media_type_unsupported", { found: found.file.mediaType });
        const meter = context.metrics.download("file");
        // Seeing a file in a page is no download: it is measured, not counted among the file's.
        const shown = found.file.mediaType === PDF ? { headers: PDF_HEADERS } : {};
        const representation = { ...fileRepresentation(storage, found), ...shown };
        return sendRepresentation(request, reply, representation, { meter, begins: async () => meter.begun() });
      },
    });
  };

const isShown = ({ mediaType }: ArchivedFile) =>
  PICTURES.includes(mediaType) || SOUND_AND_FILM.test(mediaType) || mediaType === PDF;

async function preview(context: PageContext, principal: Principal, reader: Reader, found: VisibleFile): Promise<Html> {
  const { file } = found;
  const { say, link } = reader;
  const { mediaType } = file;
  const address = link(`/files/${file.id}/view`);
  if (file.sizeBytes > 0 && PICTURES.includes(mediaType)) return html`<img src="${address}" alt="${file.path}">`;
  if (mediaType.startsWith("audio/")) return html`<audio controls preload="metadata" src="${address}"></audio>`;
  if (mediaType.startsWith("video/")) return html`<video controls preload="metadata" src="${address}"></video>`;
  if (file.sizeBytes === 0) return html`<p class="soft">${say("file.noPreview")}</p>`;
  if (!TEXTS.test(mediaType)) {
    const record = await recordOfFile(context, principal, file.id, STRUCTURE_EXTRACTORS);
    const structure = record && fileStructure(reader, record);
    if (mediaType === PDF)
      return html`${structure}<iframe src="${address}" title="${file.path}"></iframe>
<p><a href="${address}">${say("file.openAlone")}</a></p>`;
    return structure ?? html`<p class="soft">${say("file.noPreview")} ${say("file.notDescribed")}</p>`;
  }
  const text = await beginningOf(context, found);
  const isCut = file.sizeBytes > TEXT_BYTES;
  const delimiter = delimiterOf(file);
  const rows = delimiter === undefined ? undefined : rowsOf(text, delimiter, isCut);
  return html`${rows ? table(file.path, rows[0] ?? [], rows.slice(1)) : html`<pre tabindex="0">${text}</pre>`}
${isCut && html`<p class="hint">${say("file.tooLarge", { size: sizeText(TEXT_BYTES) })}</p>`}`;
}

/** Depositors often declare tables as plain text: then the name says what they are. */
function delimiterOf({ mediaType, path }: ArchivedFile): "," | "\t" | undefined {
  const isPlain = mediaType === "text/plain";
  if (mediaType === "text/csv" || (isPlain && CSV.test(path))) return ",";
  return mediaType === "text/tab-separated-values" || (isPlain && TSV.test(path)) ? "\t" : undefined;
}

/** The last character may be cut: then it is left out. */
async function beginningOf({ storage }: PageContext, found: VisibleFile): Promise<string> {
  const end = Math.min(found.file.sizeBytes, TEXT_BYTES) - 1;
  const bytes = await buffer(await storage.open(pathInStorage(found), { start: 0, end }));
  return new TextDecoder().decode(bytes, { stream: end + 1 < found.file.sizeBytes }).replaceAll("\0", "\uFFFD");
}

/** The first rows; `undefined` when they are none after all. Of a text that was cut, the last row is no whole one. */
function rowsOf(text: string, delimiter: "," | "\t", isCut: boolean): readonly (readonly string[])[] | undefined {
  if (delimiter === "\t") {
    const lines = text.split(/\r?\n/);
    return lines.slice(0, Math.min(TABLE_ROWS, lines.length - 1)).map((line) => line.split("\t"));
  }
  const rows: (readonly string[])[] = [];
  try {
    for (const { cells } of readCsv(text)) {
      rows.push(cells);
      if (rows.length > TABLE_ROWS) break;
    }
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    if (rows.length < 2) return undefined; // a quote that is open at the cut, or no CSV
  }
  return isCut && rows.length <= TABLE_ROWS ? rows.slice(0, -1) : rows;
}
