import { CsvRows } from "./csv/csv-rows.ts";
import type { Cell, Field, PageContent } from "./rows.ts";

/** Stands on one row of a page after the other; at first before them all. */
export interface RowCursor {
  /** Goes on to the next row. @returns false behind the last. @throws AppError portal_refused for what is no row. */
  next(): boolean;
  /** Value of a cell of this row. */
  cell(column: number): Cell;
}

export function cursorOver(content: PageContent, fields: readonly Field[]): RowCursor {
  return "csv" in content ? new CsvRows(content.csv, fields) : listCursor(content.rows);
}

/** Rows as values, made while they are gone through: those of a whole page would take several times its memory. */
export function* valuesOf(content: PageContent, fields: readonly Field[]): Generator<readonly Cell[]> {
  for (const rows = cursorOver(content, fields); rows.next(); ) yield fields.map((_, column) => rows.cell(column));
}

function listCursor(rows: readonly (readonly Cell[])[]): RowCursor {
  let at = -1;
  return {
    next: () => ++at < rows.length,
    cell: (column) => rows[at]?.[column] ?? null,
  };
}
