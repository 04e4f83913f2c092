import { read, SSF, type WorkSheet } from "@e965/xlsx";
import type { LocalBytes } from "../local-bytes.ts";
import { malformed } from "../malformed.ts";
import type { Cell } from "./column-statistics.ts";
import {
  booleanCell,
  dateCell,
  dateFormatOf,
  MAX_SHEET_COLUMNS,
  MAX_SHEETS,
  numberCell,
  textCell,
  type WorkbookSink,
} from "./workbook.ts";

/** The format holds no more than 65,536 rows of 256 columns a sheet; it is read as a whole. */
const MAX_BYTES = 128 * 1024 * 1024;

/** Reads a workbook of Excel 5 to 2003 ([MS-XLS]). @throws AppError content_malformed when it is none. */
export function readXls(bytes: LocalBytes, sink: WorkbookSink): void {
  if (bytes.sizeBytes > MAX_BYTES) throw malformed(`it is larger than ${MAX_BYTES} bytes`);
  const book = parsed(bytes.read(0, bytes.sizeBytes));
  if (book.SheetNames.length > MAX_SHEETS)
    sink.problem(`it has ${book.SheetNames.length} sheets: the first ${MAX_SHEETS} are described`);
  const is1904 = book.Workbook?.WBProps?.date1904 ?? false;
  for (const [i, name] of book.SheetNames.slice(0, MAX_SHEETS).entries()) {
    const sheet = book.Sheets[name];
    if (sheet === undefined || (sheet["!type"] ?? "sheet") !== "sheet") continue;
    const add = sink.sheet(name.toWellFormed(), (book.Workbook?.Sheets?.[i]?.Hidden ?? 0) !== 0);
    for (const row of rowsOf(sheet)) add(Array.from(row ?? [], (cell) => cell && cellOf(cell, is1904)));
  }
}

function parsed(content: Buffer) {
  try {
    return read(content, {
      type: "buffer",
      dense: true,
      cellNF: true,
      cellText: false,
      cellHTML: false,
      cellFormula: false,
    });
  } catch (error) {
    // The library has no errors of its own: whatever it throws, it is of the file.
    throw malformed(`it cannot be read: ${error instanceof Error ? error.message.slice(0, 200) : String(error)}`);
  }
}

interface XlsCell {
  readonly t: string;
  readonly v?: unknown;
  /** Its number format. */
  readonly z?: unknown;
}

/** Rows and cells that hold nothing are holes. */
function rowsOf(sheet: WorkSheet): readonly (readonly (XlsCell | undefined)[] | undefined)[] {
  const rows: readonly (readonly (XlsCell | undefined)[] | undefined)[] = sheet["!data"] ?? [];
  return Array.from(rows, (row) => row?.slice(0, MAX_SHEET_COLUMNS));
}

function cellOf({ t, v, z }: XlsCell, is1904: boolean): Cell | undefined {
  if (t === "b") return booleanCell(v === true);
  if (t === "n" && typeof v === "number") {
    const shown = typeof z === "string" && SSF.is_date(z) ? dateFormatOf(z) : undefined;
    return shown ? dateCell(v, shown, is1904) : numberCell(v);
  }
  return t === "s" && typeof v === "string" ? textCell(v) : undefined;
}
