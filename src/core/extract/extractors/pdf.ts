import { AppError, problem } from "../../errors.ts";
import { type Pdf, pdfDate, withPdf } from "../documents/pdf.ts";
import type { RecordData } from "../extractor.ts";
import { fileByFile } from "../file-by-file.ts";
import type { LocalBytes } from "../local-bytes.ts";
import { COUNT, FLAG, listSchema, mapSchema, NUMBER, objectSchema, orNull, TEXT } from "../record-schema.ts";

/** Pages whose size is looked at. */
const MAX_SIZED_PAGES = 1000;
const MAX_SIZES = 100;
const MAX_TEXT_CHARS = 2000;
const MAX_CUSTOM = 100;

const WORDS = {
  title: "dc:title",
  author: "dc:creator",
  subject: "dc:description",
  keywords: "pdf:keywords",
  creator: "xmp:creatortool",
  producer: "pdf:producer",
} as const;

/** What a PDF says of itself. */
export const extractor = fileByFile({
  name: "pdf",
  version: "1",
  takes: { mediaTypes: ["application/pdf"], extensions: ["pdf"] },
  schema: objectSchema({
    version: orNull({ ...TEXT, description: "of the format" }),
    pages: orNull(COUNT),
    pageSizes: {
      ...listSchema(objectSchema({ widthPoints: NUMBER, heightPoints: NUMBER, pages: COUNT })),
      description: `as shown, in 1/72 inch; of the first ${MAX_SIZED_PAGES} pages, in the order they come`,
    },
    ...Object.fromEntries(Object.keys(WORDS).map((name) => [name, orNull(TEXT)])),
    language: orNull(TEXT),
    createdAt: orNull({ ...TEXT, description: "ISO 8601, as far as the PDF says" }),
    modifiedAt: orNull(TEXT),
    isEncrypted: FLAG,
    isTagged: { ...FLAG, description: "it says what its parts are, for those who do not see it" },
    isLinearized: { ...FLAG, description: "laid out to be shown while it is being fetched" },
    hasForm: FLAG,
    hasSignatures: FLAG,
    custom: { ...mapSchema(TEXT), description: `properties of its maker's own, ${MAX_CUSTOM} at most` },
  }),
  async describe(bytes, { name }) {
    try {
      return { data: await withPdf(bytes, propertiesOf), problems: [] };
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== "content_encrypted") throw error;
      return { data: lockedProperties(bytes), problems: [problem("content_encrypted", { path: name })] };
    }
  },
});

async function propertiesOf(pdf: Pdf): Promise<RecordData> {
  const said = await pdf.getMetadata();
  const info = said.info as Readonly<Record<string, unknown>>;
  // `null` for a PDF without XMP, whatever its type says.
  const metadata = said.metadata as typeof said.metadata | null;
  const marks = (await pdf.getMarkInfo()) as { readonly Marked?: boolean } | null;
  const date = (name: string, xmp: string) => {
    const text = plain(info[name]);
    return (text === null ? null : pdfDate(text)) ?? plain(metadata?.get(xmp));
  };
  const words = Object.entries(WORDS).map(([name, xmp]) => {
    const text = plain(info[`${name[0]?.toUpperCase()}${name.slice(1)}`]);
    return [name, text ?? plain(metadata?.get(xmp))] as const;
  });
  return {
    version: plain(info.PDFFormatVersion),
    pages: pdf.numPages,
    pageSizes: await pageSizes(pdf),
    ...Object.fromEntries(words),
    language: plain(info.Language),
    createdAt: date("CreationDate", "xmp:createdate"),
    modifiedAt: date("ModDate", "xmp:modifydate"),
    isEncrypted: typeof info.EncryptFilterName === "string",
    isTagged: marks?.Marked === true,
    isLinearized: info.IsLinearized === true,
    hasForm: info.IsAcroFormPresent === true || info.IsXFAPresent === true,
    hasSignatures: info.IsSignaturesPresent === true,
    custom: customOf(info.Custom),
  };
}

/** All that can be told without the password. */
function lockedProperties(bytes: LocalBytes): RecordData {
  const version = /%PDF-(\d\.\d)/.exec(bytes.read(0, 1024).toString("latin1"))?.[1] ?? null;
  const unknown = Object.fromEntries(Object.keys(WORDS).map((name) => [name, null]));
  const flags = { isEncrypted: true, isTagged: false, isLinearized: false, hasForm: false, hasSignatures: false };
  const dates = { language: null, createdAt: null, modifiedAt: null };
  return { version, pages: null, pageSizes: [], ...unknown, ...dates, ...flags, custom: {} };
}

async function pageSizes(pdf: Pdf): Promise<RecordData[]> {
  const sizes = new Map<string, { widthPoints: number; heightPoints: number; pages: number }>();
  for (let number = 1; number <= Math.min(pdf.numPages, MAX_SIZED_PAGES); number++) {
    const page = await pdf.getPage(number);
    // ISO 32000-1, 14.11.2 and 7.7.3.3: the crop box, turned, in the page's own unit.
    const { width, height } = page.getViewport({ scale: 1 });
    const [widthPoints, heightPoints] = [rounded(width), rounded(height)];
    const key = `${widthPoints} ${heightPoints}`;
    const known = sizes.get(key);
    if (known) known.pages += 1;
    else if (sizes.size < MAX_SIZES) sizes.set(key, { widthPoints, heightPoints, pages: 1 });
    page.cleanup();
  }
  return [...sizes.values()];
}

function customOf(custom: unknown): RecordData {
  if (typeof custom !== "object" || custom === null) return {};
  const said = Object.entries(custom).flatMap(([name, value]) => {
    const text = plain(typeof value === "number" || typeof value === "boolean" ? String(value) : value);
    return text === null ? [] : [[name.slice(0, 200).toWellFormed(), text] as const];
  });
  return Object.fromEntries(said.slice(0, MAX_CUSTOM));
}

/** XMP gives lists where there may be several. */
function plain(value: unknown): string | null {
  const text = Array.isArray(value) ? value.join(", ") : value;
  return typeof text === "string" && text.trim() !== "" ? text.trim().slice(0, MAX_TEXT_CHARS).toWellFormed() : null;
}

function rounded(points: number): number {
  return Math.round(points * 1000) / 1000;
}
