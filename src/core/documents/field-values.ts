import { type DateReader, DEFAULT_FORMAT, dateReader, SPACED_FORMAT } from "./dates.ts";
import type { FieldMapping } from "./mapping.ts";

export type JsonObject = Readonly<Record<string, unknown>>;

export const isObject = (value: unknown): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** How values of a field are compared. */
export type FieldKind = "keyword" | "text" | "date" | "number" | "boolean" | "object";

const KINDS: Readonly<Record<string, FieldKind>> = {
  keyword: "keyword",
  constant_keyword: "keyword",
  wildcard: "keyword",
  text: "text",
  match_only_text: "text",
  date: "date",
  date_nanos: "date",
  long: "number",
  integer: "number",
  short: "number",
  byte: "number",
  unsigned_long: "number",
  double: "number",
  float: "number",
  half_float: "number",
  scaled_float: "number",
  boolean: "boolean",
  object: "object",
};

/** Whole numbers of these types: what has a fraction loses it, as Elasticsearch has it. */
const WHOLE: Readonly<Record<string, readonly [least: number, most: number]>> = {
  long: [-(2 ** 63), 2 ** 63],
  unsigned_long: [0, 2 ** 64],
  integer: [-(2 ** 31), 2 ** 31 - 1],
  short: [-32_768, 32_767],
  byte: [-128, 127],
};

/** `undefined`: a type that cannot be searched here. */
export function kindOf({ type = "object" }: Pick<FieldMapping, "type">): FieldKind | undefined {
  return Object.hasOwn(KINDS, type) ? KINDS[type] : undefined;
}

/** What a value is found by: words of text, epoch milliseconds of dates, `true` and `false` as text. */
export type FieldValue = string | number;

/**
 * The value as it is compared; `undefined`: it is none of the field's type.
 * @param read for dates.
 */
export function valueAs(field: FieldMapping, raw: unknown, read: DateReader | undefined): FieldValue | undefined {
  switch (kindOf(field)) {
    case "keyword":
    case "text":
      return isObject(raw) ? undefined : String(raw);
    case "date":
      return typeof raw === "string" || typeof raw === "number" ? read?.(String(raw)) : undefined;
    case "number":
      return numberOf(field.type ?? "", raw);
    case "boolean":
      if (raw === true || raw === "true") return "true";
      return raw === false || raw === "false" || raw === "" ? "false" : undefined;
    default:
      return undefined;
  }
}

function numberOf(type: string, raw: unknown): number | undefined {
  if (typeof raw !== "number" && !(typeof raw === "string" && /^\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*$/i.test(raw)))
    return undefined;
  const range = WHOLE[type];
  const number = range ? Math.trunc(Number(raw)) : Number(raw);
  return !Number.isFinite(number) || (range && (number < range[0] || number > range[1])) ? undefined : number;
}

/** Of the dates of a field's documents, and of what they are compared with. */
export function readerOf({ format = DEFAULT_FORMAT }: FieldMapping, strict: boolean): DateReader {
  return dateReader(strict ? format : `${format}||${SPACED_FORMAT}`);
}

export function readableAs(kind: FieldKind, field: FieldMapping, raw: unknown, strict: boolean): boolean {
  return valueAs(field, raw, kind === "date" ? readerOf(field, strict) : undefined) !== undefined;
}

/**
 * Everything in a document by which a field at `path` is found; what is malformed is not.
 * @returns a function, as much of the work is the same for all documents.
 */
export function fieldReader(path: string, field: FieldMapping): (document: JsonObject) => readonly FieldValue[] {
  const kind = kindOf(field);
  // Whatever a document was taken with is read again.
  const read = kind === "date" ? readerOf(field, false) : undefined;
  const { ignore_above: limit = Number.POSITIVE_INFINITY, null_value: fallback } = field;
  return (document) => {
    const values: FieldValue[] = [];
    for (const raw of rawValues(document, path)) {
      const value = raw ?? fallback;
      if (value === null || value === undefined) continue;
      const found = valueAs(field, value, read);
      if (found === undefined) continue;
      if (kind === "text") values.push(...wordsOf(String(found)));
      else if (typeof found !== "string" || found.length <= limit) values.push(found);
    }
    return values;
  };
}

/** What a document has at a path with dots, arrays taken apart. The last part may be another way of taking a field. */
export function* rawValues(value: unknown, path: string): Generator<unknown> {
  if (Array.isArray(value)) for (const element of value) yield* rawValues(element, path);
  else if (path === "") yield value;
  else if (!isObject(value)) {
    // `name.keyword` is the field `name`.
    if (value !== null && !path.includes(".")) yield value;
  } else
    for (let dot = path.length; dot > 0; dot = path.lastIndexOf(".", dot - 1)) {
      const name = path.slice(0, dot);
      if (Object.hasOwn(value, name)) yield* rawValues(value[name], path.slice(dot + 1));
    }
}

/**
 * Words as Elasticsearch's standard analyzer finds them (UAX #29): in lower case; letters, digits and underscores hold
 * together, over a full stop or apostrophe between letters and a full stop or comma between digits; Chinese and Japanese
 * characters are a word each.
 */
const WORD =
  /[\p{Script=Han}\p{Script=Hiragana}]|(?:[[\p{L}\p{N}\p{M}_]--[\p{Script=Han}\p{Script=Hiragana}]]|(?<=\p{L})[.'’:·](?=\p{L})|(?<=\p{N})[.,;'](?=\p{N}))+/gv;

export function wordsOf(text: string): string[] {
  return text.toLowerCase().match(WORD) ?? [];
}

/** By code points, which is how UTF-8 is ordered; `<` would take UTF-16 units. */
export function compareValues(a: FieldValue, b: FieldValue): number {
  if (typeof a === "number" || typeof b === "number") return Number(a) - Number(b);
  if (a === b) return 0;
  let at = 0;
  while (at < a.length && a.charCodeAt(at) === b.charCodeAt(at)) at++;
  const [left, right] = [a.charCodeAt(at), b.charCodeAt(at)];
  // One is the beginning of the other.
  if (Number.isNaN(left) || Number.isNaN(right)) return a.length - b.length;
  // Surrogates stand for what is behind all else.
  const rank = (unit: number) => (unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit);
  return rank(left) - rank(right);
}
