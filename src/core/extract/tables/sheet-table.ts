import type { RecordData } from "../extractor.ts";
import { type Cell, type ColumnBudget, ColumnStatistics, MAX_COLUMNS } from "./column-statistics.ts";
import { headerText, isHeader, MAX_PREAMBLE, preambleTexts } from "./table-record.ts";

/** Rows that preamble, width and headers are told from. */
const SAMPLE_ROWS = 200;

export type SheetRow = readonly (Cell | undefined)[];

/** A sheet's table, as its rows come. Memory: the sample, and what columns count. */
export interface SheetTable {
  /** Rows that hold nothing are no rows. @param times how often it comes, one after the other. */
  add(row: SheetRow, times?: number): void;
  record(): RecordData;
}

export function sheetTable(budget: ColumnBudget): SheetTable {
  const sample: SheetRow[] = [];
  const columns: ColumnStatistics[] = [];
  let headers: readonly string[] | null = null;
  let preamble: readonly string[] = [];
  let columnCount = 0;
  let [rows, unevenRows] = [0, 0];
  let isSettled = false;

  function settle(): void {
    isSettled = true;
    const first = tableStart(sample);
    preamble = sample
      .slice(0, Math.min(first, MAX_PREAMBLE))
      .map((row) => row.flatMap((cell) => cell?.text ?? []).join(" "));
    const table = sample.slice(first);
    columnCount = Math.max(0, ...table.map(({ length }) => length));
    const described = Math.min(columnCount, budget.columns);
    budget.columns -= described;
    columns.push(...Array.from({ length: described }, () => new ColumnStatistics(budget)));
    const [names, ...below] = table;
    const hasHeader = names !== undefined && names.length === columnCount && isHeader(names, below);
    if (hasHeader) headers = names.map((cell) => headerText(cell?.text ?? ""));
    for (const row of hasHeader ? below : table) addRow(row);
  }

  function addRow(row: SheetRow): void {
    rows += 1;
    if (row.length > columnCount) unevenRows += 1;
    for (const [i, column] of columns.entries()) column.addCell(row[i]);
  }

  return {
    add(row, times = 1) {
      const cells = row.slice(0, row.findLastIndex((cell) => cell !== undefined) + 1);
      if (cells.length === 0) return;
      for (let left = times; left > 0; left--) {
        if (isSettled) addRow(cells);
        else {
          sample.push(cells);
          if (sample.length === SAMPLE_ROWS) settle();
        }
      }
    },
    record() {
      if (!isSettled) settle();
      return {
        hasHeader: headers !== null,
        headers: headers?.slice(0, MAX_COLUMNS) ?? null,
        preamble: preambleTexts(preamble),
        rows,
        unevenRows,
        columnCount,
        columns: columns.map((column, i) => column.record(headers?.[i] || `column_${i + 1}`)),
      };
    },
  };
}

/** Where the table begins: at the first row that is as wide as most, and at least half full. */
function tableStart(sample: readonly SheetRow[]): number {
  const groups = [
    ...Map.groupBy(
      sample.map(({ length }) => length).filter((width) => width > 1),
      (width) => width,
    ),
  ];
  const [width = 1] = groups.toSorted(([a, x], [b, y]) => y.length - x.length || b - a)[0] ?? [];
  const first = sample.findIndex((row) => row.length >= width && row.filter((cell) => cell).length >= width / 2);
  return Math.max(0, first);
}
