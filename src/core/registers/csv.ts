import { AppError } from "../errors.ts";

/** A record of a CSV file, and the line it begins on, from 1. */
export interface CsvRecord {
  readonly line: number;
  readonly cells: readonly string[];
}

/**
 * Reads CSV (RFC 4180, with any line ends and with or without a byte order mark). Blank lines are passed over.
 * @throws AppError request_invalid, naming the line, for a quote that is not closed or has something behind it.
 */
export function* readCsv(text: string): Generator<CsvRecord> {
  const CELL = /(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n|\n|\r|$)/y;
  let line = 1;
  let cells: string[] = [];
  let begunOn = line;
  CELL.lastIndex = text.startsWith("\ufeff") ? 1 : 0;
  while (CELL.lastIndex < text.length || cells.length > 0) {
    const at = CELL.lastIndex;
    const found = CELL.exec(text);
    if (!found) throw new AppError("request_invalid", { line, expected: "CSV", found: text.slice(at, at + 50) });
    const [, quoted, plain = "", end] = found;
    cells.push(quoted === undefined ? plain : quoted.replaceAll('""', '"'));
    line += (quoted?.match(/\r\n|\n|\r/g)?.length ?? 0) + (end === "," || end === "" ? 0 : 1);
    if (end === ",") continue;
    if (cells.length > 1 || cells[0] !== "" || quoted !== undefined) yield { line: begunOn, cells };
    cells = [];
    begunOn = line;
  }
}

/** What programs for tables would take for a formula (OWASP "CSV Injection"); a plain number is none. */
const FORMULA = /^[=+\-@\t\r]/;
const NUMBER = /^[+-]?\d+(\.\d+)?(e[+-]?\d+)?$/i;

/** A line. What looks like a formula gets an apostrophe before it, which {@link withoutGuard} takes away again. */
export function csvLine(cells: readonly string[]): string {
  return `${cells.map((cell) => quotedCell(guarded(cell))).join(",")}\r\n`;
}

function guarded(cell: string): string {
  const isFormula = (FORMULA.test(cell) && !NUMBER.test(cell)) || /^'+[=+\-@\t\r]/.test(cell);
  return isFormula ? `'${cell}` : cell;
}

export function withoutGuard(cell: string): string {
  return /^'+[=+\-@\t\r]/.test(cell) ? cell.slice(1) : cell;
}

function quotedCell(cell: string): string {
  return /[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell;
}
