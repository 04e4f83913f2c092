import { AppError, type Problem, problem } from "../../errors.ts";
import { HTML, type MarkupText, markupText, OPEN_DOCUMENT, WORD } from "../documents/markup-text.ts";
import { rtfText } from "../documents/rtf-text.ts";
import { zipPartBytes, zipParts } from "../documents/zip-part.ts";
import { fileByFile } from "../file-by-file.ts";
import { KEYWORD_SCHEMA, keywordRecord, MAX_KEYWORD_CHARS } from "../keyword-record.ts";
import type { LocalBytes } from "../local-bytes.ts";
import { malformed } from "../malformed.ts";
import { mediaTypeOfFile } from "../media-type.ts";
import { encodingOf, HEAD_BYTES } from "../text-encoding.ts";

/** Of a document's markup: most of it is not text. */
const MAX_MARKUP_BYTES = 32 * 1024 * 1024;
const MAX_PDF_PAGES = 2000;
/** Damaged pages that are told of one by one. */
const MAX_DAMAGED_TOLD = 10;

interface DocumentText {
  readonly pieces: readonly string[];
  readonly isAll: boolean;
  readonly problems: readonly Problem[];
}
type Reader = (bytes: LocalBytes, name: string) => DocumentText | Promise<DocumentText>;

const OPEN_DOCUMENT_TEXT = "application/vnd.oasis.opendocument.text";
const READERS: Readonly<Record<string, Reader>> = {
  "application/pdf": pdfText,
  "application/vnd.openxmlformats-officedocument.wordprocessingml.document": (bytes) =>
    partsText(bytes, /^word\/(document\d*|footnotes|endnotes)\.xml$/, WORD),
  [OPEN_DOCUMENT_TEXT]: openDocumentText,
  [`${OPEN_DOCUMENT_TEXT}-template`]: openDocumentText,
  "text/html": htmlText,
  "application/xhtml+xml": htmlText,
  "application/rtf": (bytes) => ({
    pieces: [rtfText(bytes.read(0, MAX_MARKUP_BYTES).toString("latin1"))],
    isAll: bytes.sizeBytes <= MAX_MARKUP_BYTES,
    problems: [],
  }),
};

/** Keywords of documents: of their text, and not of what says how it looks. */
export const extractor = fileByFile({
  name: "keyword-document",
  version: "1",
  takes: { mediaTypes: Object.keys(READERS), extensions: ["html", "htm", "xhtml"] },
  schema: KEYWORD_SCHEMA,
  async describe(bytes, { name }) {
    const read = READERS[mediaTypeOfFile(bytes)] ?? htmlText;
    const { pieces, isAll, problems } = await read(bytes, name);
    const data = keywordRecord(pieces, isAll);
    const isTextless = data.words === 0 && problems.length === 0;
    return { data, problems: isTextless ? [problem("content_textless", { path: name })] : problems };
  },
});

async function pdfText(bytes: LocalBytes, name: string): Promise<DocumentText> {
  const { pdfPageTexts, withPdf } = await import("../documents/pdf.ts");
  const pieces: string[] = [];
  const problems: Problem[] = [];
  try {
    const isAll = await withPdf(bytes, async (pdf) => {
      const onDamaged = (page: number, reason: string) => {
        if (problems.length < MAX_DAMAGED_TOLD)
          problems.push(problem("content_malformed", { path: name, hint: `page ${page}: ${reason}` }));
      };
      let chars = 0;
      for await (const text of pdfPageTexts(pdf, MAX_PDF_PAGES, onDamaged)) {
        pieces.push(text, "\n\n");
        chars += text.length;
        if (chars > MAX_KEYWORD_CHARS) return false;
      }
      return pdf.numPages <= MAX_PDF_PAGES;
    });
    return { pieces, isAll, problems };
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== "content_encrypted") throw error;
    return { pieces: [], isAll: false, problems: [problem("content_encrypted", { path: name })] };
  }
}

/** The text of those members of a ZIP whose paths are like this. @throws AppError content_malformed when there is none. */
async function partsText(bytes: LocalBytes, path: RegExp, rules: MarkupText): Promise<DocumentText> {
  const pieces: string[] = [];
  let isAll = true;
  for (const part of zipParts(bytes, (one) => path.test(one))) {
    const markup = await zipPartBytes(bytes, part, MAX_MARKUP_BYTES);
    if (markup.length === MAX_MARKUP_BYTES) isAll = false;
    pieces.push(markupText(markup.toString("utf8"), rules), "\n\n");
  }
  if (pieces.length === 0) throw malformed("its text is missing");
  return { pieces, isAll, problems: [] };
}

/** OpenDocument 1.3 part 2, 4.8: an encrypted part looks like any other; the manifest says what it is. */
async function openDocumentText(bytes: LocalBytes, name: string): Promise<DocumentText> {
  for (const manifest of zipParts(bytes, (path) => path === "META-INF/manifest.xml"))
    if ((await zipPartBytes(bytes, manifest, MAX_MARKUP_BYTES)).includes("encryption-data"))
      return { pieces: [], isAll: false, problems: [problem("content_encrypted", { path: name })] };
  return partsText(bytes, /^content\.xml$/, OPEN_DOCUMENT);
}

function htmlText(bytes: LocalBytes): DocumentText {
  const markup = bytes.read(0, MAX_MARKUP_BYTES);
  const head = markup.subarray(0, HEAD_BYTES);
  const encoding = encodingOf(head);
  if (encoding === undefined) throw malformed("it is no text");
  // HTML, 13.2.3: a byte order mark, else what it declares within its first kilobyte.
  const declared = /^utf-16/.test(encoding) ? undefined : declaredEncoding(head.toString("latin1", 0, 1024));
  const text = new TextDecoder(declared ?? encoding).decode(markup);
  return { pieces: [markupText(text, HTML)], isAll: bytes.sizeBytes <= MAX_MARKUP_BYTES, problems: [] };
}

/** One that is known. What is declared in ASCII is not in UTF-16, whatever it says. */
function declaredEncoding(start: string): string | undefined {
  const label = /<meta[^>]{0,200}?charset\s*=\s*["']?([\w.:-]{1,40})/i.exec(start)?.[1];
  if (label === undefined || /^utf-?16/i.test(label)) return undefined;
  try {
    return new TextDecoder(label).encoding;
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}
