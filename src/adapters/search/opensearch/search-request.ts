import { foldedWords, highlighted, type TextTerm, textTerms } from "../../../core/catalogue/highlight.ts";
import {
  DOCUMENT_TYPES,
  type Query,
  type SearchDocument,
  type SearchHit,
  type SearchPage,
  type SearchRequest,
} from "../../../core/catalogue/search-index.ts";
import { AppError } from "../../../core/errors.ts";
import { foldedValue } from "../fts-terms.ts";
import { termsOfRange } from "../number-terms.ts";
import type { Json } from "./engine.ts";
import { facetOf, MAX_FACET_LENGTH, numberFact, readFacet, valueFact } from "./stored-document.ts";

/** Requests in the engine's language, and its answers read. */

/** Without facets, hits beyond are not counted. */
const COUNTED = 10_000;
const FACET_VALUES = 20;
/** Of so many values in each shard, those that are the most frequent in all are sure to be counted exactly. */
const FACET_VALUES_OF_SHARD = 2_000;
/** Spellings of one value that a hint is chosen from; the most there can be for all hints. */
const SPELLINGS = 8;
const MAX_BUCKETS = 5_000;
/** Words that a phrase's last one may begin; a word by itself has no such limit. */
const MAX_EXPANSIONS = 50_000;

/** Of all documents; what is left of removed ones has no type. */
export const EVERYTHING: Json = { terms: { type: DOCUMENT_TYPES } };
const NOTHING: Json = { match_none: {} };

type Order = SearchRequest["order"];

/**
 * The order is one of facts that a document has by itself (its title, when it was created, its key): so a page begins behind
 * the last hit of the one before, wherever that is, and nothing has to be kept between them.
 */
export function searchBody(request: SearchRequest): Json {
  const { query, order, limit, cursor, facets } = request;
  const ranked = order === "relevance" ? titleRanks(textTerms(query)) : [];
  const hasFacets = facets !== undefined && facets.length > 0;
  return {
    query: { bool: { filter: filterOf(request), should: ranked } },
    // One more than asked for tells whether there is a next page.
    size: limit + 1,
    sort: [
      ...(order === "relevance" ? [{ _score: "desc" }] : []),
      { created: "desc" },
      { place: "desc" },
      { key: "desc" },
    ],
    ...(cursor !== undefined && { search_after: readCursor(cursor, order) }),
    // Who counts facets has to look at all hits anyway.
    track_total_hits: hasFacets ? true : COUNTED,
    ...(hasFacets && { aggs: Object.fromEntries(facets.map((field, i) => [`facet${i}`, facetCount(field)])) }),
  };
}

/** @throws AppError search_unavailable when not all of the index could be looked at. */
export function searchPage(answer: Json, { query, order, limit, facets = [] }: SearchRequest): SearchPage {
  assertWhole(answer);
  const { hits, total } = answer.hits as {
    readonly hits: readonly { readonly _source: { readonly shown: string }; readonly sort: readonly unknown[] }[];
    readonly total: { readonly value: number; readonly relation: "eq" | "gte" };
  };
  const terms = textTerms(query);
  const last = hits[limit - 1];
  return {
    hits: hits.slice(0, limit).map(({ _source }) => hitOf(_source.shown, terms)),
    next: last && hits.length > limit ? printCursor(order, last.sort) : null,
    total: total.value,
    isLowerBound: total.relation !== "eq",
    facets: Object.fromEntries(facets.map((field, i) => [field, facetValues(answer, i, field)])),
  };
}

export function suggestBody(field: string, prefix: string, owner: string | undefined, limit: number): Json {
  const { place, begin } = facetOf(field);
  return {
    query: { bool: { filter: filterOf({ ...(owner !== undefined && { owner }) }) } },
    size: 0,
    aggs: {
      values: {
        terms: {
          field: `facets.${place}`,
          // What is longer than all values is the beginning of none.
          include: `${begin}${escaped(foldedValue(prefix).slice(0, 2 * MAX_FACET_LENGTH))}.*`,
          order: { _key: "asc" },
          size: Math.min(MAX_BUCKETS, limit * SPELLINGS),
        },
        aggs: { newest: { max: { field: "created" } } },
      },
    },
  };
}

/** In the alphabet's order, in the spelling of the newest document. */
export function suggestions(answer: Json, field: string, limit: number): readonly string[] {
  assertWhole(answer);
  const { begin } = facetOf(field);
  const newest = new Map<string, { readonly value: string; readonly at: number }>();
  for (const bucket of bucketsOf(answer, "values")) {
    const { folded, value } = readFacet(String(bucket.key), begin);
    const at = Number((bucket.newest as Json).value);
    if (at > (newest.get(folded)?.at ?? Number.NEGATIVE_INFINITY)) newest.set(folded, { value, at });
  }
  return Array.from(newest.values(), ({ value }) => value).slice(0, limit);
}

