import { createHash } from "node:crypto";
import { type RawBuilder, sql } from "kysely";
import { foldedWords, type TextTerm } from "../../../core/catalogue/highlight.ts";
import type { Query, SearchDocument, SearchRequest } from "../../../core/catalogue/search-index.ts";
import { foldedValue } from "../fts-terms.ts";
import { termsOfNumber, termsOfRange } from "../number-terms.ts";

/*
 * Documents as lexemes of a `tsvector`, and queries as a `tsquery` over them. Everything that can be asked for is a lexeme,
 * fields, owners and ranges too, so that one GIN index knows it all. PostgreSQL's dictionaries see none of it: words are cut
 * and folded here.
 *
 * Lexemes have no positions, which PostgreSQL keeps for the first 16,383 words alone: a phrase is looked for by its words, and
 * then in the text itself (the column `words`).
 *
 * Lexemes that are no words begin with a character for private use, which no word has.
 */

const KIND = {
  value: "\ue000",
  node: "\ue001",
  exact: "\ue002",
  owner: "\ue003",
  type: "\ue004",
  title: "\ue008",
} as const;
/** Ends the name of a field. */
const OF = "\ue005";
/** A lexeme of every document, and one of none. */
const EVERY = "\ue006";
const NONE = "\ue007";
/** Ends a value. */
const END = "\ue009";

/** Between the lexemes of a document on their way to PostgreSQL. */
export const LEXEME_SEPARATOR = "\u001f";
/** Between the words of the title and those of the text. */
const TITLE_END = "\n";

/** A lexeme has 2,046 bytes at most, and a character three of them: a name of this length and a piece leave some to spare. */
const MAX_NAME_LENGTH = 200;
const PIECE_LENGTH = 400;
/** A `tsvector` holds 1 MiB. Words beyond are not found, though phrases of them are. */
const MAX_LEXEME_BYTES = 900_000;

/** Begins a word of the title, which is a lexeme of its own beside the word. */
export const IN_TITLE: string = KIND.title;

/** What is filed of a document. */
export interface Filed {
  readonly lexemes: readonly string[];
  /** Of these, what a prefix may be completed to. */
  readonly terms: readonly string[];
}

/** @param about lexemes of somebody else's making. */
export function filed(document: SearchDocument, about: readonly string[]): Filed {
  const lexemes = new Set([EVERY, ownerLexeme(document.owner), typeLexeme(document.type), ...about]);
  const terms = new Set<string>();
  for (const [field, values] of Object.entries(document.fields)) {
    for (const value of values) {
      for (const lexeme of valueLexemes(field, String(value))) terms.add(lexeme);
      if (typeof value !== "number" || !Number.isFinite(value)) continue;
      for (const { kind, digits } of termsOfNumber(value)) lexemes.add(`${KIND[kind]}${nameOf(field)}${OF}${digits}`);
    }
  }
  for (const word of foldedWords(document.title)) {
    lexemes.add(KIND.title + word);
    terms.add(word);
  }
  for (const word of foldedWords(document.text)) terms.add(word);
  let bytes = 0;
  const fitting = (lexeme: string) => {
    bytes += Buffer.byteLength(lexeme);
    return bytes <= MAX_LEXEME_BYTES;
  };
  const others = [...lexemes].filter(fitting);
  const completed = [...terms].filter(fitting);
  return { lexemes: [...others, ...completed], terms: completed };
}

/** Title and text as words with a space on either side of each. */
export function wordsColumn({ title, text }: SearchDocument): string {
  return ` ${foldedWords(title).join(" ")} ${TITLE_END} ${foldedWords(text).join(" ")} `;
}

/** Text that PostgreSQL takes and that means nothing to us. */
export function storable(text: string): string {
  return text.toWellFormed().replaceAll("\0", "\ufffd");
}

function clean(text: string): string {
  return foldedValue(text).replace(/[\p{Cc}\ue000-\ue0ff]/gu, "\ufffd");
}

