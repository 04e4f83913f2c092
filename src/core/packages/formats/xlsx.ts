import { AppError } from "../../errors.ts";
import { type StreamedZip, streamedZip } from "../../zip/streamed-zip.ts";
import { ByteText } from "../byte-text.ts";
import { cellText } from "../cell-text.ts";
import { CsvRows, DOUBLED } from "../csv/csv-rows.ts";
import { characters, isOnly, isShortNumber } from "../csv/plain-text.ts";
import { cursorOver, type RowCursor } from "../page-rows.ts";
import type { MemberSink, PackageSink, RowFormat } from "../row-format.ts";
import type { Cell, Field } from "../rows.ts";

const NAME = "resource.xlsx";
/** ECMA-376 does not say, Excel does: "Excel specifications and limits". */
const MAX_ROWS = 1_048_576;
const MAX_COLUMNS = 16_384;
const MAX_CELL_CHARS = 32_767;

const SPACE = 0x20;
/** Nothing of it has to be spelled otherwise in XML. */
const PLAIN = characters(/[ -%'-;=?-^`-~]/);

const XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n';
const MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
const RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships";
const DOCUMENT = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
const TYPES = "application/vnd.openxmlformats-officedocument.spreadsheetml";

/** The parts of a workbook with one sheet, but for the sheet (ECMA-376 Part 1, §12.2 and §18.2; Part 2, §9.3). */
const PARTS: Readonly<Record<string, string>> = {
  "[Content_Types].xml": `${XML}<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/><Override PartName="/xl/workbook.xml" ContentType="${TYPES}.sheet.main+xml"/><Override PartName="/xl/worksheets/sheet1.xml" ContentType="${TYPES}.worksheet+xml"/></Types>`,
  "_rels/.rels": `${XML}<Relationships xmlns="${RELATIONS}"><Relationship Id="rId1" Type="${DOCUMENT}/officeDocument" Target="xl/workbook.xml"/></Relationships>`,
  "xl/workbook.xml": `${XML}<workbook xmlns="${MAIN}" xmlns:r="${DOCUMENT}"><sheets><sheet name="Data" sheetId="1" r:id="rId1"/></sheets></workbook>`,
  "xl/_rels/workbook.xml.rels": `${XML}<Relationships xmlns="${RELATIONS}"><Relationship Id="rId1" Type="${DOCUMENT}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>`,
};

/**
 * A workbook with one sheet, `Data`, written as the rows come. Numbers that a double holds exactly are numbers, booleans
 * are booleans, everything else is text: dates as the portal spelled them, and numbers of more digits with all of them.
 *
 * @param declaredRows known beforehand: what does not fit is refused before it is fetched.
 * @throws AppError format_limit.
 */
export function xlsxFormat(declaredRows: number | null): RowFormat {
  let zip: StreamedZip | undefined;
  let sheet: MemberSink | undefined;
  const text = new ByteText();
  let rowNumber = 0;
  let fields: readonly Field[] = [];

  /** @throws AppError format_limit. */
  function beginRow(): void {
    rowNumber++;
    if (rowNumber > MAX_ROWS) throw tooMany(rowNumber - 1);
    text.add(`<row r="${rowNumber}">`);
  }

  return {
    async begin(all: readonly Field[], sink: PackageSink) {
      if (declaredRows !== null && declaredRows + 1 > MAX_ROWS) throw tooMany(declaredRows);
      if (all.length > MAX_COLUMNS)
        throw new AppError("format_limit", {
          format: "xlsx",
          expected: `at most ${MAX_COLUMNS} columns`,
          found: all.length,
        });
      fields = all;
      zip = streamedZip(sink.member(NAME, { stored: true }));
      for (const [name, text] of Object.entries(PARTS)) {
        const part = await zip.member(name);
        await part.write(text);
      }
      sheet = await zip.member("xl/worksheets/sheet1.xml");
      text.add(`${XML}<worksheet xmlns="${MAIN}"><sheetData>`);
      beginRow();
      for (const { id } of all) text.add(cellXml(id, id));
      text.add("</row>");
    },
    async page({ content }) {
      for (const rows = cursorOver(content, fields); rows.next(); ) {
        beginRow();
        for (const [column, { id }] of fields.entries())
          if (!copyCell(text, rows, column)) text.add(cellXml(rows.cell(column), id));
        text.add("</row>");
        if (text.isFull) await sheet?.write(text.take());
      }
    },
    async end() {
      text.add("</sheetData></worksheet>");
      await sheet?.write(text.take());
      await zip?.finish();
    },
  };
}

function tooMany(rows: number): AppError {
  return new AppError("format_limit", { format: "xlsx", expected: `at most ${MAX_ROWS - 1} rows`, found: rows });
}

/**
 * Most cells: what lies in the page is what stands in the sheet, and never is a string.
 * @returns false for any other, with nothing added.
 */
function copyCell(text: ByteText, rows: RowCursor, column: number): boolean {
  if (!(rows instanceof CsvRows && rows.isVerbatim[column]) || rows.spelling[column] === DOUBLED) return false;
  const { csv, starts, ends } = rows;
  const start = starts[column] ?? 0;
  const end = ends[column] ?? start;
  if (start === end || end - start > MAX_CELL_CHARS) return false;
  const isNumber = rows.isNumber[column];
  if (isNumber ? !isShortNumber(csv, start, end) : !isOnly(PLAIN, csv, start, end)) return false;
  if (csv[start] === SPACE || csv[end - 1] === SPACE) return false;
  text.add(isNumber ? "<c><v>" : '<c t="inlineStr"><is><t>');
  text.copy(csv, start, end);
  text.add(isNumber ? "</v></c>" : "</t></is></c>");
  return true;
}

/** §18.3.1.4 "c (Cell)". */
function cellXml(cell: Cell, column: string): string {
  if (cell === null) return "<c/>";
  if (typeof cell === "number") return `<c><v>${cell}</v></c>`;
  if (typeof cell === "boolean") return `<c t="b"><v>${cell ? 1 : 0}</v></c>`;
  const text = cellText(cell);
  if (text.length > MAX_CELL_CHARS)
    throw new AppError("format_limit", {
      format: "xlsx",
      column,
      expected: `at most ${MAX_CELL_CHARS} characters in a cell`,
      found: text.length,
    });
  const space = /^\s|\s$|\n/.test(text) ? ' xml:space="preserve"' : "";
  return `<c t="inlineStr"><is><t${space}>${xmlText(text)}</t></is></c>`;
}

const MARKUP: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;" };
/** Controls (XML 1.0 §2.2 has no place for most, and turns CR into LF), no characters, and halves of pairs. */
const UNFIT = /[^\P{Cc}\t\n]|[\ufffe\uffff]|\p{Cs}/gu;

/** §22.9.2.19 "ST_Xstring": what XML cannot hold is `_xHHHH_`, and so is the underscore of a text that looks like it. */
function xmlText(text: string): string {
  return text
    .replace(/_(?=x[0-9A-Fa-f]{4}_)/g, "_x005F_")
    .replace(UNFIT, (char) => `_x${char.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}_`)
    .replace(/[&<>]/g, (char) => MARKUP[char] ?? char);
}
