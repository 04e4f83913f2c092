import type { Cell } from "./column-statistics.ts";
import type { SheetRow } from "./sheet-table.ts";

/** Of a sheet's cell: its beginning tells what it is, and whether it is another's. */
export const MAX_CELL_CHARS = 1000;
/** Columns that Excel and LibreOffice have. */
export const MAX_SHEET_COLUMNS = 16_384;
export const MAX_SHEETS = 256;

/** What is told of a workbook while it is read, sheet by sheet. */
export interface WorkbookSink {
  /** @returns where the sheet's rows go. */
  sheet(name: string, isHidden: boolean): (row: SheetRow, times?: number) => void;
  /** Of what could not be read, though the rest could. */
  problem(hint: string): void;
}

export function numberCell(value: number): Cell | undefined {
  if (!Number.isFinite(value)) return undefined;
  return { type: Number.isInteger(value) ? "integer" : "number", text: String(value), number: value };
}

export function textCell(text: string): Cell | undefined {
  const cut = text.slice(0, MAX_CELL_CHARS).trim().toWellFormed();
  return cut === "" ? undefined : { type: "text", text: cut };
}

export function booleanCell(value: boolean): Cell {
  return { type: "boolean", text: String(value) };
}

const DAY_MS = 86_400_000;
/** Days from 1899-12-30, and from 1904-01-01, to 1970-01-01. */
const DAYS_1900 = 25_569;
const DAYS_1904 = 24_107;

/**
 * A day's number as spreadsheets count them. Dates are told as ISO 8601, times of no day by the clock alone.
 * Excel's 1900 has a 29 February (ECMA-376 part 1, 18.17.4.1): numbers before it are one too low.
 */
export function dateCell(serial: number, kind: DateFormat, is1904: boolean): Cell | undefined {
  if (!Number.isFinite(serial)) return undefined;
  const days = !is1904 && serial >= 1 && serial < 60 ? serial + 1 : serial;
  const ms = Math.round((days - (is1904 ? DAYS_1904 : DAYS_1900)) * DAY_MS);
  if (Math.abs(ms) > 8.64e15) return numberCell(serial);
  const text = new Date(ms).toISOString().replace(/\.000Z$|Z$/, "");
  if (serial >= 0 && serial < 1 && (kind === "time" || !is1904)) return { type: "date", text: text.slice(11) };
  return { type: "date", text: text.endsWith("T00:00:00") ? text.slice(0, 10) : text };
}

/** What a format shows of a number: a day, with or without its time; or a time alone. */
export type DateFormat = "date" | "time";

/** By a format's letters outside of quotes (ECMA-376 part 1, 18.8.31); `undefined` for one that shows a number. */
export function dateFormatOf(code: string): DateFormat | undefined {
  const bare = code.replace(/"[^"]*"|\\.|_.|\*.|\[(?!h+\]|m+\]|s+\])[^\]]*\]/gi, "").split(";")[0] ?? "";
  if (/general/i.test(bare)) return undefined;
  if (/[yd]/i.test(bare)) return "date";
  if (/[hs]/i.test(bare)) return "time";
  return /m/i.test(bare) ? "date" : undefined;
}