/** The same for the same name, however long. */
function nameOf(text: string): string {
  const name = clean(text);
  return name.length <= MAX_NAME_LENGTH ? name : name.slice(0, MAX_NAME_LENGTH).toWellFormed() + hashOf(name);
}

function ownerLexeme(owner: string): string {
  return KIND.owner + nameOf(owner);
}

function typeLexeme(type: SearchDocument["type"]): string {
  return KIND.type + type;
}

/** A long value is filed as its pieces, each with what stands for all before it: so any beginning is found. */
function valueLexemes(field: string, value: string): readonly string[] {
  const cleaned = clean(value) + END;
  return Array.from({ length: Math.ceil(cleaned.length / PIECE_LENGTH) }, (_, i) => pieceLexeme(field, cleaned, i));
}

function pieceLexeme(field: string, value: string, number: number): string {
  const at = number * PIECE_LENGTH;
  const before = number === 0 ? "" : hashOf(value.slice(0, at));
  return `${KIND.value}${nameOf(field)}${OF}${before}${value.slice(at, at + PIECE_LENGTH).toWellFormed()}`;
}

function hashOf(text: string): string {
  return `${createHash("sha256").update(text).digest("hex").slice(0, 32)}${OF}`;
}

/** What is asked for, in the terms of what is filed. */
export type Part =
  | { readonly all: readonly Part[] }
  | { readonly any: readonly Part[] }
  | { readonly not: Part }
  | { readonly lexeme: string; readonly isPrefix: boolean }
  /** Two words or more. */
  | { readonly phrase: TextTerm; readonly isInTitle: boolean };

/** Everything the request asks for, but for its order. */
export function partOf({ query, owner, types }: Pick<SearchRequest, "query" | "owner" | "types">): Part {
  return {
    all: [
      ...(query === undefined ? [] : [partOfQuery(query)]),
      ...(owner === undefined ? [] : [lexeme(ownerLexeme(owner))]),
      ...(types === undefined ? [] : [{ any: types.map((type) => lexeme(typeLexeme(type))) }]),
    ],
  };
}

/** Documents with a value of the field that begins so. */
export function beginning(field: string, prefix: string): Part {
  return partOfQuery({ field, is: prefix, isPrefix: true });
}

/**
 * The same hits in groups, the most relevant first: those with everything in the title, those with some of it there, and the
 * others. What group a document is in depends on nothing but itself.
 */
export function tiers(all: Part, terms: readonly TextTerm[]): readonly Part[] {
  const inTitle = terms.map((term) => words(term, true));
  if (inTitle.length === 0) return [all];
  const [some, every] = [{ any: inTitle }, { all: inTitle }];
  const others = { all: [all, { not: some }] };
  if (inTitle.length === 1) return [{ all: [all, some] }, others];
  return [{ all: [all, every] }, { all: [all, some, { not: every }] }, others];
}

function lexeme(text: string, isPrefix = false): Part {
  return { lexeme: text, isPrefix };
}

function words(term: TextTerm, isInTitle: boolean): Part {
  const [first, ...others] = term.words;
  if (first === undefined) return { any: [] };
  if (others.length > 0) return { phrase: term, isInTitle };
  return lexeme((isInTitle ? KIND.title : "") + first, term.isPrefix);
}

function partOfQuery(query: Query): Part {
  if ("all" in query) return { all: query.all.map(partOfQuery) };
  if ("any" in query) return { any: query.any.map(partOfQuery) };
  if ("not" in query) return { not: partOfQuery(query.not) };
  if ("phrase" in query) return words({ words: foldedWords(query.phrase.join(" ")), isPrefix: false }, false);
  if ("word" in query) return words({ words: foldedWords(query.word), isPrefix: query.isPrefix }, false);
  const { field } = query;
  if ("is" in query) {
    const value = query.isPrefix ? clean(query.is) : clean(query.is) + END;
    // Of a prefix, the piece that it ends in; of a value, the one with its end.
    const last = query.isPrefix ? Math.floor(value.length / PIECE_LENGTH) : Math.ceil(value.length / PIECE_LENGTH) - 1;
    return lexeme(pieceLexeme(field, value, last), query.isPrefix);
  }
  return {
    any: termsOfRange(query).map(({ kind, digits }) => lexeme(`${KIND[kind]}${nameOf(field)}${OF}${digits}`)),
  };
}

