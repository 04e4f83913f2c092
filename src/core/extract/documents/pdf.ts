import {
  getDocument,
  InvalidPDFException,
  PasswordException,
  PDFDataRangeTransport,
  type PDFDocumentProxy,
  VerbosityLevel,
} from "unpdf/pdfjs";
import { AppError } from "../../errors.ts";
import type { LocalBytes } from "../local-bytes.ts";
import { malformed } from "../malformed.ts";

const FIRST_BYTES = 64 * 1024;

export type Pdf = PDFDocumentProxy;

/**
 * Lends a PDF. It is read in ranges, as far as is asked of it; a damaged one, whose table of objects is missing, as a whole.
 * @throws AppError content_malformed; content_encrypted when it does not open without a password.
 */
export async function withPdf<T>(bytes: LocalBytes, use: (pdf: Pdf) => Promise<T>): Promise<T> {
  const task = getDocument({
    range: rangesOf(bytes),
    disableAutoFetch: true,
    disableStream: true,
    disableFontFace: true,
    useSystemFonts: false,
    verbosity: VerbosityLevel.ERRORS,
  });
  try {
    return await use(await task.promise);
  } catch (error) {
    if (error instanceof PasswordException) throw new AppError("content_encrypted", {}, { cause: error });
    throw isDamage(error) ? malformed(error.message.slice(0, 200)) : error;
  } finally {
    await task.destroy();
  }
}

/** Its parser runs behind a message port, which gives what is thrown there at a file's contents one of these names. */
function isDamage(error: unknown): error is Error {
  return error instanceof InvalidPDFException || (error instanceof Error && error.name === "UnknownErrorException");
}

function rangesOf(bytes: LocalBytes): PDFDataRangeTransport {
  class Ranges extends PDFDataRangeTransport {
    override requestDataRange(begin: number, end: number): void {
      this.onDataRange(begin, new Uint8Array(bytes.read(begin, end - begin)));
    }
  }
  return new Ranges(bytes.sizeBytes, new Uint8Array(bytes.read(0, FIRST_BYTES)));
}

/** The text of each page, in its order. Pages that are damaged are left out and told of. */
export async function* pdfPageTexts(
  pdf: Pdf,
  maxPages: number,
  onDamaged: (page: number, reason: string) => void,
): AsyncGenerator<string, void, undefined> {
  for (let number = 1; number <= Math.min(pdf.numPages, maxPages); number++) {
    let text = "";
    try {
      const page = await pdf.getPage(number);
      const { items } = await page.getTextContent();
      for (const item of items) if ("str" in item) text += item.hasEOL ? `${item.str}\n` : item.str;
      page.cleanup();
    } catch (error) {
      if (!isDamage(error)) throw error;
      onDamaged(number, error.message.slice(0, 200));
    }
    yield text;
  }
}

/** A PDF's date (ISO 32000-1, 7.9.4) by ISO 8601, as far as it says; `null` for what is none. */
export function pdfDate(text: string): string | null {
  const found =
    /^(?:D:)?(\d{4})(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d))?)?)?)?)?(?:(Z)|([+-]\d\d)'?(?:(\d\d)'?)?)?/.exec(
      text,
    );
  if (found === null) return null;
  const [, year, month, day, hour, minute = "00", second = "00", utc, zoneHour, zoneMinute = "00"] = found;
  const date = [year, month, day].filter((part) => part !== undefined).join("-");
  if (hour === undefined) return date;
  const zone = utc ?? (zoneHour === undefined ? "" : `${zoneHour}:${zoneMinute}`);
  return `${date}T${hour}:${minute}:${second}${zone}`;
}
