import type { Query, SearchDocument, SearchRequest } from "../../src/core/catalogue/search-index.ts";

/*
 * What a search has to find, by looking at every document. For texts of plain lower-case words with a space between them, and
 * values without capitals and accents: so it needs nothing of what cuts and folds words.
 */

type Random = (below: number) => number;

const WORDS = ["raw", "rare", "rat", "spectrum", "spec", "mass", "noise", "blank"];
const VALUES = ["p1", "p10", "p2", "north site", "north", "7", "70"];
const FIELDS = ["project", "width"];
const TYPES = ["file", "transaction", "record"] as const;
const OWNERS = ["ann", "bob"];

/** Of different times each, so that there is one order. */
export function randomDocuments(count: number, below: Random): readonly SearchDocument[] {
  const pick = picker(below);
  const words = (most: number) => Array.from({ length: below(most + 1) }, () => pick(WORDS)).join(" ");
  return Array.from({ length: count }, (_, i) => ({
    key: `file:${i}`,
    type: pick(TYPES),
    owner: pick(OWNERS),
    title: words(3),
    text: words(12),
    fields: {
      project: [...new Set([pick(VALUES), pick(VALUES)])],
      width: below(3) === 0 ? ["7"] : [below(20) - 5, 1000 + below(5)],
    },
    createdAt: 1_600_000_000_000 + i * 86_400_000 + below(1000),
  }));
}

export function randomQuery(below: Random, depth = 3): Query {
  const pick = picker(below);
  const parts = () => Array.from({ length: 2 + below(2) }, () => randomQuery(below, depth - 1));
  const kind = depth === 0 ? 3 + below(5) : below(8);
  if (kind === 0) return { all: parts() };
  if (kind === 1) return { any: parts() };
  if (kind === 2) return { not: randomQuery(below, depth - 1) };
  if (kind === 3) return { phrase: Array.from({ length: 1 + below(3) }, () => pick(WORDS)) };
  if (kind === 4) return { field: pick(FIELDS), is: pick(VALUES), isPrefix: below(2) === 0 };
  if (kind === 5) {
    const [from = 0, until = 0] = [below(22) - 6, below(22) - 6 + below(2) * 1000].sort((a, b) => a - b);
    return { field: "width", from, until, fromIn: below(2) === 0, untilIn: below(2) === 0 };
  }
  const word = pick(WORDS);
  const isPrefix = below(3) === 0;
  return { word: isPrefix ? word.slice(0, 1 + below(3)) : word, isPrefix };
}

export function randomRequest(below: Random): SearchRequest {
  return {
    query: randomQuery(below),
    ...(below(2) === 0 && { owner: picker(below)(OWNERS) }),
    ...(below(3) === 0 && { types: TYPES.slice(below(3)) }),
    order: below(2) === 0 ? "newest" : "relevance",
    limit: 10 + below(40),
    facets: FIELDS,
  };
}

/** All that the request finds, in its order. */
export function naiveHits(documents: readonly SearchDocument[], request: SearchRequest): readonly SearchDocument[] {
  const { query, owner, types, order } = request;
  const terms = query === undefined ? [] : termsOf(query);
  const tier = ({ title }: SearchDocument) => {
    const found = terms.filter((term) => isIn(title, term)).length;
    return found === terms.length ? 0 : found > 0 ? 1 : 2;
  };
  return documents
    .filter(
      (document) =>
        (owner === undefined || document.owner === owner) &&
        (types === undefined || types.includes(document.type)) &&
        (query === undefined || fits(document, query)),
    )
    .sort((a, b) => (order === "relevance" ? tier(a) - tier(b) : 0) || b.createdAt - a.createdAt);
}

/** How often each value occurs, in the order of facets. */
export function naiveFacet(hits: readonly SearchDocument[], field: string) {
  const counts = new Map<string, number>();
  for (const { fields } of hits)
    for (const value of new Set((fields[field] ?? []).map(String))) counts.set(value, (counts.get(value) ?? 0) + 1);
  return Array.from(counts, ([value, count]) => ({ value, count }))
    .sort((a, b) => b.count - a.count || (a.value < b.value ? -1 : 1))
    .slice(0, 20);
}

interface Term {
  readonly words: readonly string[];
  readonly isPrefix: boolean;
}

function termsOf(query: Query): readonly Term[] {
  if ("all" in query) return query.all.flatMap(termsOf);
  if ("any" in query) return query.any.flatMap(termsOf);
  if ("word" in query) return [{ words: [query.word], isPrefix: query.isPrefix }];
  return "phrase" in query ? [{ words: query.phrase, isPrefix: false }] : [];
}

function fits(document: SearchDocument, query: Query): boolean {
  if ("all" in query) return query.all.every((part) => fits(document, part));
  if ("any" in query) return query.any.some((part) => fits(document, part));
  if ("not" in query) return !fits(document, query.not);
  if ("word" in query || "phrase" in query) {
    const [term] = termsOf(query);
    return term !== undefined && (isIn(document.title, term) || isIn(document.text, term));
  }
  const values = document.fields[query.field] ?? [];
  if ("is" in query)
    return values.some((value) => (query.isPrefix ? String(value).startsWith(query.is) : String(value) === query.is));
  const { from = Number.NEGATIVE_INFINITY, until = Number.POSITIVE_INFINITY, fromIn, untilIn } = query;
  return values.some(
    (value) =>
      typeof value === "number" &&
      (fromIn ? value >= from : value > from) &&
      (untilIn ? value <= until : value < until),
  );
}

function isIn(text: string, { words, isPrefix }: Term): boolean {
  const there = text.split(" ");
  return there.some((_, at) =>
    words.every((word, i) =>
      isPrefix && i === words.length - 1 ? there[at + i]?.startsWith(word) : there[at + i] === word,
    ),
  );
}

function picker(below: Random) {
  return <T>(from: readonly T[]): T => {
    const picked = from[below(from.length)];
    if (picked === undefined) throw new Error("There is nothing to pick from.");
    return picked;
  };
}
