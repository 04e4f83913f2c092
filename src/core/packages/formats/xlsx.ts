import { AppError } from "../../errors.ts";
import { type StreamedZip, streamedZip } from "../../zip/streamed-zip.ts";
import { cellText } from "../cell-text.ts";
import { type MemberSink, type PackageSink, PIECE_CHARS, type RowFormat } from "../row-format.ts";
import type { Cell, Field } from "../rows.ts";

const NAME = "resource.xlsx";
/** ECMA-376 does not say, Excel does: "Excel specifications and limits". */
const MAX_ROWS = 1_048_576;
const MAX_COLUMNS = 16_384;
const MAX_CELL_CHARS = 32_767;

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
  let rowNumber = 0;
  let names: readonly string[] = [];

  function rowText(cells: readonly Cell[]): string {
    rowNumber++;
    if (rowNumber > MAX_ROWS) throw tooMany(rowNumber - 1);
    let text = `<row r="${rowNumber}">`;
    for (let at = 0; at < cells.length; at++) text += cellXml(cells[at] ?? null, names[at] ?? "");
    return `${text}</row>`;
  }

  return {
    wants: "rows",
    async begin(fields: readonly Field[], sink: PackageSink) {
      if (declaredRows !== null && declaredRows + 1 > MAX_ROWS) throw tooMany(declaredRows);
      if (fields.length > MAX_COLUMNS)
        throw new AppError("format_limit", {
          format: "xlsx",
          expected: `at most ${MAX_COLUMNS} columns`,
          found: fields.length,
        });
      names = fields.map(({ id }) => id);
      zip = streamedZip(sink.member(NAME, { stored: true }));
      for (const [name, text] of Object.entries(PARTS)) {
        const part = await zip.member(name);
        await part.write(text);
      }
      sheet = await zip.member("xl/worksheets/sheet1.xml");
      await sheet.write(`${XML}<worksheet xmlns="${MAIN}"><sheetData>${rowText(names)}`);
    },
    async page({ content }) {
      if (!("rows" in content)) throw new AppError("internal", { expected: "rows", found: "csv" });
      let text = "";
      for (const row of content.rows) {
        text += rowText(row);
        if (text.length < PIECE_CHARS) continue;
        await sheet?.write(text);
        text = "";
      }
      await sheet?.write(text);
    },
    async end() {
      await sheet?.write("</sheetData></worksheet>");
      await zip?.finish();
    },
  };
}

function tooMany(rows: number): AppError {
  return new AppError("format_limit", { format: "xlsx", expected: `at most ${MAX_ROWS - 1} rows`, found: rows });
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

/** Most texts: nothing in them has to be spelled otherwise. */
const PLAIN = /^[ -%'-;=?-^`-~]*$/;

/** §22.9.2.19 "ST_Xstring": what XML cannot hold is `_xHHHH_`, and so is the underscore of a text that looks like it. */
function xmlText(text: string): string {
  if (PLAIN.test(text)) return text;
  return text
    .replace(/_(?=x[0-9A-Fa-f]{4}_)/g, "_x005F_")
    .replace(UNFIT, (char) => `_x${char.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}_`)
    .replace(/[&<>]/g, (char) => MARKUP[char] ?? char);
}
