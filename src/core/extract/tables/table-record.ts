import type { RecordData } from "../extractor.ts";
import { COUNT, FLAG, listSchema, orNull, TEXT } from "../record-schema.ts";
import { type Cell, COLUMN_SCHEMA, MAX_COLUMNS } from "./column-statistics.ts";

export const MAX_PREAMBLE = 200;
const MAX_HEADER_CHARS = 500;
const MAX_PREAMBLE_CHARS = 1000;

/** What the record of a table has, wherever the table comes from. */
export const TABLE_FIELDS: RecordData = {
  hasHeader: FLAG,
  headers: orNull({ ...listSchema(TEXT), description: `the first ${MAX_COLUMNS}` }),
  preamble: { ...listSchema(TEXT), description: "lines before the table" },
  rows: { ...COUNT, description: "without the header" },
  unevenRows: { ...COUNT, description: "with more or fewer fields than the table has columns" },
  columnCount: COUNT,
  columns: { ...listSchema(COLUMN_SCHEMA), description: `the first, of all tables of a file ${MAX_COLUMNS}` },
};

export function headerText(cell: string): string {
  return cell.trim().slice(0, MAX_HEADER_CHARS).toWellFormed();
}

export function preambleTexts(lines: readonly string[]): readonly string[] {
  return lines.slice(0, MAX_PREAMBLE).map((line) => line.slice(0, MAX_PREAMBLE_CHARS).toWellFormed());
}

/**
 * Whether a row is a header: names, all different, with no number or date among them; and below, either some column is
 * of another type, or no name comes again in its column.
 */
export function isHeader(
  row: readonly (Cell | undefined)[],
  below: readonly (readonly (Cell | undefined)[])[],
): boolean {
  const names = row.map((cell) => (cell?.type === "text" ? cell.text : undefined));
  if (names.includes(undefined) || new Set(names).size !== names.length) return false;
  if (below.length === 0) return true;
  return (
    names.every((name, i) => below.every((cells) => cells[i]?.text !== name)) &&
    (names.length > 1 || below.some(([cell]) => cell !== undefined && cell.type !== "text"))
  );
}
