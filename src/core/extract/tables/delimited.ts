/** A line longer than that is cut: what a broken or binary file calls a line may be all of it. */
export const MAX_LINE_CHARS = 1024 * 1024;

/** `" "`: runs of blanks and tabs, as tables for the eye have them. `""`: nothing parts fields. */
export type Delimiter = "," | "\t" | ";" | "|" | " " | "";

const CANDIDATES: readonly Delimiter[] = [",", "\t", ";", "|", " "];

export interface Row {
  readonly cells: readonly string[];
  /** Whether it was cut, and its last cells are missing. */
  readonly isCut: boolean;
}

/** Lines, without their ends (LF, CRLF or CR); those that are too long are cut. Memory: one piece and one line. */
export function* linesOfText(pieces: Iterable<string>): Generator<{ readonly line: string; readonly isCut: boolean }> {
  let line = "";
  let isCut = false;
  let endedByCr = false;
  function add(text: string): void {
    const room = MAX_LINE_CHARS - line.length;
    if (text.length > room) isCut = true;
    line += text.length > room ? text.slice(0, Math.max(0, room)) : text;
  }
  for (const piece of pieces) {
    let at = endedByCr && piece.startsWith("\n") ? 1 : 0;
    endedByCr = piece.endsWith("\r");
    // Whether there is a lone CR is asked once per piece: files that have them are rare.
    const lineEnd = /\r(?!\n)/.test(piece.slice(0, -1)) ? /\r\n|\r|\n/g : undefined;
    for (;;) {
      let end: number;
      let next: number;
      if (lineEnd) {
        lineEnd.lastIndex = at;
        const found = lineEnd.exec(piece);
        end = found?.index ?? -1;
        next = end + (found?.[0].length ?? 0);
      } else {
        end = piece.indexOf("\n", at);
        next = end + 1;
        if (end > at && piece[end - 1] === "\r") end -= 1;
        if (next === 0 && endedByCr && at < piece.length) {
          end = piece.length - 1;
          next = piece.length;
        }
      }
      if (next <= 0) break;
      add(piece.slice(at, end));
      yield { line, isCut };
      line = "";
      isCut = false;
      at = next;
    }
    add(piece.slice(at));
  }
  if (line !== "") yield { line, isCut };
}

/** What follows so many lines that are not blank: a quote in a preamble is no quoted field. */
export function* behindPreamble<T extends { readonly line: string }>(
  lines: Iterable<T>,
  preamble: number,
): Generator<T> {
  let left = preamble;
  for (const one of lines) {
    if (left === 0) yield one;
    else if (one.line.trim() !== "") left -= 1;
  }
}

/** Rows of fields (RFC 4180: quoted ones may hold delimiters, quotes doubled, and line ends). Empty lines are no rows. */
export function* rowsOf(
  lines: Iterable<{ readonly line: string; readonly isCut: boolean }>,
  delimiter: Delimiter,
): Generator<Row, void, undefined> {
  let open = "";
  for (const { line, isCut } of lines) {
    const text = open === "" ? line : `${open}\n${line}`;
    // A quote that never ends must not swallow the rest of the file.
    if (!isCut && text.length < MAX_LINE_CHARS && isOpen(text, delimiter)) {
      open = text;
      continue;
    }
    open = "";
    if (text.trim() !== "") yield { cells: cellsOf(text, delimiter), isCut };
  }
  if (open !== "") for (const line of open.split("\n")) yield { cells: cellsOf(line, delimiter), isCut: false };
}

/** Whether a quoted field goes on in the next line. */
function isOpen(text: string, delimiter: Delimiter): boolean {
  if (delimiter === "" || delimiter === " " || !text.includes('"')) return false;
  return fields(text, delimiter).isOpen;
}

function cellsOf(text: string, delimiter: Delimiter): readonly string[] {
  if (delimiter === "") return [text];
  if (delimiter === " ") return text.trim().split(/[ \t]+/);
  return text.includes('"') ? fields(text, delimiter).cells : text.split(delimiter);
}

function fields(text: string, delimiter: string): { readonly cells: readonly string[]; readonly isOpen: boolean } {
  const cells: string[] = [];
  for (let at = 0; ; ) {
    let cell = "";
    if (text[at] === '"') {
      at += 1;
      for (;;) {
        const quote = text.indexOf('"', at);
        if (quote < 0) return { cells: [...cells, cell + text.slice(at)], isOpen: true };
        cell += text.slice(at, quote);
        at = quote + 1;
        if (text[at] !== '"') break;
        cell += '"';
        at += 1;
      }
    }
    const end = text.indexOf(delimiter, at);
    cell += end < 0 ? text.slice(at) : text.slice(at, end);
    cells.push(cell);
    if (end < 0) return { cells, isOpen: false };
    at = end + 1;
  }
}

export interface TableShape {
  readonly delimiter: Delimiter;
  readonly columns: number;
  /** Rows before the table, as lines. */
  readonly preamble: readonly string[];
}

/**
 * The delimiter that parts a beginning's lines into equally many fields most often, and where the table begins: at the
 * first of at least two rows in a row with that many.
 */
export function shapeOf(lines: readonly string[]): TableShape {
  let best: TableShape & { readonly share: number } = { delimiter: "", columns: 1, preamble: [], share: 0 };
  for (const delimiter of CANDIDATES) {
    const whole = lines.map((line) => ({ line, isCut: false }));
    const rows = [...rowsOf(whole, delimiter)];
    const widths = rows.map(({ cells }) => cells.length);
    const columns = commonest(widths.filter((width) => width > 1)) ?? 1;
    const share = columns === 1 ? 0 : widths.filter((width) => width === columns).length / widths.length;
    // Blanks are in any prose, and behind any comma: they have to do clearly better.
    if (share * (delimiter === " " ? 0.8 : 1) <= best.share || share < 0.5) continue;
    const first = widths.findIndex((width, i) => width === columns && (widths[i + 1] ?? columns) === columns);
    best = { delimiter, columns, preamble: preambleOf(lines, first), share };
  }
  return best;
}

/** The lines of so many rows. A preamble has no quoted line ends. */
function preambleOf(lines: readonly string[], rows: number): readonly string[] {
  return lines.filter((line) => line.trim() !== "").slice(0, Math.max(0, rows));
}

function commonest(widths: readonly number[]): number | undefined {
  const groups = [...Map.groupBy(widths, (width) => width)];
  return groups.toSorted(([a, x], [b, y]) => y.length - x.length || b - a)[0]?.[0];
}
