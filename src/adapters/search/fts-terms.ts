import { foldedWords, type TextTerm } from "../../core/catalogue/highlight.ts";
import type { Query, SearchDocument, SearchRequest } from "../../core/catalogue/search-index.ts";
import { fold } from "../../core/catalogue/words.ts";
import { type NumberTerm, termsOfNumber, termsOfRange } from "./number-terms.ts";

/*
 * Documents as terms and queries as FTS5 expressions over them. Everything that can be asked for is a term, fields, owners and
 * ranges too: so each query is one expression, whose hits FTS5 gives one by one in the order of their ids.
 *
 * Words are cut and folded here, and FTS5's `ascii` tokenizer only takes them apart at the spaces: to it, every character
 * beyond ASCII belongs to a term. Terms that are no words begin with a character for private use, which no word has.
 */

const KIND = { value: "\ue000", node: "\ue001", exact: "\ue002", owner: "\ue003", type: "\ue004" } as const;
/** Ends the name of a field. */
const OF = "\ue005";
/** A term of every document, and one of none. */
const EVERY = "\ue006";
const NONE = "\ue007";
/** ASCII signs, which would end a term, stand here. */
const SIGNS = 0xe100;

/** FTS5 cuts terms at 32 KiB; a character takes up to three bytes. */
const MAX_VALUE_LENGTH = 8000;

/** The three columns: what is in the title counts for more. */
export function columnsOf(document: SearchDocument): { title: string; body: string; facts: string } {
  const facts = [EVERY, KIND.owner + encoded(document.owner), KIND.type + encoded(document.type)];
  for (const [field, values] of Object.entries(document.fields)) {
    for (const value of values) {
      facts.push(valueTerm(field, String(value)));
      if (typeof value !== "number" || !Number.isFinite(value)) continue;
      for (const term of termsOfNumber(value)) facts.push(numberTerm(field, term));
    }
  }
  return {
    title: foldedWords(document.title).join(" "),
    body: foldedWords(document.text).join(" "),
    facts: [...new Set(facts)].join(" "),
  };
}

/** The value's term, or the beginning of it. */
export function valueTerm(field: string, value: string): string {
  return `${KIND.value}${encoded(field)}${OF}${encoded(value)}`;
}

function numberTerm(field: string, { kind, digits }: NumberTerm): string {
  return `${KIND[kind]}${encoded(field)}${OF}${digits}`;
}

/** One term, however many signs and spaces it has. */
function encoded(text: string): string {
  return foldedValue(text)
    .replace(/[\ue000-\uf8ff]/g, "\ufffd")
    .replace(/[\0-/:-@[-`{-\x7f]/g, (sign) => String.fromCharCode(SIGNS + sign.charCodeAt(0)));
}

/** Values are the same without regard to case, accents and the number of spaces. */
export function foldedValue(text: string): string {
  return fold(text).trim().replace(/\s+/gu, " ").slice(0, MAX_VALUE_LENGTH).toWellFormed();
}

/**
 * All terms that begin so, if they are few. FTS5 gathers the documents of a prefix before it gives the first one; those of some
 * terms it gives one by one.
 */
export type Expand = (begin: string) => readonly string[] | undefined;

/** Everything the request asks for, but for its order. */
export function expressionOf(
  { query, owner, types }: Pick<SearchRequest, "query" | "owner" | "types">,
  expand: Expand,
): string {
  const all = [
    ...(query === undefined ? [] : [expression(query, expand)]),
    ...(owner === undefined ? [] : [ownerExpression(owner)]),
    ...(types === undefined ? [] : [anyOf(types.map((type) => string(KIND.type + encoded(type))))]),
  ];
  return all.length === 0 ? string(EVERY) : all.join(" AND ");
}

export function ownerExpression(owner: string): string {
  return string(KIND.owner + encoded(owner));
}

export function termExpression(term: string): string {
  return string(term);
}

/**
 * The same hits in groups, the most relevant first: those with everything in the title, those with some of it there, and the
 * others. What group a document is in depends on nothing but itself, so pages stay where they are while others come
 * and go; FTS5's own `bm25` changes with each of them, and has to see all hits before it knows the first.
 */
export function tiers(all: string, terms: readonly TextTerm[], expand: Expand): readonly string[] {
  const inTitle = terms.map((term) => `title : ${words(term, expand)}`);
  if (inTitle.length === 0) return [all];
  const some = `(${inTitle.join(" OR ")})`;
  if (inTitle.length === 1) return [`(${all}) AND ${some}`, `(${all}) NOT ${some}`];
  const every = `(${inTitle.join(" AND ")})`;
  return [`(${all}) AND ${every}`, `((${all}) AND ${some}) NOT ${every}`, `(${all}) NOT ${some}`];
}

function expression(query: Query, expand: Expand): string {
  const each = (parts: readonly Query[]) => parts.map((part) => expression(part, expand));
  if ("any" in query) return anyOf(each(query.any));
  if ("not" in query) return `(${string(EVERY)} NOT ${expression(query.not, expand)})`;
  if ("phrase" in query) return words({ words: foldedWords(query.phrase.join(" ")), isPrefix: false }, expand);
  if ("word" in query) return words({ words: foldedWords(query.word), isPrefix: query.isPrefix }, expand);
  if ("is" in query) {
    const term = valueTerm(query.field, query.is);
    return query.isPrefix ? prefix(term, expand) : string(term);
  }
  if ("all" in query) {
    const asked = each(query.all.filter((part) => !("not" in part)));
    const unwanted = each(query.all.flatMap((part) => ("not" in part ? [part.not] : [])));
    return `(${[(asked.length === 0 ? [string(EVERY)] : asked).join(" AND "), ...unwanted].join(" NOT ")})`;
  }
  return anyOf(termsOfRange(query).map((term) => string(numberTerm(query.field, term))));
}

function anyOf(parts: readonly string[]): string {
  return parts.length === 0 ? string(NONE) : `(${parts.join(" OR ")})`;
}

function words({ words: asked, isPrefix }: TextTerm, expand: Expand): string {
  const [first, ...others] = asked;
  if (first === undefined) return string(NONE);
  if (isPrefix && others.length === 0) return prefix(first, expand);
  return string(asked.join(" ")) + (isPrefix ? " *" : "");
}

function prefix(begin: string, expand: Expand): string {
  const terms = expand(begin);
  return terms ? anyOf(terms.map(string)) : `${string(begin)} *`;
}

/** Terms hold no quotes. */
function string(term: string): string {
  return `"${term}"`;
}
