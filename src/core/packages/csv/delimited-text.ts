import { ByteText } from "../byte-text.ts";
import { cellText } from "../cell-text.ts";
import type { RowCursor } from "../page-rows.ts";
import { CsvRows, DOUBLED, PLAIN } from "./csv-rows.ts";

const TAB = 0x09;
const LF = 0x0a;
const CR = 0x0d;

/**
 * Lines of CSV or TSV. Fields are quoted only where they must be (RFC 4180 §2; a bare CR too, which readers take for the end
 * of a line). Cells that lie in a page as they are to be written are copied, and never are strings.
 */
export class DelimitedText extends ByteText {
  readonly delimiter: "," | "\t";
  readonly #special: RegExp;
  readonly #empty: '""' | "";

  /** @param empty what an empty text becomes; null is nothing always. */
  constructor(delimiter: "," | "\t", empty: '""' | "") {
    super();
    this.delimiter = delimiter;
    this.#special = delimiter === "," ? /[",\n\r]/ : /["\t\n\r]/;
    this.#empty = empty;
  }

  /** Texts as the fields of a line. */
  line(texts: readonly string[]): void {
    for (const [at, text] of texts.entries()) {
      if (at > 0) this.add(this.delimiter);
      this.field(text);
    }
    this.add("\n");
  }

  /** Text as a field. */
  field(text: string): void {
    if (text === "") this.add(this.#empty);
    else if (!this.#special.test(text)) this.add(text);
    else {
      this.add('"');
      this.inQuotes(text);
      this.add('"');
    }
  }

  /** Text inside a field that is quoted. */
  inQuotes(text: string): void {
    this.add(text.includes('"') ? text.replaceAll('"', '""') : text);
  }

  /** A cell as a field. */
  cell(rows: RowCursor, column: number): void {
    if (rows instanceof CsvRows && rows.isVerbatim[column]) {
      this.#copyCell(rows, column);
      return;
    }
    const cell = rows.cell(column);
    if (cell !== null) this.field(cellText(cell));
  }

  #copyCell({ csv, starts, ends, spelling }: CsvRows, column: number): void {
    const start = starts[column] ?? 0;
    const end = ends[column] ?? start;
    const how = spelling[column];
    if (start === end) {
      if (how !== PLAIN) this.add(this.#empty);
      return;
    }
    const isQuoted = this.delimiter === "," ? how !== PLAIN : how === DOUBLED || hasTabOrLineEnd(csv, start, end);
    if (isQuoted) this.add('"');
    this.copy(csv, start, end);
    if (isQuoted) this.add('"');
  }
}

function hasTabOrLineEnd(csv: Buffer, start: number, end: number): boolean {
  for (let at = start; at < end; at++) {
    const byte = csv[at];
    if (byte === TAB || byte === LF || byte === CR) return true;
  }
  return false;
}