/** Everything that is asked for, but for its order. */
function filterOf({ query, owner, types }: Pick<SearchRequest, "query" | "owner" | "types">): readonly Json[] {
  return [
    types === undefined ? EVERYTHING : { terms: { type: types } },
    ...(owner === undefined ? [] : [{ term: { owner: owner.toWellFormed() } }]),
    ...(query === undefined ? [] : [expression(query)]),
  ];
}

function expression(query: Query): Json {
  if ("any" in query) return anyOf(query.any.map(expression));
  if ("not" in query) return { bool: { must_not: [expression(query.not)] } };
  if ("phrase" in query) return wordsIn("words", { words: foldedWords(query.phrase.join(" ")), isPrefix: false });
  if ("word" in query) return wordsIn("words", { words: foldedWords(query.word), isPrefix: query.isPrefix });
  if ("is" in query) {
    const fact = valueFact(query.field, query.is);
    return query.isPrefix ? { prefix: { facts: fact } } : { term: { facts: fact } };
  }
  if ("all" in query) {
    const wanted = query.all.filter((part) => !("not" in part));
    const unwanted = query.all.flatMap((part) => ("not" in part ? [part.not] : []));
    return { bool: { filter: wanted.map(expression), must_not: unwanted.map(expression) } };
  }
  return { terms: { facts: termsOfRange(query).map((term) => numberFact(query.field, term)) } };
}

/** Not as a `bool`: of these, Elasticsearch takes only twenty inside each other. */
function anyOf(parts: readonly Json[]): Json {
  return parts.length === 0 ? NOTHING : { dis_max: { queries: parts } };
}

/** Words beside each other. */
function wordsIn(field: "title" | "words", { words, isPrefix }: TextTerm): Json {
  const [first, ...others] = words;
  if (first === undefined) return NOTHING;
  if (others.length === 0) return isPrefix ? { prefix: { [field]: first } } : { term: { [field]: first } };
  const query = words.join(" ");
  return isPrefix
    ? { match_phrase_prefix: { [field]: { query, max_expansions: MAX_EXPANSIONS } } }
    : { match_phrase: { [field]: query } };
}

/** Everything in the title makes two points, some of it one. */
function titleRanks(terms: readonly TextTerm[]): readonly Json[] {
  if (terms.length === 0) return [];
  const inTitle = terms.map((term) => wordsIn("title", term));
  const point = (filter: Json) => ({ constant_score: { filter } });
  return [point(anyOf(inTitle)), point({ bool: { filter: inTitle } })];
}

function facetCount(field: string): Json {
  const { place, begin } = facetOf(field);
  return {
    terms: { field: `facets.${place}`, include: `${begin}.*`, size: FACET_VALUES, shard_size: FACET_VALUES_OF_SHARD },
  };
}

function facetValues(answer: Json, i: number, field: string) {
  const { begin } = facetOf(field);
  const counted = bucketsOf(answer, `facet${i}`).map((bucket) => ({
    value: readFacet(String(bucket.key), begin).value,
    count: Number(bucket.doc_count),
  }));
  return counted.sort((a, b) => b.count - a.count || (a.value < b.value ? -1 : 1));
}

function bucketsOf(answer: Json, name: string): readonly Json[] {
  const { [name]: counted } = answer.aggregations as Record<string, { readonly buckets: readonly Json[] }>;
  return counted?.buckets ?? [];
}

function hitOf(shown: string, terms: readonly TextTerm[]): SearchHit {
  const { key, type, title, text, fields, createdAt } = JSON.parse(shown) as SearchDocument;
  const highlight = highlighted(text, terms) ?? highlighted(title, terms);
  return { key, type, title, highlight, fields, createdAt };
}

function assertWhole(answer: Json): void {
  if (answer.timed_out !== true) return;
  throw new AppError("search_unavailable", { reason: "the search took longer than the engine gives it" });
}

/** Signs that mean something in Lucene's regular expressions. */
function escaped(text: string): string {
  return text.replace(/[.?+*|{}[\]()"\\#@&<>~^$-]/g, "\\$&");
}

function printCursor(order: Order, sort: readonly unknown[]): string {
  return Buffer.from(JSON.stringify([order, ...sort])).toString("base64url");
}

/** @throws AppError request_invalid. */
function readCursor(cursor: string, order: Order): readonly unknown[] {
  const [of, ...sort] = parsedList(Buffer.from(cursor, "base64url").toString("utf8"));
  const [key, ...numbers] = sort.toReversed();
  const isOurs =
    of === order &&
    typeof key === "string" &&
    numbers.length === (order === "relevance" ? 3 : 2) &&
    numbers.every((number) => Number.isSafeInteger(number));
  if (isOurs) return sort;
  throw new AppError("request_invalid", { parameter: "cursor", expected: "one of this query's pages", found: cursor });
}

function parsedList(text: string): readonly unknown[] {
  try {
    const value: unknown = JSON.parse(text);
    return Array.isArray(value) ? value : [];
  } catch {
    return [];
  }
}
