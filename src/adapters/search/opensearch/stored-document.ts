import { createHash } from "node:crypto";
import { foldedWords } from "../../../core/catalogue/highlight.ts";
import type { SearchDocument } from "../../../core/catalogue/search-index.ts";
import { foldedValue } from "../fts-terms.ts";
import { type NumberTerm, termsOfNumber } from "../number-terms.ts";

/*
 * Documents as the engine has them. Its own idea of words, numbers and fields is left out of it: words are cut and folded here,
 * and only taken apart at the spaces there. Fields have whatever names depositors give them, so they are no fields of the
 * engine's, which has a thousand at most: they are terms that begin with a name, numbers too (`number-terms.ts`).
 */

/** Raised whenever documents would be filed differently: an index of another format is made anew. */
export const FORMAT = 1;

/** The engine takes terms of 32,766 bytes; a character takes up to three. */
const MAX_NAME_LENGTH = 2000;

/** Longer values are found, but not counted or given as hints: they say something about one document. */
export const MAX_FACET_LENGTH = 100;

/**
 * Values are counted where their field's name hashes to, so that what is counted has no more values to deal with than its own,
 * and seldom those of another field.
 */
const FACET_PLACES = Array.from({ length: 256 }, (_, place) => place.toString(16).padStart(2, "0"));

/** Identifies documents; longer keys are hashed. */
const MAX_ID_LENGTH = 170;

const text = { type: "text", analyzer: "whitespace", norms: false } as const;

/** For the engine to make an index with. */
export function indexDefinition(meta: Readonly<Record<string, unknown>>, shards: number) {
  return {
    settings: {
      index: {
        number_of_shards: shards,
        auto_expand_replicas: "0-1",
        // Every change asks to be seen at once, and there are no others.
        refresh_interval: "-1",
        // The order of all answers: Lucene, which takes documents as they lie, has the first page at once.
        "sort.field": ["created", "place", "key"],
        "sort.order": ["desc", "desc", "desc"],
      },
    },
    mappings: {
      dynamic: "strict",
      _meta: meta,
      _source: { includes: ["shown"] },
      properties: {
        key: { type: "keyword" },
        /** That of no document: then what is there tells that its key has been removed. */
        type: { type: "keyword" },
        owner: { type: "keyword" },
        created: { type: "long" },
        place: { type: "long" },
        title: text,
        /** Of the title and of the text, so far apart that no phrase begins in one and ends in the other. */
        words: text,
        facts: { type: "keyword", doc_values: false },
        facets: {
          properties: Object.fromEntries(FACET_PLACES.map((place) => [place, { type: "keyword", index: false }])),
        },
        /** What a hit is made of, as JSON. */
        shown: { type: "keyword", index: false, doc_values: false },
      },
    },
  };
}

export function idOf(key: string): string {
  return key.length <= MAX_ID_LENGTH ? key.toWellFormed() : createHash("sha256").update(key).digest("hex");
}

/** As JSON, on one line. */
export function storedDocument(document: SearchDocument): string {
  const { key, type, owner, title, text, fields, createdAt } = document;
  const titleWords = foldedWords(title).join(" ");
  const facts = new Set<string>();
  const facets = new Map<string, Set<string>>();
  for (const [field, values] of Object.entries(fields)) {
    const { place, begin } = facetOf(field);
    for (const value of values) {
      facts.add(valueFact(field, String(value)));
      if (String(value).length <= MAX_FACET_LENGTH)
        facets.set(place, (facets.get(place) ?? new Set()).add(begin + facetValue(String(value))));
      if (typeof value !== "number" || !Number.isFinite(value)) continue;
      for (const term of termsOfNumber(value)) facts.add(numberFact(field, term));
    }
  }
  return JSON.stringify({
    key: key.toWellFormed(),
    type,
    owner: owner.toWellFormed(),
    created: Math.trunc(createdAt),
    place: placeOf(key),
    title: titleWords,
    words: [titleWords, foldedWords(text).join(" ")],
    facts: [...facts],
    facets: Object.fromEntries(Array.from(facets, ([place, values]) => [place, [...values]])),
    shown: JSON.stringify({ key, type, title, text, fields, createdAt }),
  });
}

/** A value's term, or the beginning of one. */
export function valueFact(field: string, value: string): string {
  return `v${nameOf(field)}\0${foldedValue(value)}`;
}

export function numberFact(field: string, { kind, digits }: NumberTerm): string {
  return `${kind === "node" ? "n" : "e"}${nameOf(field)}\0${digits}`;
}

function nameOf(field: string): string {
  return foldedValue(field).slice(0, MAX_NAME_LENGTH).toWellFormed();
}

/** Where a field's values are counted, and how its own begin there. */
export function facetOf(field: string): { readonly place: string; readonly begin: string } {
  const hash = createHash("sha256").update(foldedValue(field)).digest("hex");
  return { place: hash.slice(0, 2), begin: `${hash.slice(0, 16)}:` };
}

/** Sorts as hints do, and has the value as it was written. */
function facetValue(value: string): string {
  return `${foldedValue(value)}\0${value.toWellFormed()}`;
}

/** What {@link facetOf} begins, taken apart. */
export function readFacet(term: string, begin: string): { readonly folded: string; readonly value: string } {
  const [folded = "", ...value] = term.slice(begin.length).split("\0");
  return { folded, value: value.join("\0") };
}

/** Of `file:42`, 42: documents of one moment follow each other as their numbers do. */
function placeOf(key: string): number {
  return Number(/:(\d{1,15})$/.exec(key)?.[1] ?? 0);
}
