import { isAscii } from "node:buffer";
import { AppError } from "../../errors.ts";
import type { RowCursor } from "../page-rows.ts";
import type { Cell, Field } from "../rows.ts";
import { exactNumber, parseExactly } from "./exact-json.ts";

const QUOTE = 0x22;
const COMMA = 0x2c;
const LF = 0x0a;

/** How a cell is spelled: as it is; in quotes; in quotes with doubled ones inside. */
export const PLAIN = 0;
export const QUOTED = 1;
export const DOUBLED = 2;

/**
 * Goes through the rows of PostgreSQL's COPY CSV where they lie, in UTF-8: of most cells nobody makes a string. An unquoted
 * nothing is null, a quoted one an empty text; numbers keep every digit; `t` and `f` are booleans; JSON and lists are
 * parsed (there, PostgreSQL spells null as `null`).
 */
export class CsvRows implements RowCursor {
  readonly csv: Buffer;
  /** Of each cell of the row: where its text lies in `csv`, without the quotes around it. */
  readonly starts: Int32Array;
  readonly ends: Int32Array;
  /** {@link PLAIN}, {@link QUOTED} or {@link DOUBLED}. */
  readonly spelling: Uint8Array;
  /** Of each column: whether what is written into a file is the text as it stands here. */
  readonly isVerbatim: readonly boolean[];
  /** Of each column: whether its texts are numbers, or `NaN` and the like. */
  readonly isNumber: readonly boolean[];
  readonly #readers: readonly ((text: string) => Cell)[];
  readonly #encoding: "latin1" | "utf8";
  #at = 0;
  #row = 0;

  constructor(csv: Uint8Array, fields: readonly Field[]) {
    this.csv = Buffer.from(csv.buffer, csv.byteOffset, csv.byteLength);
    this.starts = new Int32Array(fields.length);
    this.ends = new Int32Array(fields.length);
    this.spelling = new Uint8Array(fields.length);
    this.isVerbatim = fields.map(isVerbatim);
    this.isNumber = fields.map(isNumber);
    this.#readers = fields.map(({ type }) => readerOf(type));
    this.#encoding = isAscii(csv) ? "latin1" : "utf8";
  }

  next(): boolean {
    const { csv, starts, ends, spelling } = this;
    const { length } = csv;
    let at = this.#at;
    if (at >= length) return false;
    this.#row++;
    const last = starts.length - 1;
    for (let column = 0; column <= last; column++) {
      if (csv[at] === QUOTE) {
        spelling[column] = QUOTED;
        starts[column] = ++at;
        for (; ; at++) {
          if (at >= length) throw broken("a closing quote");
          if (csv[at] !== QUOTE) continue;
          if (at + 1 >= length || csv[at + 1] !== QUOTE) break;
          spelling[column] = DOUBLED;
          at++;
        }
        ends[column] = at++;
      } else {
        spelling[column] = PLAIN;
        starts[column] = at;
        for (let byte = csv[at]; byte !== COMMA && byte !== LF && at < length; ) byte = csv[++at];
        ends[column] = at;
      }
      const expected = column === last ? LF : COMMA;
      if (at >= length || csv[at] !== expected) throw broken(`${last + 1} columns`, `row ${this.#row}`);
      at++;
    }
    this.#at = at;
    return true;
  }

  cell(column: number): Cell {
    const start = this.starts[column] ?? 0;
    const end = this.ends[column] ?? start;
    const spelling = this.spelling[column];
    if (start === end && spelling === PLAIN) return null;
    const text = this.csv.toString(this.#encoding, start, end);
    return (this.#readers[column] ?? asText)(spelling === DOUBLED ? text.replaceAll('""', '"') : text);
  }
}

function broken(expected: string, found = "none"): AppError {
  return new AppError("portal_refused", { expected: `CSV with ${expected}`, found });
}

const asText = (text: string): Cell => text;
const INTEGERS = /^(?:int[248]?|integer|bigint|smallint|serial|bigserial)$/;
const DECIMALS = /^(?:numeric|decimal|float[48]?|real|double precision|money)/;
const BOOLEANS = /^bool(?:ean)?$/;
const JSONS = /^(?:jsonb?|nested|_.+|.+\[\])$/;

/** Whether PostgreSQL's CSV spells values of a column as files of text do. */
export function isVerbatim({ type }: Field): boolean {
  return !BOOLEANS.test(type) && !JSONS.test(type);
}

const isNumber = ({ type }: Pick<Field, "type">) => INTEGERS.test(type) || DECIMALS.test(type);

function readerOf(type: string): (text: string) => Cell {
  if (isNumber({ type })) return exactNumber;
  if (BOOLEANS.test(type)) return (text) => (text === "t" ? true : text === "f" ? false : text);
  return JSONS.test(type) ? jsonValue : asText;
}

/** JSON text with exact numbers; what is no JSON (PostgreSQL's `{a,b}`) stays text. */
function jsonValue(text: string): Cell {
  try {
    return parseExactly(text);
  } catch {
    return text;
  }
}
