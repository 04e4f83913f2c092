import { AppError } from "../errors.ts";
import { isTimeField, numbersOf } from "./query-numbers.ts";
import type { Query } from "./search-index.ts";
import { wordsOf } from "./words.ts";

/*
 * What people type into a search field, as a `Query` and back. The language is described in docs/formats/queries.md.
 *
 *     or    := and ("OR" and)*
 *     and   := unary ("AND"? unary)*
 *     unary := "-" unary | "(" or ")" | term
 *     term  := word "*"? | quoted | field ":" (quoted "*"? | value "*"? | comparison number | number ".." number)
 */

const MAX_LENGTH = 4000;
const MAX_TERMS = 200;
/** SQLite's parser of full-text expressions has 100 places, and each level takes up to six of them. */
const MAX_DEPTH = 12;

const FIELD = /([\p{L}_][\p{L}\p{N}_.-]*):/uy;
/** A word or value ends where something else may begin. */
const BARE = /[^\s()"]+/uy;
const SPACE = /\s*/uy;
const COMPARISON = /^(>=|<=|>|<)(.*)$/su;
const INTERVAL = /^(.*?)(<?\.\.<?)(.*)$/su;
/** Values that may stand without quotes and mean no more than themselves. */
const PLAIN_VALUE = /^[\p{L}\p{N}][\p{L}\p{N}_/+-]*(\.[\p{L}\p{N}_/+-]+)*$/u;

/**
 * @returns `undefined` for a text without anything in it: everything.
 * @throws AppError query_invalid with the `column` (counted in characters, from 1), what was expected and what was found.
 */
export function parseQuery(text: string): Query | undefined {
  let at = 0;
  let terms = 0;
  let depth = 0;

  function refused(expected: string, position: number, found = text.slice(position).match(/^\S+/u)?.[0]): AppError {
    return new AppError("query_invalid", {
      column: [...text.slice(0, position)].length + 1,
      expected,
      found: found === undefined ? "the end of the query" : [...found].slice(0, 40).join("").toWellFormed(),
    });
  }

  function taken(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = at;
    const match = pattern.exec(text);
    if (match) at = pattern.lastIndex;
    return match ?? undefined;
  }

  /** `OR` and `AND` are words of the language in capitals and by themselves. */
  function isNext(keyword: "OR" | "AND"): boolean {
    return text.startsWith(keyword, at) && !/[^\s()"]/u.test(text.charAt(at + keyword.length));
  }

  function deeper<T>(parse: () => T): T {
    if (depth === MAX_DEPTH) throw refused(`at most ${MAX_DEPTH} parentheses and minus signs inside each other`, at);
    depth += 1;
    const parsed = parse();
    depth -= 1;
    return parsed;
  }

  function parseAny(): Query {
    const any = [parseAll()];
    while (isNext("OR")) {
      at += "OR".length;
      any.push(parseAll());
    }
    return joined(any, "any");
  }

  function parseAll(): Query {
    const all: Query[] = [];
    taken(SPACE);
    do {
      all.push(parseUnary());
      taken(SPACE);
      if (isNext("AND")) {
        at += "AND".length;
        taken(SPACE);
        if (isEnd()) throw refused("something to find after AND", at);
      }
    } while (!isEnd());
    return joined(all, "all");
  }

  function isEnd(): boolean {
    return at === text.length || text[at] === ")" || isNext("OR");
  }

  function parseUnary(): Query {
    const began = at;
    if (isEnd() || isNext("AND")) throw refused("something to find", at);
    if (text[at] === "-") {
      at += 1;
      if (/^(\s|$)/u.test(text.slice(at, at + 1))) throw refused("something to leave out, right after -", at);
      return { not: deeper(parseUnary) };
    }
    if (text[at] === "(") {
      at += 1;
      const inner = deeper(parseAny);
      if (text[at] !== ")") throw refused(`) for the ( in column ${[...text.slice(0, began)].length + 1}`, at);
      at += 1;
      return inner;
    }
    terms += 1;
    if (terms > MAX_TERMS) throw refused(`at most ${MAX_TERMS} things to find`, at);
    return parseTerm();
  }

  function parseTerm(): Query {
    const began = at;
    if (text[at] === '"') {
      const words = [...wordsOf(quoted())].map(({ folded }) => folded);
      if (words.length === 0) throw refused("a letter or a digit between the quotes", began);
      return { phrase: words };
    }
    const field = taken(FIELD)?.[1];
    if (field !== undefined) return parseValue(field);
    const { bare, isPrefix } = starred(taken(BARE)?.[0] ?? "", began);
    if (wordsOf(bare).next().done) throw refused("a word with a letter or a digit", began);
    return { word: bare, isPrefix };
  }

  function parseValue(field: string): Query {
    const began = at;
    if (text[at] === '"') {
      const is = quoted();
      const isPrefix = text[at] === "*";
      if (isPrefix) at += 1;
      if (is.trim() === "") throw refused(`a value between the quotes`, began);
      return { field, is, isPrefix };
    }
    const value = taken(BARE)?.[0];
    if (value === undefined) throw refused(`a value right after ${field}:`, at);
    return parseComparison(field, value, began) ?? parseInterval(field, value, began) ?? parseIs(field, value, began);
  }

  function parseComparison(field: string, value: string, began: number): Query | undefined {
    const [, sign = "", operand = ""] = COMPARISON.exec(value) ?? [];
    if (sign === "") return undefined;
    const { first, behind } = number(field, operand, began + sign.length);
    // A day is an interval: after it is from its end on.
    if (sign === ">=") return { field, from: first, fromIn: true, untilIn: false };
    if (sign === "<") return { field, until: first, fromIn: false, untilIn: false };
    if (sign === ">") return { field, from: behind ?? first, fromIn: behind !== undefined, untilIn: false };
    return { field, until: behind ?? first, fromIn: false, untilIn: behind === undefined };
  }

  function parseInterval(field: string, value: string, began: number): Query | undefined {
    const [, low = "", dots = "", high = ""] = INTERVAL.exec(value) ?? [];
    if (dots === "") return undefined;
    if (low === "" && high === "") throw refused("a number, a size or a date before or after ..", began, value);
    const highAt = began + low.length + dots.length;
    const from = low === "" ? undefined : number(field, low, began);
    const until = high === "" ? undefined : number(field, high, highAt);
    if (from && until && from.first > until.first) throw refused("an end that is not before the beginning", highAt);
    const isFromOut = dots.startsWith("<");
    const isUntilOut = dots.endsWith("<");
    return {
      field,
      ...(from && { from: isFromOut ? (from.behind ?? from.first) : from.first }),
      ...(until && { until: isUntilOut ? until.first : (until.behind ?? until.first) }),
      fromIn: from !== undefined && (!isFromOut || from.behind !== undefined),
      untilIn: until !== undefined && !isUntilOut && until.behind === undefined,
    };
  }

  function parseIs(field: string, value: string, began: number): Query {
    const { bare, isPrefix } = starred(value, began);
    if (isPrefix || !isTimeField(field)) return { field, is: bare, isPrefix };
    const { first, behind } = number(field, bare, began);
    return { field, from: first, until: behind ?? first, fromIn: true, untilIn: behind === undefined };
  }

  function number(field: string, operand: string, position: number) {
    const numbers = numbersOf(field, operand);
    if (numbers) return numbers;
    throw refused(`a number, a size or a date (or quotes around the value)`, position, operand || undefined);
  }

  function starred(value: string, began: number): { readonly bare: string; readonly isPrefix: boolean } {
    const star = value.indexOf("*");
    if (star !== -1 && star !== value.length - 1) throw refused("* at the end of a word only", began + star);
    return { bare: star === -1 ? value : value.slice(0, -1), isPrefix: star !== -1 };
  }

  /** Behind a backslash, any character stands for itself. */
  function quoted(): string {
    const began = at;
    let content = "";
    for (at += 1; text[at] !== '"'; at += 1) {
      if (text[at] === "\\") at += 1;
      if (at >= text.length) throw refused('" at the end', began);
      content += text[at];
    }
    at += 1;
    return content;
  }

  if (text.length > MAX_LENGTH) throw refused(`at most ${MAX_LENGTH} characters`, MAX_LENGTH);
  if (text.trim() === "") return undefined;
  const query = parseAny();
  if (at < text.length) throw refused("no ) without its (", at);
  return query;
}

/** One part is itself; parts that are joined in the same way become ours. */
function joined(parts: readonly Query[], by: "all" | "any"): Query {
  const flat = parts.flatMap((part) => {
    if (by === "all") return "all" in part ? part.all : [part];
    return "any" in part ? part.any : [part];
  });
  const [only] = flat;
  if (only && flat.length === 1) return only;
  return by === "all" ? { all: flat } : { any: flat };
}

/** The query as text; parsing that gives an equal query. */
export function printQuery(query: Query): string {
  if ("any" in query) return query.any.map((part) => ("any" in part ? inside(part) : printQuery(part))).join(" OR ");
  if ("all" in query) return query.all.map(inside).join(" ");
  if ("not" in query) return `-${inside(query.not)}`;
  if ("phrase" in query) return quote(query.phrase.join(" "));
  if ("word" in query) return `${query.word}${query.isPrefix ? "*" : ""}`;
  if ("is" in query) return `${query.field}:${printValue(query)}`;
  return `${query.field}:${printRange(query)}`;
}

function inside(query: Query): string {
  return "any" in query || "all" in query ? `(${printQuery(query)})` : printQuery(query);
}

function printValue({ field, is, isPrefix }: Extract<Query, { is: string }>): string {
  const isPlain = is === "" || (PLAIN_VALUE.test(is) && (isPrefix || !isTimeField(field)));
  return `${isPlain ? is : quote(is)}${isPrefix ? "*" : ""}`;
}

function printRange({ field, from, until, fromIn, untilIn }: Extract<Query, { fromIn: boolean }>): string {
  // Four digits would be read as a year.
  const print = (bound: number) => (isTimeField(field) && /^\d{4}$/.test(String(bound)) ? `${bound}e0` : String(bound));
  if (from === undefined) return until === undefined ? "*" : `${untilIn ? "<=" : "<"}${print(until)}`;
  if (until === undefined) return `${fromIn ? ">=" : ">"}${print(from)}`;
  return `${print(from)}${fromIn ? "" : "<"}..${untilIn ? "" : "<"}${print(until)}`;
}

function quote(text: string): string {
  return `"${text.replace(/["\\]/g, "\\$&")}"`;
}
