import { type Problem, problem } from "../../errors.ts";
import { fileByFile } from "../file-by-file.ts";
import { malformed } from "../malformed.ts";
import { objectSchema } from "../record-schema.ts";
import {
  type Cell,
  ColumnStatistics,
  columnBudget,
  isMissing,
  MAX_COLUMNS,
  typeOfCell,
} from "../tables/column-statistics.ts";
import { behindPreamble, linesOfText, MAX_LINE_CHARS, type Row, rowsOf, shapeOf } from "../tables/delimited.ts";
import { headerText, isHeader, preambleTexts, TABLE_FIELDS } from "../tables/table-record.ts";
import { encodingOf, HEAD_BYTES, textOf } from "../text-encoding.ts";

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
    ...TABLE_FIELDS,
  }),
  describe(bytes, { name }) {
    const encoding = encodingOf(bytes.read(0, HEAD_BYTES));
    if (encoding === undefined) throw malformed("it is no text");
    const sample = sampleOf(textOf(bytes, encoding));
    const { delimiter, columns: columnCount, preamble } = shapeOf(sample);

    const rows = rowsOf(behindPreamble(linesOfText(textOf(bytes, encoding)), preamble.length), delimiter);
    const first = rows.next().value ?? undefined;
    const below = [...rowsOf(behindPreamble(asLines(sample), preamble.length), delimiter)].slice(1);
    const isNamed = first !== undefined && isHeader(typed(first), below.map(typed));
    const headers = isNamed ? first.cells.map(headerText) : null;

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
      headers: headers?.slice(0, MAX_COLUMNS) ?? null,
      preamble: preambleTexts(preamble),
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

function typed({ cells }: Row): readonly (Cell | undefined)[] {
  return cells.map((raw) => {
    const text = raw.trim();
    return text === "" ? undefined : { type: isMissing(text) ? "text" : typeOfCell(text), text };
  });
}