/** `tsquery`s that together find everything that fits, and only what fits if there is no `exactly`. */
export interface Condition {
  readonly tsqueries: readonly string[];
  readonly exactly: RawBuilder<boolean> | undefined;
}

/**
 * What must be there at once is asked for one by one: GIN skips from documents of the one to documents of the other, whereas
 * of a single query it looks at every document that one of its smaller lexemes has.
 */
export function conditionOf(part: Part): Condition {
  const tsqueries = new Set(required(part).map((one) => tsquery(one, true)));
  return { tsqueries: [...tsqueries], exactly: hasPhrase(part) ? exactly(part) : undefined };
}

function required(part: Part): readonly Part[] {
  return "all" in part ? part.all.flatMap(required) : [part];
}

/** @param isLoose whether a phrase is all documents with its words, or none: what is asked for, and what is not. */
function tsquery(part: Part, isLoose: boolean): string {
  if ("lexeme" in part) return operand(part.lexeme, part.isPrefix);
  if ("phrase" in part) {
    if (!isLoose) return operand(NONE);
    const { words: asked, isPrefix } = part.phrase;
    const kind = part.isInTitle ? KIND.title : "";
    return joined(
      asked.map((word, i) => operand(kind + word, isPrefix && i === asked.length - 1)),
      "&",
    );
  }
  if ("any" in part)
    return part.any.length === 0
      ? operand(NONE)
      : joined(
          part.any.map((one) => tsquery(one, isLoose)),
          "|",
        );
  // GIN wants something to be there for each document that it is to find.
  if ("not" in part) return `(${operand(EVERY)} & !${tsquery(part.not, !isLoose)})`;
  const asked = part.all.filter((one) => !("not" in one)).map((one) => tsquery(one, isLoose));
  const unwanted = part.all.flatMap((one) => ("not" in one ? [`!${tsquery(one.not, !isLoose)}`] : []));
  return joined([...(asked.length === 0 ? [operand(EVERY)] : asked), ...unwanted], "&");
}

function joined(parts: readonly string[], by: "&" | "|"): string {
  return `(${[...new Set(parts)].join(` ${by} `)})`;
}

function operand(text: string, isPrefix = false): string {
  return `'${text.replace(/['\\]/g, "$&$&")}'${isPrefix ? ":*" : ""}`;
}

/** One of these lexemes. */
export function anyLexeme(lexemes: readonly string[]): string {
  return lexemes.map((text) => operand(text)).join(" | ");
}

function hasPhrase(part: Part): boolean {
  if ("phrase" in part) return true;
  if ("lexeme" in part) return false;
  if ("not" in part) return hasPhrase(part.not);
  return ("all" in part ? part.all : part.any).some(hasPhrase);
}

function exactly(part: Part): RawBuilder<boolean> {
  if (!hasPhrase(part)) return sql`terms @@ ${tsquery(part, true)}::tsquery`;
  if ("phrase" in part) {
    const { words: asked, isPrefix } = part.phrase;
    const where = part.isInTitle ? sql`split_part(words, ${TITLE_END}, 1)` : sql`words`;
    return sql`strpos(${where}, ${` ${asked.join(" ")}${isPrefix ? "" : " "}`}) > 0`;
  }
  if ("not" in part) return sql`NOT ${exactly(part.not)}`;
  const [parts, by] = "all" in part ? [part.all, sql` AND `] : "any" in part ? [part.any, sql` OR `] : [[], sql``];
  return sql`(${sql.join(parts.map(exactly), by)})`;
}
