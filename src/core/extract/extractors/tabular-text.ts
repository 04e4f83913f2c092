import { type Problem, problem } from "../../errors.ts";
import { fileByFile } from "../file-by-file.ts";
import { malformed } from "../malformed.ts";
import { COUNT, FLAG, listSchema, objectSchema, orNull, TEXT } from "../record-schema.ts";
import { COLUMN_SCHEMA, ColumnStatistics, columnBudget, isMissing, typeOfCell } from "../tables/column-statistics.ts";
import { behindPreamble, linesOfText, MAX_LINE_CHARS, type Row, rowsOf, shapeOf } from "../tables/delimited.ts";
import { encodingOf, HEAD_BYTES, textOf } from "../text-encoding.ts";

/** Columns that are described; tables with more are matrices, whose columns have no names. */
const MAX_COLUMNS = 4096;
const MAX_PREAMBLE_LINES = 200;
/** Lines that delimiter, preamble and headers are told from. */
const SAMPLE_LINES = 200;

/** Tables in text: their form, and what their columns hold. In one reading, in memory that does not depend on length. */
export const extractor = fileByFile({
  name: "tabular-text",
  version: "1",
  takes: {
    mediaTypes: ["text/csv", "text/tab-separated-values"],
    extensions: ["csv", "tsv", "tab", "psv", "dat", "ssv"],
  },
  schema: objectSchema({
    delimiter: {
      enum: [",", "\t", ";", "|", " ", ""],
      description: "a blank stands for runs of blanks; empty: one column",
    },
    hasHeader: FLAG,
    headers: orNull(listSchema(TEXT)),
    preamble: { ...listSchema(TEXT), description: "lines before the table" },
    rows: { ...COUNT, description: "without the header" },
    unevenRows: { ...COUNT, description: "with more or fewer fields than the table has columns" },
    columnCount: COUNT,
    columns: listSchema(COLUMN_SCHEMA),
  }),
  describe(bytes, { name }) {
    const encoding = encodingOf(bytes.read(0, HEAD_BYTES));
    if (encoding === undefined) throw malformed("it is no text");
    const sample = sampleOf(textOf(bytes, encoding));
    const { delimiter, columns: columnCount, preamble } = shapeOf(sample);

    const rows = rowsOf(behindPreamble(linesOfText(textOf(bytes, encoding)), preamble.length), delimiter);
    const first = rows.next().value ?? undefined;
    const below = [...rowsOf(behindPreamble(asLines(sample), preamble.length), delimiter)].slice(1);
    const headers = first && isHeader(first.cells, below) ? first.cells.map((cell) => cell.trim().slice(0, 500)) : null;

    const budget = columnBudget();
    const columns = Array.from({ length: Math.min(columnCount, MAX_COLUMNS) }, () => new ColumnStatistics(budget));
    let [rowCount, unevenRows, cutRows] = [0, 0, 0];
    function add({ cells, isCut }: Row): void {
      rowCount += 1;
      if (isCut) cutRows += 1;
      if (cells.length !== columnCount) unevenRows += 1;
      for (const [i, column] of columns.entries()) column.add(cells[i] ?? "");
    }
    if (first && headers === null) add(first);
    for (const row of rows) add(row);

    const hint = `${cutRows} lines are longer than ${MAX_LINE_CHARS} characters and were cut`;
    const problems: readonly Problem[] = cutRows === 0 ? [] : [problem("content_malformed", { path: name, hint })];
    const data = {
      delimiter,
      hasHeader: headers !== null,
      headers: headers?.slice(0, MAX_COLUMNS).map((header) => header.toWellFormed()) ?? null,
      preamble: preamble.slice(0, MAX_PREAMBLE_LINES).map((line) => line.slice(0, 1000).toWellFormed()),
      rows: rowCount,
      unevenRows,
      columnCount,
      columns: columns.map((column, i) => column.record(headers?.[i] || `column_${i + 1}`)),
    };
    return { data, problems };
  },
});

function sampleOf(pieces: Iterable<string>): readonly string[] {
  const sample: string[] = [];
  let chars = 0;
  for (const { line } of linesOfText(pieces)) {
    sample.push(line);
    chars += line.length;
    if (sample.length === SAMPLE_LINES || chars > HEAD_BYTES) break;
  }
  return sample;
}

function* asLines(lines: readonly string[]) {
  for (const line of lines) yield { line, isCut: false };
}

/**
 * Names, all different, with no number or date among them; and below, either some column is of another type, or no name
 * comes again in its column.
 */
function isHeader(cells: readonly string[], below: readonly Row[]): boolean {
  const names = cells.map((cell) => cell.trim());
  if (new Set(names).size !== names.length || names.some((name) => name === "" || typeOfCell(name) !== "text"))
    return false;
  if (below.length === 0) return true;
  return (
    names.every((name, i) => below.every((row) => row.cells[i]?.trim() !== name)) &&
    (cells.length > 1 || below.some(({ cells: [cell = ""] }) => !isMissing(cell) && typeOfCell(cell.trim()) !== "text"))
  );
}
