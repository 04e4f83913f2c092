import { AppError } from "../../errors.ts";
import { type Cell, ExactNumber, type Field } from "../rows.ts";

const QUOTE = 0x22;
const COMMA = 0x2c;
const LF = 0x0a;

/** What a page of PostgreSQL's COPY CSV holds. */
export interface CsvShape {
  readonly rowCount: number;
  /** Where the last row begins. */
  readonly lastRowAt: number;
}

/** Counts rows: line ends inside quotes are none. @throws AppError portal_refused when the text ends inside a row. */
export function csvShape(csv: string): CsvShape {
  let rowCount = 0;
  let rowAt = 0;
  let lastRowAt = 0;
  let at = 0;
  /** The next one at or after `at`; looked for only when that has passed it, or a page without any would cost its square. */
  let quote = csv.indexOf('"');
  while (at < csv.length) {
    const lineEnd = csv.indexOf("\n", at);
    if (quote >= 0 && (quote < lineEnd || lineEnd < 0)) {
      at = afterQuoted(csv, quote);
      quote = csv.indexOf('"', at);
      continue;
    }
    if (lineEnd < 0) throw broken("a line end after the last row");
    rowCount++;
    lastRowAt = rowAt;
    at = lineEnd + 1;
    rowAt = at;
  }
  if (rowAt !== csv.length) throw broken("a line end after the last row");
  return { rowCount, lastRowAt };
}

/**
 * Rows of COPY CSV as values, by the types of their columns: an unquoted nothing is null, a quoted one an empty text;
 * numbers keep every digit; `t` and `f` are booleans; JSON and lists are parsed (there, PostgreSQL spells null as `null`).
 */
export function* parseCsv(csv: string, fields: readonly Field[]): Generator<readonly Cell[]> {
  const readers = fields.map(({ type }) => readerOf(type));
  let [at, rowCount] = [0, 0];
  while (at < csv.length) {
    const row: Cell[] = new Array(readers.length);
    for (let column = 0; column < readers.length; column++) {
      const read = readers[column] ?? asText;
      if (csv.charCodeAt(at) === QUOTE) {
        const end = afterQuoted(csv, at);
        const text = csv.slice(at + 1, end - 1);
        row[column] = read(text.includes('"') ? text.replaceAll('""', '"') : text);
        at = end;
      } else {
        let end = at;
        for (let code = csv.charCodeAt(end); end < csv.length && code !== COMMA && code !== LF; )
          code = csv.charCodeAt(++end);
        row[column] = end === at ? null : read(csv.slice(at, end));
        at = end;
      }
      const expected = column === readers.length - 1 ? LF : COMMA;
      if (csv.charCodeAt(at) !== expected) throw broken(`${readers.length} columns`, `row ${rowCount + 1}`);
      at++;
    }
    rowCount++;
    yield row;
  }
}

/** Behind the closing quote of a text that opens at `at`. */
function afterQuoted(csv: string, at: number): number {
  for (let from = at + 1; ; ) {
    const end = csv.indexOf('"', from);
    if (end < 0) throw broken("a closing quote");
    if (csv.charCodeAt(end + 1) !== QUOTE) return end + 1;
    from = end + 2;
  }
}

function broken(expected: string, found = "none"): AppError {
  return new AppError("portal_refused", { expected: `CSV with ${expected}`, found });
}

const asText = (text: string): Cell => text;
const INTEGERS = /^(?:int[248]?|integer|bigint|smallint|serial|bigserial)$/;
const DECIMALS = /^(?:numeric|decimal|float[48]?|real|double precision|money)/;
const JSONS = /^(?:jsonb?|nested|_.+|.+\[\])$/;

function readerOf(type: string): (text: string) => Cell {
  if (INTEGERS.test(type) || DECIMALS.test(type)) return exactNumber;
  if (type === "bool" || type === "boolean") return (text) => (text === "t" ? true : text === "f" ? false : text);
  return JSONS.test(type) ? jsonValue : asText;
}

/** A number where JavaScript's own spells it the same way, else the digits as they are. `NaN` and the like stay text. */
export function exactNumber(text: string): Cell {
  const number = Number(text);
  if (String(number) === text && Number.isFinite(number)) return number;
  return /^-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?$/.test(text) ? new ExactNumber(text) : text;
}

/** JSON text with exact numbers; what is no JSON (PostgreSQL's `{a,b}`) stays text. */
function jsonValue(text: string): Cell {
  try {
    return parseExactly(text);
  } catch {
    return text;
  }
}

/** More digits in a row than a double is sure to keep, somewhere in the text. */
const MANY_DIGITS = /\d[\d.]{15}/;

/** JSON.parse that keeps the digits of numbers it could not hold. @throws SyntaxError. */
export function parseExactly(json: string): Cell {
  if (!MANY_DIGITS.test(json)) return JSON.parse(json);
  return JSON.parse(json, (_key, value: Cell, context?: { readonly source?: string }) =>
    typeof value === "number" && context?.source !== undefined ? exactNumber(context.source) : value,
  );
}
